package rehearsal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The exit codes by which a driver tells gitlab-runner whom to blame.
const (
	buildFailureCode  = 1
	systemFailureCode = 2
)

// scriptError is a failure that the job's own script is blamed for.
type scriptError struct {
	code int
	text string
}

func (e *scriptError) Error() string { return e.text }

// run runs one of the driver's executables to its end and says what that means.
func (e *executor) run(ctx context.Context, c Command, stdout, stderr io.Writer, args ...string) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	cmd := exec.Command(c.Path, slices.Concat(c.Args, args)...)
	cmd.Dir = e.tempDir
	cmd.Env = e.environ()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// Of its own process group, which is what gitlab-runner sends its signals to.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("failed to start command: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		return e.judge(err)
	case <-ctx.Done():
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	if endedWithin(ended, e.runner.GracefulKillTimeout) {
		return context.Cause(ctx)
	}
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	if endedWithin(ended, e.runner.ForceKillTimeout) {
		return context.Cause(ctx)
	}
	return fmt.Errorf("failed to kill process PID=%d, likely process is dormant", cmd.Process.Pid)
}

func endedWithin(ended <-chan error, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
		return false
	}
}

// judge reads a driver's exit: 1 is the script's failure, whose own code stands
// in a file; everything else is the system's.
func (e *executor) judge(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	switch exit.ExitCode() {
	case buildFailureCode:
		return e.buildFailure(exit)
	case systemFailureCode:
		return err
	}
	return fmt.Errorf("unknown Custom executor executable exit code %d; executable execution terminated with: %w", exit.ExitCode(), err)
}

func (e *executor) buildFailure(exit error) error {
	file, err := os.Open(e.exitCodeFile)
	if err != nil {
		return &scriptError{buildFailureCode, exit.Error()}
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Scan()
	code, err := strconv.Atoi(lines.Text())
	if err != nil {
		return fmt.Errorf("unknown Custom executor executable exit code %d; the exit code file has %q", systemFailureCode, lines.Text())
	}
	return &scriptError{code, fmt.Sprintf("exit status %d", code)}
}

// environ is what every stage gets; of two settings of a name the later counts.
func (e *executor) environ() []string {
	env := slices.Concat(e.runner.Environ, []string{
		"TMPDIR=" + e.tempDir,
		"BUILD_FAILURE_EXIT_CODE=" + strconv.Itoa(buildFailureCode),
		"SYSTEM_FAILURE_EXIT_CODE=" + strconv.Itoa(systemFailureCode),
		"BUILD_EXIT_CODE_FILE=" + e.exitCodeFile,
		"JOB_RESPONSE_FILE=" + e.responseFile,
	})
	for name, value := range e.jobEnv {
		env = append(env, name+"="+value)
	}
	for _, v := range e.variables() {
		env = append(env, "CUSTOM_ENV_"+v.Key+"="+v.Value)
	}
	return append(env, "CUSTOM_ENV_CI_JOB_SERVICES="+e.services())
}

// lower is a name as gitlab-runner makes a stage's of a step's.
func lower(step string) string { return "step_" + strings.ToLower(step) }
