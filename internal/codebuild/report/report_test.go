package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

func TestExitCode(t *testing.T) {
	t.Parallel()
	for status, want := range map[build.Status]int{
		build.Succeeded: 0, build.Failed: 1, build.Fault: 3, build.TimedOut: 4, build.Stopped: 5, "A_NEW_WORD": 1, "": 1,
	} {
		if got := ExitCode(status); got != want {
			t.Errorf("%q: got %d, want %d", status, got, want)
		}
	}
}

// failedIn is a build that has failed like this.
func failedIn(phase, code, message string) build.Build {
	return build.Build{ID: "p:1", Status: build.Failed, Phases: []build.Phase{
		{Name: "SUBMITTED", Status: build.Succeeded},
		{Name: phase, Status: build.Failed, Code: code, Message: message},
		{Name: "UPLOAD_ARTIFACTS", Status: build.Failed, Code: "CLIENT_ERROR", Message: "no matching files"},
	}}
}

func TestHints(t *testing.T) {
	t.Parallel()
	command := "Error while executing command: docker build . Reason: exit status 1"
	tests := []struct {
		name                 string
		phase, code, message string
		tail                 string
		want                 string
	}{
		{"Docker Hub", "BUILD", "COMMAND_EXECUTION_ERROR", command, "ERROR: toomanyrequests: You have reached your pull rate limit.", "Docker Hub limits pulls"},
		{"disk", "BUILD", "COMMAND_EXECUTION_ERROR", command, "write /var/lib/docker/x: no space left on device", "ran out of disk"},
		{"privileged", "PRE_BUILD", "COMMAND_EXECUTION_ERROR", command, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "privileged mode"},
		{"repository", "BUILD", "COMMAND_EXECUTION_ERROR", command, "name unknown: The repository with name 'app' does not exist in the registry with id '123456789012'", "create-repository"},
		{"no right to push", "BUILD", "COMMAND_EXECUTION_ERROR", command, "denied: User: arn:aws:sts::1:assumed-role/x is not authorized to perform: ecr:InitiateLayerUpload", "ecr:GetAuthorizationToken on"},
		{"immutable tag", "BUILD", "COMMAND_EXECUTION_ERROR", command, "tag invalid: The image tag 'v1' already exists in the 'app' repository and cannot be overwritten because the repository is immutable.", "immutable"},
		{"no Dockerfile", "BUILD", "COMMAND_EXECUTION_ERROR", command, "failed to read dockerfile: open Dockerfile: no such file or directory", "--dockerfile"},
		{"push after a failed build", "POST_BUILD", "COMMAND_EXECUTION_ERROR", command, "An image does not exist locally with the tag: app", "on-failure: ABORT"},
		{"no buildspec", "DOWNLOAD_SOURCE", "YAML_FILE_ERROR", "stat /codebuild/output/src1/src/buildspec.yml: no such file or directory", "", "not in the uploaded source"},
		{"bad buildspec", "DOWNLOAD_SOURCE", "YAML_FILE_ERROR", "did not find expected key at line 3", "", "check its YAML"},
		{"build image", "PROVISIONING", "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE", "Unable to pull customer's container image.", "", "SERVICE_ROLE"},
		{"source denied", "DOWNLOAD_SOURCE", "CLIENT_ERROR", "AccessDenied: Access Denied status code: 403, request id: 1 for primary source", "", "s3:GetObject"},
		{"source elsewhere", "DOWNLOAD_SOURCE", "CLIENT_ERROR", "The bucket you are attempting to access must be addressed using the specified endpoint", "", "another region"},
		{"source gone", "DOWNLOAD_SOURCE", "CLIENT_ERROR", "NoSuchKey: The specified key does not exist. status code: 404", "", "lifecycle rule"},
		{"memory", "BUILD", "COMMAND_EXECUTION_ERROR", "Error while executing command: make. Reason: exit status 137", "", "lack of memory"},
		{"the user's own", "BUILD", "COMMAND_EXECUTION_ERROR", command, "--- FAIL: TestX", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := Hint(failedIn(test.phase, test.code, test.message), []string{"before", test.tail})
			if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want one with %q", got, test.want)
			}
		})
	}
	if got := Hint(build.Build{Status: build.Succeeded}, []string{"toomanyrequests"}); got != "" {
		t.Errorf("a build that succeeded: got %q", got)
	}
}

func TestSummaryNamesTheFailedCommand(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	b := failedIn("BUILD", "COMMAND_EXECUTION_ERROR", "Error while executing command: cd app &&\nmake release. Reason: exit status 2")
	b.Started = time.Unix(1700000000, 0)
	b.Ended = b.Started.Add(95 * time.Second)
	b.ARN = "arn:aws:codebuild:eu-central-1:123456789012:build/p:1"
	b.Project = "p"
	Summary(joblog.New(&out, true), b, nil, "the stream is missing", time.Time{})
	want := `Build p:1: FAILED after 1m35s
  Failed phase:   BUILD (FAILED)
  Failed command: cd app &&
                  make release
  Message:        COMMAND_EXECUTION_ERROR: exit status 2
  Its log above is not complete: the stream is missing
  Build:          https://eu-central-1.console.aws.amazon.com/codesuite/codebuild/123456789012/projects/p/build/p%3A1/?region=eu-central-1
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestAnnotations(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.json")
	b := build.Build{ID: "p:1", Project: "p", ARN: "arn:aws-cn:codebuild:cn-north-1:123456789012:build/p:1"}
	b.Log.URL = "https://log"
	if err := Annotations(path, b); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string][]struct {
		Link struct{ Label, URL string } `json:"external_link"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if links := got["codebuild"]; len(links) != 2 || !strings.HasPrefix(links[0].Link.URL, "https://cn-north-1.console.amazonaws.cn/") || links[1].Link.URL != "https://log" {
		t.Errorf("got %s", text)
	}
}
