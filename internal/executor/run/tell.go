package run

import (
	"context"
	"sync"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/record"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

// teller writes what happens to a running script into the job log, with what
// the agent in the task cannot know.
type teller struct {
	stage  *Stage
	record record.Record
	log    *joblog.Log
	asking sync.WaitGroup
}

// whoLimit bounds the question who stops a task. The answer is worth a line
// only while the script still has its time to end.
const whoLimit = 10 * time.Second

func (t *teller) tell(ctx context.Context, e sshexec.Event) {
	t.log.Warn("%s", e)
	switch e.Kind {
	case sshexec.TaskStopping:
		// The agent sees a signal; ECS knows whose wish it is.
		t.asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, whoLimit)
			defer cancel()
			if dead, err := t.stage.AskECS(ctx, false); err == nil && dead != "" {
				t.log.Warn("ECS says: %s", dead)
			}
		})
	case sshexec.OutOfMemory:
		size := t.record.Size
		if size == "" {
			size = "the size of its task definition"
		}
		t.log.Warn("The task has %s. To give the job more: FARGATE_CPU and FARGATE_MEMORY of the job where [Jobs] of fargate.toml allows it, [Launch] CPU and Memory, or the task definition.", size)
	}
}
