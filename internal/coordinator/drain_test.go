package coordinator

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// pipe gives a drainer of a pipe, what it copied so far, and the writing end.
func pipe(t *testing.T, write func([]byte)) (d drainer, end chan struct{}, in *os.File) {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close(); in.Close() })
	end = make(chan struct{})
	return drainer{out, func(b []byte) error { write(b); return nil }, end}, end, in
}

// The script has ended with output in the pipe, a daemon holds the pipe open,
// and the reader takes its time: nothing of the script's is lost.
func TestDrainWithASlowReader(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	slow := make(chan struct{})
	d, end, in := pipe(t, func(b []byte) { <-slow; got.Write(b) })
	want := bytes.Repeat([]byte("0123456789abcdef"), 4<<10) // as much as a pipe takes
	if _, err := in.Write(want); err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	go func() { done <- d.copy(make([]byte, 1000)) }()
	d.kick()
	close(end)
	go func() {
		for range len(want)/1000 + 1 {
			slow <- struct{}{}
			<-time.After(10 * time.Millisecond)
		}
	}()
	if <-done {
		t.Error("it says that the pipe is at its end, and a daemon has it")
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes came of %d", got.Len(), len(want))
	}
}

func TestDrainAtTheEnd(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	d, end, in := pipe(t, func(b []byte) { got.Write(b) })
	in.WriteString("last words")
	in.Close()
	d.kick()
	close(end)
	start := time.Now()
	if !d.copy(make([]byte, 100)) || got.String() != "last words" {
		t.Errorf("got %q", got.String())
	}
	if took := time.Since(start); took > quietAfterEnd {
		t.Errorf("it took %s although the pipe was closed", took)
	}
}

// A child that still writes when the script has ended, as `tee` does, is waited for.
func TestDrainWaitsForTee(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	d, end, in := pipe(t, func(b []byte) { got.Write(b) })
	d.kick()
	close(end)
	go func() {
		for _, word := range []string{"a", "b", "c"} {
			<-time.After(100 * time.Millisecond)
			in.WriteString(word)
		}
		in.Close()
	}()
	if !d.copy(make([]byte, 100)) || got.String() != "abc" {
		t.Errorf("got %q", got.String())
	}
}

// One that never stops is not waited for.
func TestDrainLeavesADaemon(t *testing.T) {
	t.Parallel()
	d, end, in := pipe(t, func([]byte) {})
	d.kick()
	close(end)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for !closed(stop) {
			in.WriteString("chatter")
			<-time.After(10 * time.Millisecond)
		}
	}()
	start := time.Now()
	if d.copy(make([]byte, 100)) {
		t.Error("it says that the pipe is at its end")
	}
	if took := time.Since(start); took > 4*drainAfterEnd {
		t.Errorf("it took %s, want %s or little more", took, drainAfterEnd)
	}
}
