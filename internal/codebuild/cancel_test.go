package codebuild_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/bridgetest"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/start"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

func (w *world) wantClosedSections() {
	w.t.Helper()
	log := w.log.String()
	if starts, ends := strings.Count(log, "section_start:"), strings.Count(log, "section_end:"); starts != ends {
		w.t.Errorf("%d sections are opened and %d closed:\n%s", starts, ends, log)
	}
}

func TestStopThatIsThrottledAtFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 60"))
	w.AWS.Fault(localaws.Fault{Operation: "StopBuild", Count: 3, Kind: localaws.Refused, Code: "ThrottlingException"})
	w.AWS.Fault(localaws.Fault{Operation: "StopBuild", Kind: localaws.Refused, Code: "ExpiredTokenException"})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		if w.AWS.WaitCalls(ctx, "BatchGetBuilds", 2) == nil {
			cancel(codebuild.ErrStop)
		}
	}()
	if code := w.build(ctx); code != 5 {
		t.Errorf("got exit code %d, want 5", code)
	}
	w.NothingGoesOn()
}

func TestStopThatIsDeniedSaysHowToStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 60"))
	w.AWS.Fault(localaws.Fault{Operation: "StopBuild", Kind: localaws.Refused, Code: "AccessDeniedException"})
	w.options.StateDir = filepath.Join(t.TempDir(), "state")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		if w.AWS.WaitCalls(ctx, "BatchGetBuilds", 2) == nil {
			cancel(codebuild.ErrStop)
		}
	}()
	if code := w.build(ctx); code != 5 {
		t.Errorf("got exit code %d, want 5", code)
	}
	w.wantLog("codebuild:StopBuild", "codebuild-bridge stop docker-build:")

	// after_script comes and finds the build by its saved id.
	var out bridgetest.Buffer
	if err := codebuild.New(w.cfg, codebuild.Options{Out: &out}).Stop(t.Context(), w.options.StateDir); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "is stopped") {
		t.Errorf("got %q", out.String())
	}
	w.NothingGoesOn()
	if err := codebuild.New(w.cfg, codebuild.Options{Out: &out}).Stop(t.Context(), w.options.StateDir); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if !strings.Contains(out.String(), "No build of this job is left") {
		t.Errorf("got %q", out.String())
	}
}

func TestStopOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := codebuild.New(w.cfg, codebuild.Options{Out: w.log})
	if err := b.Stop(t.Context(), filepath.Join(t.TempDir(), "none")); err != nil {
		t.Errorf("got %v, want nothing to do", err)
	}
	if code := w.code(b.Stop(t.Context(), "", "docker-build:unknown")); code != 7 {
		t.Errorf("got exit code %d, want 7", code)
	}
	w.wantLog("stopping build docker-build:unknown")
}

// Files that are none of ours, or were being written, say nothing of a build.
func TestSavedStates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"a.json": `{"buildId": "p:1", "reg`, "b.json": "", "c.json.new": `{"token":"t"}`,
		"d.json": `{"buildId":"p:2","region":"r"}`, "e.json": `{"project":"p","token":"t"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := codebuild.Saved(dir)
	if err != nil || len(found) != 2 {
		t.Errorf("got %v %v, want the two whole ones", found, err)
	}
}

// intent is what a bridge that was killed while it started a build has left.
func (w *world) intent(token string) (dir string) {
	w.t.Helper()
	dir = w.t.TempDir()
	text := fmt.Sprintf(`{"project": %q, "region": %q, "token": %q}`, localaws.ProjectName, localaws.Region, token)
	if err := os.WriteFile(filepath.Join(dir, token+".json"), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// old is an intent from a while ago: what came of it has long been listed.
func (w *world) old(token string) (dir string) {
	w.t.Helper()
	dir = w.intent(token)
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, token+".json"), then, then); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// The bridge is killed while its StartBuild is on its way: after_script may look
// before the build is there.
func TestStopFindsABuildThatIsStartedLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 60"))
	w.options.StateDir = filepath.Join(t.TempDir(), "state")
	hang := w.AWS.Fault(localaws.Fault{Operation: "StartBuild", Kind: localaws.HangBefore})
	ended := make(chan int, 1)
	go func() { ended <- w.build(t.Context()) }()
	<-hang.Reached()
	go func() {
		if w.AWS.WaitCalls(t.Context(), "ListBuildsForProject", 1) == nil {
			hang.Release()
		}
	}()
	saved, err := codebuild.Saved(w.options.StateDir)
	if err != nil || len(saved) != 1 {
		t.Fatalf("got %v %v, want the intent", saved, err)
	}
	for _, s := range saved {
		b := codebuild.New(w.cfg, codebuild.Options{Out: w.log, Plain: true})
		if err := b.Stop(t.Context(), w.intent(s.Token)); err != nil {
			t.Error(err)
		}
	}
	if code := <-ended; code != 5 {
		t.Errorf("got exit code %d, want 5", code)
	}
	w.NothingGoesOn()
}

// Only the first build's id was saved when the bridge was killed; CodeBuild is
// building again since.
func TestStopOfABuildThatIsBuiltAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands(`[ -e "$MARK" ] && sleep 60; touch "$MARK"; exit 1`))
	w.options.Request.AutoRetries = 1
	w.options.Request.Environment = []start.Variable{{Name: "MARK", Value: filepath.Join(t.TempDir(), "mark"), Type: start.Plain}}
	ended := make(chan int, 1)
	go func() { ended <- w.build(t.Context()) }()
	if err := w.AWS.Wait(t.Context(), func() bool { return len(w.AWS.Builds()) == 2 }); err != nil {
		t.Fatal(err)
	}
	b := codebuild.New(w.cfg, codebuild.Options{Out: w.log, Plain: true})
	if err := b.Stop(t.Context(), "", w.AWS.Builds()[0].ID); err != nil {
		t.Error(err)
	}
	if code := <-ended; code != 5 {
		t.Errorf("got exit code %d, want 5", code)
	}
	w.NothingGoesOn()
}

func TestStopFindsABuildWhoseStartWasNeverAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 60"))
	w.options.StateDir = filepath.Join(t.TempDir(), "state")
	hang := w.AWS.Fault(localaws.Fault{Operation: "StartBuild", Kind: localaws.HangAfter})
	ended := make(chan int, 1)
	go func() { ended <- w.build(t.Context()) }()
	<-hang.Reached()
	// As if the bridge were killed here: what it has left is all that is known.
	saved, err := codebuild.Saved(w.options.StateDir)
	if err != nil || len(saved) != 1 {
		t.Fatalf("got %v %v, want the intent", saved, err)
	}
	for _, s := range saved {
		if s.BuildID != "" || s.Token == "" {
			t.Errorf("got %+v, want a token and no id", s)
		}
		b := codebuild.New(w.cfg, codebuild.Options{Out: w.log, Plain: true})
		if err := b.Stop(t.Context(), w.intent(s.Token)); err != nil {
			t.Error(err)
		}
	}
	w.wantLog("is stopped")
	hang.Release()
	if code := <-ended; code != 5 {
		t.Errorf("got exit code %d, want 5", code)
	}
	w.NothingGoesOn()
}

func TestStopOfABuildThatWasNotStarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
	w.want(0) // another build of the project
	b := codebuild.New(w.cfg, codebuild.Options{Out: w.log, Plain: true})
	if err := b.Stop(t.Context(), w.old("none")); err != nil {
		t.Error(err)
	}
	w.wantLog("was about to be started, and was not")
	w.AWS.Fault(localaws.Fault{Operation: "ListBuildsForProject", Kind: localaws.Refused, Code: "AccessDeniedException"})
	if code := w.code(b.Stop(t.Context(), w.old("none"))); code != 7 {
		t.Errorf("got exit code %d, want 7", code)
	}
	w.wantLog("codebuild:ListBuildsForProject")
}

func TestStateOfABuildThatWasRefusedIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
	w.options.StateDir = filepath.Join(t.TempDir(), "state")
	w.options.Request.Project = "none"
	w.want(6)
	if left, err := codebuild.Saved(w.options.StateDir); len(left) != 0 || err != nil {
		t.Errorf("got %v %v, want nothing", left, err)
	}
}

func TestStateThatCannotBeKeptIsNoReasonNotToBuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
	w.options.StateDir = filepath.Join(w.Dir, "buildspec.yml", "state")
	w.want(0, "will not find this build", "SUCCEEDED")
}
