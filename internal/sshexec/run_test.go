package sshexec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

// script makes a Script of a text, whose output goes to the two buffers.
func script(id, text string, stdout, stderr io.Writer) sshexec.Script {
	return sshexec.Script{ID: id, Content: strings.NewReader(text), Size: int64(len(text)), Stdout: stdout, Stderr: stderr}
}

// servers are the two kinds of SSH servers that a task may have.
func servers(t *testing.T, test func(t *testing.T, target sshexec.Target)) {
	t.Run("agent", func(t *testing.T) {
		t.Parallel()
		test(t, agenttest.Start(t).Target)
	})
	t.Run("OpenSSH", func(t *testing.T) {
		t.Parallel()
		test(t, agenttest.StartSSHD(t))
	})
}

func TestRunGivesOutputAndExitCode(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, target sshexec.Target) {
		for _, test := range []struct {
			name, text     string
			stdout, stderr string
			code           int
		}{
			{"nothing", "", "", "", 0},
			{"both streams", "echo out; echo err >&2", "out\n", "err\n", 0},
			{"exit 42", "echo before; exit 42", "before\n", "", 42},
			{"no newline at the end", "printf unfinished", "unfinished", "", 0},
			{"NUL and invalid UTF-8", `printf 'a\000b\377\376c'`, "a\x00b\xff\xfec", "", 0},
			{"killed by a signal", "kill -SEGV $$", "", "", 128 + 11},
			{"standard input is empty", "cat; echo done", "done\n", "", 0},
			{"no arguments", `echo "$# $-"`, "0 hB\n", "", 0},
			{"gitlab-runner's form", "trap 'exit 1' TERM\nset -eo pipefail\n: | eval $'echo \"a\\'b\"\\nexit 3' </dev/null\nexit 0\n", "a'b\n", "", 3},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				var stdout, stderr bytes.Buffer
				code, err := sshexec.Run(t.Context(), target, script(test.name, test.text, &stdout, &stderr), sshexec.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if stdout.String() != test.stdout || stderr.String() != test.stderr || code != test.code {
					t.Errorf("got %q, %q, %d; want %q, %q, %d", stdout.String(), stderr.String(), code, test.stdout, test.stderr, test.code)
				}
			})
		}
	})
}

func TestRunLargeScript(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, target sshexec.Target) {
		text := strings.Repeat("# "+strings.Repeat("x", 97)+"\n", 5<<20/100) + "echo end\nexit 7\n"
		var stdout bytes.Buffer
		code, err := sshexec.Run(t.Context(), target, script("large", text, &stdout, io.Discard), sshexec.Options{})
		if err != nil || code != 7 || stdout.String() != "end\n" {
			t.Errorf("got %d, %v, %q", code, err, stdout.String())
		}
	})
}

// Our own side cannot read the script, or reads less than there was.
func TestRunUnreadableScript(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, target sshexec.Target) {
		for name, content := range map[string]io.ReaderAt{"broken": brokenFile{}, "shorter": strings.NewReader("echo ran\n")} {
			var stdout bytes.Buffer
			s := sshexec.Script{ID: name, Content: content, Size: 1000, Stdout: &stdout, Stderr: io.Discard}
			_, err := sshexec.Run(t.Context(), target, s, sshexec.Options{ResumeLimit: time.Minute})
			if !errors.Is(err, sshexec.ErrScript) || stdout.Len() > 0 {
				t.Errorf("%s: got %v, output %q", name, err, stdout.String())
			}
		}
	})
}

type brokenFile struct{}

func (brokenFile) ReadAt([]byte, int64) (int, error) { return 0, errors.New("input/output error") }

func TestRunManyLines(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, target sshexec.Target) {
		var stdout bytes.Buffer
		code, err := sshexec.Run(t.Context(), target, script("lines", "seq 200000", &stdout, io.Discard), sshexec.Options{})
		if err != nil || code != 0 {
			t.Fatalf("got %d, %v", code, err)
		}
		var want bytes.Buffer
		for i := range 200000 {
			fmt.Fprintln(&want, i+1)
		}
		if !bytes.Equal(stdout.Bytes(), want.Bytes()) {
			t.Errorf("%d bytes came that are not the %d expected", stdout.Len(), want.Len())
		}
	})
}

// A daemon that a script leaves behind holds its output open; Run must not wait for it.
func TestRunDoesNotWaitForWhatStays(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, target sshexec.Target) {
		var stdout bytes.Buffer
		begin := time.Now()
		code, err := sshexec.Run(t.Context(), target, script("daemon", "sleep 60 & echo started", &stdout, io.Discard), sshexec.Options{})
		if err != nil || code != 0 || stdout.String() != "started\n" {
			t.Errorf("got %d, %v, %q", code, err, stdout.String())
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestRunCancelled(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, target sshexec.Target) {
		for _, test := range []struct{ name, text string }{
			{"plain", "echo $$; sleep 300"},
			{"ignores TERM", "trap '' TERM; echo $$; while :; do sleep 1; done"},
			{"child in a group of its own", "echo $$; timeout 300 sleep 300"},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				cancelledScript(t, target, test.text, time.Second)
			})
		}
	})
}

// cancelledScript runs a script that prints its process, cancels it then, and
// checks that it is gone.
func cancelledScript(t *testing.T, target sshexec.Target, text string, grace time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun := &agenttest.Output{At: "\n", Reached: cancel}
	_, err := sshexec.Run(ctx, target, script(t.Name(), text, begun, io.Discard), sshexec.Options{Grace: grace})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	agenttest.WaitGone(t, begun.String())
}
