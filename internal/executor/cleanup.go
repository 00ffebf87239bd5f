package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/fargate"
	"github.com/fargate-driver/fargate-driver/internal/record"
	"github.com/fargate-driver/fargate-driver/internal/task"
)

// unsettledAfter is how long a launch that ECS shows nothing of is left alone
// before it is looked for again: longer than RunTask and ListTasks ever
// disagree, shorter than anybody minds.
const unsettledAfter = time.Minute

// Cleanup stops the job's task and forgets its record. It succeeds where there
// is nothing to do, and may run while another stage of the job is dying. A
// record is forgotten only when ECS has accepted the stop.
func (e *Executor) Cleanup(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.Config.Run.CleanupLimit.Duration)
	defer cancel()
	defer e.sweep(ctx)
	r, err := e.Records.Abandon(e.Job.Key())
	if errors.Is(err, record.ErrNone) {
		e.JobLog.Info("nothing to clean up")
		return e.Records.Forget(record.Record{Key: e.Job.Key()})
	}
	if err != nil {
		return errors.Join(err, e.stopUnmarked(ctx))
	}
	if r.Place == "" { // the intent of no launch
		return e.Records.Forget(r)
	}
	done, err := e.settlePatiently(ctx, r)
	if err != nil {
		return fmt.Errorf("%w; its record is kept, and `fargate-driver reap` comes back to it", err)
	}
	if !done {
		// prepare was killed around RunTask, and ECS shows no task of it, or not
		// yet. The sweep of a later cleanup looks again.
		e.Log.WithField("job", r.JobID).Info("the launch left no task that ECS shows; looking again later")
		e.JobLog.Info("no task to stop; the driver will look again")
		return nil
	}
	e.JobLog.Info("task %s is being stopped", task.IDOf(r.TaskARN))
	return e.Records.Forget(r)
}

// stopUnmarked stops the task of a record that can be read and not be changed:
// a full disk must not keep tasks running. The record stays for reap.
func (e *Executor) stopUnmarked(ctx context.Context) error {
	r, err := e.Records.Read(e.Job.Key())
	if err != nil || r.Place == "" {
		return err
	}
	_, err = e.settlePatiently(ctx, r)
	return err
}

// settlePatiently tries again what passes by itself, until the cleanup's limit:
// all jobs of an account share 40 calls a second that change tasks.
func (e *Executor) settlePatiently(ctx context.Context, r record.Record) (bool, error) {
	for {
		done, err := e.settle(ctx, r, "job finished")
		switch fargate.ClassOf(err) {
		case fargate.Throttled, fargate.Unanswered, fargate.Temporary:
			if sleep(ctx, jitter(settleAgain)) == nil {
				continue
			}
		}
		return done, err
	}
}

// settleAgain is the pause between two attempts to stop a task.
const settleAgain = 2 * time.Second

// sweep comes back to records whose cleanup could not be finished. It costs no
// call where there are none.
func (e *Executor) sweep(ctx context.Context) {
	all, err := e.Records.All()
	if err != nil {
		e.Log.WithError(err).Warn("reading the task records")
	}
	for _, r := range all {
		if r.Abandoned.IsZero() || time.Since(r.Abandoned) < unsettledAfter || r.Region != e.Config.Fargate.Region {
			continue
		}
		if alive, _, err := e.Records.Held(r.Key); alive || err != nil {
			continue
		}
		if _, err := e.settle(ctx, r, "left over from a job that was cleaned up"); err != nil {
			e.Log.WithError(err).WithField("task", r.TaskARN).Warn("stopping a task that an earlier cleanup could not stop")
			continue
		}
		// Stopped, or a minute later still nothing that ECS would know of.
		if err := e.Records.Forget(r); err != nil {
			e.Log.WithError(err).Warn("forgetting a task record")
		}
	}
}
