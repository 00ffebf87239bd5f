package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/record"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/taskplan"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// preparation is one run of the prepare stage.
type preparation struct {
	*Executor
	plan    taskplan.Plan
	hostKey string // of our agent, should it be one
	rec     record.Record
	started time.Time
}

// Prepare launches the job's task and waits until its SSH server answers. What
// it launched and could not make ready, it stops.
func (e *Executor) Prepare(ctx context.Context) error {
	p, err := e.newPreparation()
	if err != nil {
		return err
	}
	for _, note := range p.plan.Notes {
		e.JobLog.Warn("%s", note)
	}
	if err := p.allowed(ctx); err != nil {
		return err
	}
	previous, err := e.Records.Create(p.rec)
	if err != nil {
		return err
	}
	release, err := e.Records.Hold(p.rec.Key)
	if err != nil {
		return err
	}
	defer release()
	if previous != nil {
		e.endPrevious(ctx, *previous)
	}
	limited, cancel := context.WithTimeout(ctx, e.Config.Launch.Deadline.Duration)
	defer cancel()
	t, err := p.launch(limited)
	if err == nil {
		took := time.Since(p.started)
		e.Log.WithField("task", t.ARN).WithField("place", p.rec.Place).WithField("seconds", int(took.Seconds())).Info("the task is ready")
		e.JobLog.Good("Task %s is ready after %s%s", t.ID(), joblog.Duration(took), p.whereTheTimeWent(ctx, t))
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("preparing the task: gitlab-runner ended it: the job was cancelled or has timed out (%w)", context.Cause(ctx))
	}
	if err != nil {
		p.undo(ctx)
	}
	return err
}

// newPreparation decides everything that needs no call.
func (e *Executor) newPreparation() (*preparation, error) {
	publicKey, privateKey, err := sshexec.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("making the job's SSH key: %w", err)
	}
	seed, err := sshexec.NewHostKeySeed()
	if err != nil {
		return nil, fmt.Errorf("making the host key of the job's task: %w", err)
	}
	hostKey, err := sshexec.HostKeyFromSeed(seed)
	if err != nil {
		return nil, fmt.Errorf("making the host key of the job's task: %w", err)
	}
	now := time.Now()
	c := e.Config
	avoidSpot := c.Launch.OnDemandAfter.Duration > 0 && e.Records.WasReclaimed(e.Job.Recurring(), c.Launch.OnDemandAfter.Duration)
	plan, err := taskplan.Make(c, e.Job, taskplan.Identity{PublicKey: publicKey, HostKeySeed: seed, Launched: now, Host: e.Host}, avoidSpot)
	var refused *taskplan.Refused
	if errors.As(err, &refused) {
		return nil, &BuildFailure{Cause: fmt.Errorf("planning the job's task: %w", err)}
	}
	if err != nil {
		return nil, err
	}
	return &preparation{Executor: e, plan: plan, hostKey: hostKey, started: now, rec: record.Record{
		Key: e.Job.Key(), JobID: e.Job.ID, JobName: e.Job.Name, PipelineID: e.Job.PipelineID, ProjectPath: e.Job.ProjectPath,
		Recurring: e.Job.Recurring(), Created: now,
		Cluster: plan.Spec.Cluster, Region: c.Fargate.Region, Container: wire.ContainerName, StartedBy: plan.Spec.StartedBy,
		PublicKey: publicKey, PrivateKey: string(privateKey), Username: c.SSH.Username,
		Run: record.Settings{ConnectTimeout: c.Run.ConnectTimeout.Duration, KeepAlive: c.Run.KeepAlive.Duration,
			ResumeLimit: c.Run.ResumeLimit.Duration, KillGrace: c.Run.KillGrace.Duration},
	}}, nil
}

// token names one launch for ECS, in at most 64 characters: the job, the
// prepare attempt by its new key, and the number of the launch in it.
func token(key, publicKey string, n int) string {
	return fmt.Sprintf("%s-%s-%d", key, shortHash(publicKey), n)
}

// allowed looks at the rights of a task definition that the job chose and no
// allow-list names: with no more than the operator's own has, the choice
// decides nothing about privilege.
func (p *preparation) allowed(ctx context.Context) error {
	if !p.plan.CompareAWS {
		return nil
	}
	same, why, err := p.ECS.SameRights(ctx, p.plan.Spec.TaskDefinition, p.plan.SameRightsAs)
	if err != nil {
		return fmt.Errorf("seeing whether the job may use task definition %s: %w", p.plan.Spec.TaskDefinition, err)
	}
	if !same {
		return &BuildFailure{Cause: fmt.Errorf("planning the job's task: FARGATE_TASK_DEFINITION: %s has rights that the runner's own task definition has not (%s); the operator allows it with [Jobs] TaskDefinitions = [%q] in fargate.toml",
			p.plan.Spec.TaskDefinition, why, p.plan.Spec.TaskDefinition)}
	}
	return nil
}

// endPrevious stops what an earlier attempt has left. Cleanup and the reaper
// come back to it if this does not work out.
func (e *Executor) endPrevious(ctx context.Context, r record.Record) {
	done, err := e.settle(ctx, r, "left over from an earlier attempt of the job")
	if err != nil {
		e.Log.WithError(err).WithField("task", r.TaskARN).Warn("stopping the task of an earlier attempt")
	}
	if done {
		if err := e.Records.Forget(r); err != nil {
			e.Log.WithError(err).Warn("forgetting the record of an earlier attempt")
		}
	}
}

// undo stops what was launched. Where that cannot be confirmed the record
// stays, and cleanup goes on from it.
func (p *preparation) undo(ctx context.Context) {
	ctx, cancel := undoing(ctx)
	defer cancel()
	launched := p.rec.Place != ""
	if launched && p.rec.Ended == "" {
		done, err := p.settle(ctx, p.rec, "the job could not be prepared")
		if err != nil {
			p.Log.WithError(err).WithField("task", p.rec.TaskARN).Warn("stopping the task of a failed prepare")
		}
		if !done {
			return
		}
	}
	if err := p.Records.Forget(p.rec); err != nil {
		p.Log.WithError(err).Warn("forgetting the record of a failed prepare")
	}
}

// whereTheTimeWent asks ECS once more, now that all timestamps are there. It
// is for information only, so that it may fail.
func (p *preparation) whereTheTimeWent(ctx context.Context, t task.Task) string {
	ready := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if latest, err := p.ECS.Describe(ctx, p.rec.Cluster, t.ARN); err == nil {
		t = latest
	}
	text := ""
	for _, span := range task.Timeline(t, ready) {
		if text != "" {
			text += ", "
		}
		text += joblog.Duration(span.Duration) + " " + span.Name
	}
	if text == "" {
		return ""
	}
	return ": " + text
}
