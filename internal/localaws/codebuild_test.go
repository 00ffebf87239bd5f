package localaws

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// putSource makes a zip of these files, the name first, the build's source.
func putSource(t *testing.T, s *Server, files ...string) (location string) {
	t.Helper()
	var data bytes.Buffer
	zw := zip.NewWriter(&data)
	for i := 0; i < len(files); i += 2 {
		w, err := zw.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(files[i+1]))
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s3.NewFromConfig(config(s)).PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(SourceBucket), Key: aws.String("src.zip"), Body: bytes.NewReader(data.Bytes()),
	})
	if err != nil {
		t.Fatal(err)
	}
	return SourceBucket + "/src.zip"
}

// finished starts a build and waits for its end.
func finished(t *testing.T, s *Server, in *codebuild.StartBuildInput) types.Build {
	t.Helper()
	client := codebuild.NewFromConfig(config(s))
	in.ProjectName = aws.String(ProjectName)
	out, err := client.StartBuild(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if out.Build.Logs.GroupName != nil || out.Build.Logs.CloudWatchLogsArn != nil {
		t.Error("StartBuild's answer names a log stream, which the real one does not")
	}
	if err := s.Wait(t.Context(), func() bool { return buildEnded(s, *out.Build.Id) }); err != nil {
		t.Fatal(err)
	}
	got, err := client.BatchGetBuilds(t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{*out.Build.Id}})
	if err != nil || len(got.Builds) != 1 {
		t.Fatalf("got %v %v", got, err)
	}
	return got.Builds[0]
}

func buildEnded(s *Server, id string) bool {
	return slices.ContainsFunc(s.Builds(), func(b BuildInfo) bool { return b.ID == id && b.Done })
}

// logOf is a build's whole log.
func logOf(t *testing.T, s *Server, b types.Build) string {
	t.Helper()
	client := cloudwatchlogs.NewFromConfig(config(s))
	var text strings.Builder
	for token := (*string)(nil); ; {
		out, err := client.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: b.Logs.GroupName, LogStreamName: b.Logs.StreamName, StartFromHead: aws.Bool(true), NextToken: token,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range out.Events {
			text.WriteString(*e.Message)
		}
		if token != nil && *token == *out.NextForwardToken {
			return text.String()
		}
		token = out.NextForwardToken
	}
}

func TestBuildRunsThePhasesInOneShell(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"sh", "bash"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			s := start(t, Options{NoThrottle: true})
			spec := `
version: 0.2
env:
  shell: ` + shell + `
  variables: {FROM_SPEC: spec, BOTH: spec}
  exported-variables: [RESULT]
phases:
  install:
    commands: [cd dir, STATE=kept]
  build:
    commands:
      - echo "in $(basename "$PWD"), $STATE, $FROM_SPEC, $BOTH, $CODEBUILD_BUILD_NUMBER, $CODEBUILD_BUILD_SUCCEEDING"
      - RESULT="two words"
    finally: [echo finally]
`
			b := finished(t, s, &codebuild.StartBuildInput{
				SourceTypeOverride: "S3", SourceLocationOverride: aws.String(putSource(t, s, "buildspec.yml", spec, "dir/file", "")),
				EnvironmentVariablesOverride: []types.EnvironmentVariable{{Name: aws.String("BOTH"), Value: aws.String("override")}},
			})
			if b.BuildStatus != types.StatusTypeSucceeded || !b.BuildComplete || b.EndTime == nil {
				t.Errorf("got %v", b.BuildStatus)
			}
			log := logOf(t, s, b)
			for _, want := range []string{"in dir, kept, spec, override, 1, 1\n", "\nfinally\n", "Entering phase BUILD\n", "Phase complete: UPLOAD_ARTIFACTS State: SUCCEEDED\n"} {
				if !strings.Contains(log, want) {
					t.Errorf("the log has no %q:\n%s", want, log)
				}
			}
			if len(b.ExportedEnvironmentVariables) != 1 || *b.ExportedEnvironmentVariables[0].Value != "two words" {
				t.Errorf("got exported %v", b.ExportedEnvironmentVariables)
			}
			var phases []string
			for _, p := range b.Phases {
				phases = append(phases, string(p.PhaseType))
			}
			if got, want := strings.Join(phases, " "), "SUBMITTED QUEUED PROVISIONING DOWNLOAD_SOURCE INSTALL PRE_BUILD BUILD POST_BUILD UPLOAD_ARTIFACTS FINALIZING COMPLETED"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// What runs after a failure is as at CodeBuild, traps included.
func TestPhasesAfterAFailure(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec string
		post       bool
		command    string
	}{
		{"in build", "version: 0.2\nphases:\n  build: {commands: [false, echo not-me]}\n  post_build: {commands: [echo post $CODEBUILD_BUILD_SUCCEEDING]}\n", true, "false"},
		{"in build, aborted", "version: 0.2\nphases:\n  build: {on-failure: ABORT, commands: [exit 4]}\n  post_build: {commands: [echo post]}\n", false, "exit 4"},
		{"in pre_build", "version: 0.2\nphases:\n  pre_build: {commands: [nonesuch-command]}\n  build: {commands: [echo not-me]}\n  post_build: {commands: [echo post]}\n", false, "nonesuch-command"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, Options{NoThrottle: true})
			b := finished(t, s, &codebuild.StartBuildInput{SourceLocationOverride: aws.String(putSource(t, s, "buildspec.yml", test.spec))})
			log := logOf(t, s, b)
			if b.BuildStatus != types.StatusTypeFailed || strings.Contains(log, "\nnot-me\n") || strings.Contains(log, "\npost") != test.post {
				t.Errorf("got %s, want post_build %v:\n%s", b.BuildStatus, test.post, log)
			}
			if test.post && !strings.Contains(log, "\npost 0\n") {
				t.Errorf("post_build does not know that the build fails:\n%s", log)
			}
			found := false
			for _, p := range b.Phases {
				for _, c := range p.Contexts {
					found = found || strings.Contains(*c.Message, "Error while executing command: "+test.command+". Reason: exit status")
				}
			}
			if !found {
				t.Errorf("no phase names the command %q", test.command)
			}
		})
	}
}

func TestStartBuildRefusesWhatTheRealOneRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	client := codebuild.NewFromConfig(config(s))
	tests := []struct {
		name, code, message string
		in                  codebuild.StartBuildInput
	}{
		{"project", "ResourceNotFoundException", "Project cannot be found", codebuild.StartBuildInput{ProjectName: aws.String("none")}},
		{"URL of S3", "InvalidInputException", "Invalid source location", codebuild.StartBuildInput{SourceLocationOverride: aws.String("s3://b/k.zip")}},
		{"version of a folder", "InvalidInputException", "should be empty", codebuild.StartBuildInput{SourceLocationOverride: aws.String("b/folder/"), SourceVersion: aws.String("v")}},
		{"timeout", "InvalidInputException", "between 5 and 2160", codebuild.StartBuildInput{TimeoutInMinutesOverride: aws.Int32(4)}},
		{"status of S3", "InvalidInputException", "reportBuildStatus", codebuild.StartBuildInput{ReportBuildStatusOverride: aws.Bool(true)}},
		{"reserved variable", "InvalidInputException", "reserved", codebuild.StartBuildInput{EnvironmentVariablesOverride: []types.EnvironmentVariable{{Name: aws.String("CODEBUILD_X"), Value: aws.String("")}}}},
	}
	for _, test := range tests {
		if test.in.ProjectName == nil {
			test.in.ProjectName = aws.String(ProjectName)
		}
		_, err := client.StartBuild(t.Context(), &test.in)
		wantCode(t, err, test.code, test.message)
	}
	if n := len(s.Builds()); n != 0 {
		t.Errorf("%d builds were started", n)
	}
}

func TestIdempotencyToken(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	client := codebuild.NewFromConfig(config(s))
	in := &codebuild.StartBuildInput{ProjectName: aws.String(ProjectName), IdempotencyToken: aws.String("t")}
	first, err := client.StartBuild(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := client.StartBuild(t.Context(), in); err != nil || *again.Build.Id != *first.Build.Id {
		t.Errorf("got %v %v, want the same build", again, err)
	}
	in.SourceVersion = aws.String("other")
	_, err = client.StartBuild(t.Context(), in)
	wantCode(t, err, "InvalidInputException", "different parameters")
}

func TestStopBuildAndUnknownBuilds(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	client := codebuild.NewFromConfig(config(s))
	spec := "version: 0.2\nphases: {build: {commands: [sleep 600]}}\n"
	out, err := client.StartBuild(t.Context(), &codebuild.StartBuildInput{ProjectName: aws.String(ProjectName), SourceLocationOverride: aws.String(putSource(t, s, "buildspec.yml", spec))})
	if err != nil {
		t.Fatal(err)
	}
	id := *out.Build.Id
	if err := s.Wait(t.Context(), func() bool { return s.Builds()[0].Phase == "BUILD" }); err != nil {
		t.Fatal(err)
	}
	for range 2 { // of a build that has ended it is no error either
		if _, err := client.StopBuild(t.Context(), &codebuild.StopBuildInput{Id: &id}); err != nil {
			t.Fatal(err)
		}
		if err := s.Wait(t.Context(), func() bool { return buildEnded(s, id) }); err != nil {
			t.Fatal(err)
		}
	}
	got, err := client.BatchGetBuilds(t.Context(), &codebuild.BatchGetBuildsInput{Ids: []string{id, "docker-build:none"}})
	if err != nil || len(got.Builds) != 1 || got.Builds[0].BuildStatus != types.StatusTypeStopped || len(got.BuildsNotFound) != 1 {
		t.Errorf("got %+v %v", got, err)
	}
	_, err = client.StopBuild(t.Context(), &codebuild.StopBuildInput{Id: aws.String("docker-build:none")})
	wantCode(t, err, "ResourceNotFoundException", "does not exist")
	list, err := client.ListBuildsForProject(t.Context(), &codebuild.ListBuildsForProjectInput{ProjectName: aws.String(ProjectName)})
	if err != nil || !slices.Equal(list.Ids, []string{id}) {
		t.Errorf("got %v %v", list, err)
	}
}

// Closing the stand-in ends what builds run.
func TestCloseEndsBuilds(t *testing.T) {
	t.Parallel()
	s, err := Start(Options{NoThrottle: true})
	if err != nil {
		t.Fatal(err)
	}
	spec := "version: 0.2\nphases: {build: {commands: [sleep 600]}}\n"
	if _, err := codebuild.NewFromConfig(config(s)).StartBuild(t.Context(), &codebuild.StartBuildInput{ProjectName: aws.String(ProjectName), SourceLocationOverride: aws.String(putSource(t, s, "buildspec.yml", spec))}); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context(), func() bool { return s.Builds()[0].Phase == "BUILD" }); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Error("Close waits for a build")
	}
}

func TestBuildsAreOrderedOverHTTP(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	put := func(path, body string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL()+controlPrefix+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if code := put("builds/plan", `{"fault": "INSTALL"}`); code != http.StatusOK {
		t.Errorf("got status %d", code)
	}
	if code := put("builds/plan", `{"falt": "INSTALL"}`); code != http.StatusBadRequest {
		t.Errorf("a member that is not known: got status %d", code)
	}
	if code := put("projects/other", `{"SourceType": "NO_SOURCE"}`); code != http.StatusOK {
		t.Errorf("got status %d", code)
	}
	b := finished(t, s, &codebuild.StartBuildInput{SourceLocationOverride: aws.String(putSource(t, s, "buildspec.yml", "version: 0.2\n"))})
	if b.BuildStatus != types.StatusTypeFault {
		t.Errorf("got %s, want FAULT", b.BuildStatus)
	}
	list, err := http.Get(s.URL() + controlPrefix + "builds")
	if err != nil {
		t.Fatal(err)
	}
	defer list.Body.Close()
	var builds []BuildInfo
	if err := json.NewDecoder(list.Body).Decode(&builds); err != nil || len(builds) != 1 || builds[0].Status != "FAULT" {
		t.Errorf("got %v %v", builds, err)
	}
}
