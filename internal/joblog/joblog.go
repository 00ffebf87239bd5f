// Package joblog knows what a line of a GitLab job log looks like: colours,
// collapsible sections and durations. It writes to the writer it is given and
// keeps no state but that of open sections.
package joblog

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// ANSI sequences that GitLab renders. A job log has no terminal, so GitLab's
// own lines use the same ones unconditionally.
const (
	Reset  = "\x1b[0;m"
	Bold   = "\x1b[0;1m"
	Red    = "\x1b[31;1m"
	Green  = "\x1b[32;1m"
	Yellow = "\x1b[33;1m"
	Cyan   = "\x1b[36;1m"
)

// Log writes lines for whoever reads the job log.
type Log struct {
	w     io.Writer
	plain bool
	now   func() time.Time
}

// New returns a Log on w. With plain set it writes no colours.
func New(w io.Writer, plain bool) *Log {
	return &Log{w: w, plain: plain, now: time.Now}
}

// Info writes a line of progress.
func (l *Log) Info(format string, args ...any) { l.line("", format, args) }

// Good writes a line that something was achieved.
func (l *Log) Good(format string, args ...any) { l.line(Green, format, args) }

// Warn writes a line about something that went wrong and is being dealt with.
func (l *Log) Warn(format string, args ...any) { l.line(Yellow, format, args) }

// Error writes a line about something that ends the job.
func (l *Log) Error(format string, args ...any) { l.line(Red, format, args) }

func (l *Log) line(colour, format string, args []any) {
	text := fmt.Sprintf(format, args...)
	if colour != "" && !l.plain {
		// Each line carries its own colour: GitLab may fold or cut between them.
		text = colour + strings.ReplaceAll(text, "\n", Reset+"\n"+colour) + Reset
	}
	fmt.Fprintln(l.w, text)
}

var notSectionName = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// Section opens a section that GitLab shows with its duration and can fold.
// Characters that GitLab does not take in a name become underscores. The
// returned function closes it and must be called on every way out; closing
// twice does nothing.
func (l *Log) Section(name, header string, collapsed bool) (end func()) {
	endAt := l.SectionAt(name, header, collapsed, l.now())
	return func() { endAt(l.now()) }
}

// SectionAt is Section for something that began, and ends, at a time that is
// told: GitLab takes the duration it shows from the two.
func (l *Log) SectionAt(name, header string, collapsed bool, start time.Time) (end func(time.Time)) {
	name = notSectionName.ReplaceAllString(name, "_")
	options := ""
	if collapsed {
		options = "[collapsed=true]"
	}
	fmt.Fprintf(l.w, "\x1b[0Ksection_start:%d:%s%s\r\x1b[0K%s\n", start.Unix(), name, options, header)
	closed := false
	return func(at time.Time) {
		if closed {
			return
		}
		closed = true
		fmt.Fprintf(l.w, "\x1b[0Ksection_end:%d:%s\r\x1b[0K\n", at.Unix(), name)
	}
}

// Defuse makes the section markers of somebody else's output harmless: they
// could close our sections, or leave one open behind which lines are hidden.
func Defuse(text string) string {
	if !strings.Contains(text, "section_") {
		return text
	}
	text = strings.ReplaceAll(text, "section_start:", "section-start:")
	return strings.ReplaceAll(text, "section_end:", "section-end:")
}

// Duration formats d as a person says it: 350ms, 4.2s, 21s, 3m05s, 2h04m.
func Duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		d = d.Round(time.Minute)
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}
