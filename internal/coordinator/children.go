package coordinator

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// children starts processes and reaps every child, also those that it did not
// start: orphans come to the agent because it is PID 1, or because it asked for
// them. Nothing else in the process may start or wait for children.
type children struct {
	mu      sync.Mutex
	waiting map[int]chan<- syscall.WaitStatus
	signals chan os.Signal
	done    chan struct{}
}

// adoptChildren makes this process the one that gets orphaned descendants, and
// starts to reap.
func adoptChildren() (*children, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("becoming the parent of orphaned processes: %w", err)
	}
	c := &children{
		waiting: map[int]chan<- syscall.WaitStatus{},
		signals: make(chan os.Signal, 1),
		done:    make(chan struct{}),
	}
	signal.Notify(c.signals, syscall.SIGCHLD)
	go func() {
		for {
			select {
			case <-c.signals:
				c.reap()
			case <-c.done:
				return
			}
		}
	}()
	return c, nil
}

func (c *children) stop() {
	signal.Stop(c.signals)
	close(c.done)
}

// reap takes every child that has ended. One signal may stand for many.
func (c *children) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if waiting, ours := c.waiting[pid]; ours {
			delete(c.waiting, pid)
			waiting <- status
		}
	}
}

// A command is what children.start starts.
type command struct {
	argv []string
	env  []string
	dir  string
	// stdin, stdout, stderr are the child's descriptors.
	stdin, stdout, stderr *os.File
	// terminal makes stdin the controlling terminal of the new session.
	terminal bool
}

// start starts a process as the leader of a session of its own. The channel
// gets its end, once.
func (c *children) start(cmd command) (pid int, ended <-chan syscall.WaitStatus, err error) {
	attributes := &syscall.ProcAttr{
		Dir:   cmd.dir,
		Env:   cmd.env,
		Files: []uintptr{cmd.stdin.Fd(), cmd.stdout.Fd(), cmd.stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: cmd.terminal},
	}
	end := make(chan syscall.WaitStatus, 1)
	// The lock keeps reap from taking the child before it is in the table.
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err = syscall.ForkExec(cmd.argv[0], cmd.argv, attributes)
	if err != nil {
		return 0, nil, fmt.Errorf("starting %s: %w", cmd.argv[0], err)
	}
	c.waiting[pid] = end
	return pid, end, nil
}

// any reports whether there is any child at all, ended or not.
func (c *children) any() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil
}

// exitCode is a status as shells give it.
func exitCode(status syscall.WaitStatus) (code, signal int) {
	if status.Signaled() {
		return 128 + int(status.Signal()), int(status.Signal())
	}
	return status.ExitStatus(), 0
}

// signalAll sends one signal to many processes.
func signalAll(pids []int, s syscall.Signal) {
	for _, pid := range pids {
		syscall.Kill(pid, s) // gone already is as good
	}
}

// killPass is the pause between two looks at processes that were killed: what
// forked in between is found by the next one.
const killPass = 5 * time.Millisecond

// kill ends processes that list still finds, by KILL, until it finds none. A
// process in an uninterruptible wait outlives it, so it gives up after limit.
func kill(list func() []int, limit time.Duration) {
	for end := time.Now().Add(limit); ; time.Sleep(killPass) {
		pids := list()
		if len(pids) == 0 || time.Now().After(end) {
			return
		}
		// Stopped first, so that those which fork do not outrun the loop.
		signalAll(pids, syscall.SIGSTOP)
		signalAll(pids, syscall.SIGKILL)
	}
}
