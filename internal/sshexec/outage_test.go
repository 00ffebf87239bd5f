package sshexec

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// A server that takes connections and drops them is one outage, not many: the
// limit holds, and the pauses grow.
func TestDroppedConnectionsAreOneOutage(t *testing.T) {
	t.Parallel()
	var told []EventKind
	r := &run{sentTo: "x", options: Options{ResumeLimit: 400 * time.Millisecond, Notify: func(e Event) { told = append(told, e.Kind) }}}
	o := &outage{}
	dropped := errors.New("dropped")
	var err error
	for tries := 0; err == nil; tries++ {
		if tries > 20 {
			t.Fatal("it goes on for ever")
		}
		r.over(o)
		err = r.pause(t.Context(), t.Context(), o, dropped)
	}
	if !errors.Is(err, ErrLost) || !errors.Is(err, dropped) {
		t.Errorf("got %v", err)
	}
	if want := []EventKind{ConnectionLost, Resumed, ConnectionLost}; !slices.Equal(told[:3], want) {
		t.Errorf("events: %v", told)
	}
	// Output in between makes the next loss a new one.
	r.over(o)
	r.offset += 100
	if err := r.pause(t.Context(), t.Context(), o, dropped); err != nil {
		t.Errorf("after output: %v", err)
	}
}

func TestAliveIsAskedNowAndThen(t *testing.T) {
	t.Parallel()
	asked := 0
	r := &run{sentTo: "x", options: Options{ResumeLimit: time.Hour, Notify: func(Event) {}, Alive: func(context.Context) error { asked++; return nil }}}
	o := &outage{}
	for range 5 {
		if err := r.pause(t.Context(), t.Context(), o, ErrRefused); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times within a second, want once", asked)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for tries := range 40 {
		want := min(lastRetry, firstRetry<<min(tries, 10))
		if d := backoff(tries); d > want || d < want*4/5 {
			t.Errorf("try %d: %s, want %s less a fifth", tries, d, want)
		}
	}
}
