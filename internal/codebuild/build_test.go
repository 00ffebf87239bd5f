package codebuild_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/archive"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/bridgetest"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/start"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

func TestSucceeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "Dockerfile", "FROM scratch\n", "main.go", "package main\n")
	docker := start.Docker{Tags: []string{"123456789012.dkr.ecr.eu-central-1.amazonaws.com/app:v1"}}
	text, err := docker.Buildspec()
	if err != nil {
		t.Fatal(err)
	}
	w.options.Request.BuildspecText = text
	w.options.DotenvFile = filepath.Join(t.TempDir(), "build.env")
	w.options.AnnotationsFile = filepath.Join(t.TempDir(), "links.json")
	w.options.StateDir = filepath.Join(t.TempDir(), "state")
	w.want(0, "Source: 2 files", "Login Succeeded", "pushing 123456789012.dkr.ecr", "SUCCEEDED", "IMAGE_DIGEST=sha256:")
	w.wantSections(5)

	dotenv, err := os.ReadFile(w.options.DotenvFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"CODEBUILD_BUILD_ID=docker-build:", "CODEBUILD_BUILD_NUMBER=1\n", "CODEBUILD_BUILD_STATUS=SUCCEEDED\n",
		"IMAGE_URI=123456789012.dkr.ecr.eu-central-1.amazonaws.com/app:v1\n", "IMAGE_DIGEST=sha256:",
		"IMAGE_REF=123456789012.dkr.ecr.eu-central-1.amazonaws.com/app@sha256:",
	} {
		if !strings.Contains(string(dotenv), want) {
			t.Errorf("the dotenv report has no %q:\n%s", want, dotenv)
		}
	}
	if links, err := os.ReadFile(w.options.AnnotationsFile); err != nil || !strings.Contains(string(links), "CloudWatch log") {
		t.Errorf("got annotations %s %v", links, err)
	}
	if left, err := codebuild.Saved(w.options.StateDir); len(left) != 0 || err != nil {
		t.Errorf("got %v %v, want no state of a build that has ended", left, err)
	}
}

func TestEachStatusHasItsExitCode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spec  string
		plan  localaws.BuildPlan
		code  int
		words []string
	}{
		{"FAILED", bridgetest.Commands("echo before", "make it-all", "echo after"), localaws.BuildPlan{}, 1,
			[]string{"Failed phase:   BUILD (FAILED)", "Failed command: make it-all", "COMMAND_EXECUTION_ERROR"}},
		{"FAULT", bridgetest.Commands("true"), localaws.BuildPlan{Fault: "PROVISIONING"}, 3,
			[]string{"Failed phase:   PROVISIONING (FAULT)", "INTERNAL_SERVICE_ERROR"}},
		{"TIMED_OUT", bridgetest.Commands("sleep 60"), localaws.BuildPlan{Minute: time.Millisecond}, 4,
			[]string{"TIMED_OUT", "BUILD_TIMED_OUT"}},
		{"pull failure", bridgetest.Commands("true"), localaws.BuildPlan{PullFailure: true}, 1,
			[]string{"BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE", "What to do:", "SERVICE_ROLE"}},
		{"no buildspec", "", localaws.BuildPlan{}, 1, []string{"DOWNLOAD_SOURCE", "YAML_FILE_ERROR", "The buildspec is not in the uploaded source"}},
		{"not YAML", "version: 0.2\n  phases: [", localaws.BuildPlan{}, 1, []string{"YAML_FILE_ERROR", "check its YAML"}},
		{"Docker Hub's limit", bridgetest.Commands("echo 'toomanyrequests: You have reached your pull rate limit'; exit 1"), localaws.BuildPlan{}, 1,
			[]string{"What to do:", "Docker Hub limits pulls"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "a", "")
			if test.spec != "" {
				if err := os.WriteFile(filepath.Join(w.Dir, "buildspec.yml"), []byte(test.spec), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			w.AWS.PlanBuilds(test.plan)
			w.want(test.code, test.words...)
			if strings.Contains(w.log.String(), "\nafter\n") {
				t.Error("a command ran after the one that failed")
			}
		})
	}
}

func TestStoppedBySomebody(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("echo begun; sleep 60"))
	go func() {
		if err := w.AWS.Wait(t.Context(), func() bool { b := w.AWS.Builds(); return len(b) == 1 && b[0].Phase == "BUILD" }); err != nil {
			return
		}
		other := codebuild.New(w.cfg, codebuild.Options{Out: &bridgetest.Buffer{}})
		if err := other.Stop(t.Context(), "", w.AWS.Builds()[0].ID); err != nil {
			t.Error(err)
		}
	}()
	w.want(5, "STOPPED")
}

// What can be seen without AWS ends with 2, and calls it for nothing.
func TestWrongSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(w *world)
		want   string
	}{
		{"no such directory", func(w *world) { w.options.Archive.Dir = filepath.Join(w.Dir, "none") }, "no such file or directory"},
		{"no Dockerfile", func(w *world) { w.options.MustExist = []string{"Dockerfile"} }, `there is no "Dockerfile"`},
		{"override of nothing known", func(w *world) { w.options.Request.OverrideJSON = `{"imageOverrride": "x"}` }, "imageOverrride"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
			test.change(w)
			w.want(2, test.want)
			if calls := w.AWS.Calls(); len(calls) != 0 {
				t.Errorf("got the calls %v, want none", calls)
			}
		})
	}
}

// Without asking for it, a project's own retries are switched off; with it,
// the last build counts.
func TestAutoRetries(t *testing.T) {
	t.Parallel()
	flaky := bridgetest.Commands(`[ -n "$SECOND" ] || { echo first; exit 1; }`)
	t.Run("off", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "buildspec.yml", flaky)
		w.AWS.AddProject(localaws.Project{Name: localaws.ProjectName, AutoRetryLimit: 2})
		w.want(1, "FAILED")
		if n := len(w.AWS.Builds()); n != 1 {
			t.Errorf("got %d builds, want 1", n)
		}
	})
	t.Run("begun late", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "buildspec.yml", bridgetest.Commands("exit 1"))
		w.AWS.PlanBuilds(localaws.BuildPlan{LateRetry: 200 * time.Millisecond})
		w.options.Request.AutoRetries = 1
		w.want(1, "builds it again")
		if n := strings.Count(w.log.String(), "Running command exit 1"); n != 2 {
			t.Errorf("got %d logs, want 2", n)
		}
	})
	t.Run("followed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "buildspec.yml", bridgetest.Commands("exit 1"))
		w.options.Request.AutoRetries = 2
		w.want(1, "builds it again")
		if n := len(w.AWS.Builds()); n != 3 {
			t.Errorf("got %d builds, want 3", n)
		}
		if n := strings.Count(w.log.String(), "Running command exit 1"); n != 3 {
			t.Errorf("got %d logs, want 3", n)
		}
	})
}

func TestChangedSourceIsAnotherObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("cat a"), "a", "one\n")
	w.want(0, "uploaded as", "\none\n")
	w.want(0, "unchanged since an earlier build")
	if err := os.WriteFile(filepath.Join(w.Dir, "a"), []byte("two\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.want(0, "\ntwo\n")
	if n := len(w.AWS.Objects(localaws.SourceBucket)); n != 2 {
		t.Errorf("got %d objects, want 2", n)
	}
}

// The whole way of a tree: modes and links come out of the build's side as they
// went in.
func TestModesAndLinksArrive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("./run.sh", "readlink link", "[ ! -x plain ]"), "plain", "")
	if err := os.WriteFile(filepath.Join(w.Dir, "run.sh"), []byte("#!/bin/sh\necho it runs\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("run.sh", filepath.Join(w.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	w.want(0, "\nit runs\n", "\nrun.sh\n")
}

func TestLargeContextIsExplained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"), "models/weights.bin", strings.Repeat("x", 5000), "a", "1")
	w.options.LargeContext = 1000
	w.want(0, "the largest are:", "5 kB  models/weights.bin", ".dockerignore")
}

func TestEnvironmentArrives(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands(`echo "[$PLAIN] [$FROM_STORE] [$CI_COMMIT_SHA] [${CI_JOB_TOKEN-unset}]"`))
	list, _, err := start.Environment(start.EnvironmentOptions{
		Set: []string{"PLAIN=a b", "FROM_STORE=ssm:/app/key"},
		Job: map[string]string{"CI_COMMIT_SHA": "abc", "CI_JOB_TOKEN": "secret"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.options.Request.Environment = list
	w.want(0, "[a b] [value-of:/app/key] [abc] [unset]")
}

func TestDeadlineStopsTheBuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("echo begun; sleep 60"))
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		if w.AWS.Wait(ctx, func() bool { return strings.Contains(w.log.String(), "\nbegun\n") || logShown(w) }) == nil {
			cancel(codebuild.ErrDeadline)
		}
	}()
	if code := w.build(ctx); code != 4 {
		t.Errorf("got exit code %d, want 4", code)
	}
	w.wantLog("the job's time is nearly up", "is stopped")
	w.NothingGoesOn()
}

func logShown(w *world) bool { return len(w.AWS.Calls("GetLogEvents")) > 3 }

func TestFollowedSymlinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("cat app/shared/lib"), "shared/lib", "the lib\n", "app/x", "")
	if err := os.Symlink("../shared", filepath.Join(w.Dir, "app", "shared")); err != nil {
		t.Fatal(err)
	}
	w.options.Archive = archive.Options{Dir: w.Dir, Symlinks: archive.FollowSymlinks}
	w.want(0, fmt.Sprintln("\nthe lib"))
}
