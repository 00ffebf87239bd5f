package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/bridgetest"
)

// process is a bridge that runs as a process of its own.
type process struct {
	*exec.Cmd
	out bridgetest.Buffer
}

func (j *job) start(stdout *os.File, args ...string) *process {
	j.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		j.t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(exe, args...)}
	p.Dir, p.Env = j.Dir, j.env
	p.Stdout, p.Stderr = &p.out, &p.out
	if stdout != nil {
		p.Stdout = stdout
	}
	if err := p.Start(); err != nil {
		j.t.Fatal(err)
	}
	j.t.Cleanup(func() { p.Process.Kill() })
	return p
}

// code waits for the end and returns the exit code.
func (p *process) code(t *testing.T) int {
	t.Helper()
	// The first cure of a test that hangs.
	defer time.AfterFunc(time.Minute, func() { p.Process.Kill() }).Stop()
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.ProcessState.ExitCode()
}

func (j *job) run(want int, args ...string) string {
	j.t.Helper()
	p := j.start(nil, args...)
	if got := p.code(j.t); got != want {
		j.t.Errorf("%v: got exit code %d, want %d:\n%s", args, got, want, p.out.String())
	}
	return p.out.String()
}

// wait waits until a fault has got its call.
func (p *process) wait(t *testing.T, reached <-chan struct{}) {
	t.Helper()
	select {
	case <-reached:
	case <-time.After(time.Minute):
		t.Fatalf("the call did not come:\n%s", p.out.String())
	}
}

// look asks again and again for what the kernel does not tell by itself.
func (p *process) look(t *testing.T, what string, there func() bool) {
	t.Helper()
	limit, tick := time.After(time.Minute), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !there() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: not within a minute:\n%s", what, p.out.String())
		}
	}
}

// waitOpen waits until the process has a file open.
func (p *process) waitOpen(t *testing.T, file string) {
	t.Helper()
	p.look(t, "opening "+file, func() bool {
		links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			if target, err := os.Readlink(link); err == nil && target == file {
				return true
			}
		}
		return false
	})
}

// waitFile waits until there is a file.
func (p *process) waitFile(t *testing.T, file string) {
	t.Helper()
	p.look(t, "writing "+file, func() bool {
		_, err := os.Stat(file)
		return err == nil
	})
}

// fill fills a pipe to the last byte.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	// By a descriptor of its own: who holds the other end's copy must not get it
	// without waiting too.
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for size := 4096; size > 0; {
		n, err := unix.Write(fd, make([]byte, size))
		if errors.Is(err, unix.EAGAIN) {
			size /= 2
		} else if err != nil || n == 0 {
			t.Fatalf("filling the pipe: %d, %v", n, err)
		}
	}
}

// called waits until an operation has been called so many times.
func (j *job) called(operation string, n int) {
	j.t.Helper()
	j.Wait(fmt.Sprintf("%s is called %d times", operation, n), func() bool { return len(j.AWS.Calls(operation)) >= n })
}

// phase waits until the first build is in a phase.
func (j *job) phase(name string) {
	j.t.Helper()
	j.Wait("the build is in "+name, func() bool { b := j.AWS.Builds(); return len(b) > 0 && b[0].Phase == name })
}

// quickly has the build do nothing.
func (j *job) quickly() {
	j.t.Helper()
	j.Write("buildspec.yml", "version: 0.2\nphases:\n  build:\n    commands: [echo done]\n")
}
