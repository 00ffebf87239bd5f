package codebuild_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/archive"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/follow"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/start"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// world is a stand-in, a source tree and the bridge between them.
type world struct {
	t       *testing.T
	aws     *localaws.Server
	cfg     aws.Config
	dir     string
	log     *syncBuffer
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
	s, err := localaws.Start(localaws.Options{NoThrottle: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{
		t: t, aws: s, dir: t.TempDir(), log: &syncBuffer{},
		cfg: aws.Config{
			Region:           localaws.Region,
			BaseEndpoint:     aws.String(s.URL()),
			Credentials:      credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
			RetryMaxAttempts: 2,
		},
	}
	for i := 0; i < len(files); i += 2 {
		file := filepath.Join(w.dir, files[i])
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w.options = codebuild.BuildOptions{
		Archive: archive.Options{Dir: w.dir},
		Level:   1,
		Bucket:  localaws.SourceBucket,
		Prefix:  "jobs/1",
		Request: start.Request{Project: localaws.ProjectName},
		Follow:  follow.Options{Pace: quick()},
	}
	return w
}

// commands is a buildspec that runs these in its build phase.
func commands(lines ...string) string {
	spec := "version: 0.2\nphases:\n  build:\n    commands:\n"
	for _, l := range lines {
		spec += "      - |\n        " + strings.ReplaceAll(l, "\n", "\n        ") + "\n"
	}
	return spec
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

// noBuildGoesOn checks that nothing is left: no build, no half upload.
func (w *world) noBuildGoesOn() {
	w.t.Helper()
	for _, b := range w.aws.Builds() {
		if b.Status == "IN_PROGRESS" && !w.ends(b.ID) {
			w.t.Errorf("build %s goes on in %s", b.ID, b.Phase)
		}
	}
	if n, err := w.aws.OpenUploads(localaws.SourceBucket); n != 0 || err != nil {
		w.t.Errorf("got %d orphaned uploads, %v; want none", n, err)
	}
}

// ends waits a moment for a build that was stopped to be so.
func (w *world) ends(id string) bool {
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	return w.aws.Wait(ctx, func() bool {
		for _, b := range w.aws.Builds() {
			if b.ID == id {
				return b.Done
			}
		}
		return false
	}) == nil
}

// syncBuffer may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
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
