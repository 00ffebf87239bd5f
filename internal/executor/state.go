package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/fargate"
	"github.com/fargate-driver/fargate-driver/internal/record"
	"github.com/fargate-driver/fargate-driver/internal/task"
)

// stateEvery is how often ECS is asked again while a task's end is not yet
// complete: rarely, because it happens to many jobs at once when it happens.
const stateEvery = 2 * time.Second

// TaskState says whether the task of a record still lives, and if not, why.
// ECS knows the whole reason only some seconds after a task broke off, so that
// it waits up to settle for it. A reclaimed Spot task is remembered for the
// job's retry.
func TaskState(ctx context.Context, ecs *fargate.Client, records record.Dir, key string, settle time.Duration) (dead string, err error) {
	r, err := records.Read(key)
	if err != nil {
		return "", err
	}
	if r.Ended != "" {
		return r.Ended, nil
	}
	var t task.Task
	for begin := time.Now(); ; {
		t, err = ecs.Describe(ctx, r.Cluster, r.TaskARN)
		if errors.Is(err, fargate.ErrGone) {
			return fmt.Sprintf("task %s is gone: ECS does not know it any more", task.IDOf(r.TaskARN)), nil
		}
		if err == nil && complete(t) || time.Since(begin) >= settle {
			break
		}
		if err := sleep(ctx, stateEvery); err != nil {
			return "", err
		}
	}
	if err != nil {
		return "", err
	}
	if !t.State.Ended() && t.DesiredState != task.Stopped {
		return "", nil
	}
	cause := fargate.Explain(t, r.Container)
	if cause.Class == fargate.Spot {
		if err := records.Reclaimed(r.Recurring); err != nil {
			return cause.Error(), fmt.Errorf("remembering that the Spot task was reclaimed: %w", err)
		}
	}
	return cause.Error(), nil
}

// complete says that ECS has the exit codes and reasons of all containers.
func complete(t task.Task) bool {
	return t.State == task.Stopped || t.State == "DEPROVISIONING" || t.State == "DELETED"
}
