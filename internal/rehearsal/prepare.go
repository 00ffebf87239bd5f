package rehearsal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// attempts is how often gitlab-runner prepares a job (PreparationRetries).
const attempts = 3

// executor is what one attempt to prepare has made: nothing of a failed attempt
// is used again.
type executor struct {
	runner Runner // with what config_exec has said
	job    Job

	tempDir      string
	exitCodeFile string
	responseFile string
	jobEnv       map[string]string
	driver       configDriver
	shared       bool         // builds_dir_is_shared
	state        atomic.Value // CI_JOB_STATUS, a string
}

type configDriver struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// configOutput is what config_exec may print.
type configOutput struct {
	Driver            *configDriver     `json:"driver"`
	Hostname          *string           `json:"hostname"`
	BuildsDir         *string           `json:"builds_dir"`
	CacheDir          *string           `json:"cache_dir"`
	BuildsDirIsShared *bool             `json:"builds_dir_is_shared"`
	JobEnv            map[string]string `json:"job_env"`
	Shell             *string           `json:"shell"`
}

// prepare makes up to three attempts, with a cleanup after each that failed. A
// failure that blames the job is not tried again.
func (p *Rehearsal) prepare(ctx context.Context) (e *executor, err error) {
	err = p.log.section("prepare_executor", `Preparing the "custom" executor`, func() error {
		for i := range attempts {
			e, err = p.attempt(ctx)
			if err == nil {
				return nil
			}
			p.clean(e)
			var script *scriptError
			if errors.As(err, &script) {
				return err
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			p.log.printf("\x1b[31;1mERROR: Preparation failed: %v\x1b[0;m\n", err)
			if i == attempts-1 {
				break
			}
			p.log.printf("Will be retried in %v ...\n", p.runner.RetryInterval)
			timer := time.NewTimer(p.runner.RetryInterval)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return context.Cause(ctx)
			}
		}
		return err
	})
	return e, err
}

// attempt is one: a new directory, the job's response, config, prepare.
func (p *Rehearsal) attempt(ctx context.Context) (*executor, error) {
	e := &executor{runner: p.runner, job: p.job}
	e.state.Store("running")
	var err error
	if e.tempDir, err = os.MkdirTemp(p.runner.TempDir, "custom-executor"); err != nil {
		return e, fmt.Errorf("making the job's directory: %w", err)
	}
	e.exitCodeFile = filepath.Join(e.tempDir, "build_exit_code")
	e.responseFile = filepath.Join(e.tempDir, "response.json")
	response, err := e.response()
	if err != nil {
		return e, err
	}
	if err := os.WriteFile(e.responseFile, response, 0o600); err != nil {
		return e, fmt.Errorf("writing the job's response: %w", err)
	}
	if err := p.configure(ctx, e); err != nil {
		return e, err
	}
	p.log.printf("%s\n", e.startupMessage())
	if e.runner.BuildsDir == "" {
		return e, errors.New("the custom executor needs builds_dir, from config.toml or from config_exec")
	}
	if p.runner.Prepare.Path == "" {
		return e, nil
	}
	limited, cancel := context.WithTimeout(ctx, p.runner.PrepareTimeout)
	defer cancel()
	return e, p.timed("prepare", func() error { return e.run(limited, p.runner.Prepare, p.log, p.log) })
}

// configure runs config_exec and takes over what it prints.
func (p *Rehearsal) configure(ctx context.Context, e *executor) error {
	if p.runner.Config.Path == "" {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, p.runner.ConfigTimeout)
	defer cancel()
	var printed bytes.Buffer
	err := p.timed("config", func() error { return e.run(limited, p.runner.Config, &printed, p.log) })
	if err != nil || printed.Len() == 0 {
		return err
	}
	var out configOutput
	if err := json.Unmarshal(printed.Bytes(), &out); err != nil {
		return fmt.Errorf("error while parsing JSON output: %w", err)
	}
	e.take(out)
	return nil
}

func (e *executor) take(out configOutput) {
	if out.Driver != nil {
		e.driver = *out.Driver
	}
	for _, v := range []struct {
		to   *string
		from *string
	}{{&e.runner.BuildsDir, out.BuildsDir}, {&e.runner.CacheDir, out.CacheDir}, {&e.runner.Shell, out.Shell}, {&e.job.hostname, out.Hostname}} {
		if v.from != nil {
			*v.to = *v.from
		}
	}
	if out.BuildsDirIsShared != nil {
		e.shared = *out.BuildsDirIsShared
	}
	e.jobEnv = out.JobEnv
}

func (e *executor) startupMessage() string {
	switch {
	case e.driver.Name == "":
		return "Using Custom executor..."
	case e.driver.Version == "":
		return fmt.Sprintf("Using Custom executor with driver %s...", e.driver.Name)
	}
	return fmt.Sprintf("Using Custom executor with driver %s %s...", e.driver.Name, e.driver.Version)
}

// clean runs the cleanup stage, whatever has happened to the job, and removes
// the attempt's directory.
func (p *Rehearsal) clean(e *executor) {
	defer os.RemoveAll(e.tempDir)
	if p.runner.Cleanup.Path == "" || e.tempDir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), p.runner.CleanupTimeout)
	defer cancel()
	var debug logWriter // what cleanup says to stdout nobody sees
	err := p.timed("cleanup", func() error { return e.run(ctx, p.runner.Cleanup, &debug, &p.cleanup) })
	if err != nil {
		p.log.printf("WARNING: Cleanup script failed: %v\n", err)
	}
}
