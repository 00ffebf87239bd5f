package executor

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/fargate"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/record"
	"github.com/fargate-driver/fargate-driver/internal/task"
)

// launch starts tasks, one place after the other, until one of them is ready
// or the launch deadline is over.
func (p *preparation) launch(ctx context.Context) (task.Task, error) {
	if err := p.makeDefinition(ctx); err != nil {
		return task.Task{}, err
	}
	ladder := fargate.NewLadder(p.plan.Spec, p.rec.Key)
	repeat := false // it is not known what the last RunTask did: ask again for the same task
	for n := 1; ; n++ {
		place := ladder.Place()
		if !repeat {
			if err := p.intend(token(p.rec.Key, p.rec.PublicKey, n), place); err != nil {
				return task.Task{}, err
			}
		}
		t, err := p.start(ctx, place)
		if err == nil {
			return t, nil
		}
		if ctx.Err() != nil {
			return task.Task{}, p.outOfTime(err)
		}
		if errors.Is(err, record.ErrAbandoned) || errors.Is(err, record.ErrNone) {
			return task.Task{}, fmt.Errorf("starting a task: %w", err)
		}
		// As long as a call may have started a task, only the same call may follow.
		repeat = p.rec.TaskARN == "" && !fargate.Refused(err)
		switch {
		case fargate.NeedsLaunchType(err) && place.Provider == "":
			p.Log.Info("the cluster has no default capacity provider strategy; asking for launch type FARGATE")
			ladder.UseLaunchType()
			continue
		case fargate.MayNotTag(err) && len(p.plan.Spec.Tags) > 0:
			p.Log.WithError(err).Warn("the manager may not tag tasks (ecs:TagResource); going on without tags")
			p.plan.Spec.Tags = nil
			continue
		}
		class := fargate.ClassOf(err)
		again, wait := ladder.Failed(class)
		if !again && fargate.TooLong(err) {
			return task.Task{}, &BuildFailure{Cause: err} // no attempt makes it shorter
		}
		if !again {
			return task.Task{}, err
		}
		p.tellFailure(class, err, place, ladder.Place(), wait)
		if err := sleep(ctx, jitter(wait)); err != nil {
			return task.Task{}, p.outOfTime(err)
		}
	}
}

// makeDefinition sees to the task definition of a job with its own image.
func (p *preparation) makeDefinition(ctx context.Context) error {
	spec := &p.plan.Spec
	if spec.Image == nil {
		return nil
	}
	for {
		name, err := p.ECS.ForImage(ctx, *spec)
		var tooMany *fargate.TooManyContainers
		if errors.As(err, &tooMany) {
			return &BuildFailure{Cause: err}
		}
		if err == nil {
			p.JobLog.Info("The job runs in %s, by task definition %s", spec.Image, name)
			spec.TaskDefinition = name
			return nil
		}
		if ctx.Err() != nil {
			return p.outOfTime(err)
		}
		class := fargate.ClassOf(err)
		switch class {
		case fargate.Throttled, fargate.Temporary, fargate.Unanswered:
		default:
			return err
		}
		p.tellFailure(class, err, fargate.Place{}, fargate.Place{}, definitionWait)
		if err := sleep(ctx, jitter(definitionWait)); err != nil {
			return p.outOfTime(err)
		}
	}
}

// definitionWait is a little more than AWS's one RegisterTaskDefinition a second
// for all jobs of an account.
const definitionWait = 3 * time.Second

// intend writes down what is about to be launched.
func (p *preparation) intend(token string, place fargate.Place) error {
	p.rec.ClientToken, p.rec.Place, p.rec.TaskARN, p.rec.Ended = token, place.String(), "", ""
	return p.Records.Update(p.rec, func(r *record.Record) {
		r.ClientToken, r.Place, r.TaskARN = p.rec.ClientToken, p.rec.Place, ""
	})
}

// start launches one task and waits for it. A task that does not become ready
// is stopped before the next one is tried.
func (p *preparation) start(ctx context.Context, place fargate.Place) (task.Task, error) {
	t, err := p.ECS.RunTask(ctx, p.plan.Spec, place, p.rec.ClientToken)
	if err != nil {
		if fargate.Refused(err) {
			p.rec.Ended = err.Error() // nothing was started, so nothing is to be looked for
		}
		return task.Task{}, err
	}
	p.rec.TaskARN = t.ARN
	err = p.Records.Update(p.rec, func(r *record.Record) {
		r.TaskARN = t.ARN
		if t.Size != (task.Size{}) {
			r.Size = t.Size.String()
		}
	})
	if err != nil {
		return task.Task{}, err // undo stops the task
	}
	p.JobLog.Info("Task %s of %s is starting in %s", t.ID(), p.plan.Spec.TaskDefinition, place)
	t, err = p.awaitReady(ctx, t)
	if err == nil || ctx.Err() != nil {
		return t, err
	}
	if t.State.Ended() {
		p.rec.Ended = err.Error() // nothing is left to stop
		return t, err
	}
	undo, cancel := undoing(ctx)
	defer cancel()
	stop := p.ECS.Stop(undo, p.rec.Cluster, t.ARN, "the task did not become ready")
	if stop != nil && !errors.Is(stop, fargate.ErrGone) {
		// As plain text, so that no second task is started beside one that may live.
		return t, fmt.Errorf("%v; %w", err, stop)
	}
	p.rec.Ended = err.Error()
	return t, err
}

// tellFailure writes the line that somebody who waits for the job wants.
func (p *preparation) tellFailure(class fargate.Class, err error, place, next fargate.Place, wait time.Duration) {
	p.Log.WithError(err).WithField("place", place.String()).Warn("launching a task")
	after := ""
	if wait > 0 {
		after = " in about " + joblog.Duration(wait)
	}
	switch class {
	case fargate.Capacity:
		p.JobLog.Warn("No Fargate capacity in %s; trying %s%s", place, next, after)
	case fargate.Spot:
		p.JobLog.Warn("AWS took the Spot capacity back before the task was ready; trying %s%s", next, after)
	case fargate.Quota:
		p.JobLog.Warn("The account's Fargate quota is used up: %v; trying again%s", err, after)
	case fargate.Throttled:
		p.JobLog.Info("AWS asks for fewer calls; trying again%s", after)
	default:
		p.JobLog.Warn("%v; trying again%s", err, after)
	}
}

// outOfTime words the end of the launch deadline.
func (p *preparation) outOfTime(last error) error {
	if errors.Is(last, context.DeadlineExceeded) || errors.Is(last, context.Canceled) {
		return fmt.Errorf("launching a task: it was not ready within %s ([Launch] Deadline); the job log above says what was tried", joblog.Duration(p.Config.Launch.Deadline.Duration))
	}
	return fmt.Errorf("launching a task: it was not ready within %s ([Launch] Deadline): %w", joblog.Duration(p.Config.Launch.Deadline.Duration), last)
}

// spread moves a time by a tenth at most, either way.
func spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d - d/10 + rand.N(d/5+1)
}

// jitter spreads a wait over half to one and a half times its length, so that
// jobs that were refused together do not come back together.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d/2 + rand.N(d)
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}
