package sshexec_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

// With an OpenSSH image a lost connection is an error, and never a second run.
func TestPlainDoesNotResume(t *testing.T) {
	t.Parallel()
	proxy, target := through(t, agenttest.StartSSHD(t))
	runs := t.TempDir() + "/runs"
	_, err := sshexec.Run(t.Context(), target, script("lost", "echo run >> "+runs+"; echo begun; sleep 2", &agenttest.Output{At: "begun", Reached: proxy.Cut}, io.Discard), sshexec.Options{})
	if !errors.Is(err, sshexec.ErrLost) {
		t.Errorf("got %v", err)
	}
	if got, _ := os.ReadFile(runs); string(got) != "run\n" {
		t.Errorf("the script ran %d times", strings.Count(string(got), "run"))
	}
}

func TestPlainNoticesSilence(t *testing.T) {
	t.Parallel()
	proxy, target := through(t, agenttest.StartSSHD(t))
	_, err := sshexec.Run(t.Context(), target, script("silent", "echo begun; sleep 5", &agenttest.Output{At: "begun", Reached: proxy.Vanish}, io.Discard), sshexec.Options{KeepAlive: time.Second})
	if !errors.Is(err, sshexec.ErrLost) || !strings.Contains(err.Error(), "nothing was heard") {
		t.Errorf("got %v", err)
	}
}

// An upload that breaks off looks to the other end like the end of the script:
// nothing of it may run.
func TestPlainUploadBroken(t *testing.T) {
	t.Parallel()
	proxy, target := through(t, agenttest.StartSSHD(t))
	proxy.Rate(1 << 20)
	ran := t.TempDir() + "/ran"
	text := "touch " + ran + "\n" + strings.Repeat("#"+strings.Repeat("x", 98)+"\n", 4<<20/100)
	uploaded := func() bool { // some of it, which stays a part as the network is slow
		files, _ := filepath.Glob(os.TempDir() + "/fargate-driver-*")
		for _, file := range files {
			if content, _ := os.ReadFile(file); bytes.HasPrefix(content, []byte("touch "+ran)) {
				return true
			}
		}
		return false
	}
	go func() {
		for !uploaded() && t.Context().Err() == nil {
			<-time.After(5 * time.Millisecond)
		}
		proxy.Cut()
	}()
	if _, err := sshexec.Run(t.Context(), target, script("broken", text, io.Discard, io.Discard), sshexec.Options{}); err == nil {
		t.Error("it succeeded")
	}
	agenttest.Eventually(t, "nothing is left of the upload", func() bool { return !uploaded() })
	if _, err := os.Stat(ran); err == nil {
		t.Error("half a script ran")
	}
}

// An image whose login shell runs no commands is told from a script that fails.
func TestPlainLoginShellRefuses(t *testing.T) {
	t.Parallel()
	target := agenttest.StartSSHD(t, "ForceCommand echo This account is currently not available.; exit 1")
	code, err := sshexec.Run(t.Context(), target, script("refused", "exit 0", io.Discard, io.Discard), sshexec.Options{})
	if !errors.Is(err, sshexec.ErrStart) || !strings.Contains(err.Error(), "This account is currently not available.") {
		t.Errorf("got %d, %v", code, err)
	}
}

// One session per connection is all that some servers allow: cancelling needs
// none of its own then.
func TestPlainCancelWithOneSession(t *testing.T) {
	t.Parallel()
	target := agenttest.StartSSHD(t, "MaxSessions 1")
	cancelledScript(t, target, "echo $$; sleep 300", time.Second)
}

// Noise from the image's start-up files is not part of the job's output.
func TestPlainNoiseIsDropped(t *testing.T) {
	t.Parallel()
	target := agenttest.StartSSHD(t, `ForceCommand echo welcome; echo "to you" >&2; eval "$SSH_ORIGINAL_COMMAND"`)
	var stdout, stderr bytes.Buffer
	code, err := sshexec.Run(t.Context(), target, script("noise", "echo out; echo err >&2", &stdout, &stderr), sshexec.Options{})
	if err != nil || code != 0 || stdout.String() != "out\n" || stderr.String() != "err\n" {
		t.Errorf("got %d, %v, %q, %q", code, err, stdout.String(), stderr.String())
	}
}

func TestPlainAttach(t *testing.T) {
	t.Parallel()
	target := agenttest.StartSSHD(t)
	var shown bytes.Buffer
	code, err := sshexec.Attach(t.Context(), target, sshexec.Terminal{
		Name: "xterm-test", Size: sshexec.WindowSize{Columns: 101, Rows: 33},
		Input: strings.NewReader("echo in $TERM; stty size; exit 5\n"), Output: &shown,
	}, sshexec.Options{})
	if err != nil || code != 5 || !strings.Contains(shown.String(), "in xterm-test") || !strings.Contains(shown.String(), "33 101") {
		t.Errorf("got %d, %v, %q", code, err, shown.String())
	}
}
