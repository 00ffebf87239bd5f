package joblog

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// A View shows a job log as GitLab's job page does: the marks of sections
// become their durations, and where there is no terminal colours go.
type View struct {
	w      io.Writer
	colour bool

	mu    sync.Mutex
	line  []byte           // not yet ended
	began map[string]int64 // sections that are open, Unix seconds
}

// NewView returns a View on w.
func NewView(w io.Writer, colour bool) *View {
	return &View{w: w, colour: colour, began: map[string]int64{}}
}

// Write shows the lines that are complete.
func (v *View) Write(p []byte) (int, error) {
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

// Flush shows a last line without an end.
func (v *View) Flush() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.line) > 0 {
		v.show(string(v.line))
		v.line = nil
	}
}

// Note shows a line of the caller's own between those of the job.
func (v *View) Note(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fmt.Fprintf(v.w, "    %s\n", Paint("*** "+text, Yellow, v.colour))
}

var (
	sectionMark = regexp.MustCompile(`\x1b\[0Ksection_(start|end):([0-9]+):([A-Za-z0-9_.-]+)(\[[^\]]*\])?\r\x1b\[0K`)
	ansi        = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)
)

func (v *View) show(line string) {
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
		fmt.Fprintf(v.w, "%s\n", Paint(fmt.Sprintf("%72s", duration), "\x1b[2m", v.colour))
		return
	}
	if !v.colour {
		text = ansi.ReplaceAllString(text, "")
	}
	fmt.Fprintln(v.w, strings.TrimRight(text, "\r"))
}

// Paint colours a text, if colours are on.
func Paint(text, colour string, on bool) string {
	if !on {
		return text
	}
	return colour + text + Reset
}
