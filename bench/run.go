package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// trivial is a script of no work at all.
const trivial = "true\n"

// measureRun times the run stage as gitlab-runner calls it, whole process,
// against `ssh host bash` with the script on its standard input.
func measureRun(ctx context.Context, b *bench) ([]row, error) {
	m, err := b.manager(localaws.Options{})
	if err != nil {
		return nil, err
	}
	defer m.aws.Close()
	toAgent, err := m.prepared(ctx, "agent")
	if err != nil {
		return nil, err
	}
	toSSHD, err := m.prepared(ctx, "sshd")
	if err != nil {
		return nil, err
	}
	var agent, sshd, peer []time.Duration
	for range b.count(30) { // in turn, so that a machine that slows down slows all
		for _, one := range []struct {
			times *[]time.Duration
			make  func() (*exec.Cmd, error)
		}{
			{&agent, func() (*exec.Cmd, error) { return toAgent.runCommand(ctx, trivial) }},
			{&sshd, func() (*exec.Cmd, error) { return toSSHD.runCommand(ctx, trivial) }},
			{&peer, func() (*exec.Cmd, error) {
				cmd, err := toSSHD.ssh(ctx, "bash")
				if err == nil {
					cmd.Stdin = strings.NewReader(trivial)
				}
				return cmd, err
			}},
		} {
			cmd, err := one.make()
			if err != nil {
				return nil, err
			}
			took, err := timed(cmd)
			if err != nil {
				return nil, err
			}
			*one.times = append(*one.times, took)
		}
	}
	a, s, p := median(agent), median(sshd), median(peer)
	return []row{
		ratio("run of a trivial script, to the agent", "<= 0.08 x `ssh host bash`", a, p, 0.08),
		ratio("run of a trivial script, to OpenSSH's sshd", "<= 0.65 x `ssh host bash`", s, p, 0.65),
	}, nil
}

func ratio(what, target string, ours, peer time.Duration, most float64) row {
	r := ours.Seconds() / peer.Seconds()
	return row{what, target, fmt.Sprintf("%.3f x (%s / %s)", r, millis(ours), millis(peer)), r > most}
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func (j *aJob) runCommand(ctx context.Context, script string) (*exec.Cmd, error) {
	name, err := j.script(script)
	if err != nil {
		return nil, err
	}
	return j.command(ctx, "run", name, "build_script"), nil
}

// measureThroughput copies output through run and through ssh. It goes to a
// pipe that is read and counted, as gitlab-runner reads it.
func measureThroughput(ctx context.Context, b *bench) ([]row, error) {
	m, err := b.manager(localaws.Options{})
	if err != nil {
		return nil, err
	}
	defer m.aws.Close()
	size := int64(b.count(10)) * (1 << 30) / 10
	output := fmt.Sprintf("head -c %d /dev/zero\n", size)
	var speed [3][]float64 // agent, sshd, ssh
	var most int64
	toAgent, err := m.prepared(ctx, "agent")
	if err != nil {
		return nil, err
	}
	toSSHD, err := m.prepared(ctx, "sshd")
	if err != nil {
		return nil, err
	}
	for range b.count(5) {
		for i, make := range []func() (*exec.Cmd, error){
			func() (*exec.Cmd, error) { return toAgent.runCommand(ctx, output) },
			func() (*exec.Cmd, error) { return toSSHD.runCommand(ctx, output) },
			func() (*exec.Cmd, error) { return toSSHD.ssh(ctx, output) },
		} {
			cmd, err := make()
			if err != nil {
				return nil, err
			}
			took, peak, err := drained(cmd, size)
			if err != nil {
				return nil, err
			}
			speed[i] = append(speed[i], float64(size)/took.Seconds())
			if i == 0 {
				most = max(most, peak)
			}
		}
	}
	agent, sshd, peer := median(speed[0]), median(speed[1]), median(speed[2])
	return []row{
		{"1 GiB of output, from the agent", ">= 1.1 x ssh", fmt.Sprintf("%.2f x (%.0f / %.0f MiB/s), peak RSS of run %.1f MiB", agent/peer, agent/(1<<20), peer/(1<<20), float64(most)/1024), agent/peer < 1.1},
		{"1 GiB of output, from OpenSSH's sshd", ">= 1.0 x ssh", fmt.Sprintf("%.2f x (%.0f / %.0f MiB/s)", sshd/peer, sshd/(1<<20), peer/(1<<20)), sshd/peer < 1.0},
	}, nil
}

// drained runs a command and counts its output. peak is its largest resident
// set in KiB.
func drained(cmd *exec.Cmd, want int64) (took time.Duration, peak int64, err error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	var said strings.Builder
	cmd.Stderr = &said
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, out, make([]byte, 256<<10))
	if err == nil {
		err = cmd.Wait()
	}
	took = time.Since(begin)
	switch {
	case err != nil:
		return 0, 0, fmt.Errorf("%v: %w\n%s", cmd.Args, err, said.String())
	case n != want:
		return 0, 0, fmt.Errorf("%v: %d bytes arrived of %d", cmd.Args, n, want)
	}
	return took, maxRSS(cmd), nil
}
