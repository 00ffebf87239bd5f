package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// realistic is a quick launch of Fargate: a small image from ECR.
func realistic() localaws.Delays {
	return localaws.Delays{Provisioning: 6 * time.Second, Pull: 8 * time.Second, Activating: 2 * time.Second, Deprovisioning: time.Second}
}

// measurePrepare compares the end of prepare with the moment at which the
// task's container was started, which it writes down itself. Jobs begin one
// after the other and run beside each other, as on a manager with some load.
func measurePrepare(ctx context.Context, b *bench) ([]row, error) {
	m, err := b.manager(localaws.Options{Delays: realistic()})
	if err != nil {
		return nil, err
	}
	defer m.aws.Close()
	n := b.count(30)
	stamps := filepath.Join(m.dir, "stamps")
	if err := os.Mkdir(stamps, 0o700); err != nil {
		return nil, err
	}
	// The agent listens some milliseconds after this stamp, which counts against us.
	command := fmt.Sprintf("date +%%s%%N > %s/$LOCALAWS_TASK_ADDRESS; "+agentCommand, stamps, b.programs)
	if _, err := m.aws.AddTaskDefinition("agent", "ci-coordinator", "sh", "-c", command); err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	late, failed := make([]time.Duration, n), make([]error, n)
	for i := range n {
		j, err := m.job("agent")
		if err != nil {
			return nil, err
		}
		wg.Go(func() { late[i], failed[i] = j.lateness(ctx, stamps) })
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, err
	}
	mid, calls := median(late), float64(len(m.aws.Calls("ecs:")))/float64(n)
	return []row{
		{"prepare, beyond the start of the task's SSH server", "<= 300 ms median", millis(mid), mid > 300*time.Millisecond},
		{"ECS calls of a job", "<= 6", fmt.Sprintf("%.1f", calls), calls > 6},
	}, nil
}

// lateness runs a job's prepare and cleanup and says how long prepare took
// after the task's container was started.
func (j *aJob) lateness(ctx context.Context, stamps string) (time.Duration, error) {
	if err := j.stage(ctx, "prepare"); err != nil {
		return 0, err
	}
	ended := time.Now()
	r, err := j.record()
	if err != nil {
		return 0, err
	}
	host, _, _ := strings.Cut(r.Address, ":")
	data, err := os.ReadFile(filepath.Join(stamps, host))
	if err != nil {
		return 0, err
	}
	at, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0, err
	}
	return ended.Sub(time.Unix(0, at)), j.stage(ctx, "cleanup")
}

// measureBurst starts many jobs at once under AWS's real token buckets.
func measureBurst(ctx context.Context, b *bench) ([]row, error) {
	n := b.count(200)
	m, err := b.manager(localaws.Options{Delays: realistic()})
	if err != nil {
		return nil, err
	}
	defer m.aws.Close()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed []error
	begin := time.Now()
	for range n {
		j, err := m.job("agent")
		if err != nil {
			return nil, err
		}
		wg.Go(func() {
			err := j.stage(ctx, "prepare")
			if err == nil {
				err = j.stage(ctx, "cleanup")
			}
			if err != nil {
				mu.Lock()
				failed = append(failed, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	throttled := 0
	for _, c := range m.aws.Calls("ecs:") {
		if strings.Contains(c.Err, "Throttling") {
			throttled++
		}
	}
	figure := fmt.Sprintf("%d of %d in %.0f s, %.1f ECS calls a job, %d of them throttled", n-len(failed), n, took.Seconds(), float64(len(m.aws.Calls("ecs:")))/float64(n), throttled)
	if len(failed) > 0 {
		figure += "; first failure: " + failed[0].Error()
	}
	return []row{{fmt.Sprintf("%d jobs started at once under AWS's throttle", n), "all succeed", figure, len(failed) > 0}}, nil
}
