package coordinator

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// process is what /proc says of one.
type process struct {
	pid, parent, session int
	started              uint64 // clock ticks since boot
	zombie               bool
	mark                 string // its wire.EnvExecution; empty where it has none, or where we may not look
}

// identity is a process for good; a number alone is used again.
type identity struct {
	pid     int
	started uint64
}

// family is what tells one script's processes from those of others.
type family struct {
	leader int    // the script's process, leader of its session
	mark   string // what every process has that did not clean its environment
	// alone is whether no other script, shell or command is under way: then
	// orphans that have shed all marks are this one's too.
	alone bool
	// before are the orphans that were there when the script began.
	before map[identity]bool
}

// members picks the processes that a script started, out of the descendants of
// the agent: the tree below its leader, whoever is in its session or carries its
// mark, and the trees below those. Zombies are not among them.
func (f family) members(agent int, all []process) []int {
	in := map[int]bool{}
	for _, p := range all {
		switch {
		case p.pid == f.leader, p.session == f.leader, p.mark == f.mark:
			in[p.pid] = true
		case f.alone && p.parent == agent && p.mark == "" && !f.before[identity{p.pid, p.started}]:
			in[p.pid] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if !in[p.pid] && in[p.parent] {
				in[p.pid], grown = true, true
			}
		}
	}
	var pids []int
	for _, p := range all {
		if in[p.pid] && !p.zombie {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// descendants reads /proc for all that descend from the agent. Its other
// processes, those of ECS Exec for one, are nobody's business here.
func descendants(agent int) []process {
	names, err := procNames()
	if err != nil {
		return nil
	}
	all := map[int]process{}
	below := map[int][]int{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // ended meanwhile
		}
		p, err := parseStat(stat)
		if err != nil {
			continue
		}
		all[pid] = p
		below[p.parent] = append(below[p.parent], pid)
	}
	var tree []process
	for next := below[agent]; len(next) > 0; {
		pid := next[0]
		p := all[pid]
		p.mark = markOf(pid)
		tree = append(tree, p)
		next = append(next[1:], below[pid]...)
	}
	return tree
}

func procNames() ([]string, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// parseStat reads /proc/PID/stat: pid (name) state ppid pgrp session ... and the
// start time as the 22nd field. The name may hold anything, brackets included.
func parseStat(stat []byte) (process, error) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 1 || end < open {
		return process{}, fmt.Errorf("reading a process's status: %q has no name in it", stat)
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 20 {
		return process{}, fmt.Errorf("reading a process's status: %q has too few fields", stat)
	}
	var p process
	var errs [4]error
	p.pid, errs[0] = strconv.Atoi(strings.TrimSpace(string(stat[:open])))
	p.parent, errs[1] = strconv.Atoi(fields[1])
	p.session, errs[2] = strconv.Atoi(fields[3])
	p.started, errs[3] = strconv.ParseUint(fields[19], 10, 64)
	p.zombie = fields[0] == "Z" || fields[0] == "X"
	for _, err := range errs {
		if err != nil {
			return process{}, fmt.Errorf("reading a process's status: %w", err)
		}
	}
	return p, nil
}

// markOf gives the mark of a process. The environment is the one it was started
// with; a script that prints it shows nothing that it could not print anyway.
func markOf(pid int) string {
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return ""
	}
	return lookup(splitEnviron(environ), wire.EnvExecution)
}

func splitEnviron(environ []byte) []string {
	return slices.DeleteFunc(strings.Split(string(environ), "\x00"), func(s string) bool { return s == "" })
}

// lookup finds a variable; the first one counts, as for getenv.
func lookup(environ []string, name string) string {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
