package sshexec_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

// sshrun builds the small program that does nothing but Run, and gives a
// function that makes a command of it.
func sshrun(t *testing.T, target sshexec.Target) func(id, text string, stdout *agenttest.Output) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "sshrun")
	if out, err := exec.Command("go", "build", "-o", program, "./sshrun").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, target.PrivateKey, 0o600); err != nil {
		t.Fatal(err)
	}
	return func(id, text string, stdout *agenttest.Output) *exec.Cmd {
		path := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "-address", target.Address, "-host-key", target.HostKey, "-key", key, "-id", id, path)
		cmd.Stdout = stdout
		return cmd
	}
}

// The driver's process is killed and started again: the script goes on, is not
// run a second time, and its end arrives.
func TestDriverKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	start := sshrun(t, agent.Target)
	dir := t.TempDir()
	text := "echo run >> " + dir + "/runs; seq 1000; echo half; while [ ! -e " + dir + "/go ]; do sleep 0.02; done; seq 1001 2000; exit 17"
	half := make(chan struct{})
	first := &agenttest.Output{At: "half\n", Reached: func() { close(half) }}
	cmd := start("again", text, first)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-half
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()
	touch(t, dir+"/go")

	second := &agenttest.Output{}
	var exit *exec.ExitError
	if err := start("again", text, second).Run(); !errors.As(err, &exit) || exit.ExitCode() != 17 {
		t.Errorf("got %v, want exit code 17", err)
	}
	if runs, _ := os.ReadFile(dir + "/runs"); string(runs) != "run\n" {
		t.Errorf("the script ran %d times", strings.Count(string(runs), "run"))
	}
	// What the killed process had not acknowledged comes again; nothing is missing.
	want := numbers(1, 1000) + "half\n" + numbers(1001, 2000)
	if got := second.String(); !strings.HasSuffix(want, got) || !strings.HasSuffix(got, "1001\n"+numbers(1002, 2000)) {
		t.Errorf("the second process printed %.100q...", got)
	}
	if got := first.String(); !strings.HasPrefix(want, got) {
		t.Errorf("the first process printed %.100q...", got)
	}
}

// TERM for the driver's process cancels the script.
func TestDriverTerminated(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	var stderr bytes.Buffer
	var cmd *exec.Cmd
	begun := &agenttest.Output{At: "\n"}
	begun.Reached = func() { cmd.Process.Signal(syscall.SIGTERM) }
	cmd = sshrun(t, agent.Target)("term", "echo $$; sleep 300", begun)
	cmd.Stderr = &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 200 || !strings.Contains(stderr.String(), "cancelled") {
		t.Errorf("got %v, %q", err, stderr.String())
	}
	agenttest.WaitGone(t, begun.String())
}
