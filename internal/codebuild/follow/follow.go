// Package follow watches a build to its end: its state, and every line of its
// log, once, in order, to the last.
package follow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// findLimit is how long a build may be unknown after it was started: what one
// call of AWS has done another may not see at once.
const findLimit = 30 * time.Second

// ErrLost means that the state of the build can no longer be learnt.
var ErrLost = errors.New("contact with the build is lost")

// Follower follows one build. It is not for concurrent use.
type Follower struct {
	cfg     aws.Config
	builds  *codebuild.Client
	logs    *cloudwatchlogs.Client
	say     *joblog.Log
	options Options
	pace    Pace
	limiter limiter
	print   *printer

	id        string
	build     build.Build
	seen      time.Time // when the build's state was last learnt
	ended     time.Time // when its end was first seen
	hurried   bool      // the end of the log made us look at once
	trouble   bool      // AWS did not answer the last time
	printed   int       // phases told
	stream    stream
	lastSpoke time.Time
}

// New returns a Follower that writes to out.
func New(cfg aws.Config, out io.Writer, say *joblog.Log, o Options) *Follower {
	if o.Mode == "" {
		o.Mode = Full
	}
	return &Follower{
		cfg:     cfg,
		builds:  codebuild.NewFromConfig(cfg, func(o *codebuild.Options) { o.RetryMaxAttempts = attempts }),
		logs:    cloudwatchlogs.NewFromConfig(cfg, func(o *cloudwatchlogs.Options) { o.RetryMaxAttempts = attempts }),
		say:     say,
		options: o,
		pace:    o.Pace.withDefaults(),
		limiter: newLimiter(),
		print:   newPrinter(out, say, o),
	}
}

// Result is what was seen of a build.
type Result struct {
	Build build.Build
	Tail  []string // the last lines of its log
	Lines int64    // of the log
	// Incomplete says why not all of the log was shown; empty if it was.
	Incomplete string
}

// Follow returns when the build has ended and its log is complete. When ctx
// ends first it returns the context's cause, and may be called again for the
// same build to go on where it was. An error that is ErrLost means that the
// build may still run.
func (f *Follower) Follow(ctx context.Context, id string) (Result, error) {
	if f.id != id {
		f.begin(id)
	}
	buildWait, logWait := f.pace.BuildMin, f.pace.LogMin
	var buildAt, logAt time.Time // when to ask again
	for {
		if now := time.Now(); !now.Before(buildAt) && f.ended.IsZero() {
			changed, err := f.look(ctx)
			if err != nil {
				return f.result(), err
			}
			buildWait = next(buildWait, changed, f.pace.BuildMin, f.pace.BuildMax)
			buildAt = time.Now().Add(jitter(buildWait))
			if !f.ended.IsZero() {
				logAt = time.Time{} // the rest of the log, at once
			}
		}
		if now := time.Now(); f.wantsLog() && !now.Before(logAt) {
			n, more, err := f.drain(ctx, buildAt)
			if err != nil {
				return f.result(), err
			}
			if f.print.sawEnd() {
				// The build ends: at once, or as soon as it is finalized.
				soon := time.Now()
				if f.hurried {
					soon = soon.Add(f.pace.BuildMin / 4)
				}
				f.hurried = true
				buildWait, buildAt = f.pace.BuildMin, earlier(buildAt, soon)
			}
			logWait = next(logWait, n > 0, f.pace.LogMin, f.pace.LogMax)
			if !f.ended.IsZero() {
				logWait = f.pace.LogMin
			}
			if f.stream.throttled {
				logWait = slower(logWait, f.pace.LogMax)
			}
			logAt = time.Now().Add(jitter(logWait))
			if more {
				logAt = time.Time{}
			}
		}
		f.heartbeat()
		if f.complete(time.Now()) {
			if f.awaitsRetry() {
				if err := f.lookAgain(ctx); err != nil {
					return f.result(), err
				}
				continue
			}
			if retried := f.build.Next; retried != "" && f.build.Status != build.Succeeded {
				f.print.finish(true, f.build.Log.URL)
				f.say.Warn("The build ended as %s, and CodeBuild builds it again: %s", f.build.Status, retried)
				f.begin(retried)
				buildAt, logAt = time.Time{}, time.Time{}
				continue
			}
			if f.options.Mode == Phases && f.build.Status != build.Succeeded {
				f.peek(ctx)
			}
			f.print.finish(f.build.Status != build.Succeeded, f.build.Log.URL)
			return f.result(), nil
		}
		if err := f.rest(ctx, buildAt, logAt); err != nil {
			return f.result(), err
		}
	}
}

// Close ends what is open in the output; for the ways out that come before
// the build's end.
func (f *Follower) Close() { f.print.finish(true, f.build.Log.URL) }

func (f *Follower) begin(id string) {
	f.id, f.build = id, build.Build{ID: id}
	f.seen, f.ended, f.printed = time.Now(), time.Time{}, 0
	f.stream, f.hurried = stream{}, false
	f.lastSpoke = time.Now()
}

// awaitsRetry tells whether CodeBuild may be about to build again. That the
// next build exists may be seen some seconds after the failure of this one.
func (f *Follower) awaitsRetry() bool {
	switch f.build.Status {
	case build.Succeeded, build.Stopped:
		return false
	}
	return f.build.RetriesLeft && f.build.Next == "" && time.Since(f.ended) < f.pace.Grace
}

// lookAgain looks at a build that has ended, after a pause. What it cannot
// learn is no failure: the end itself is known.
func (f *Follower) lookAgain(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(jitter(f.pace.BuildMin)):
	}
	if _, err := f.look(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// rest waits until something is to be asked again.
func (f *Follower) rest(ctx context.Context, buildAt, logAt time.Time) error {
	var until time.Time
	switch {
	case !f.wantsLog():
		until = buildAt
	case !f.ended.IsZero():
		until = logAt
	default:
		until = earlier(buildAt, logAt)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Until(until)):
		return nil
	}
}

// look learns the build's state, and tells whether it has changed.
func (f *Follower) look(ctx context.Context) (changed bool, err error) {
	if err := f.limiter.Wait(ctx); err != nil {
		return false, context.Cause(ctx)
	}
	out, err := f.builds.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: []string{f.id}})
	if err == nil && len(out.Builds) == 0 {
		if f.build.ARN == "" && time.Since(f.seen) < findLimit {
			return false, nil
		}
		err = fmt.Errorf("there is no build %s", f.id)
	}
	if err != nil {
		return false, f.failed(ctx, err)
	}
	f.limiter.answered()
	if f.trouble {
		f.say.Info("AWS answers again.")
		f.trouble = false
	}
	now := time.Now()
	before := f.build
	f.seen, f.build = now, build.From(&out.Builds[0])
	if f.build.Complete && f.ended.IsZero() {
		f.ended = now
	}
	if session := f.build.DebugSession; session != "" && session != before.DebugSession {
		f.print.interject(func() { f.say.Info("Debug session: aws ssm start-session --target %s", session) })
	}
	f.tellPhases()
	return before.Phase != f.build.Phase || before.Status != f.build.Status, nil
}

// failed decides about an error of BatchGetBuilds: nil means to go on.
func (f *Follower) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	kind := apierror.Of(err)
	switch kind {
	case apierror.Expired:
		apierror.Renew(f.cfg)
	case apierror.Throttled:
		f.limiter.throttled()
	}
	if !apierror.Passing(err) || time.Since(f.seen) > f.pace.Lost {
		hint := ""
		if kind == apierror.Denied {
			hint = "; the job's role needs codebuild:BatchGetBuilds on the project"
		}
		return fmt.Errorf("%w: looking at build %s: %w%s", ErrLost, f.id, apierror.Plain(err), hint)
	}
	if !f.trouble && kind != apierror.Throttled {
		f.say.Warn("AWS does not answer (%v); trying on for %s.", apierror.Plain(err), joblog.Duration(f.pace.Lost))
		f.trouble = true
		f.lastSpoke = time.Now()
	}
	return nil
}

// wantsLog tells whether there is a log to read.
func (f *Follower) wantsLog() bool {
	return f.options.Mode != Off && f.options.Mode != Phases && !f.build.Log.Disabled && f.build.Log.Known() && !f.stream.givenUp
}

// complete tells whether the build has ended and nothing more of its log can
// be expected.
func (f *Follower) complete(now time.Time) bool {
	if f.ended.IsZero() {
		return false
	}
	if !f.wantsLog() {
		return true
	}
	if !f.stream.caughtUp.After(f.ended) {
		if now.Sub(f.ended) > f.pace.GiveUp {
			f.stream.giveUp("CloudWatch did not answer")
		}
		return f.stream.givenUp
	}
	quiet := now.Sub(later(f.ended, f.stream.lastEvent))
	switch f.print.lastPhase(f.build) {
	case certain:
		return true
	case likely:
		return quiet >= f.pace.Settle
	}
	switch {
	case quiet < f.pace.Grace:
		return false
	case f.stream.missing:
		f.stream.giveUp("the log stream " + f.build.Log.Group + " " + f.build.Log.Stream + " does not exist")
	case f.ranToItsEnd() && quiet < f.pace.Late:
		return false
	case f.ranToItsEnd():
		f.stream.reason = "its last lines did not come within " + joblog.Duration(f.pace.Late)
	}
	return true
}

// ranToItsEnd tells whether the log must have an end: a build that was stopped,
// timed out or broke has none.
func (f *Follower) ranToItsEnd() bool {
	if f.build.Status != build.Succeeded && f.build.Status != build.Failed {
		return false
	}
	for _, p := range f.build.Phases {
		switch p.Name {
		case "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD":
			return true
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (f *Follower) result() Result {
	return Result{Build: f.build, Tail: f.print.tail.lines(), Lines: f.print.count, Incomplete: f.stream.reason}
}
