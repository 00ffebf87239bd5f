package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A stage's header in the job log, as GitLab has it.
func description(stage string) string {
	switch stage {
	case "prepare_script":
		return "Preparing environment"
	case "get_sources":
		return "Getting source from Git repository"
	case "clear_worktree":
		return "Deleting all tracked and untracked files due to source fetch failure"
	case "after_script":
		return "Running after_script"
	case "upload_artifacts_on_success":
		return "Uploading artifacts for successful job"
	case "upload_artifacts_on_failure":
		return "Uploading artifacts for failed job"
	case "cleanup_file_variables":
		return "Cleaning up project directory and file based variables"
	}
	return fmt.Sprintf("Executing %q stage of the job script", stage)
}

// subStages is the order of a job. Caches and dependencies have nothing to do
// here, and gitlab-runner skips stages that have nothing to do.
func (p *Rehearsal) subStages(ctx context.Context, e *executor) error {
	if err := p.stage(ctx, e, "prepare_script", e.prepareScript()); err != nil {
		return fmt.Errorf("prepare environment: %w", err)
	}
	err := p.getSources(ctx, e)
	if err == nil {
		err = p.userScripts(ctx, e)
	}
	p.onCancel(nil)
	upload := p.uploadArtifacts(ctx, e, err)
	// gitlab-runner only files what goes wrong here in its own log.
	if cleaning := p.stage(ctx, e, "cleanup_file_variables", e.cleanupFileVariables()); cleaning != nil {
		p.cleanup.printf("Error while executing file based variables removal script: %v\n", cleaning)
	}
	return cmp.Or(err, upload)
}

// getSources tries as often as GET_SOURCES_ATTEMPTS says; before the second
// attempt the work tree is cleared.
func (p *Rehearsal) getSources(ctx context.Context, e *executor) (err error) {
	for attempt := range e.job.getSourcesAttempts() {
		if attempt == 1 {
			if err := p.stage(ctx, e, "clear_worktree", e.clearWorktree()); err != nil {
				return err
			}
		}
		if err = p.stage(ctx, e, "get_sources", e.getSources()); err == nil {
			return nil
		}
	}
	return err
}

// userScripts runs the script, which Cancel ends, and after it the
// after_script in any case.
func (p *Rehearsal) userScripts(ctx context.Context, e *executor) error {
	scriptCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p.onCancel(cancel)
	limited, release := context.WithTimeout(scriptCtx, e.job.duration("RUNNER_SCRIPT_TIMEOUT", e.job.Timeout))
	defer release()
	var err error
	for _, step := range e.job.steps() {
		if err = p.stage(limited, e, lower(step.name), e.userScript(step.lines)); err != nil {
			break
		}
	}
	if ctx.Err() == nil && errors.Is(context.Cause(scriptCtx), errCanceled) {
		err = errCanceled
		p.log.printf("WARNING: script canceled externally (UI, API)\n")
	}
	e.state.Store(stateOf(err))
	if len(e.job.AfterScript) == 0 {
		return err
	}
	// Five minutes are gitlab-runner's own limit (AfterScriptTimeout).
	after, release := context.WithTimeout(ctx, e.job.duration("RUNNER_AFTER_SCRIPT_TIMEOUT", 5*time.Minute))
	defer release()
	if failed := p.stage(after, e, "after_script", e.userScript(e.job.AfterScript)); failed != nil && ctx.Err() == nil {
		p.log.printf("WARNING: after_script failed, but job will continue unaffected: %v\n", failed)
	}
	return err
}

// stateOf is CI_JOB_STATUS as after_script sees it.
func stateOf(err error) string {
	switch {
	case err == nil:
		return "success"
	case errors.Is(err, errCanceled), errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timedout"
	}
	return "failed"
}

func (p *Rehearsal) uploadArtifacts(ctx context.Context, e *executor, jobErr error) error {
	a := e.job.Artifacts
	switch {
	case len(a.Paths) == 0:
		return nil
	case jobErr == nil && a.When != "on_failure":
		return p.stage(ctx, e, "upload_artifacts_on_success", e.packArtifacts())
	case jobErr != nil && (a.When == "on_failure" || a.When == "always"):
		return p.stage(ctx, e, "upload_artifacts_on_failure", e.packArtifacts())
	}
	return nil
}

// stage runs one sub-stage: its script in a new file, handed to run_exec.
func (p *Rehearsal) stage(ctx context.Context, e *executor, name, body string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return p.log.section(name, description(name), func() error {
		dir, err := os.MkdirTemp(e.tempDir, "script")
		if err != nil {
			return fmt.Errorf("making the script's directory: %w", err)
		}
		file := filepath.Join(dir, "script")
		if err := os.WriteFile(file, []byte(e.script(body)), 0o700); err != nil {
			return fmt.Errorf("writing the script: %w", err)
		}
		handed := name
		if name == "step_script" {
			// gitlab-runner keeps the old name for drivers, with a warning.
			handed = "build_script"
		}
		return p.timed(handed, func() error { return e.run(ctx, p.runner.Run, p.log, p.log, file, handed) })
	})
}
