package rehearsal

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// watcher calls do once when text has been written.
type watcher struct {
	mu   sync.Mutex
	log  bytes.Buffer
	text string
	do   func()
	done bool
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log.Write(p)
	if !w.done && strings.Contains(w.log.String(), w.text) {
		w.done = true
		go w.do()
	}
	return len(p), nil
}

func TestCancelEndsTheScriptButNotTheJob(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	w := &watcher{text: "\nworking"}
	p := New(m.runner, Job{
		Name: "j", AfterScript: []string{`echo "after a $CI_JOB_STATUS"`},
		Script: []string{"echo working", "while :; do sleep 0.01; done"},
	}, w)
	w.do = p.Cancel
	r := p.Run(t.Context())
	want(t, r, Canceled, JobCanceled, 0, w.log.String())
	contains(t, w.log.String(), "script canceled externally (UI, API)", "after a canceled")
	if got := m.order(); got != "config prepare prepare_script get_sources build_script after_script cleanup_file_variables cleanup" {
		t.Errorf("stages: %s", got)
	}
}

func TestAbortAndTimeoutEndTheJob(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"timeout", "abort", "abort of a driver that ignores it"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			m := newManager(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			j := Job{Name: "j", Script: []string{"echo working", "sleep 600 & wait"}, AfterScript: []string{"true"}}
			w := &watcher{text: "\nworking", do: cancel}
			status, reason := Canceled, JobCanceled
			switch how {
			case "timeout":
				j.Timeout, w.do = 3*time.Second, func() {}
				status, reason = Failed, JobExecutionTimeout
			case "abort of a driver that ignores it":
				m.runner.GracefulKillTimeout = 100 * time.Millisecond
				m.runner.Run = Command{"sh", []string{"-c", `trap '' TERM; [ "$2" != build_script ] || { echo; echo working; while :; do sleep 0.01; done; }`, "sh"}}
			}
			r := New(m.runner, j, w).Run(ctx)
			want(t, r, status, reason, 0, w.log.String())
			last := r.Stages[len(r.Stages)-1].Name
			names := []string{}
			for _, s := range r.Stages {
				names = append(names, s.Name)
			}
			if last != "cleanup" || slices.Contains(names, "after_script") {
				t.Errorf("stages: %v", names)
			}
		})
	}
}

// A driver that will not end is left to itself after a while: cleanup runs
// beside it, and must not be put out by that.
func TestCleanupBesideADriverThatHangs(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.runner.FinishTimeout = 50 * time.Millisecond
	m.runner.GracefulKillTimeout = 2 * time.Second
	m.runner.Run = Command{"sh", []string{"-c", `trap '' TERM; [ "$2" != build_script ] || { echo working; while :; do sleep 0.01; done; }`, "sh"}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := &watcher{text: "working\n", do: cancel}
	p := New(m.runner, Job{Name: "j", Script: []string{"true"}}, w)
	r := p.Run(ctx)
	want(t, r, Canceled, JobCanceled, 0, "")
	for _, s := range r.Stages {
		if s.Name == "build_script" {
			t.Error("the job waited for its driver")
		}
	}
	if r.Stages[len(r.Stages)-1].Name != "cleanup" {
		t.Errorf("stages: %+v", r.Stages)
	}
	// The driver is killed in the end.
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		last := p.stages[len(p.stages)-1].Name
		p.mu.Unlock()
		if last == "build_script" {
			return
		}
		select {
		case <-deadline.C:
			t.Fatal("the driver is not killed")
		case <-time.After(10 * time.Millisecond):
		}
	}
}
