package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunMistakes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "a command is missing"},
		{[]string{"dance"}, `there is no command "dance"`},
		{[]string{"serve", "--port", "22"}, "serve takes only --listen"},
		{[]string{"serve", "now"}, "serve takes only --listen"},
		{[]string{"install"}, "install takes the file"},
	} {
		var stdout, stderr bytes.Buffer
		err := run(context.Background(), test.args, nil, &stdout, &stderr)
		var wrong usageError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) || exitCode(err) != 2 {
			t.Errorf("%q: got %v, exit code %d", test.args, err, exitCode(err))
		}
	}
}

// The built program: it is static, installs itself, and says what is missing.
func TestProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "coordinator")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=v1.2.3", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(6 << 20); info.Size() > limit {
		t.Errorf("it has %d bytes, more than %d: every task pulls it", info.Size(), limit)
	}
	copied := filepath.Join(dir, "shared", "agent")
	if err := os.Mkdir(filepath.Dir(copied), 0o755); err != nil {
		t.Fatal(err)
	}
	builds := t.TempDir()
	for range 2 { // over itself, too
		if out, err := exec.Command(program, "install", copied, builds).CombinedOutput(); err != nil {
			t.Fatalf("install: %v\n%s", err, out)
		}
	}
	if info, err := os.Stat(builds); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("a directory for all users: %v, %v", info.Mode(), err)
	}
	if out, err := exec.Command(program, "install", copied, dir+"/nonesuch").CombinedOutput(); err == nil || !strings.Contains(string(out), "letting all users write") {
		t.Errorf("a directory that is not there: %v, %s", err, out)
	}
	if out, err := exec.Command(copied, "version").Output(); err != nil || string(out) != "coordinator v1.2.3\n" {
		t.Errorf("the copy says %q, %v", out, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "shared", ".coordinator-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	serve := exec.Command(program, "serve", "--listen", "127.0.0.1:0")
	serve.Env = []string{"COORDINATOR_IDLE_LIMIT=soon"}
	out, err := serve.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "SSH_PUBLIC_KEY") || !strings.Contains(string(out), "COORDINATOR_IDLE_LIMIT") {
		t.Errorf("serve without settings: %v, %q", err, out)
	}
}
