package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// maxRSS is the largest resident set of an ended process in KiB. It is no less
// than our own when the process was started; peak tells that of a small one.
func maxRSS(cmd *exec.Cmd) int64 {
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return usage.Maxrss / 1024 // bytes there
	}
	return usage.Maxrss
}

// peak runs a command and returns the largest resident set that was seen of
// it, in KiB.
func peak(cmd *exec.Cmd) (kib int, err error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		if seen, err := memory(cmd.Process.Pid, "status", "VmHWM:"); err == nil {
			kib = seen
		}
		select {
		case err := <-ended:
			if err != nil {
				return 0, fmt.Errorf("%v: %w\n%s", cmd.Args, err, out.Bytes())
			}
			return kib, nil
		case <-look.C:
		}
	}
}

// measureMemory starts run stages that wait for their scripts, all of one
// task, and sums what they really take: the proportional set size, in which
// pages that processes share count once.
func measureMemory(ctx context.Context, b *bench) ([]row, error) {
	n := b.count(200)
	m, err := b.manager(localaws.Options{})
	if err != nil {
		return nil, err
	}
	defer m.aws.Close()
	// Some tasks, because a task serves one job and limits its sessions.
	const tasks = 20
	var jobs []*aJob
	for range min(tasks, n) {
		j, err := m.prepared(ctx, "agent")
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	var waiting []*exec.Cmd
	defer func() {
		for _, cmd := range waiting {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}()
	for i := range n {
		cmd, err := jobs[i%len(jobs)].runCommand(ctx, "echo waiting\nexec sleep 600\n")
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		waiting = append(waiting, cmd)
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "waiting\n" {
			return nil, fmt.Errorf("process %d of %d printed %q: %w", i+1, n, line, err)
		}
	}
	total := 0
	for _, cmd := range waiting {
		kib, err := pss(cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		total += kib
	}
	mean := float64(total) / float64(n) / 1024
	return []row{{fmt.Sprintf("%d waiting run processes, mean PSS", n), "<= 1.8 MiB each", fmt.Sprintf("%.2f MiB each", mean), mean > 1.8}}, nil
}

func pss(pid int) (kib int, err error) { return memory(pid, "smaps_rollup", "Pss:") }

// memory reads a figure in KiB of a process from a file of /proc.
func memory(pid int, file, name string) (kib int, err error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), file))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("%s of process %d has no %s", file, pid, name)
}
