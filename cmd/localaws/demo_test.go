package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// build puts our programs into a directory, as make build does.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", dir+"/", "./", "../fargate-driver", "../fargate-driver-run", "../coordinator", "../codebuild-bridge")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the programs: %v: %s", err, out)
	}
	return dir
}

// demoCommand returns `localaws demo` with a temporary directory of its own.
func demoCommand(t *testing.T, bin string, args ...string) (cmd *exec.Cmd, tmp string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	tmp = t.TempDir()
	cmd = exec.CommandContext(ctx, filepath.Join(bin, "localaws"), append([]string{"demo"}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + tmp, "TMPDIR=" + tmp}
	return cmd, tmp
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the demo leaves %v (%v)", left, err)
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	bin := build(t)
	t.Run("all jobs end as they should", func(t *testing.T) {
		t.Parallel()
		cmd, tmp := demoCommand(t, bin)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, text := range []string{
			"hello from Fargate, commit ", "the job is a success", "job-1-artifacts.tar.gz",
			"Job failed: exit status 42", "the job was canceled, but its after_script still runs",
			"IMAGE_URI=123456789012.dkr.ecr.eu-central-1.amazonaws.com/demo:", "IMAGE_DIGEST=sha256:",
			"Failed command: docker buildx build ", "Job failed: exit status 1",
			"The job runs in image docker.io/library/golang:1.26 with 1 service, by task definition fargate-driver-image-",
			"\nsources are cloned in image ci-coordinator\n", "\nthe script runs in image docker.io/library/golang:1.26\n", "\nthe service says +PONG\n",
			"\nafter_script runs in image docker.io/library/golang:1.26\n",
			"is cut, for two seconds", "line 1\nline 2\nline 3\n", "line 4\nline 5\nline 6\nline 7\nline 8\n",
		} {
			if !strings.Contains(string(out), text) {
				t.Errorf("%q is not in the output", text)
			}
		}
		if t.Failed() || strings.Contains(string(out), "\x1b") {
			t.Errorf("the output:\n%q", out)
		}
		wantEmpty(t, tmp)
	})
	t.Run("what is kept", func(t *testing.T) {
		t.Parallel()
		cmd, tmp := demoCommand(t, bin, "--only", "exit-42", "--keep")
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "job green") {
			t.Fatalf("%v\n%s", err, out)
		}
		logs, err := filepath.Glob(filepath.Join(tmp, "fargate-demo-*", "aws", "logs", "*-ci-coordinator.log"))
		if err != nil || len(logs) != 1 {
			t.Errorf("containers' logs: %v, %v", logs, err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		cmd, tmp := demoCommand(t, bin, "--only", "cancelled")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The first line is the signal: whatever is begun must be taken down.
		if _, err := io.ReadFull(stdout, make([]byte, 40)); err != nil {
			t.Fatal(err)
		}
		cmd.Process.Signal(syscall.SIGINT)
		if _, err := io.Copy(io.Discard, stdout); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(stderr.String(), "interrupted") {
			t.Errorf("ended with %v: %s", err, stderr.String())
		}
		wantEmpty(t, tmp)
	})
	t.Run("no such job", func(t *testing.T) {
		t.Parallel()
		cmd, _ := demoCommand(t, bin, "--only", "nonesuch")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "the demo has [green exit-42 cancelled own-image connection-cut") {
			t.Errorf("%v: %s", err, out)
		}
	})
}
