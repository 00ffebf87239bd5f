package coordinator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

func waitExit(t *testing.T, agent *agenttest.Agent) {
	t.Helper()
	select {
	case <-agent.Exited:
		if agent.Err != nil {
			t.Errorf("the agent exited with %v", agent.Err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the agent did not exit")
	}
}

// A Spot reclaim or StopTask: the driver hears of it with the seconds left, the
// script gets TERM, then KILL in time, and what it printed last is not lost.
func TestSIGTERM(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"a script that ends in time", "trap 'echo tidied up; exit 3' TERM; echo $$; while :; do sleep 0.05; done", "tidied up\n"},
		{"a script that ignores it", "trap 'echo never mind' TERM; echo $$; while :; do sleep 0.05; done", "never mind\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			agent := agenttest.Start(t, wire.EnvStopTimeout+"=10s")
			var told []sshexec.Event
			var start time.Time
			stdout := &agenttest.Output{At: "\n", Reached: func() {
				start = time.Now()
				syscall.Kill(agent.PID, syscall.SIGTERM)
			}}
			_, err := sshexec.Run(t.Context(), agent.Target, script("stop", test.text, stdout), sshexec.Options{
				Notify: func(e sshexec.Event) { told = append(told, e) },
			})
			if !errors.Is(err, sshexec.ErrStopping) {
				t.Errorf("got %v, want that the task is being stopped", err)
			}
			if len(told) != 1 || told[0].Kind != sshexec.TaskStopping || told[0].Left != 10*time.Second || !strings.Contains(told[0].Text, "SIGTERM") {
				t.Errorf("events: %v", told)
			}
			pid, rest, _ := strings.Cut(stdout.String(), "\n")
			if rest != test.want {
				t.Errorf("the script's last words: got %q, want %q", rest, test.want)
			}
			waitExit(t, agent)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %s, and the platform's KILL comes after 10 s", took)
			}
			if agenttest.Alive(t, pid) {
				t.Error("the script is still there")
			}
		})
	}
}

func TestSIGTERMWhileIdleExitsAtOnce(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	run(t, agent, "true")
	syscall.Kill(agent.PID, syscall.SIGTERM)
	start := time.Now()
	waitExit(t, agent)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %s with nothing to do", took)
	}
}

func TestIdleLimit(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t, wire.EnvIdleLimit+"=3s")
	run(t, agent, "sleep 3.5") // a script that runs is not idleness
	waitExit(t, agent)
	if !strings.Contains(agent.Log(), "nobody has connected for 3s: exiting") {
		t.Error("its log does not say why")
	}
}

// Two agents of one task: while one works the other stays, and once neither is
// needed both leave.
func TestIdleLimitOfATaskWithTwoAgents(t *testing.T) {
	t.Parallel()
	shared := wire.EnvContactFile + "=" + t.TempDir() + "/contact"
	works := agenttest.Start(t, wire.EnvIdleLimit+"=3s", shared)
	waits := agenttest.Start(t, wire.EnvIdleLimit+"=3s", shared)
	run(t, works, "sleep 6")
	select {
	case <-waits.Exited:
		t.Error("an agent left although another of its task was at work")
	default:
	}
	waitExit(t, works)
	waitExit(t, waits)
}

func TestAttachDoesNotKeepTheTaskAlive(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t, wire.EnvIdleLimit+"=3s")
	input, _ := io.Pipe() // somebody who types nothing
	_, err := sshexec.Attach(t.Context(), agent.Target, sshexec.Terminal{Name: "xterm", Input: input, Output: io.Discard}, sshexec.Options{})
	if !errors.Is(err, sshexec.ErrLost) {
		t.Errorf("got %v, want that the connection ended with the task", err)
	}
	waitExit(t, agent)
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t, fmt.Sprintf("%s=%d", wire.EnvDeadline, time.Now().Add(6*time.Second).Unix()))
	stdout := &agenttest.Output{}
	_, err := sshexec.Run(t.Context(), agent.Target, script("deadline", "echo $$; exec sleep 300", stdout), sshexec.Options{})
	if !errors.Is(err, sshexec.ErrStopping) || !strings.Contains(err.Error(), "time limit") {
		t.Errorf("got %v", err)
	}
	waitExit(t, agent)
	if agenttest.Alive(t, stdout.String()) {
		t.Error("the script is still there")
	}
	if !strings.Contains(agent.Log(), "its time limit, the job's timeout and a margin, has passed") {
		t.Error("its log does not say why")
	}
}

func TestNothingStartsWhileStopping(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t, wire.EnvStopTimeout+"=5s")
	late := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := sshexec.Run(ctx, agent.Target, script("first", "trap '' TERM; echo x; while :; do sleep 0.05; done", &agenttest.Output{At: "\n", Reached: func() {
		syscall.Kill(agent.PID, syscall.SIGTERM)
	}}), sshexec.Options{Notify: func(e sshexec.Event) {
		go func() {
			_, err := sshexec.Run(ctx, agent.Target, script("second", "true", io.Discard), sshexec.Options{ResumeLimit: time.Second})
			late <- err
		}()
	}})
	if !errors.Is(err, sshexec.ErrStopping) {
		t.Errorf("the first got %v", err)
	}
	if err := <-late; !errors.Is(err, sshexec.ErrStopping) {
		t.Errorf("the second got %v", err)
	}
}
