package codebuild_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/archive"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/bridgetest"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/follow"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/report"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/start"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// world is a stand-in, a source tree and the bridge between them.
type world struct {
	*bridgetest.Site
	t       *testing.T
	cfg     aws.Config
	log     *bridgetest.Buffer
	options codebuild.BuildOptions
}

// quick is a pace for tests: they wait for what happens, not for the clock.
func quick() follow.Pace {
	return follow.Pace{
		BuildMin: 20 * time.Millisecond, BuildMax: 60 * time.Millisecond,
		LogMin: 20 * time.Millisecond, LogMax: 60 * time.Millisecond,
		Grace: 400 * time.Millisecond, Late: 2 * time.Second, Settle: 200 * time.Millisecond,
		GiveUp: 20 * time.Second, Lost: 20 * time.Second, Heartbeat: time.Minute,
	}
}

// newWorld lays out files, the name first, and returns a world that builds them.
func newWorld(t *testing.T, files ...string) *world {
	t.Helper()
	site := bridgetest.New(t, files...)
	w := &world{
		Site: site, t: t, log: &bridgetest.Buffer{},
		cfg: aws.Config{
			Region:           localaws.Region,
			BaseEndpoint:     aws.String(site.AWS.URL()),
			Credentials:      credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
			RetryMaxAttempts: 2,
		},
	}
	w.options = codebuild.BuildOptions{
		Archive: archive.Options{Dir: w.Dir},
		Level:   1,
		Bucket:  localaws.SourceBucket,
		Prefix:  "jobs/1",
		Request: start.Request{Project: localaws.ProjectName},
		Follow:  follow.Options{Pace: quick()},

		DotenvVariables: report.DotenvVariables,
		Patience:        20 * time.Second,
	}
	return w
}

// build runs the build and returns its exit code.
func (w *world) build(ctx context.Context) int {
	w.t.Helper()
	return w.code(codebuild.New(w.cfg, codebuild.Options{Out: w.log, Plain: true}).Build(ctx, w.options))
}

// code is the exit code of an error; its text goes where main would print it.
func (w *world) code(err error) int {
	w.t.Helper()
	if err == nil {
		return 0
	}
	var exit *codebuild.ExitError
	if !errors.As(err, &exit) {
		w.t.Fatalf("got %v, want an ExitError", err)
	}
	if exit.Err != nil {
		w.log.Write([]byte(exit.Err.Error() + "\n"))
	}
	return exit.Code
}

// want runs the build and checks its exit code and what the job log has.
func (w *world) want(code int, words ...string) {
	w.t.Helper()
	if got := w.build(w.t.Context()); got != code {
		w.t.Errorf("got exit code %d, want %d", got, code)
	}
	w.wantLog(words...)
}

func (w *world) wantLog(words ...string) {
	w.t.Helper()
	log := w.log.String()
	for _, word := range words {
		if !strings.Contains(log, word) {
			w.t.Errorf("the job log has no %q:\n%s", word, log)
		}
	}
}

var marker = regexp.MustCompile("\x1b\\[0Ksection_(start|end):\\d+:([A-Za-z0-9_.-]+)(\\[[a-z=,]*\\])?\r\x1b\\[0K")

// wantSections checks that every section that is opened is closed, and none
// inside another.
func (w *world) wantSections(n int) {
	w.t.Helper()
	open, opened := "", 0
	for _, m := range marker.FindAllStringSubmatch(w.log.String(), -1) {
		switch {
		case m[1] == "start" && open == "":
			open = m[2]
			opened++
		case m[1] == "end" && open == m[2]:
			open = ""
		default:
			w.t.Errorf("section %s of %s while %q is open", m[1], m[2], open)
		}
	}
	if open != "" || opened != n {
		w.t.Errorf("got %d sections, %q left open; want %d", opened, open, n)
	}
}
