package agenttest

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// An Output keeps what a script prints, and calls Reached when At is in it for
// the first time.
type Output struct {
	At      string
	Reached func()

	mu   sync.Mutex
	buf  bytes.Buffer
	done bool
}

// Write takes what the script prints.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(b)
	if !o.done && o.Reached != nil && bytes.Contains(o.buf.Bytes(), []byte(o.At)) {
		o.done = true
		o.Reached()
	}
	return len(b), nil
}

// String is what it has printed so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Eventually waits until something holds, for 20 s at most.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// Alive reports whether the process runs whose number a script has printed.
func Alive(t testing.TB, pid string) bool {
	t.Helper()
	if pid = strings.TrimSpace(pid); pid == "" {
		t.Fatal("the script did not say its process")
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// WaitGone waits until that process has ended.
func WaitGone(t testing.TB, pid string) {
	t.Helper()
	Eventually(t, "process "+strings.TrimSpace(pid)+" ends", func() bool { return !Alive(t, pid) })
}
