package job

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const fileText = `{"id":4711,"token":"glcbt-secret","job_info":{"name":"unit","stage":"test","project_id":7,"pipeline_id":99,"project_full_path":"team/app"},
 "git_info":{"repo_url":"https://gitlab-ci-token:glcbt-secret@gitlab.example.com/team/app.git"},
 "runner_info":{"timeout":3600},"image":{"name":"golang:1.26"},"services":[{"name":"postgres:17"}]}`

func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(k string) string { return m[k] }
}

func TestIdentityComesFromTheResponseFileAlone(t *testing.T) {
	t.Parallel()
	honest, err := Read(env("CUSTOM_ENV_CI_JOB_ID", "4711"), strings.NewReader(fileText))
	if err != nil {
		t.Fatal(err)
	}
	// A job's author may set every CUSTOM_ENV_ variable.
	forged, err := Read(env("CUSTOM_ENV_CI_JOB_ID", "1", "CUSTOM_ENV_CI_PROJECT_URL", "https://evil", "CUSTOM_ENV_CI_PIPELINE_ID", "1",
		"CUSTOM_ENV_CI_PROJECT_PATH", "other/app", "CUSTOM_ENV_CI_JOB_TIMEOUT", "999999"), strings.NewReader(fileText))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(honest, forged) {
		t.Errorf("variables changed the identity:\n%+v\n%+v", honest, forged)
	}
	if honest.Timeout != time.Hour || honest.Image != "golang:1.26" || len(honest.Services) != 0 || honest.ProjectPath != "team/app" {
		t.Errorf("got %+v", honest)
	}
	if strings.Contains(honest.ProjectURL, "secret") {
		t.Errorf("the token is in the project's address %q", honest.ProjectURL)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	a := Job{ID: 1, ProjectID: 2, PipelineID: 3, Name: "unit", ProjectURL: "https://gitlab.example.com/a"}
	retry := a
	retry.ID = 10
	elsewhere := a
	elsewhere.ProjectURL = "https://other.example.com/a"
	if a.Key() == retry.Key() || a.Key() == elsewhere.Key() {
		t.Error("two jobs share a key")
	}
	if a.Recurring() != retry.Recurring() {
		t.Error("a retry is not recognised")
	}
	if a.Recurring() == elsewhere.Recurring() {
		t.Error("two projects are taken for one")
	}
	if n := len(Job{Name: strings.Repeat("x", 5000)}.Key()); n != 32 {
		t.Errorf("key has %d characters", n)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":   "",
		"no JSON": "nope",
		"no id":   `{"job_info":{"name":"x"}}`,
	} {
		if _, err := Read(env(), strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "JOB_RESPONSE_FILE") {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	if _, err := Read(env(), nil); err == nil {
		t.Error("a job without any identity was taken")
	}
	if j, err := Read(env("CUSTOM_ENV_CI_JOB_ID", "5", "CUSTOM_ENV_CI_JOB_TIMEOUT", "60"), nil); err != nil || j.ID != 5 || j.Timeout != time.Minute || j.Trusted {
		t.Errorf("gitlab-runner without JOB_RESPONSE_FILE: %+v, %v", j, err)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	got, err := ReadExitCodes(env("BUILD_FAILURE_EXIT_CODE", "77", "SYSTEM_FAILURE_EXIT_CODE", "88", "BUILD_EXIT_CODE_FILE", "/tmp/x"))
	if err != nil || got != (ExitCodes{77, 88, "/tmp/x"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := ReadExitCodes(env("BUILD_FAILURE_EXIT_CODE", "1")); err == nil || !strings.Contains(err.Error(), "SYSTEM_FAILURE_EXIT_CODE") {
		t.Errorf("got error %v", err)
	}
}
