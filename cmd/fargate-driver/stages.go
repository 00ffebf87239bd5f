package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/executor"
	"github.com/fargate-driver/fargate-driver/internal/executor/run"
	"github.com/fargate-driver/fargate-driver/internal/job"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// awsCallLimit bounds one attempt of one call of AWS, of which the SDK makes
// three.
const awsCallLimit = 15 * time.Second

func (p *program) stages() []*cobra.Command {
	return []*cobra.Command{
		{
			Use: "config", Aliases: []string{"co"}, Short: "Tell gitlab-runner about the driver", Args: noArgs,
			RunE: func(c *cobra.Command, _ []string) error { return p.stage(c, p.configStage) },
		},
		{
			Use: "prepare", Aliases: []string{"p"}, Short: "Launch the job's task and wait until it can be used", Args: noArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				return p.stage(c, func(ctx context.Context) error {
					e, err := p.executor(ctx, false)
					if err != nil {
						return err
					}
					if err := e.Prepare(ctx); err != nil {
						e.Log.WithError(err).Error("prepare")
						return err
					}
					return nil
				})
			},
		},
		{
			Use: "run SCRIPT SUB-STAGE", Aliases: []string{"r"}, Short: "Run a script in the job's task", Args: exactArgs("the script's path and the sub-stage's name", 2),
			RunE: func(c *cobra.Command, args []string) error {
				return p.stage(c, func(ctx context.Context) error { return p.runStage(ctx, args[0], args[1]) })
			},
		},
		{
			Use: "cleanup", Aliases: []string{"cl"}, Short: "Stop the job's task", Args: noArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				return p.stage(c, func(ctx context.Context) error {
					e, err := p.executor(ctx, true)
					if err != nil {
						return err
					}
					// gitlab-runner files what cleanup writes to stderr as warnings.
					e.JobLog = joblog.New(p.stdout, true)
					if err := e.Cleanup(ctx); err != nil {
						e.Log.WithError(err).Error("cleanup")
						return err
					}
					return nil
				})
			},
		},
	}
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%s takes no arguments, and got %q", c.CommandPath(), args)}
	}
	return nil
}

func exactArgs(what string, n int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return &usageError{fmt.Errorf("%s wants %s, and got %d arguments", c.CommandPath(), what, len(args))}
		}
		return nil
	}
}

// stage runs one stage with the exit codes that gitlab-runner wants.
func (p *program) stage(c *cobra.Command, do func(context.Context) error) error {
	codes, err := job.ReadExitCodes(p.getenv)
	if err != nil {
		return &usageError{err}
	}
	p.codes = &codes
	return do(c.Context())
}

func (p *program) configStage(context.Context) error {
	c, warnings, err := p.load()
	if err != nil {
		return err
	}
	log := newLogger(c)
	for _, w := range warnings {
		log.Warn(w.Describe(p.options.config))
	}
	j, err := p.job()
	if err != nil {
		return err
	}
	return executor.WriteConfig(p.stdout, c, version, fmt.Sprintf("fargate-job-%d", j.ID))
}

// executor puts together what prepare and cleanup need. Cleanup goes to the
// Region of the record: the file may name another one by now.
func (p *program) executor(ctx context.Context, recorded bool) (*executor.Executor, error) {
	c, records, err := p.open()
	if err != nil {
		return nil, err
	}
	j, err := p.job()
	if err != nil {
		return nil, err
	}
	if recorded {
		if r, err := records.Read(j.Key()); err == nil {
			c.Fargate.Region = r.Region
		}
	}
	ecs, err := p.ecs(ctx, c.Fargate.Region)
	if err != nil {
		return nil, err
	}
	host, err := hostname()
	if err != nil {
		return nil, err
	}
	return &executor.Executor{
		Config: c, Job: j, ECS: ecs, Records: records, Host: host, Pace: executor.DefaultPace(),
		JobLog: joblog.New(p.stdout, false),
		Log:    newLogger(c).WithField("job", j.ID).WithField("project", j.ProjectPath),
	}, nil
}

// runProgram is the small program beside this one that takes the run stage
// over. A manager has one for each running job, and without the AWS SDK and
// the configuration each takes a third of the memory.
const runProgram = "fargate-driver-run"

func (p *program) runStage(ctx context.Context, script, subStage string) error {
	c, records, err := p.open()
	if err != nil {
		return err
	}
	j, err := p.job()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	small := filepath.Join(filepath.Dir(self), runProgram)
	if _, err := os.Stat(small); err == nil {
		args := []string{small, "-records", c.TaskMetadata.Directory, "-key", j.Key(), "-driver", self, "-config", p.options.config, script, subStage}
		err = syscall.Exec(small, args, os.Environ()) // returns only when it did not work
		newLogger(c).WithError(err).Warn("starting " + small + "; going on without it")
	}
	stage := run.Stage{
		Records: records, Key: j.Key(), Script: script, SubStage: subStage, ExitCodeFile: p.codes.File,
		Stdout: p.stdout, Stderr: p.stderr,
		AskECS: run.AskDriver(self, p.options.config, j.Key()),
	}
	return stage.Run(ctx)
}
