package coordinator

import (
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

const (
	// pipeSize is what a script may print before the agent has read any of it:
	// fewer switches between the two than the kernel's 64 KiB need.
	pipeSize = 256 << 10
	// lingerAfterEnd is what is left to the descendants of a cancelled script
	// once the script itself has gone.
	lingerAfterEnd = 2 * time.Second
	// killLimit is how long the agent tries to get rid of what was killed.
	killLimit = 5 * time.Second
)

// execution is one script, from its start until the agent ends.
type execution struct {
	id    string
	agent *agent
	spool *spool
	file  string // the script, deleted when it has ended
	oom   int64  // the counter when it began

	family family
	limit  time.Duration // how long it may run alone
	grace  time.Duration

	gone       chan struct{} // closed when the script's process has ended
	hurry      chan struct{} // closed when there is no grace any more
	terminated chan struct{} // closed when end has done its work
	ended      chan struct{} // closed when the exit code is in the log

	mu       sync.Mutex
	cause    string // why it is being ended, first come
	follower *follower
	beaten   map[string]bool // clients that a newer one replaced
	alone    *time.Timer
}

// start runs a script that was uploaded to file.
func (a *agent) start(request wire.Request, file string) (*execution, error) {
	shell, err := findShell()
	if err != nil {
		return nil, err
	}
	e := &execution{
		id:     request.ID,
		agent:  a,
		spool:  newSpool(a.dir, a.settings.SpoolLimit),
		file:   file,
		family: a.newFamily(),
		limit:  request.ResumeLimit,
		grace:  request.Grace,
		beaten: map[string]bool{},

		gone:       make(chan struct{}),
		hurry:      make(chan struct{}),
		terminated: make(chan struct{}),
		ended:      make(chan struct{}),
	}
	if e.limit == 0 {
		e.limit = a.settings.ResumeLimit
	}
	if e.grace == 0 {
		e.grace = defaultGrace
	}
	e.oom, _ = a.memory.read()
	out, outWriter, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("opening a pipe for the output: %w", err)
	}
	defer outWriter.Close()
	errs, errsWriter, err := os.Pipe()
	if err != nil {
		out.Close()
		return nil, fmt.Errorf("opening a pipe for the output: %w", err)
	}
	defer errsWriter.Close()
	for _, pipe := range []*os.File{outWriter, errsWriter} {
		unix.FcntlInt(pipe.Fd(), unix.F_SETPIPE_SZ, pipeSize) // only quicker
	}
	pid, ended, err := a.children.start(command{
		argv:  []string{shell, file},
		env:   append(a.environ[:len(a.environ):len(a.environ)], wire.EnvExecution+"="+e.family.mark),
		stdin: a.null, stdout: outWriter, stderr: errsWriter,
	})
	if err != nil {
		out.Close()
		errs.Close()
		return nil, err
	}
	e.family.leader = pid
	preferForOOM(pid)
	go e.supervise(out, errs, ended)
	return e, nil
}

// preferForOOM makes the kernel take the script rather than the agent when
// memory runs out, so that somebody is left to say so.
func preferForOOM(pid int) {
	os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("500"), 0) // allowed to everybody
}

// supervise follows the script to its end and writes down how it was.
func (e *execution) supervise(out, errs *os.File, ended <-chan syscall.WaitStatus) {
	complete := make(chan struct{})
	streams := []drainer{
		{out, func(b []byte) error { return e.spool.write(wire.Stdout, b) }, complete},
		{errs, func(b []byte) error { return e.spool.write(wire.Stderr, b) }, complete},
	}
	var readers sync.WaitGroup
	for _, stream := range streams {
		readers.Go(func() { e.copy(stream) })
	}
	go e.rememberWhileRunning()

	status := <-ended
	os.Remove(e.file)
	e.mu.Lock()
	close(e.gone)
	cause := e.cause
	e.mu.Unlock()
	if cause != "" {
		<-e.terminated // nobody is left who could print
	}
	for _, stream := range streams {
		stream.kick()
	}
	close(complete)
	readers.Wait()

	code, signal := exitCode(status)
	if cause == "" {
		cause = wire.CauseScript
		e.noteMemory(signal)
	}
	e.spool.note(wire.Exit, wire.ExitMessage{Code: code, Signal: signal, Cause: cause}.Marshal())
	close(e.ended)
	e.agent.contact()
}

// copy puts one stream of the script into the log. A process that stays, like a
// database for the next script, must not die of a closed pipe: what it prints
// from then on is read and dropped.
func (e *execution) copy(stream drainer) {
	if stream.copy(make([]byte, wire.MaxPayload)) {
		stream.from.Close()
		return
	}
	go func() {
		stream.from.SetReadDeadline(time.Time{})
		io.Copy(io.Discard, stream.from)
		stream.from.Close()
	}()
}

// noteMemory tells when the kernel killed for lack of memory, or, where it does
// not count that, when something killed the script.
func (e *execution) noteMemory(signal int) {
	now, counted := e.agent.memory.read()
	killed := now - e.oom
	if counted && killed <= 0 || !counted && signal != int(syscall.SIGKILL) {
		return
	}
	e.spool.note(wire.Notice, wire.NoticeMessage{
		Kind:  wire.NoticeMemory,
		Count: max(0, killed),
		Text:  "processes were killed for lack of memory",
	}.Marshal())
}

// end ends the script and all that descends from it: TERM, and KILL after the
// grace period. The first cause stays; a later call can only shorten the grace.
func (e *execution) end(cause string, grace time.Duration) {
	e.mu.Lock()
	first := e.cause == ""
	select {
	case <-e.gone:
		e.mu.Unlock()
		return // the script was quicker: its exit code counts
	default:
	}
	if first {
		e.cause = cause
	}
	e.mu.Unlock()
	if first {
		go e.terminate(cause, grace)
		return
	}
	time.AfterFunc(grace, e.hurryUp)
}

func (e *execution) hurryUp() {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.hurry:
	default:
		close(e.hurry)
	}
}

// terminate is end's work.
func (e *execution) terminate(cause string, grace time.Duration) {
	defer close(e.terminated)
	e.agent.log.Printf("ending a script (%s): TERM, and KILL after %s", cause, grace)
	signalAll(e.members(), syscall.SIGTERM) // its group among them, each once
	over := time.NewTimer(grace)
	defer over.Stop()
	select {
	case <-over.C:
	case <-e.hurry:
	case <-e.gone:
		e.waitForFamily(min(grace, lingerAfterEnd))
	}
	kill(e.members, killLimit)
}

// waitForFamily gives the descendants time to end by themselves.
func (e *execution) waitForFamily(limit time.Duration) {
	over := time.NewTimer(limit)
	defer over.Stop()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for len(e.members()) > 0 {
		select {
		case <-over.C:
			return
		case <-e.hurry:
			return
		case <-look.C:
		}
	}
}

// members are the script's processes that live now.
func (e *execution) members() []int {
	if !e.agent.children.any() {
		return nil
	}
	family := e.family
	family.alone = e.agent.onlyOne(e)
	return family.members(os.Getpid(), descendants(os.Getpid()))
}

// running reports whether the exit code is not known yet.
func (e *execution) running() bool {
	select {
	case <-e.ended:
		return false
	default:
		return true
	}
}
