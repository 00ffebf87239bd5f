package coordinator

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// workplace is where a script works: what a shell that somebody opens beside it
// should start with.
type workplace struct {
	dir     string
	environ []string
}

// deepest bounds the way down a tree of processes.
const deepest = 64

// look finds the workplace of a running script. A shell's own environment shows
// what it was started with, not what it exported since; but what it runs was
// started with that. So this takes the newest process below the script's that
// was, and the directory of the deepest.
func (e *execution) look() (workplace, bool) {
	var found workplace
	pid := e.family.leader
	for range deepest {
		proc := "/proc/" + strconv.Itoa(pid)
		if environ, err := os.ReadFile(proc + "/environ"); err == nil && len(environ) > 0 {
			found.environ = splitEnviron(environ)
		}
		if dir, err := os.Readlink(proc + "/cwd"); err == nil {
			found.dir = dir
		}
		child, ok := firstChild(proc)
		if !ok {
			break
		}
		pid = child
	}
	return found, found.environ != nil
}

func firstChild(proc string) (int, bool) {
	children, err := os.ReadFile(proc + "/task/" + proc[strings.LastIndexByte(proc, '/')+1:] + "/children")
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(children)), " ")
	pid, err := strconv.Atoi(first)
	return pid, err == nil
}

// remember keeps the workplace of a script for shells that are opened when it
// has ended.
func (e *execution) remember() {
	if place, ok := e.look(); ok {
		e.agent.mu.Lock()
		defer e.agent.mu.Unlock()
		e.agent.last = place
	}
}

// rememberWhileRunning looks now and then, so that a shell that is opened after
// the script has ended finds where it was. Scripts that are over at once have
// no place worth it.
func (e *execution) rememberWhileRunning() {
	wait := time.NewTimer(time.Second)
	defer wait.Stop()
	for {
		select {
		case <-e.gone:
			return
		case <-wait.C:
			e.remember()
			wait.Reset(10 * time.Second)
		}
	}
}

// workplace is where a shell starts: with the script that runs, or where the
// last one was.
func (a *agent) workplace() workplace {
	a.mu.Lock()
	var running *execution
	for _, s := range a.slots {
		if s.execution != nil && s.execution.running() {
			running = s.execution
		}
	}
	a.mu.Unlock()
	if running != nil {
		running.remember()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	place := workplace{dir: a.last.dir, environ: a.last.environ}
	if place.environ == nil {
		place.environ = a.environ
	}
	if info, err := os.Stat(place.dir); err != nil || !info.IsDir() {
		place.dir = lookup(place.environ, "HOME")
		if info, err := os.Stat(place.dir); err != nil || !info.IsDir() {
			place.dir = "/"
		}
	}
	return place
}

// marked gives the environment the mark of another family.
func (p workplace) marked(mark string, more ...string) []string {
	var environ []string
	for _, entry := range p.environ {
		if !strings.HasPrefix(entry, wire.EnvExecution+"=") {
			environ = append(environ, entry)
		}
	}
	return append(append(environ, wire.EnvExecution+"="+mark), more...)
}
