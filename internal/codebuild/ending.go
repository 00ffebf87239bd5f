package codebuild

import (
	"context"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/grace"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/start"
)

// What the bridge still does when it is told to stop, and until when, counted
// from then: all of it together fits the shortest grace that a job is given, the
// 10 s of docker's stop. What a step does not need is the next one's.
const (
	findWithin = start.AnswerGrace + 3*time.Second // a build whose start was not answered is found
	stopWithin = findWithin + 2*time.Second        // the build is told to stop
	seeWithin  = stopWithin + time.Second          // its end is seen, and its last lines are shown
)

// ending is the time that is left when ctx has ended, for each step.
type ending struct {
	find, stop, see context.Context
	cancel          context.CancelFunc
}

// newEnding gives each step so much more than it has.
func newEnding(ctx context.Context, more time.Duration) ending {
	find, cancelFind := grace.Period(ctx, findWithin+more)
	stop, cancelStop := grace.Period(ctx, stopWithin+more)
	see, cancelSee := grace.Period(ctx, seeWithin+more)
	return ending{find, stop, see, func() {
		cancelFind()
		cancelStop()
		cancelSee()
	}}
}
