package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/rehearsal"
)

func heading(text string, colour bool) string {
	return joblog.Paint(fmt.Sprintf("──── %s %s", text, strings.Repeat("─", max(0, 66-len(text)))), joblog.Bold, colour)
}

// trigger passes a log on and calls do, once, when a text has appeared in it.
type trigger struct {
	w    io.Writer
	text string
	do   func()

	mu   sync.Mutex
	tail string // what may be the beginning of the text
	done bool
}

func (t *trigger) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text == "" || t.done {
		return n, err
	}
	t.tail += string(p)
	if strings.Contains(t.tail, t.text) {
		t.done = true
		go t.do()
	} else if keep := len(t.text); len(t.tail) > keep {
		t.tail = t.tail[len(t.tail)-keep:]
	}
	return n, err
}

// row is a job of the demo with its end.
type row struct {
	job    rehearsal.Job
	result rehearsal.Result
}

// problem says in which way the job did not end as its file says, or "".
func (r row) problem() string {
	want := r.job.Rehearse
	if r.result.Status == want.Status && r.result.FailureReason == want.FailureReason && r.result.ExitCode == want.ExitCode {
		return ""
	}
	return fmt.Sprintf("it ended as %s, exit code %d, want %s, exit code %d", outcome(r.result.Status, r.result.FailureReason), r.result.ExitCode,
		outcome(want.Status, want.FailureReason), want.ExitCode)
}

func outcome(s rehearsal.Status, reason string) string {
	if reason == "" {
		return string(s)
	}
	return fmt.Sprintf("%s (%s)", s, reason)
}
