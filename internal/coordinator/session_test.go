package coordinator_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

// A shell beside a running script is in its directory, with what it exported.
func TestAttachIsInTheJobsPlace(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	dir, err := os.MkdirTemp(t.TempDir(), "project")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// As gitlab-runner's scripts do it: in a subshell, by eval.
		text := "set -e\n: | eval $'export CI_JOB_ID=4711\\ncd " + dir + "\\necho begun\\nsleep 300 < /dev/null\\n'"
		sshexec.Run(ctx, agent.Target, script("job", text, &agenttest.Output{At: "\n", Reached: func() { close(begun) }}), sshexec.Options{Grace: time.Second})
	}()
	<-begun
	agenttest.Eventually(t, "sleep is running", func() bool {
		out := attach(t, agent.Target, "echo job $CI_JOB_ID in $PWD; stty size; echo $TERM; exit 5\n", 5)
		return strings.Contains(out, "job 4711 in "+dir) && strings.Contains(out, "33 101") && strings.Contains(out, "xterm-test")
	})
	cancel()
	<-ended
	// After its end the place is still known.
	if out := attach(t, agent.Target, "echo job $CI_JOB_ID in $PWD; exit 6\n", 6); !strings.Contains(out, "job 4711 in "+dir) {
		t.Errorf("after the script: %q", out)
	}
}

// attach types into a shell and gives what it showed.
func attach(t *testing.T, target sshexec.Target, typed string, want int) string {
	t.Helper()
	var shown bytes.Buffer
	code, err := sshexec.Attach(t.Context(), target, sshexec.Terminal{
		Name: "xterm-test", Size: sshexec.WindowSize{Columns: 101, Rows: 33},
		Input: io.MultiReader(strings.NewReader(typed), forever{}), Output: &shown,
	}, sshexec.Options{})
	if err != nil || code != want {
		t.Fatalf("got %d, %v; want %d; it showed %q", code, err, want, shown.String())
	}
	return shown.String()
}

// forever is somebody who types nothing more.
type forever struct{}

func (forever) Read([]byte) (int, error) { select {} }

func TestAttachResizes(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	sizes := make(chan sshexec.WindowSize, 1)
	shown := &agenttest.Output{At: "\n", Reached: func() { sizes <- sshexec.WindowSize{Columns: 77, Rows: 22} }}
	code, err := sshexec.Attach(t.Context(), agent.Target, sshexec.Terminal{
		Name: "xterm", Size: sshexec.WindowSize{Columns: 80, Rows: 24}, Resized: sizes,
		Input:  io.MultiReader(strings.NewReader("echo ready; until [ \"$(stty size)\" = '22 77' ]; do sleep 0.05; done; exit 9\n"), forever{}),
		Output: shown,
	}, sshexec.Options{})
	if err != nil || code != 9 {
		t.Errorf("got %d, %v, %q", code, err, shown.String())
	}
}

// Closing the connection ends the shell and what runs in it.
func TestAttachHangsUp(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	pidFile := t.TempDir() + "/pid"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for {
			if pid, _ := os.ReadFile(pidFile); len(pid) > 0 {
				cancel()
				return
			}
			<-time.After(10 * time.Millisecond)
		}
	}()
	_, err := sshexec.Attach(ctx, agent.Target, sshexec.Terminal{
		Name: "xterm", Input: io.MultiReader(strings.NewReader("trap '' HUP; echo $$ > "+pidFile+"; sleep 300\n"), forever{}), Output: io.Discard,
	}, sshexec.Options{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	pid, _ := os.ReadFile(pidFile)
	agenttest.Eventually(t, "the shell is gone", func() bool { return !agenttest.Alive(t, string(pid)) })
}

// OpenSSH's own client finds a server that it understands: people debug with
// it, and other drivers run their scripts as commands.
func TestOpenSSHClient(t *testing.T) {
	t.Parallel()
	sshClient, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("there is no OpenSSH client here")
	}
	agent := agenttest.Start(t, "IMAGE_VARIABLE=set")
	key := t.TempDir() + "/key"
	if err := os.WriteFile(key, agent.Target.PrivateKey, 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(agent.Target.Address)
	run := func(stdin string, args ...string) (stdout, stderr string, code int) {
		cmd := exec.Command(sshClient, append([]string{"-F", "none", "-i", key, "-p", port, "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"}, args...)...)
		var out, errs bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
		cmd.Run()
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	for _, test := range []struct {
		name, stdin    string
		args           []string
		stdout, stderr string
		code           int
	}{
		{"command", "", []string{"job@" + host, "echo out $IMAGE_VARIABLE; echo err >&2; exit 42"}, "out set\n", "err\n", 42},
		{"script on standard input", "echo a\nexit 3\n", []string{"job@" + host, "bash"}, "a\n", "", 3},
		{"shell", "echo b\nexit 4\n", []string{"-T", "job@" + host}, "b\n", "", 4},
		{"no environment from the client", "", []string{"-o", "SetEnv=EVIL=1", "job@" + host, "echo [$EVIL]"}, "[]\n", "", 0},
		{"much output", "", []string{"job@" + host, "head -c 5000000 /dev/zero | tr '\\0' x"}, strings.Repeat("x", 5000000), "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := run(test.stdin, test.args...)
			if stdout != test.stdout || stderr != test.stderr || code != test.code {
				t.Errorf("got %.200q, %q, %d; want %.200q, %q, %d", stdout, stderr, code, test.stdout, test.stderr, test.code)
			}
		})
	}
	t.Run("no forwarding", func(t *testing.T) {
		t.Parallel()
		_, stderr, code := run("", "-W", "127.0.0.1:1", "job@"+host)
		if code == 0 || !strings.Contains(stderr, "forwarding failed") {
			t.Errorf("-W: %q, %d", stderr, code)
		}
		_, stderr, code = run("", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "job@"+host, "true")
		if code == 0 || !strings.Contains(stderr, "forwarding failed") {
			t.Errorf("-R: %q, %d", stderr, code)
		}
	})
}

// Channels beyond the limit are refused, and the connection goes on.
func TestChannelLimit(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	client := login(t, agent)
	opened := 0
	for range 20 {
		if _, err := client.NewSession(); err == nil {
			opened++
		}
	}
	if opened != 10 {
		t.Errorf("%d channels were opened, want 10", opened)
	}
	// A request that makes no sense does not get in either.
	for _, extra := range []string{"", "id=\n", "id=x\nid=y\n", "size=99999999999999\nid=x\n", strings.Repeat("x", 20000)} {
		if _, _, err := client.OpenChannel("run@fargate-driver", []byte(extra)); err == nil {
			t.Errorf("a run channel was opened for %.40q", extra)
		}
	}
	if got := run(t, agent, "echo fine"); got != "fine\n" {
		t.Errorf("got %q", got)
	}
}
