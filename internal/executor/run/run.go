// Package run is the run stage: one sub-stage's script in the job's task. A
// manager has hundreds of these processes open at once, so that this package
// reaches neither the AWS SDK nor the configuration: what it needs stands in
// the task record, and why a task died it asks its caller.
package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/record"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

// Stage is one call of the run stage.
type Stage struct {
	Records  record.Dir
	Key      string // the job's
	Script   string // path of the script's file
	SubStage string // what gitlab-runner calls it: build_script, after_script, ...

	// ExitCodeFile is BUILD_EXIT_CODE_FILE; may be empty.
	ExitCodeFile string

	Stdout, Stderr io.Writer // the job log

	// AskECS says whether the job's task still lives. Dead is why it does not,
	// in words; an error means that ECS could not be asked. With wait it takes
	// its time to learn the whole reason of an end that is under way.
	AskECS func(ctx context.Context, wait bool) (dead string, err error)
}

// ScriptFailure is an end that is the script's own doing.
type ScriptFailure struct{ ExitCode int }

func (s *ScriptFailure) Error() string {
	return fmt.Sprintf("the script ended with exit code %d", s.ExitCode)
}

// Run runs the script and copies its output. The error is a *ScriptFailure
// when the script itself failed; every other error is the system's.
func (s *Stage) Run(ctx context.Context) error {
	if err := s.clearExitCode(); err != nil {
		return err
	}
	doing := "running " + s.SubStage
	r, err := s.record()
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	release, err := s.Records.Hold(s.Key)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer release()
	script, err := os.Open(s.Script)
	if err != nil {
		return fmt.Errorf("%s: opening the script: %w", doing, err)
	}
	defer script.Close()
	info, err := script.Stat()
	if err != nil {
		return fmt.Errorf("%s: opening the script: %w", doing, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: opening the script: %s is no regular file", doing, s.Script)
	}

	teller := &teller{stage: s, record: r, log: joblog.New(s.Stderr, false)}
	code, err := sshexec.Run(ctx, target(r, s.SubStage), sshexec.Script{
		ID: s.executionID(), Content: script, Size: info.Size(), Stdout: s.Stdout, Stderr: s.Stderr,
	}, sshexec.Options{
		ConnectTimeout: r.Run.ConnectTimeout, KeepAlive: r.Run.KeepAlive, ResumeLimit: r.Run.ResumeLimit, Grace: r.Run.KillGrace,
		Notify: func(e sshexec.Event) { teller.tell(ctx, e) },
		Alive:  s.alive,
	})
	switch {
	case err == nil && code == 0:
		return nil
	case err == nil:
		if err := s.writeExitCode(code); err != nil {
			return err
		}
		return &ScriptFailure{code}
	case ctx.Err() != nil:
		return fmt.Errorf("%s: gitlab-runner ended it: the job was cancelled or has timed out (%w)", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, s.explain(ctx, err))
}

// helperStages are the sub-stages that need GitLab's tools rather than the job's:
// gitlab-runner's own list (getPredefinedEnv in its common/build.go). Names that
// are not among them are the job's.
var helperStages = []string{
	"prepare_script", "get_sources", "clear_worktree", "boot_verify_probes", "restore_cache", "download_artifacts",
	"archive_cache", "archive_cache_on_failure", "upload_artifacts_on_success", "upload_artifacts_on_failure", "cleanup_file_variables",
}

// target is where a sub-stage runs: in the job's own container, where it has one,
// or in the operator's.
func target(r record.Record, subStage string) sshexec.Target {
	address := r.Address
	if r.JobAddress != "" && !slices.Contains(helperStages, subStage) {
		address = r.JobAddress
	}
	return sshexec.Target{Address: address, User: r.Username, PrivateKey: []byte(r.PrivateKey), HostKey: r.HostKey}
}

var errNoRecord = errors.New("this job has no task record: prepare has not run, or cleanup already has")

// record reads the task record and refuses one that no script can run with.
func (s *Stage) record() (record.Record, error) {
	r, err := s.Records.Read(s.Key)
	switch {
	case errors.Is(err, record.ErrNone):
		return r, errNoRecord
	case err != nil:
		return r, err
	case r.Ended != "":
		return r, errors.New(r.Ended)
	case !r.Abandoned.IsZero():
		return r, record.ErrAbandoned
	case !r.Ready:
		return r, errors.New("prepare has not finished: the task is not ready")
	}
	return r, nil
}

// executionID names this call for the agent, which runs a script under one
// name once. gitlab-runner writes each sub-stage's script, and each repetition
// of one, to a directory of its own, so that its path tells a repetition that
// gitlab-runner wants from a process that was started twice.
func (s *Stage) executionID() string {
	sum := sha256.Sum256([]byte(s.Key + "\x00" + s.SubStage + "\x00" + s.Script))
	return s.SubStage[:min(len(s.SubStage), 64)] + "-" + hex.EncodeToString(sum[:12])
}

// alive tells sshexec, while a connection is lost, whether to go on trying.
func (s *Stage) alive(ctx context.Context) error {
	r, err := s.record()
	if err != nil {
		return err // another stage knows, or cleanup has begun
	}
	dead, err := s.AskECS(ctx, false)
	if err != nil || dead == "" {
		return nil // not known to be dead
	}
	s.markEnded(r, dead)
	return errors.New(dead)
}

// explain finds the reason behind a connection's end: ECS knows it when the
// task is gone, and later stages then need not find out for themselves.
func (s *Stage) explain(ctx context.Context, err error) error {
	r, readErr := s.record()
	switch {
	case readErr != nil && r.Ended != "":
		return readErr
	case errors.Is(readErr, record.ErrAbandoned), errors.Is(readErr, errNoRecord):
		return record.ErrAbandoned // nothing is wrong: the task was stopped for it
	}
	brokeOff := errors.Is(err, sshexec.ErrLost) || errors.Is(err, sshexec.ErrStopping) || errors.Is(err, sshexec.ErrRestarted)
	dead, askErr := s.AskECS(ctx, brokeOff)
	switch {
	case askErr != nil:
		return fmt.Errorf("%w (and asking ECS about the task did not work: %v)", err, askErr)
	case dead == "":
		return err
	}
	s.markEnded(r, dead)
	return errors.New(dead)
}

func (s *Stage) markEnded(r record.Record, why string) {
	// The record may be gone by now, with the task.
	_ = s.Records.Update(r, func(r *record.Record) { r.Ended = why })
}

// clearExitCode removes what an earlier sub-stage has written: all of them
// share one file, and gitlab-runner never empties it.
func (s *Stage) clearExitCode() error {
	if s.ExitCodeFile == "" {
		return nil
	}
	if err := os.Remove(s.ExitCodeFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("clearing the exit code file: %w", err)
	}
	return nil
}

func (s *Stage) writeExitCode(code int) error {
	if s.ExitCodeFile == "" {
		return nil // gitlab-runner older than 17.9: the code is always 1
	}
	if err := os.WriteFile(s.ExitCodeFile, []byte(strconv.Itoa(code)+"\n"), 0o600); err != nil {
		return fmt.Errorf("reporting exit code %d: %w", code, err)
	}
	return nil
}
