package localaws

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// spawner starts processes from a thread of its own. The thread lives as long
// as the stand-in, so that a process's parent-death signal means the end of the
// stand-in and not of some thread of the Go runtime.
//
// Before each start the thread enters a new UTS namespace, which the process
// inherits. That isolates nothing but the host's name; it is a tag that every
// descendant keeps, whatever it does to its session, parents and environment,
// and by which all of them can be found and killed. It takes root; without it
// processes are found by kinship, which one can miss that left its session,
// its parent and its environment.
type spawner struct {
	untagged bool // as if namespaces were not allowed
	requests chan spawnRequest
	done     chan struct{}
}

type spawnRequest struct {
	command command
	result  chan<- spawnResult
}

type spawnResult struct {
	process *process
	err     error
}

func newSpawner(untagged bool) *spawner {
	s := &spawner{untagged: untagged, requests: make(chan spawnRequest), done: make(chan struct{})}
	go s.serve()
	return s
}

func (s *spawner) serve() {
	runtime.LockOSThread() // never unlocked: the thread ends with this function
	for {
		select {
		case r := <-s.requests:
			p, err := s.spawn(r.command)
			r.result <- spawnResult{p, err}
		case <-s.done:
			return
		}
	}
}

func (s *spawner) close() { close(s.done) }

// start starts a process.
func (s *spawner) start(c command) (*process, error) {
	result := make(chan spawnResult, 1)
	select {
	case s.requests <- spawnRequest{c, result}:
		r := <-result
		return r.process, r.err
	case <-s.done:
		return nil, fmt.Errorf("starting %s: the stand-in is closed", c.argv[0])
	}
}

func (s *spawner) spawn(c command) (*process, error) {
	name, err := lookPath(c.path, c.argv[0])
	if err != nil {
		return nil, err
	}
	var tag *tag
	if !s.untagged {
		tag = newTag()
	}
	cmd := exec.Command(name)
	cmd.Args, cmd.Env, cmd.Dir = c.argv, c.env, c.dir
	cmd.Stdout, cmd.Stderr = c.output, c.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		tag.drop()
		return nil, err
	}
	p := &process{first: cmd.Process, exited: make(chan struct{}), tree: processTree{root: cmd.Process.Pid, marker: c.marker, tag: tag}}
	go p.wait(cmd)
	return p, nil
}

// tag is a UTS namespace that marks processes. The open file keeps it in being:
// the number of a namespace that is gone is soon another's.
type tag struct {
	name string // as the links in /proc/PID/ns show it
	file *os.File
}

// newTag brings this thread into a UTS namespace of its own, or returns nil
// where that is not allowed.
func newTag() *tag {
	if unix.Unshare(unix.CLONE_NEWUTS) != nil {
		return nil
	}
	file, err := os.Open("/proc/thread-self/ns/uts")
	if err != nil {
		return nil
	}
	name, err := os.Readlink("/proc/thread-self/ns/uts")
	if err != nil {
		file.Close()
		return nil
	}
	return &tag{name, file}
}

func (t *tag) drop() {
	if t != nil {
		t.file.Close()
	}
}

// kill kills the process and all its descendants and returns when they are
// gone, or after ten seconds: what the kernel cannot kill in that time (a
// process that waits for a dead disk) nobody can wait for.
func (p *process) kill() {
	p.tree.mu.Lock()
	defer p.tree.mu.Unlock()
	if p.tree.dead {
		return
	}
	p.tree.dead = true
	defer p.tree.tag.drop()
	p.tree.freeze()
	pause := time.Millisecond
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		alive := p.tree.members()
		if len(alive) == 0 {
			return
		}
		for _, pid := range alive {
			unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// processTree finds the processes of a container.
type processTree struct {
	root   int
	marker string
	tag    *tag // nil where processes cannot be tagged

	mu    sync.Mutex
	dead  bool // all were killed; what has their numbers now is not ours
	known map[kin]bool
	// sessions are those that they made: who is in one is of the family.
	sessions map[int]bool
}

// freeze stops the processes where they are, until there are no new ones: one
// that is killed later than its child could otherwise start another, which then
// has no kin. Tagged processes need none.
func (t *processTree) freeze() {
	if t.tag != nil {
		return
	}
	stopped := map[int]bool{}
	for found := true; found; {
		found = false
		for _, pid := range t.members() {
			if !stopped[pid] {
				stopped[pid], found = true, true
				unix.Kill(pid, unix.SIGSTOP)
			}
		}
	}
}

// remember keeps who belongs to the container now, for when their parents are
// gone.
func (t *processTree) remember() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.tag == nil && !t.dead {
		t.members()
	}
}

// kin is a process for good: its number and when it began, since numbers come
// round again.
type kin struct {
	pid   int
	began string
}

// members returns the processes of the container that live. The caller holds mu.
func (t *processTree) members() []int {
	if t.tag != nil {
		return tagged(t.tag.name)
	}
	if t.known == nil {
		t.known, t.sessions = map[kin]bool{}, map[int]bool{t.root: true}
	}
	all := processes()
	mine := map[int]bool{}
	for pid, s := range all {
		mine[pid] = t.known[kin{pid, s.began}] || t.sessions[s.session] || hasMarker(pid, t.marker)
	}
	// A parent has not always the smaller number: go on until no more are found.
	for found := true; found; {
		found = false
		for pid, s := range all {
			if !mine[pid] && mine[s.parent] {
				mine[pid], found = true, true
			}
		}
	}
	var alive []int
	for pid, s := range all {
		if mine[pid] {
			t.known[kin{pid, s.began}] = true
			t.sessions[s.session] = true
			alive = append(alive, pid)
		}
	}
	return alive
}

// tagged returns the processes in a namespace, but never ourselves: our own
// spawner is in it for a moment.
func tagged(tag string) []int {
	var pids []int
	for _, pid := range allPIDs() {
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/uts", pid)); err == nil && ns == tag {
			pids = append(pids, pid)
		}
	}
	return pids
}

// allPIDs lists the machine's processes without ourselves.
func allPIDs() []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var all []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != os.Getpid() {
			all = append(all, pid)
		}
	}
	return all
}

// stat is what /proc/PID/stat says of kinship.
type stat struct {
	parent, session int
	began           string
}

// processes returns all living processes but ourselves.
func processes() map[int]stat {
	all := map[int]stat{}
	for _, pid := range allPIDs() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// The second field is the name in brackets and may hold anything.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) < 20 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
			continue
		}
		parent, _ := strconv.Atoi(string(fields[1]))
		session, _ := strconv.Atoi(string(fields[3]))
		all[pid] = stat{parent, session, string(fields[19])}
	}
	return all
}

func hasMarker(pid int, marker string) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && bytes.Contains(append([]byte{0}, env...), []byte("\x00"+marker+"\x00"))
}
