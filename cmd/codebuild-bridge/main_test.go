package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/bridgetest"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// asBridge makes this test binary be the program itself.
const asBridge = "TEST_AS_CODEBUILD_BRIDGE"

func TestMain(m *testing.M) {
	if os.Getenv(asBridge) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// job is a GitLab job on a stand-in: its directory and environment.
type job struct {
	*bridgetest.Site
	t   *testing.T
	env []string
}

func newJob(t *testing.T, files ...string) *job {
	t.Helper()
	j := &job{Site: bridgetest.New(t, files...), t: t}
	j.env = append(j.AWS.Env(), asBridge+"=1", "PATH="+os.Getenv("PATH"), "TMPDIR="+t.TempDir(), "HOME="+j.Dir,
		"CI_JOB_ID=42", "CI_PROJECT_ID=7", "CI_PROJECT_DIR="+j.Dir,
		envPrefix+"PROJECT="+localaws.ProjectName, envPrefix+"BUCKET="+localaws.SourceBucket)
	return j
}

const sleeper = "version: 0.2\nphases:\n  build:\n    commands:\n      - sleep 60\n"

func (j *job) wantStopped() {
	j.t.Helper()
	j.phase("COMPLETED")
	if got := j.AWS.Builds()[0].Status; got != "STOPPED" {
		j.t.Errorf("the build is %s, want STOPPED", got)
	}
}

func TestGreenAndRed(t *testing.T) {
	t.Parallel()
	j := newJob(t, "Dockerfile", "FROM alpine\nRUN echo hi\n")
	args := []string{"build", "--buildspec", "builtin:docker", "--tag", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/app:v1", "--dotenv", "build.env"}
	j.run(0, args...)
	dotenv, err := os.ReadFile(filepath.Join(j.Dir, "build.env"))
	if err != nil || !strings.Contains(string(dotenv), "IMAGE_URI=123456789012.dkr.ecr.eu-central-1.amazonaws.com/app:v1\n") {
		t.Errorf("got the dotenv report %q %v", dotenv, err)
	}
	// The report of the first build is no part of the second's source.
	if out := j.run(0, args...); !strings.Contains(out, "unchanged since an earlier build") {
		t.Errorf("the source is uploaded again:\n%s", out)
	}
	if err := os.WriteFile(filepath.Join(j.Dir, "Dockerfile"), []byte("FROM alpine\nRUN false\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := j.run(2, append(args, "--build-arg", "NPM_TOKEN=x")...); !strings.Contains(out, "--build-secret") {
		t.Errorf("a secret goes into the image:\n%s", out)
	}
	if out := j.run(1, args...); !strings.Contains(out, "Failed command: docker buildx build") {
		t.Errorf("the summary does not name the failed command:\n%s", out)
	}
	if got := j.AWS.Objects(localaws.SourceBucket)[0]; !strings.HasPrefix(got, "jobs/7/unprotected/") {
		t.Errorf("got key %s, want it under the project's prefix", got)
	}
}

// A silent build too is stopped when its reader goes away, as it does with a
// lost SSH session.
func TestClosedStdoutStopsTheBuild(t *testing.T) {
	t.Parallel()
	j := newJob(t, "buildspec.yml", sleeper)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := j.start(w, "build", "--log", "off")
	w.Close()
	j.phase("BUILD")
	r.Close()
	if got := p.code(t); got != 5 {
		t.Errorf("got exit code %d, want 5", got)
	}
	j.wantStopped()
}

// A reader that does not read, as behind a stalled connection, does not keep a
// signal from stopping the build.
func TestStalledStdoutDoesNotKeepTheBuildRunning(t *testing.T) {
	t.Parallel()
	j := newJob(t, "buildspec.yml", strings.Replace(sleeper, "sleep", "seq 1 200000; sleep", 1))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	p := j.start(w, "build")
	j.phase("BUILD")
	// Full is when it takes no more, however many bytes it holds then.
	limit, look := time.After(30*time.Second), time.NewTicker(10*time.Millisecond)
	defer look.Stop()
	for ready := 1; ready > 0; {
		select {
		case <-look.C:
			ready, err = unix.Poll([]unix.PollFd{{Fd: int32(w.Fd()), Events: unix.POLLOUT}}, 0)
			if errors.Is(err, unix.EINTR) {
				ready = 1 // not known: look again
			} else if err != nil {
				t.Fatal(err)
			}
		case <-limit:
			t.Fatal("the pipe is never full")
		}
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// The first cure of a test that hangs: p.code waits for the end.
	defer time.AfterFunc(time.Minute, func() { p.Process.Kill() }).Stop()
	if got := p.code(t); got != 5 {
		t.Errorf("got exit code %d, want 5", got)
	}
	j.wantStopped()
}

func TestJobTimeoutStopsTheBuild(t *testing.T) {
	t.Parallel()
	j := newJob(t, "buildspec.yml", sleeper)
	// The job has 68 s in all, and a minute of it is kept for stopping: what is left
	// is enough for a busy machine to have the build running.
	j.env = append(j.env, "CI_JOB_STARTED_AT="+time.Now().UTC().Format(time.RFC3339), "CI_JOB_TIMEOUT=68")
	if out := j.run(4, "build"); !strings.Contains(out, "time is nearly up") || !strings.Contains(out, "is started") {
		t.Errorf("got\n%s", out)
	}
	j.wantStopped()
}

func TestUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		args  []string
		files []string
		env   []string
		want  []string
	}{
		{name: "several mistakes at once", args: []string{"build", "--log", "some", "--symlinks", "eat", "--compression", "12", "--privileged=maybe"}, want: []string{"--log some", "--symlinks eat", "--compression 12", "--privileged maybe"}},
		{name: "no project", args: []string{"build"}, env: []string{envPrefix + "PROJECT="}, want: []string{"--project is missing"}},
		{name: "no bucket", args: []string{"build"}, env: []string{envPrefix + "BUCKET="}, want: []string{"--bucket is missing"}},
		{name: "unknown flag", args: []string{"build", "--projekt", "x"}, want: []string{"unknown flag: --projekt"}},
		{name: "variable for a flag that is wrong", args: []string{"build"}, env: []string{envPrefix + "MAX_LOG_BYTES=lots"}, want: []string{"CODEBUILD_BRIDGE_MAX_LOG_BYTES"}},
		{name: "no tag", args: []string{"build", "--buildspec", "builtin:docker"}, want: []string{"needs at least one --tag"}},
		{name: "tag without docker", args: []string{"build", "--tag", "x/y"}, want: []string{"--tag needs --buildspec builtin:docker"}},
		{name: "no Dockerfile", args: []string{"build", "--buildspec", "builtin:docker", "--tag", "x/y"}, files: []string{"a", ""}, want: []string{`there is no "Dockerfile"`}},
		{name: "no buildspec of that name", args: []string{"build", "--buildspec", "ci/spec.yml"}, files: []string{"a", ""}, want: []string{`there is no "ci/spec.yml"`}},
		{name: "secret in plain text", args: []string{"build", "--env", "CI_JOB_TOKEN"}, env: []string{"CI_JOB_TOKEN=x"}, want: []string{"looks like a secret"}},
		{name: "no region", args: []string{"build"}, env: []string{"AWS_REGION=", "AWS_DEFAULT_REGION="}, want: []string{"no region is set"}},
		{name: "publish without anything", args: []string{"publish"}, env: []string{envPrefix + "BUCKET="}, want: []string{"--application is missing", "--deployment-group is missing", "--bucket is missing", "--key is missing"}},
		{name: "override file", args: []string{"build", "--override-json", "@none.json"}, want: []string{"none.json"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, test.files...)
			j.env = append(j.env, test.env...)
			out := j.run(2, test.args...)
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("got no %q in\n%s", want, out)
				}
			}
			if n := len(j.AWS.Builds()); n != 0 {
				t.Errorf("%d builds were started", n)
			}
		})
	}
}

func TestVariablesStandInForFlags(t *testing.T) {
	t.Parallel()
	j := newJob(t, "buildspec.yml", "version: 0.2\nphases:\n  build:\n    commands:\n      - echo \"[$A] [$B] [$CI_JOB_ID]\"\n")
	j.env = append(j.env, envPrefix+"ENV=A=1\nB=2 3", envPrefix+"LOG=full", envPrefix+"NO_DEFAULT_ENV=true")
	if out := j.run(0, "build"); !strings.Contains(out, "[1] [2 3] []") {
		t.Errorf("got\n%s", out)
	}
}

func TestDefaultVariablesAndTimeout(t *testing.T) {
	t.Parallel()
	j := newJob(t, "buildspec.yml", "version: 0.2\nphases:\n  build:\n    commands:\n      - echo \"[$CI_JOB_ID] [$CI_PROJECT_DIR]\"\n")
	j.env = append(j.env, "CI_JOB_STARTED_AT="+time.Now().UTC().Format(time.RFC3339), "CI_JOB_TIMEOUT=3600")
	if out := j.run(0, "build"); !strings.Contains(out, "[42] []") {
		t.Errorf("got\n%s", out)
	}
	call := string(j.AWS.Calls("StartBuild")[0].Body)
	if !strings.Contains(call, `"timeoutInMinutesOverride":60`) || !strings.Contains(call, `"autoRetryLimitOverride":0`) || strings.Contains(call, "buildspecOverride") {
		t.Errorf("got the request %s", call)
	}
}

func TestPublishAndCheck(t *testing.T) {
	t.Parallel()
	j := newJob(t, "appspec.yml", "version: 0.0\n", ".dockerignore", "*")
	out := j.run(0, "publish", "--application", "shop", "--deployment-group", "prod", "--key", "shop.zip", "--wait")
	if !strings.Contains(out, "Artifact: 2 files") || !strings.Contains(out, "Succeeded") {
		t.Errorf("got\n%s", out)
	}
	if out := j.run(0, "check"); !strings.Contains(out, "ok     bucket") {
		t.Errorf("got\n%s", out)
	}
	j.run(2, "check", "--project", "none")
	if out := j.run(0, "version"); !strings.HasPrefix(out, "codebuild-bridge ") {
		t.Errorf("got %q", out)
	}
}

func TestArchive(t *testing.T) {
	t.Parallel()
	j := newJob(t, "a", "content", "secret.env", "", ".dockerignore", "*.env\n")
	j.env = append(j.env, "AWS_REGION=") // it needs nothing of AWS
	out := j.run(0, "archive", "--list", "--output", filepath.Join(t.TempDir(), "x.zip"))
	if !strings.Contains(out, "-rw-r--r--            7 a\n") || strings.Contains(out, "secret.env") {
		t.Errorf("got\n%s", out)
	}
	file := filepath.Join(j.Dir, "none", "x.zip")
	if out := j.run(2, "archive", "--output", file); !strings.Contains(out, "writing the archive") {
		t.Errorf("got\n%s", out)
	}
}
