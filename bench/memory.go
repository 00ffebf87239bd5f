package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// maxRSS is the largest resident set of an ended process in KiB.
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

func pss(pid int) (kib int, err error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "Pss:" {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("smaps_rollup of process %d has no Pss", pid)
}
