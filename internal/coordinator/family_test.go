package coordinator_test

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

// Cancelling reaches every descendant, however it tries to get away.
func TestCancelReachesEveryDescendant(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("setsid(1) is missing")
	}
	for _, test := range []struct{ name, text string }{
		{"child", "sleep 300 & echo $!; wait"},
		{"own group", "set -m; sleep 300 & echo $!; wait"},
		{"own session", "setsid sleep 300 & echo $!; wait"},
		{"orphan in its own session", "(setsid sh -c 'echo $$; exec sleep 300' &); sleep 300"},
		{"orphan with a clean environment", "(setsid env -i /bin/sh -c 'echo $$; exec sleep 300' &); sleep 300"},
		{"orphan that ignores signals", "(setsid sh -c 'trap \"\" TERM HUP INT; echo $$; while :; do sleep 1; done' &); sleep 300"},
		{"below an orphan", "(setsid env -i /bin/sh -c '/bin/sh -c \"echo \\$\\$; sleep 300; true\"; true' &); sleep 300"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			agent := agenttest.Start(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stdout := &agenttest.Output{At: "\n", Reached: cancel}
			_, err := sshexec.Run(ctx, agent.Target, script("cancel", test.text, stdout), sshexec.Options{Grace: time.Second})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if pid := strings.TrimSpace(stdout.String()); agenttest.Alive(t, pid) {
				t.Errorf("process %s outlived the cancelling", pid)
			}
			if got := run(t, agent, "echo after"); got != "after\n" {
				t.Errorf("the next script printed %q", got)
			}
		})
	}
}

func TestCancelThousandChildren(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout := &agenttest.Output{At: "\n", Reached: cancel}
	text := "trap '' TERM; for i in $(seq 1000); do sleep 300 & done; echo $$ $!; wait"
	_, err := sshexec.Run(ctx, agent.Target, script("thousand", text, stdout), sshexec.Options{Grace: time.Second})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for _, pid := range strings.Fields(stdout.String()) {
		if agenttest.Alive(t, pid) {
			t.Errorf("process %s outlived the cancelling", pid)
		}
	}
}

// What a script leaves behind at its own end stays, as on a machine: a database
// that before_script started is there for after_script.
func TestDaemonsStayForTheNextScript(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	run(t, agent, "sh -c 'while sleep 0.01; do echo chatter; done' & echo $!") // holds the output, and talks
	pid := strings.TrimSpace(run(t, agent, "setsid sh -c 'while sleep 0.01; do :; done' >/dev/null 2>&1 & echo $!"))
	daemon, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-daemon, syscall.SIGKILL) }) // its session's group: the agent's own end is a KILL
	if got := run(t, agent, "kill -0 "+pid+" && echo there"); got != "there\n" {
		t.Errorf("got %q", got)
	}
	// And cancelling another script leaves it alone.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sshexec.Run(ctx, agent.Target, script("other", "echo x; sleep 300", &agenttest.Output{At: "\n", Reached: cancel}), sshexec.Options{Grace: time.Second})
	if !agenttest.Alive(t, pid) {
		t.Error("cancelling another script ended it")
	}
}

func TestScriptKilledByOthers(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	stdout := &agenttest.Output{}
	code, err := sshexec.Run(t.Context(), agent.Target, script("killed", "echo $$; kill -KILL $$", stdout), sshexec.Options{})
	if err != nil || code != 128+int(syscall.SIGKILL) {
		t.Errorf("got %d, %v", code, err)
	}
}

// Orphans that end are reaped, so that a long job does not fill the task with zombies.
func TestReapsOrphans(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	run(t, agent, "for i in $(seq 50); do (setsid sleep 0.05 &); done; sleep 0.3")
	agenttest.Eventually(t, "no zombies", func() bool {
		got := run(t, agent, "cat /proc/[0-9]*/stat 2>/dev/null | awk -v p="+"$PPID"+" '$3 == \"Z\" && $4 == p' | wc -l # "+time.Now().String())
		return strings.TrimSpace(got) == "0"
	})
}
