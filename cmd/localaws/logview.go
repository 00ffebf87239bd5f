package main

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/rehearsal"
)

// logView shows a job log as GitLab's job page does: the marks of sections
// become their durations, and where there is no terminal colours go.
type logView struct {
	w      io.Writer
	colour bool

	mu    sync.Mutex
	line  []byte           // not yet ended
	began map[string]int64 // sections that are open, Unix seconds
}

func newLogView(w io.Writer, colour bool) *logView {
	return &logView{w: w, colour: colour, began: map[string]int64{}}
}

// Write shows the lines that are complete.
func (v *logView) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.line = append(v.line, p...)
	for {
		line, rest, ended := bytes.Cut(v.line, []byte("\n"))
		if !ended {
			return len(p), nil
		}
		v.show(string(line))
		v.line = append([]byte{}, rest...)
	}
}

// flush shows a last line without an end.
func (v *logView) flush() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.line) > 0 {
		v.show(string(v.line))
		v.line = nil
	}
}

// note shows a line of the demo's own between those of the job.
func (v *logView) note(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.w, "    %s\n", paint("*** "+text, joblog.Yellow, v.colour))
}

var (
	sectionMark = regexp.MustCompile(`\x1b\[0Ksection_(start|end):([0-9]+):([A-Za-z0-9_.-]+)(\[[^\]]*\])?\r\x1b\[0K`)
	ansi        = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)
)

func (v *logView) show(line string) {
	duration := ""
	for _, mark := range sectionMark.FindAllStringSubmatch(line, -1) {
		at, _ := strconv.ParseInt(mark[2], 10, 64)
		if mark[1] == "start" {
			v.began[mark[3]] = at
			continue
		}
		if began, open := v.began[mark[3]]; open {
			delete(v.began, mark[3])
			duration = fmt.Sprintf("%02d:%02d", (at-began)/60, (at-began)%60)
		}
	}
	text := sectionMark.ReplaceAllString(line, "")
	if text == "" && duration != "" {
		fmt.Fprintf(v.w, "%s\n", paint(fmt.Sprintf("%72s", duration), "\x1b[2m", v.colour))
		return
	}
	if !v.colour {
		text = ansi.ReplaceAllString(text, "")
	}
	fmt.Fprintln(v.w, strings.TrimRight(text, "\r"))
}

func paint(text, colour string, on bool) string {
	if !on {
		return text
	}
	return colour + text + joblog.Reset
}

func heading(text string, colour bool) string {
	return paint(fmt.Sprintf("──── %s %s", text, strings.Repeat("─", max(0, 66-len(text)))), joblog.Bold, colour)
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
