package sshexec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/faultproxy"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// through puts a fault proxy before a target.
func through(t *testing.T, target sshexec.Target) (*faultproxy.Proxy, sshexec.Target) {
	t.Helper()
	proxy, err := faultproxy.New(target.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	target.Address = proxy.Address()
	return proxy, target
}

// events collects what Run tells.
type events struct {
	mu   sync.Mutex
	all  []sshexec.Event
	then func(sshexec.Event)
}

func (e *events) notify(event sshexec.Event) {
	e.mu.Lock()
	e.all = append(e.all, event)
	e.mu.Unlock()
	if e.then != nil {
		e.then(event)
	}
}

func (e *events) kinds() []sshexec.EventKind {
	e.mu.Lock()
	defer e.mu.Unlock()
	var kinds []sshexec.EventKind
	for _, event := range e.all {
		kinds = append(kinds, event.Kind)
	}
	return kinds
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Error(err)
	}
}

func numbers(from, to int) string {
	var b bytes.Buffer
	for i := from; i <= to; i++ {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// Whatever breaks the connection in the middle of a script: no byte of its
// output is missing or doubled, it runs once, and one pair of events tells it.
func TestRunResumesAtTheByte(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		fault func(*faultproxy.Proxy)
	}{
		{"reset", (*faultproxy.Proxy).Cut},
		{"client sees nothing", (*faultproxy.Proxy).Vanish},
		{"server sees nothing", (*faultproxy.Proxy).VanishForServer},
		{"network away for a second", func(p *faultproxy.Proxy) {
			p.Refuse(true)
			p.Cut()
			time.AfterFunc(time.Second, func() { p.Refuse(false) })
		}},
		{"stall until it counts as lost", func(p *faultproxy.Proxy) { p.Stall(true) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			agent := agenttest.Start(t)
			proxy, target := through(t, agent.Target)
			dir := t.TempDir()
			// The second half waits until the loss was noticed, so that the
			// script prints both before and after it, and goes on in between.
			text := fmt.Sprintf("echo run >> %[1]s/runs; seq 20000; while [ ! -e %[1]s/go ]; do sleep 0.02; done; seq 20001 40000; exit 9", dir)
			var told events
			told.then = func(e sshexec.Event) {
				if e.Kind == sshexec.ConnectionLost {
					proxy.Stall(false)
					touch(t, dir+"/go")
				}
			}
			stdout := &agenttest.Output{At: "\n20000\n", Reached: func() { test.fault(proxy) }}
			code, err := sshexec.Run(t.Context(), target, script("resume", text, stdout, io.Discard), sshexec.Options{
				KeepAlive: 4 * time.Second, Notify: told.notify,
			})
			if err != nil || code != 9 {
				t.Fatalf("got %d, %v; want 9", code, err)
			}
			if got := stdout.String(); got != numbers(1, 40000) {
				t.Errorf("the output is not what was printed: %d bytes", len(got))
			}
			if runs, _ := os.ReadFile(dir + "/runs"); string(runs) != "run\n" {
				t.Errorf("the script ran %d times", strings.Count(string(runs), "run"))
			}
			if want := []sshexec.EventKind{sshexec.ConnectionLost, sshexec.Resumed}; !slices.Equal(told.kinds(), want) {
				t.Errorf("events: got %v, want %v", told.kinds(), want)
			}
		})
	}
}

func TestUploadBrokenRunsOnce(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	proxy, target := through(t, agent.Target)
	proxy.Rate(4 << 20)
	dir := t.TempDir()
	text := strings.Repeat("#"+strings.Repeat("x", 98)+"\n", 2<<20/100) + "echo run >> " + dir + "/runs; echo ok"
	go func() {
		for proxy.Connections() == 0 {
			<-time.After(time.Millisecond)
		}
		<-time.After(150 * time.Millisecond) // in the middle of half a second's upload, or thereabouts
		proxy.Cut()
	}()
	var stdout bytes.Buffer
	code, err := sshexec.Run(t.Context(), target, script("upload", text, &stdout, io.Discard), sshexec.Options{})
	if err != nil || code != 0 || stdout.String() != "ok\n" {
		t.Errorf("got %d, %v, %q", code, err, stdout.String())
	}
	if runs, _ := os.ReadFile(dir + "/runs"); string(runs) != "run\n" {
		t.Errorf("the script ran %d times", strings.Count(string(runs), "run"))
	}
}

func TestSameIDNeverRunsTwice(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	runs := t.TempDir() + "/runs"
	for range 3 {
		code, err := sshexec.Run(t.Context(), agent.Target, script("once", "echo run >> "+runs+"; exit 5", io.Discard, io.Discard), sshexec.Options{})
		if err != nil || code != 5 {
			t.Fatalf("got %d, %v; want 5", code, err)
		}
	}
	if got, _ := os.ReadFile(runs); string(got) != "run\n" {
		t.Errorf("the script ran %d times", strings.Count(string(got), "run"))
	}
}

func TestNewerFollowerTakesOver(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	flag := t.TempDir() + "/go"
	text := "echo first; while [ ! -e " + flag + " ]; do sleep 0.02; done; echo second; exit 4"
	first := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		_, err := sshexec.Run(t.Context(), agent.Target, script("two", text, &agenttest.Output{At: "first", Reached: func() { close(begun) }}, io.Discard), sshexec.Options{})
		first <- err
	}()
	<-begun
	second := make(chan error, 1)
	go func() {
		code, err := sshexec.Run(t.Context(), agent.Target, script("two", text, io.Discard, io.Discard), sshexec.Options{})
		if code != 4 && err == nil {
			err = fmt.Errorf("exit code %d", code)
		}
		second <- err
	}()
	if err := <-first; !errors.Is(err, sshexec.ErrSuperseded) {
		t.Errorf("the older one got %v", err)
	}
	touch(t, flag)
	if err := <-second; err != nil {
		t.Errorf("the newer one got %v", err)
	}
}

func TestResumeLimit(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	proxy, target := through(t, agent.Target)
	begun := &agenttest.Output{At: "\n", Reached: func() { proxy.Refuse(true); proxy.Cut() }}
	_, err := sshexec.Run(t.Context(), target, script("limit", "echo $$; sleep 300", begun, io.Discard), sshexec.Options{
		ResumeLimit: time.Second, Grace: time.Second,
	})
	if !errors.Is(err, sshexec.ErrLost) {
		t.Errorf("got %v, want that the connection was lost", err)
	}
	agenttest.WaitGone(t, begun.String()) // the agent ends it by itself
	agenttest.Eventually(t, "the agent tells it", func() bool { return strings.Contains(agent.Log(), "nobody has followed a script for 1s") })
}

func TestAliveEndsTheAttempts(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	proxy, target := through(t, agent.Target)
	gone := errors.New("the task was stopped by somebody")
	begun := &agenttest.Output{At: "\n", Reached: func() { proxy.Refuse(true); proxy.Cut() }}
	start := time.Now()
	_, err := sshexec.Run(t.Context(), target, script("alive", "echo begun; sleep 300", begun, io.Discard), sshexec.Options{
		Alive: func(context.Context) error { return gone },
	})
	if !errors.Is(err, gone) || !errors.Is(err, sshexec.ErrLost) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}

// A new agent behind the same address knows nothing of the script that the old
// one had: it must not run it a second time.
func TestAgentKilledAndStartedAnew(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	proxy, target := through(t, agent.Target)
	runs := t.TempDir() + "/runs"
	begun := &agenttest.Output{At: "begun", Reached: func() {
		if err := syscall.Kill(agent.PID, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		<-agent.Exited
		anew := agenttest.Start(t, wire.EnvHostKeySeed+"="+agent.Seed, wire.EnvPublicKey+"="+agent.PublicKey)
		proxy.SetTarget(anew.Target.Address)
		proxy.Cut()
	}}
	_, err := sshexec.Run(t.Context(), target, script("anew", "echo run >> "+runs+"; echo begun; sleep 30", begun, io.Discard), sshexec.Options{})
	if !errors.Is(err, sshexec.ErrRestarted) {
		t.Errorf("got %v", err)
	}
	if got, _ := os.ReadFile(runs); string(got) != "run\n" {
		t.Errorf("the script ran %d times", strings.Count(string(got), "run"))
	}
}

// An agent that said that its task is being stopped and is gone then does not
// come back: nobody seeks it for the resume limit.
func TestAgentGoneAfterItsNotice(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	begun := &agenttest.Output{At: "begun", Reached: func() { syscall.Kill(agent.PID, syscall.SIGTERM) }}
	_, err := sshexec.Run(t.Context(), agent.Target, script("gone", "trap '' TERM; echo begun; exec sleep 20", begun, io.Discard), sshexec.Options{
		Notify: func(e sshexec.Event) {
			if e.Kind == sshexec.TaskStopping {
				syscall.Kill(agent.PID, syscall.SIGKILL)
			}
		},
	})
	if !errors.Is(err, sshexec.ErrStopping) || !strings.Contains(err.Error(), "could not be heard any more") {
		t.Errorf("got %v", err)
	}
}

// Cancelling while the connection is away: the script is cancelled as soon as
// the connection is back, and not forgotten.
func TestCancelDuringAnOutage(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	proxy, target := through(t, agent.Target)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := &events{then: func(e sshexec.Event) {
		if e.Kind == sshexec.ConnectionLost {
			cancel()
			time.AfterFunc(300*time.Millisecond, func() { proxy.Refuse(false) })
		}
	}}
	begun := &agenttest.Output{At: "\n", Reached: func() { proxy.Refuse(true); proxy.Cut() }}
	_, err := sshexec.Run(ctx, target, script("outage", "echo $$; sleep 300", begun, io.Discard), sshexec.Options{Grace: 2 * time.Second, Notify: told.notify})
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "could not be confirmed") {
		t.Errorf("got %v", err)
	}
	agenttest.WaitGone(t, begun.String())
}

// Nobody takes the output any more: the script is cancelled.
func TestOutputGone(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, target sshexec.Target) {
		pidFile := t.TempDir() + "/pid"
		reader, writer := io.Pipe()
		reader.Close()
		_, err := sshexec.Run(t.Context(), target, script("gone", "echo $$ > "+pidFile+"; echo x; sleep 300", writer, io.Discard), sshexec.Options{Grace: time.Second})
		if !errors.Is(err, sshexec.ErrOutput) || !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v", err)
		}
		pid, _ := os.ReadFile(pidFile)
		agenttest.WaitGone(t, string(pid))
	})
}
