package rehearsal

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// logWriter is a log that several processes write to at once. Without a writer
// below it keeps what it gets.
type logWriter struct {
	mu  sync.Mutex
	w   io.Writer
	buf bytes.Buffer
}

func (l *logWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil {
		return l.buf.Write(p)
	}
	return l.w.Write(p)
}

func (l *logWriter) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logWriter) printf(format string, args ...any) { fmt.Fprintf(l, format, args...) }

// section runs f between the marks by which GitLab shows a part of the log with
// its duration.
func (l *logWriter) section(name, header string, f func() error) error {
	end := joblog.New(l, false).Section(name, joblog.Cyan+header+joblog.Reset, false)
	defer end()
	return f()
}

// timed runs f as a stage of the job and records it.
func (p *Rehearsal) timed(name string, f func() error) error {
	began := time.Now()
	err := f()
	p.ended(name, began, err)
	return err
}
