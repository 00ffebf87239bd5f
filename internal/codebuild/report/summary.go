package report

import (
	"regexp"
	"strings"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// "Error while executing command: docker build .. Reason: exit status 1"
var commandFailed = regexp.MustCompile(`(?s)Error while executing command: (.*?)\.? Reason: (.*)`)

// Summary writes how the build ended. It belongs outside of any section: a
// folded section cannot be made to open.
func Summary(say *joblog.Log, b build.Build, tail []string, incomplete string, now time.Time) {
	took := ""
	if !b.Started.IsZero() {
		ended := b.Ended
		if ended.IsZero() {
			ended = now
		}
		took = " after " + joblog.Duration(ended.Sub(b.Started))
	}
	if b.Status == build.Succeeded {
		say.Good("Build %s: %s%s", b.ID, b.Status, took)
		for _, v := range b.Exported {
			if v.Value != "" {
				say.Info("  %s=%s", v.Name, indent(v.Value))
			}
		}
	} else {
		say.Error("Build %s: %s%s", b.ID, b.Status, took)
		failure(say, b)
		if hint := Hint(b, tail); hint != "" {
			say.Warn("  What to do:     %s", hint)
		}
	}
	if incomplete != "" {
		say.Warn("  Its log above is not complete: %s", incomplete)
	}
	if url := b.ConsoleURL(); url != "" {
		say.Info("  Build:          %s", url)
	}
	if b.Log.URL != "" {
		say.Info("  Log:            %s", b.Log.URL)
	}
	if b.DebugSession != "" {
		say.Info("  Debug session:  aws ssm start-session --target %s", b.DebugSession)
	}
}

// failure names the phase, the command and the message.
func failure(say *joblog.Log, b build.Build) {
	p, ok := b.FailedPhase()
	if !ok {
		return
	}
	if p.Status == build.Stopped {
		say.Error("  Stopped in:     %s", p.Name)
	} else {
		say.Error("  Failed phase:   %s (%s)", p.Name, p.Status)
	}
	message := p.Message
	if m := commandFailed.FindStringSubmatch(message); m != nil {
		say.Error("  Failed command: %s", indent(strings.TrimSpace(m[1])))
		message = strings.TrimSpace(m[2])
	}
	if message != "" || p.Code != "" {
		say.Error("  Message:        %s", indent(strings.TrimSpace(strings.TrimPrefix(p.Code+": "+message, ": "))))
	}
}

// indent keeps a text of several lines in its column. The build itself may
// have written it, so it cannot open or close a section either.
func indent(s string) string {
	return strings.ReplaceAll(joblog.Defuse(s), "\n", "\n                  ")
}
