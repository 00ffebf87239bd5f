package coordinator

import (
	"bytes"
	"os"
	"path"
	"strconv"
	"strings"
)

// oomCounter is the kernel's count of processes in this container that were
// killed for lack of memory. It counts those whose limit was the task's, too.
type oomCounter struct {
	file string // empty where there is none to read
}

// findOOMCounter looks where cgroups v2 (memory.events) and v1
// (memory.oom_control) have it; in a container, the own group is the mount's
// root, whatever /proc says.
func findOOMCounter() oomCounter {
	groups, _ := os.ReadFile("/proc/self/cgroup")
	v1, v2 := cgroupPaths(string(groups))
	for _, file := range []string{
		path.Join("/sys/fs/cgroup", v2, "memory.events"),
		"/sys/fs/cgroup/memory.events",
		path.Join("/sys/fs/cgroup/memory", v1, "memory.oom_control"),
		"/sys/fs/cgroup/memory/memory.oom_control",
	} {
		counter := oomCounter{file}
		if _, ok := counter.read(); ok {
			return counter
		}
	}
	return oomCounter{}
}

// read gives the count; ok is false where the kernel does not tell.
func (c oomCounter) read() (count int64, ok bool) {
	if c.file == "" {
		return 0, false
	}
	text, err := os.ReadFile(c.file)
	if err != nil {
		return 0, false
	}
	return parseOOMKills(text)
}

// parseOOMKills finds the line "oom_kill N", the same in both versions.
func parseOOMKills(text []byte) (count int64, ok bool) {
	for line := range bytes.Lines(text) {
		if name, value, _ := strings.Cut(strings.TrimSpace(string(line)), " "); name == "oom_kill" {
			n, err := strconv.ParseInt(value, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// cgroupPaths reads /proc/self/cgroup: "0::/path" is version 2, a line whose
// controllers have memory is version 1.
func cgroupPaths(text string) (v1, v2 string) {
	for line := range strings.Lines(text) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		if fields[0] == "0" && fields[1] == "" {
			v2 = fields[2]
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			if controller == "memory" {
				v1 = fields[2]
			}
		}
	}
	return v1, v2
}
