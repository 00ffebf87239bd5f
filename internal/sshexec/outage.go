package sshexec

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	// firstRetry and lastRetry frame the exponential pause between attempts: a
	// reset connection is back at once, an absent network is not hammered.
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
	// healthy is how long a connection without any output must last before the
	// next loss counts as a new one. A server that takes connections and drops
	// them is not hammered either, and does not hold a job for ever.
	healthy = 5 * time.Second
	// aliveEvery is how often Options.Alive may ask, and aliveSpread the random
	// part before the first time. Each of up to 200 jobs asks while a manager's
	// network is away, most outages are over before, and ECS allows 20 calls a
	// second.
	aliveEvery  = 3 * time.Second
	aliveSpread = 3 * time.Second
	// tellAfter is how long a task that was not reached yet may take before the
	// job log says so: at a stage's beginning most of them only need a moment.
	tellAfter = 3 * time.Second
)

// outage is the time without a connection.
type outage struct {
	since   time.Time // zero while there is one
	told    bool
	tries   int
	ask     time.Time // when Alive may be asked
	refused bool      // it was asked because nothing listened
	resumed time.Time // when the last connection came up
	offset  int64     // of the log at that time
}

// over says that the connection is there.
func (r *run) over(o *outage) {
	if o.told {
		r.options.Notify(Event{Kind: Resumed, After: time.Since(o.since)})
	}
	o.told, o.resumed, o.offset = false, time.Now(), r.offset
}

// pause waits before the next attempt, or says that there is none.
func (r *run) pause(ctx, work context.Context, o *outage, cause error) error {
	now := time.Now()
	fresh := o.since.IsZero() || !o.resumed.IsZero() && (r.offset > o.offset || now.Sub(o.resumed) >= healthy)
	if fresh {
		*o = outage{since: now, ask: now.Add(rand.N(aliveSpread))}
	}
	o.resumed = time.Time{}
	r.tell(o, cause)
	if !r.goneBy.IsZero() && (errors.Is(cause, ErrRefused) || now.After(r.goneBy)) {
		return fmt.Errorf("%w: %s; how the script ended could not be heard any more: %w", ErrStopping, r.stop.Text, cause)
	}
	if now.Sub(o.since) >= r.options.ResumeLimit {
		return fmt.Errorf("%w and did not come back within %s: %w", ErrLost, r.options.ResumeLimit, cause)
	}
	// A host that answers without an agent has lost it for good, mostly.
	refused := errors.Is(cause, ErrRefused) && !o.refused
	if r.options.Alive != nil && (refused || now.After(o.ask)) {
		o.ask, o.refused = now.Add(aliveEvery), o.refused || refused
		if err := r.options.Alive(work); err != nil && work.Err() == nil {
			return fmt.Errorf("%w (%w): %w", ErrLost, cause, err)
		}
	}
	wait := time.NewTimer(backoff(o.tries))
	defer wait.Stop()
	o.tries++
	over := ctx.Done()
	if r.started() {
		over = work.Done()
	}
	select {
	case <-wait.C:
	case <-over:
	}
	return nil
}

func (r *run) tell(o *outage, cause error) {
	event := Event{Kind: ConnectionLost, Err: cause}
	if !r.started() {
		if time.Since(o.since) < tellAfter {
			return
		}
		event.Kind = NoAnswer
	}
	if !o.told {
		o.told = true
		r.options.Notify(event)
	}
}

// backoff doubles from firstRetry to lastRetry and takes up to a fifth off, so
// that 200 jobs do not come back in step.
func backoff(tries int) time.Duration {
	d := lastRetry
	if tries < 10 {
		d = min(d, firstRetry<<tries)
	}
	return d - rand.N(d/5)
}
