package sshexec_test

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// signalWriter keeps what it gets, and calls reached when at is in it for the
// first time.
type signalWriter struct {
	at      string
	reached func()

	mu   sync.Mutex
	buf  bytes.Buffer
	done bool
}

func (w *signalWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(b)
	if !w.done && strings.Contains(w.buf.String(), w.at) {
		w.done = true
		w.reached()
	}
	return len(b), nil
}

func (w *signalWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// waitGone waits until a process has ended.
func waitGone(t *testing.T, pid string) {
	t.Helper()
	if pid == "" {
		t.Fatal("the script did not say its process")
	}
	eventually(t, "process "+pid+" ends", func() bool {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
}
