package localaws

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// watchHealth runs a container's health check until the container ends, with
// the defaults of the Amazon ECS container health check: every 30 s, 5 s for
// each, unhealthy after 3 failures in a row.
func (e *ecsService) watchHealth(t *task, c *container) {
	check := c.definition.HealthCheck
	interval := time.Duration(cmp.Or(check.Interval, 30)) * time.Second
	failures, began := 0, time.Now()
	for first := true; ; first = false {
		if e.checkHealth(t, c) {
			failures = 0
			e.change(t, func() { c.health = "HEALTHY" })
			select {
			case <-c.healthy:
			default:
				close(c.healthy)
			}
		} else if time.Since(began) >= time.Duration(check.StartPeriod)*time.Second {
			failures++
			if failures >= cmp.Or(check.Retries, 3) {
				e.change(t, func() { c.health = "UNHEALTHY" })
			}
		}
		// The real one begins after a whole interval; the stand-in asks again
		// soon until it has its first answer, so that a test need not wait 30 s.
		pause := interval
		if first || failures > 0 {
			pause = min(interval, time.Second)
		}
		select {
		case <-c.exited:
			return
		case <-e.server.done:
			return
		case <-time.After(pause):
		}
	}
}

func (e *ecsService) checkHealth(t *task, c *container) bool {
	check := c.definition.HealthCheck
	if len(check.Command) < 2 {
		return false
	}
	argv := check.Command[1:]
	if check.Command[0] == "CMD-SHELL" {
		argv = []string{"sh", "-c", check.Command[1]}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(cmp.Or(check.Timeout, 5))*time.Second)
	defer cancel()
	go func() {
		select {
		case <-c.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	name, err := lookPath(e.path(), argv[0])
	if err != nil {
		return false
	}
	cmd := exec.CommandContext(ctx, name, argv[1:]...)
	cmd.Env = e.environment(t, c, e.server.opts.Images[c.definition.Image])
	cmd.Dir = e.containerDir(t, c.definition.Name)
	if _, err := os.Stat(cmd.Dir); err != nil {
		return false // the task has ended meanwhile
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd.Run() == nil
}
