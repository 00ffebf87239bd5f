package sshexec

import (
	"fmt"
	"time"
)

// An EventKind says what an Event tells.
type EventKind int

// The kinds of events.
const (
	// ConnectionLost: Err says how. Attempts to get it back follow.
	ConnectionLost EventKind = iota + 1
	// Resumed: the connection is back after After, nothing was lost.
	Resumed
	// TaskStopping: the task is being stopped; Left is the time until it is
	// killed, Text says by whom.
	TaskStopping
	// OutOfMemory: Count processes of the task were killed for lack of memory
	// while the script ran; Count is zero where the task cannot count them and
	// the script was ended by KILL from elsewhere.
	OutOfMemory
	// NoAnswer: the task was not reached yet since the script should have
	// started; Err says why. The attempts go on.
	NoAnswer
	// Other: something that a newer agent wants told; see Text.
	Other
)

// An Event is something that the reader of the job log should know.
type Event struct {
	Kind  EventKind
	After time.Duration
	Left  time.Duration
	Count int64
	Err   error
	Text  string
}

// String is a line for the job log.
func (e Event) String() string {
	switch e.Kind {
	case ConnectionLost:
		return fmt.Sprintf("The connection to the task is lost (%v). The script goes on there; trying to get back.", e.Err)
	case NoAnswer:
		return fmt.Sprintf("The task does not answer (%v); trying on.", e.Err)
	case Resumed:
		return fmt.Sprintf("Connected again after %s; no output is missing.", e.After.Round(100*time.Millisecond))
	case TaskStopping:
		return fmt.Sprintf("The task is being stopped: %s. %d seconds are left; the script is asked to end.", e.Text, int(e.Left.Seconds()))
	case OutOfMemory:
		if e.Count == 0 {
			return "The script was killed (SIGKILL), perhaps for lack of memory."
		}
		return fmt.Sprintf("Out of memory: the kernel killed %d of the task's processes while the script ran.", e.Count)
	}
	return e.Text
}
