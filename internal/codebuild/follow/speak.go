package follow

import (
	"fmt"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// tellPhases writes a line for each phase that has ended outside of the log:
// all of them in the mode for that, else those before the container runs.
func (f *Follower) tellPhases() {
	for ; f.printed < len(f.build.Phases); f.printed++ {
		p := f.build.Phases[f.printed]
		if p.Ended.IsZero() || p.Status == "" || p.Status == build.InProgress {
			return
		}
		before := p.Name == "SUBMITTED" || p.Name == "QUEUED" || p.Name == "PROVISIONING"
		if f.options.Mode == Off || (f.options.Mode != Phases && !before) || p.Name == "SUBMITTED" {
			continue
		}
		line := fmt.Sprintf("%-16s %-9s %s", p.Name, p.Status, joblog.Duration(p.Ended.Sub(p.Started)))
		if p.Status != build.Succeeded {
			f.say.Error("%s", line)
		} else {
			f.say.Info("%s", line)
		}
		f.lastSpoke = time.Now()
	}
}

// heartbeat writes a line in a long silence, for the person who waits and
// because only a write can show that nobody reads any more.
func (f *Follower) heartbeat() {
	now := time.Now()
	if f.print.wrote.After(f.lastSpoke) {
		f.lastSpoke = f.print.wrote
	}
	if now.Sub(f.lastSpoke) < f.pace.Heartbeat {
		return
	}
	phase := f.build.Phase
	if phase == "" {
		phase = "SUBMITTED"
	}
	since := ""
	if !f.build.Started.IsZero() {
		since = " after " + joblog.Duration(now.Sub(f.build.Started))
	}
	f.print.interject(func() { f.say.Info("... still in %s%s", phase, since) })
	f.lastSpoke = now
}
