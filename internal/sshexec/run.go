package sshexec

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"
)

// Run executes a script in the task and copies its output. The exit code is the
// script's own, and only given when the script itself came to its end; every
// other ending is an error, and never the user's fault.
//
// With our agent a lost connection is taken up again at the byte where it broke,
// within Options.ResumeLimit. When ctx ends, the script and all it started get
// TERM, and KILL after Options.Grace; Run waits for that, then returns an error
// that wraps the context's cause. The task itself stays.
func Run(ctx context.Context, target Target, script Script, options Options) (exitCode int, err error) {
	r := &run{
		target:  target,
		script:  script,
		options: options.withDefaults(),
		client:  rand.Text(),
		offset:  -1,
	}
	code, err := r.run(ctx)
	if err != nil {
		return 0, fmt.Errorf("running a script on %s: %w", target.Address, err)
	}
	return code, nil
}

// run is one call of Run across its connections.
type run struct {
	target  Target
	script  Script
	options Options
	client  string // our name towards the agent, see wire.Request

	sentTo string    // the instance that has the whole script
	offset int64     // position in the log up to which all is written, or -1
	plain  bool      // a script was started over plain SSH: no second try
	mute   bool      // our output is gone, see follower.write
	stop   Event     // the last TaskStopping, for the error
	goneBy time.Time // when a task that said so is gone; zero while none has

	// giveUp cancels the script for a reason of our own.
	giveUp context.CancelCauseFunc
}

// cancelMargin is what cancelling may take beyond the grace period: the agent's
// KILL, and the way there and back.
const cancelMargin = 10 * time.Second

func (r *run) run(ctx context.Context) (int, error) {
	ctx, r.giveUp = context.WithCancelCause(ctx)
	defer r.giveUp(nil)
	// Work outlives ctx: cancelling needs the connection.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	stopWatching := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(r.options.Grace+cancelMargin, stopWork)
		context.AfterFunc(work, func() { timer.Stop() })
	})
	defer stopWatching()

	outage := &outage{}
	for {
		code, ended, err := r.once(ctx, work, outage)
		switch {
		case ended:
			return code, err
		case ctx.Err() != nil && !r.started():
			return 0, context.Cause(ctx) // nothing runs there
		case work.Err() != nil:
			return 0, fmt.Errorf("%w (the script's end could not be confirmed within %s: %w)", context.Cause(ctx), r.options.Grace+cancelMargin, err)
		case !Transient(err):
			return 0, err
		}
		if err := r.pause(ctx, work, outage, err); err != nil {
			return 0, err
		}
	}
}

// started reports whether the script may be running in the task.
func (r *run) started() bool { return r.sentTo != "" || r.plain }

// once makes one connection and follows the script over it.
func (r *run) once(ctx, work context.Context, outage *outage) (code int, ended bool, err error) {
	dialing := work
	if !r.started() {
		dialing = ctx
	}
	client, err := dial(dialing, r.target, r.options)
	if err != nil {
		return 0, false, err
	}
	defer client.Close()
	// A host key that is trusted on first use holds for the rest of the run.
	r.target.HostKey = client.HostKey()
	if _, ok := client.Agent(); !ok {
		if r.sentTo != "" {
			return 0, false, ErrRestarted
		}
		code, err := r.runPlain(ctx, work, client)
		return code, r.plain, err
	}
	return r.follow(ctx, work, client, outage)
}
