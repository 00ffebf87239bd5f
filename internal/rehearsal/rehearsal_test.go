package rehearsal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager is where a test's gitlab-runner lives.
type manager struct {
	t      *testing.T
	runner Runner
	seen   string // the stages' environments
}

// newManager returns a runner whose driver is testdata/driver.sh; env are its
// settings, NAME=value.
func newManager(t *testing.T, env ...string) *manager {
	t.Helper()
	driver, err := filepath.Abs("testdata/driver.sh")
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{t: t, seen: t.TempDir()}
	stage := func(name string) Command { return Command{driver, []string{name}} }
	m.runner = Runner{
		Config: stage("config"), Prepare: stage("prepare"), Run: stage("run"), Cleanup: stage("cleanup"),
		BuildsDir: t.TempDir(), TempDir: t.TempDir(), ArtifactsDir: t.TempDir(),
		RetryInterval: time.Millisecond, GracefulKillTimeout: 10 * time.Second, ForceKillTimeout: 10 * time.Second,
		Environ: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "SEEN=" + m.seen, "STATE=" + t.TempDir()}, env...),
	}
	return m
}

// play plays a job and returns what became of it, with the job log.
func (m *manager) play(j Job) (Result, string) {
	m.t.Helper()
	var log bytes.Buffer
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	r := New(m.runner, j, &log).Run(ctx)
	return r, log.String()
}

// order is the stages that were run, as the driver saw them.
func (m *manager) order() string {
	m.t.Helper()
	entries, err := os.ReadDir(m.seen)
	if err != nil {
		m.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		_, name, _ := strings.Cut(e.Name(), "-")
		names = append(names, strings.TrimPrefix(name, "run-"))
	}
	return strings.Join(names, " ")
}

// env is the environment of the first stage of that name.
func (m *manager) env(stage string) map[string]string {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.seen, "*-"+stage))
	if err != nil || len(files) == 0 {
		m.t.Fatalf("no stage %s was run: %v", stage, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		m.t.Fatal(err)
	}
	env := map[string]string{}
	for _, v := range strings.Split(string(text), "\x00") {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	return env
}

// want fails the test unless the job ended so.
func want(t *testing.T, r Result, status Status, reason string, code int, log string) {
	t.Helper()
	if r.Status != status || r.FailureReason != reason || r.ExitCode != code {
		t.Errorf("%s, %q, exit code %d (%v), want %s, %q, %d\n%s", r.Status, r.FailureReason, r.ExitCode, r.Err, status, reason, code, log)
	}
}

func contains(t *testing.T, log string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(log, text) {
			t.Errorf("%q is not in the log:\n%s", text, log)
		}
	}
}

// repository is a git repository with one commit, whose id is returned too.
func repository(t *testing.T) (dir, commit string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "greeting.txt"), []byte("hello from git\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch", "main"}, {"add", "."},
		{"-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "one"},
	} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	id, err := exec.Command("git", "-C", dir, "rev-parse", "HEAD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return dir, strings.TrimSpace(string(id))
}

func TestGreenJobWithSourcesAndArtifacts(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	dir, commit := repository(t)
	r, log := m.play(Job{
		ID: 7, Name: "unit", Repository: dir, Ref: "main", Commit: commit,
		Variables:    []Variable{{Key: "GREETING", Value: "it's\n\"quoted\" $HOME \\ é"}, {Key: "SECRET", Value: "of the file", File: true}},
		BeforeScript: []string{"echo before"},
		Script:       []string{"cat greeting.txt", `printf '%s\n' "$GREETING"`, `cat "$SECRET"`, "echo kept > out.txt", "if read -r x; then exit 9; fi"},
		AfterScript:  []string{`echo "after a $CI_JOB_STATUS"`},
		Artifacts:    Artifacts{Paths: []string{"*.txt"}},
	})
	want(t, r, Success, "", 0, log)
	contains(t, log, "prepare says hello", "a line of config", "before", "hello from git", "it's\n\"quoted\" $HOME \\ é\n", "of the file", "after a success", "Job succeeded")
	if got, want := m.order(), "config prepare prepare_script get_sources build_script after_script upload_artifacts_on_success cleanup_file_variables cleanup"; got != want {
		t.Errorf("stages:\n%s, want\n%s", got, want)
	}
	if strings.Contains(log, "cleanup works") || r.Cleanup != "cleanup warns\n" {
		t.Errorf("cleanup's warnings: %q", r.Cleanup)
	}
	list, err := exec.Command("tar", "-tzf", r.Artifacts).Output()
	if err != nil || string(list) != "greeting.txt\nout.txt\n" {
		t.Errorf("artifacts: %q, %v", list, err)
	}
	if left, err := os.ReadDir(m.runner.TempDir); err != nil || len(left) > 0 {
		t.Errorf("left of the job: %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(m.runner.BuildsDir, "rehearsal/project.tmp")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("file variables are left: %v", err)
	}
	if r.Time("prepare") <= 0 || r.Took < r.Time("build_script") {
		t.Errorf("times: %+v", r.Stages)
	}
}

func TestWhatStagesGet(t *testing.T) {
	t.Parallel()
	m := newManager(t, `CONFIG_JSON={"driver":{"name":"fargate","version":"1.0"},"builds_dir":"`+t.TempDir()+`","job_env":{"FROM_CONFIG":"yes"}}`, "CUSTOM_ENV_OVERRIDDEN=by the manager")
	response := filepath.Join(t.TempDir(), "response.json")
	r, log := m.play(Job{
		ID: 7, Name: "unit", Image: &Image{Name: "debian:12"}, Timeout: 30 * time.Minute,
		Services:  []Service{{Name: "postgres:16", Alias: "db, pg", Variables: map[string]string{"A": "b"}}},
		Variables: []Variable{{Key: "OVERRIDDEN", Value: "by the job"}},
		Script:    []string{`[ -z "$FROM_CONFIG" ] || echo "job_env came through"`, "cp \"$JOB_RESPONSE_FILE\" " + response, "stat -c %a \"$JOB_RESPONSE_FILE\" \"$0\" || true"},
	})
	want(t, r, Success, "", 0, log)
	contains(t, log, "Using Custom executor with driver fargate 1.0...", "job_env came through", "600\n")
	if config := m.env("config"); config["FROM_CONFIG"] != "" {
		t.Error("config_exec has the variables that only it can set")
	}
	env := m.env("run-build_script")
	for name, value := range map[string]string{
		"FROM_CONFIG": "yes", "BUILD_FAILURE_EXIT_CODE": "1", "SYSTEM_FAILURE_EXIT_CODE": "2",
		"CUSTOM_ENV_OVERRIDDEN": "by the job", "CUSTOM_ENV_CI_JOB_ID": "7", "CUSTOM_ENV_CI_JOB_IMAGE": "debian:12",
		"CUSTOM_ENV_CI_JOB_SERVICES": `[{"name":"postgres:16","alias":"db","entrypoint":null,"command":null,"variables":{"A":"b"}}]`,
		"CUSTOM_ENV_CI_JOB_TIMEOUT":  "1800",
		"PWD":                        env["TMPDIR"], "JOB_RESPONSE_FILE": env["TMPDIR"] + "/response.json", "BUILD_EXIT_CODE_FILE": env["TMPDIR"] + "/build_exit_code",
	} {
		if env[name] != value {
			t.Errorf("%s=%q, want %q", name, env[name], value)
		}
	}
	text, err := os.ReadFile(response)
	if err != nil {
		t.Fatal(err)
	}
	var j struct {
		ID    int64
		Token string
		Image struct{ Name string }
		Info  struct {
			Name      string
			ProjectID int64 `json:"project_id"`
		} `json:"job_info"`
		Runner   struct{ Timeout int } `json:"runner_info"`
		Services []struct {
			Name, Alias string
			Variables   []struct{ Key, Value string }
		}
		Steps []struct{ Name string }
	}
	if err := json.Unmarshal(text, &j); err != nil {
		t.Fatal(err)
	}
	if j.ID != 7 || j.Token != JobToken || j.Image.Name != "debian:12" || j.Info.Name != "unit" || j.Info.ProjectID == 0 || j.Runner.Timeout != 1800 ||
		j.Services[0].Alias != "db, pg" || j.Services[0].Variables[0].Value != "b" || j.Steps[0].Name != "script" {
		t.Errorf("the response is %s", text)
	}
}

func TestHowAJobFails(t *testing.T) {
	t.Parallel()
	const all = "config prepare prepare_script get_sources build_script after_script cleanup_file_variables cleanup"
	for name, test := range map[string]struct {
		env    []string
		script string
		reason string
		code   int
		order  string
		says   string
	}{
		"script exits 42":       {nil, "exit 42", ScriptFailure, 42, all, "ERROR: Job failed: exit status 42"},
		"first failure ends it": {nil, "false\necho not reached; exit 3", ScriptFailure, 1, all, ""},
		"a pipe's failure too":  {nil, "exit 5 | cat", ScriptFailure, 5, all, ""},
		"no code file":          {[]string{"NO_CODE_FILE=1"}, "exit 42", ScriptFailure, 1, all, "exit status 1"},
		"senseless code file":   {[]string{"CODE_FILE=x"}, "exit 42", RunnerSystemFailure, 0, all, "system failure"},
		"driver fails":          {[]string{"FAIL_AT=build_script"}, "true", RunnerSystemFailure, 0, all, "Job failed (system failure): exit status 2"},
		"driver exits strangely": {[]string{"FAIL_AT=build_script", "FAIL_WITH=17"}, "true", RunnerSystemFailure, 0, all,
			"unknown Custom executor executable exit code 17"},
		"environment fails": {[]string{"FAIL_AT=prepare_script"}, "true", RunnerSystemFailure, 0, "config prepare prepare_script cleanup", "prepare environment: exit status 2"},
		"sources fail": {[]string{"FAIL_AT=get_sources", "FAIL_TIMES=9"}, "true", RunnerSystemFailure, 0,
			"config prepare prepare_script get_sources clear_worktree get_sources cleanup_file_variables cleanup", ""},
		"after_script's failure is none": {[]string{"FAIL_AT=after_script"}, "true", "", 0, all, "after_script failed, but job will continue unaffected"},
		"cleanup of files fails":         {[]string{"FAIL_AT=cleanup_file_variables"}, "true", "", 0, all, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newManager(t, test.env...)
			j := Job{Name: "j", Script: []string{test.script}, AfterScript: []string{"true"}}
			if strings.Contains(name, "sources") {
				j.Variables = []Variable{{Key: "GET_SOURCES_ATTEMPTS", Value: "2"}}
			}
			r, log := m.play(j)
			status := Failed
			if test.reason == "" {
				status = Success
			}
			want(t, r, status, test.reason, test.code, log)
			contains(t, log, test.says)
			if got := m.order(); got != test.order {
				t.Errorf("stages:\n%s, want\n%s", got, test.order)
			}
			if strings.Contains(log, "\nnot reached") {
				t.Error("the script went on after a failure")
			}
		})
	}
}

func TestSourcesAreTriedAgain(t *testing.T) {
	t.Parallel()
	m := newManager(t, "FAIL_AT=get_sources", "FAIL_TIMES=1")
	r, log := m.play(Job{Name: "j", Script: []string{"true"}, Variables: []Variable{{Key: "GET_SOURCES_ATTEMPTS", Value: "3"}}})
	want(t, r, Success, "", 0, log)
	if got := m.order(); got != "config prepare prepare_script get_sources clear_worktree get_sources build_script cleanup_file_variables cleanup" {
		t.Errorf("stages: %s", got)
	}
}

func TestPrepareIsTriedThreeTimes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env    string
		status Status
		reason string
		order  string
	}{
		"third attempt works":   {"PREPARE_EXIT=2 137 0", Success, "", "config prepare cleanup config prepare cleanup config prepare prepare_script get_sources build_script cleanup_file_variables cleanup"},
		"none works":            {"PREPARE_EXIT=2 2 2", Failed, RunnerSystemFailure, "config prepare cleanup config prepare cleanup config prepare cleanup"},
		"the job is to blame":   {"PREPARE_EXIT=1 0 0", Failed, ScriptFailure, "config prepare cleanup"},
		"config prints no JSON": {"CONFIG_JSON=hello", Failed, RunnerSystemFailure, "config cleanup config cleanup config cleanup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newManager(t, test.env)
			r, log := m.play(Job{Name: "j", Script: []string{"true"}})
			code := 0
			if test.reason == ScriptFailure {
				code = 1
			}
			want(t, r, test.status, test.reason, code, log)
			if got := m.order(); got != test.order {
				t.Errorf("stages:\n%s, want\n%s", got, test.order)
			}
			if left, err := os.ReadDir(m.runner.TempDir); err != nil || len(left) > 0 {
				t.Errorf("left of the attempts: %v, %v", left, err)
			}
		})
	}
}

func TestAllowedFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		allow AllowFailure
		want  bool
	}{
		{AllowFailure{}, false}, {AllowFailure{All: true}, true},
		{AllowFailure{ExitCodes: []int{41, 42}}, true}, {AllowFailure{ExitCodes: []int{1}}, false},
	} {
		m := newManager(t)
		r, log := m.play(Job{Name: "j", Script: []string{"exit 42"}, AllowFailure: test.allow})
		want(t, r, Failed, ScriptFailure, 42, log)
		if r.Allowed != test.want {
			t.Errorf("%+v: allowed %t", test.allow, r.Allowed)
		}
	}
}

// A hook of the job runs with get_sources, before anything is fetched.
func TestHookBeforeTheSources(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	result, log := m.play(Job{PreGetSources: []string{"echo no sources: $(ls | wc -l)"}, Script: []string{"echo script"}})
	if result.Status != Success {
		t.Fatalf("ended as %s:\n%s", result.Status, log)
	}
	hook, sources := strings.Index(log, "\nno sources: "), strings.Index(log, "Skipping Git repository setup")
	if hook < 0 || sources < hook {
		t.Errorf("the job log:\n%s", log)
	}
}
