// Package rehearsal plays gitlab-runner: it takes a job from a file like
// .gitlab-ci.yml through a custom executor's stages, in the order, with the
// environment, the files, the retries and the signals of gitlab-runner 19.4.
//
// It talks to no GitLab: sources come from a git repository that the job can
// reach, and caches, dependencies and uploads to GitLab are left out.
package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Runner is the part of gitlab-runner's config.toml that a job sees.
type Runner struct {
	// The executables of [runners.custom] with their arguments. Run gets the
	// script's path and the sub-stage's name after its own.
	Config, Prepare, Run, Cleanup Command

	// BuildsDir, CacheDir and Shell are those of [[runners]]; what config_exec
	// says goes before them.
	BuildsDir, CacheDir, Shell string

	// Limits of the stages; zero means gitlab-runner's own: an hour each.
	ConfigTimeout, PrepareTimeout, CleanupTimeout time.Duration
	// GracefulKillTimeout is the time between SIGTERM and SIGKILL (default 10
	// minutes), ForceKillTimeout what is waited after that (10 s).
	GracefulKillTimeout, ForceKillTimeout time.Duration
	// FinishTimeout is how long an aborted job may take to end before cleanup
	// begins beside it (5 minutes).
	FinishTimeout time.Duration
	// RetryInterval is the pause between two attempts to prepare (3 s).
	RetryInterval time.Duration

	// Environ is the manager's environment, NAME=value.
	Environ []string
	// TempDir is where the jobs' directories are made; empty means the system's.
	TempDir string
	// ShortToken is the runner's; it is part of many names (default "rehearsal").
	ShortToken string
	// ArtifactsDir is a directory that the job can write to by the same path.
	// Artifacts are packed there; where it is empty they are only listed.
	ArtifactsDir string
}

// Command is an executable with its arguments. A Command without a Path is a
// stage that is not configured.
type Command struct {
	Path string
	Args []string
}

// Driver returns the Runner that everybody's config.toml has for a Fargate
// driver: every stage is `PATH ARGS... custom STAGE`.
func Driver(path string, args ...string) Runner {
	stage := func(name string) Command {
		return Command{path, append(append([]string{}, args...), "custom", name)}
	}
	return Runner{Config: stage("config"), Prepare: stage("prepare"), Run: stage("run"), Cleanup: stage("cleanup")}
}

// Status is a job's end as GitLab shows it.
type Status string

const (
	Success  Status = "success"
	Failed   Status = "failed"
	Canceled Status = "canceled"
)

// Why a job failed, in GitLab's words.
const (
	ScriptFailure       = "script_failure"
	RunnerSystemFailure = "runner_system_failure"
	JobExecutionTimeout = "job_execution_timeout"
	JobCanceled         = "job_canceled"
)

// Result is what became of a job.
type Result struct {
	Status        Status
	ExitCode      int    // of the script, where the job failed by it
	FailureReason string // "" for a success
	Err           error  // why, in words; nil for a success
	Allowed       bool   // the failure is one that the job file allows
	Stages        []Stage
	Took          time.Duration
	// Cleanup is what the cleanup stage wrote to standard error, which
	// gitlab-runner files as warnings in its own log.
	Cleanup string
	// Artifacts is the archive that was packed, "" if none was.
	Artifacts string
}

// Stage is one process that was run for the job.
type Stage struct {
	Name string // config, prepare, cleanup, or the sub-stage's name
	Took time.Duration
	Err  error
}

// Time returns how long all stages of that name took together.
func (r Result) Time(name string) (sum time.Duration) {
	for _, s := range r.Stages {
		if s.Name == name {
			sum += s.Took
		}
	}
	return sum
}

// Rehearsal is one job that is to be played, once.
type Rehearsal struct {
	runner Runner
	job    Job
	log    *logWriter

	mu       sync.Mutex
	cancel   context.CancelCauseFunc // what Cancel does now
	canceled bool
	stages   []Stage
	cleanup  logWriter
}

// New returns a rehearsal of the job whose job log goes to log.
func New(r Runner, j Job, log io.Writer) *Rehearsal {
	r.ConfigTimeout = cmp.Or(r.ConfigTimeout, time.Hour)
	r.PrepareTimeout = cmp.Or(r.PrepareTimeout, time.Hour)
	r.CleanupTimeout = cmp.Or(r.CleanupTimeout, time.Hour)
	r.GracefulKillTimeout = cmp.Or(r.GracefulKillTimeout, 10*time.Minute)
	r.ForceKillTimeout = cmp.Or(r.ForceKillTimeout, 10*time.Second)
	r.FinishTimeout = cmp.Or(r.FinishTimeout, 5*time.Minute)
	r.RetryInterval = cmp.Or(r.RetryInterval, 3*time.Second)
	r.Shell = cmp.Or(r.Shell, "bash")
	r.ShortToken = cmp.Or(r.ShortToken, "rehearsal")
	j.Timeout = cmp.Or(j.Timeout, time.Hour)
	j.ID = cmp.Or(j.ID, 1)
	j.Stage = cmp.Or(j.Stage, "test")
	return &Rehearsal{runner: r, job: j, log: &logWriter{w: log}}
}

// errCanceled is the end of a job that somebody cancelled in GitLab.
var errCanceled = errors.New("canceled")

// Cancel does what GitLab's cancel button does: while the user's script runs,
// only that is ended and the rest goes on; at any other time, the whole job.
func (p *Rehearsal) Cancel() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.canceled = true
	if p.cancel != nil {
		p.cancel(errCanceled)
	}
}

// onCancel says what Cancel shall do from now on; nil is nothing: when the
// scripts are done, the rest of a cancelled job still runs.
func (p *Rehearsal) onCancel(cancel context.CancelCauseFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cancel = cancel
	if p.canceled && cancel != nil {
		cancel(errCanceled)
	}
}

// Run plays the job to its end, the cleanup included. When ctx ends, the job is
// aborted as by a stop of gitlab-runner.
func (p *Rehearsal) Run(ctx context.Context) Result {
	began := time.Now()
	p.log.printf("Running with gitlab-runner 19.4 (a rehearsal of it)\n  on %s\n", p.runner.ShortToken)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p.onCancel(stop)
	timed, release := context.WithTimeout(ctx, p.job.Timeout)
	defer release()
	executor, err := p.prepare(timed)
	if err == nil {
		err = p.execute(timed, executor)
		p.clean(executor)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.verdict(timed, err)
	r.Took = time.Since(began)
	r.Stages = p.stages
	r.Cleanup = p.cleanup.String()
	if executor != nil {
		r.Artifacts = executor.artifacts()
	}
	return r
}

// execute runs the sub-stages. If the job is aborted it waits for the process
// that runs, but not for ever: a driver that hangs must not keep its task.
func (p *Rehearsal) execute(ctx context.Context, e *executor) error {
	finished := make(chan error, 1)
	go func() { finished <- p.subStages(ctx, e) }()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(p.runner.FinishTimeout)
	defer timer.Stop()
	select {
	case <-finished:
	case <-timer.C:
		p.log.printf("WARNING: Timed out waiting for the build to finish\n")
	}
	return context.Cause(ctx)
}

// verdict turns what happened into what GitLab is told, and says it in the log.
func (p *Rehearsal) verdict(ctx context.Context, err error) Result {
	if ctx.Err() != nil && err != nil {
		err = context.Cause(ctx)
	}
	r := Result{Err: err}
	var script *scriptError
	switch {
	case err == nil:
		r.Status = Success
		p.log.printf("\x1b[32;1mJob succeeded\x1b[0;m\n")
		return r
	case errors.Is(err, errCanceled), errors.Is(err, context.Canceled):
		r.Status, r.FailureReason = Canceled, JobCanceled
	case errors.Is(err, context.DeadlineExceeded):
		r.Status, r.FailureReason = Failed, JobExecutionTimeout
		r.Err = fmt.Errorf("execution took longer than %v", p.job.Timeout)
	case errors.As(err, &script):
		r.Status, r.FailureReason, r.ExitCode = Failed, ScriptFailure, script.code
	default:
		r.Status, r.FailureReason = Failed, RunnerSystemFailure
	}
	r.Allowed = r.Status == Failed && p.job.AllowFailure.allows(r.ExitCode)
	words := "Job failed"
	if r.FailureReason == RunnerSystemFailure {
		words = "Job failed (system failure)"
	}
	p.log.printf("\x1b[31;1mERROR: %s: %v\x1b[0;m\n", words, r.Err)
	return r
}

// ended records a stage's process.
func (p *Rehearsal) ended(name string, began time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stages = append(p.stages, Stage{name, time.Since(began), err})
}
