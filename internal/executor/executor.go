// Package executor is the stages of a job that launch and end its task:
// config, prepare and cleanup. It alone knows their order, their undo and
// whose fault an end is. The run stage, of which a manager has hundreds at
// once, is a small package of its own below this one.
package executor

import (
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/fargate-driver/fargate-driver/internal/config"
	"github.com/fargate-driver/fargate-driver/internal/fargate"
	"github.com/fargate-driver/fargate-driver/internal/job"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/record"
)

// Executor has what the stages of one job need.
type Executor struct {
	Config  config.Config
	Job     job.Job
	ECS     *fargate.Client
	Records record.Dir
	Host    string // the manager's name
	Pace    Pace

	JobLog *joblog.Log        // for whoever reads the job's log
	Log    logrus.FieldLogger // for the operator
}

// BuildFailure is an end that is the job's own doing: it asks for what it may
// not have. Every other error of these stages is the system's.
type BuildFailure struct{ Cause error }

func (b *BuildFailure) Error() string { return b.Cause.Error() }

func (b *BuildFailure) Unwrap() error { return b.Cause }

// undoLimit bounds what is done after a stage was cancelled or has failed: a
// few calls of ECS. gitlab-runner allows a cancelled stage ten minutes.
const undoLimit = 30 * time.Second

// undoing is a context for undo: it outlives the cancellation of its parent.
func undoing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
}

// sleep waits, or returns early with the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle stops the task that a record is about, also where the record holds
// only the intent. It reports false when ECS shows no such task and it may
// still be on its way: RunTask and ListTasks agree only after some seconds.
func (e *Executor) settle(ctx context.Context, r record.Record, reason string) (bool, error) {
	if r.TaskARN != "" {
		return e.stop(ctx, r.Cluster, r.TaskARN, reason)
	}
	tasks, err := e.ECS.List(ctx, r.Cluster, r.StartedBy)
	if err != nil {
		return false, err
	}
	found := false
	for _, t := range tasks {
		if !fargate.LaunchedWith(t, r.PublicKey) {
			continue
		}
		if found, err = e.stop(ctx, r.Cluster, t.ARN, reason); err != nil {
			return false, err
		}
	}
	return found, nil
}

func (e *Executor) stop(ctx context.Context, cluster, arn, reason string) (bool, error) {
	err := e.ECS.Stop(ctx, cluster, arn, reason)
	if errors.Is(err, fargate.ErrGone) {
		return true, nil
	}
	return err == nil, err
}
