package coordinator

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

const (
	// stopReserve is how long before the platform's KILL the scripts get theirs:
	// time for the rest of the output and the exit code to reach the driver.
	stopReserve = 5 * time.Second
	// deadlineGrace is what the agent leaves itself when the deadline has come.
	deadlineGrace = 30 * time.Second
	// announceLimit is how long the scripts' TERM waits for the notice.
	announceLimit = 500 * time.Millisecond
)

// tellLimits says in the container's log what will end this task.
func (a *agent) tellLimits() {
	if limit := a.settings.IdleLimit; limit > 0 {
		a.log.Printf("ends by itself after %s without a connection", limit)
	}
	if deadline := a.settings.Deadline; !deadline.IsZero() {
		a.log.Printf("ends by itself at %s, whatever runs", deadline.UTC().Format(time.RFC3339))
	}
}

// waitForEnd returns when the agent has to go, and the scripts have ended.
func (a *agent) waitForEnd(ctx context.Context) {
	// The deadline becomes a duration at once: a clock that is set later
	// changes nothing.
	var deadline <-chan time.Time
	if !a.settings.Deadline.IsZero() {
		timer := time.NewTimer(time.Until(a.settings.Deadline))
		defer timer.Stop()
		deadline = timer.C
	}
	idle, stopIdle := a.idle()
	defer stopIdle()
	select {
	case <-ctx.Done():
		a.end("ECS or an operator asked for it (SIGTERM: a Spot reclaim, StopTask, or a deployment)", a.settings.StopTimeout)
	case <-deadline:
		a.end("its time limit, the job's timeout and a margin, has passed", deadlineGrace)
	case <-idle:
		a.log.Printf("nobody has connected for %s: exiting, so that the task stops", a.settings.IdleLimit)
	}
}

// idle gives a channel that is closed when nobody has needed the agent for the
// idle limit.
func (a *agent) idle() (<-chan struct{}, func()) {
	over := make(chan struct{})
	if a.settings.IdleLimit == 0 {
		return over, func() {}
	}
	stop := make(chan struct{})
	go func() {
		for {
			wait := a.settings.IdleLimit
			now, last := a.needed()
			if shared := a.shareContact(now); shared.After(last) {
				last = shared
			}
			if !now {
				wait -= time.Since(last)
			}
			if wait <= 0 {
				close(over)
				return
			}
			if a.settings.ContactFile != "" {
				wait = min(wait, a.settings.IdleLimit/4)
			}
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-stop:
				timer.Stop()
				return
			}
		}
	}()
	return over, func() { close(stop) }
}

// shareContact tells the other agents of the task whether this one is needed
// now, and gives when one of them was last.
func (a *agent) shareContact(now bool) time.Time {
	name := a.settings.ContactFile
	if name == "" {
		return time.Time{}
	}
	if now {
		// Written, not only touched: an agent that does not own it may do that.
		if err := os.WriteFile(name, []byte{'\n'}, 0o666); err != nil {
			a.log.Printf("telling the other agents of the task: %v", err)
		}
		os.Chmod(name, 0o666) // for agents of other users; only the owner's works
	}
	info, err := os.Stat(name)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// end tells everybody why the task goes, ends the scripts in time, and waits
// until their drivers know, within left.
func (a *agent) end(text string, left time.Duration) {
	over := time.NewTimer(left - min(time.Second, left/10))
	defer over.Stop()
	a.mu.Lock()
	a.stopping, a.stopText = true, text
	var running []*execution
	for _, s := range a.slots {
		if s.execution != nil && s.execution.running() {
			running = append(running, s.execution)
		}
	}
	a.mu.Unlock()
	a.log.Printf("the task is being stopped: %s; %d scripts run, %s left", text, len(running), left)

	notice := wire.NoticeMessage{Kind: wire.NoticeStopping, Left: left, Text: text}
	var told sync.WaitGroup
	for _, e := range running {
		told.Go(func() {
			e.announce(notice)
			e.end(wire.CauseStop, left-min(stopReserve, left/3))
		})
	}
	told.Wait()
	for _, e := range running {
		if err := e.collected(over.C); err != nil {
			a.log.Printf("exiting although %v", err)
			return
		}
	}
	a.log.Printf("exiting: nothing is left to do")
}

// collected waits until the driver has the exit code.
func (e *execution) collected(over <-chan time.Time) error {
	select {
	case <-e.ended:
	case <-over:
		return errors.New("a script has not ended")
	}
	select {
	case <-e.spool.taken:
		return nil
	case <-over:
		return errors.New("a driver has not taken the end of its script's output")
	}
}

// announce puts a notice into the log before what the script prints because of
// it. A log that is full, on a full disk, gets it later.
func (e *execution) announce(notice wire.NoticeMessage) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		e.spool.note(wire.Notice, notice.Marshal())
	}()
	select {
	case <-written:
	case <-time.After(announceLimit):
	}
}
