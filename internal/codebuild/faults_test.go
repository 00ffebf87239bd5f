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
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// Permissions that are missing once the build is started, or that it can do
// without.
func TestAccessDeniedWhileBuilding(t *testing.T) {
	t.Parallel()
	tests := []struct {
		service, operation string
		code               int
		words              []string
	}{
		{"s3", "HeadObject", 0, []string{"SUCCEEDED"}}, // as S3 says it of a missing key
		{"codebuild", "BatchGetBuilds", 7, []string{"codebuild:BatchGetBuilds", "is stopped"}},
		{"logs", "GetLogEvents", 0, []string{"logs:GetLogEvents", "not complete", "SUCCEEDED"}},
	}
	for _, test := range tests {
		t.Run(test.operation, func(t *testing.T) {
			t.Parallel()
			command := "true"
			if test.code == 7 {
				command = "sleep 60"
			}
			w := newWorld(t, "buildspec.yml", bridgetest.Commands(command))
			status := 400
			if test.service == "s3" {
				status = 403
			}
			w.AWS.Fault(localaws.Fault{Service: test.service, Operation: test.operation, Count: -1, Kind: localaws.Refused, Code: "AccessDenied", Status: status})
			w.want(test.code, test.words...)
			w.NothingGoesOn()
		})
	}
}

func TestThrottlingIsSurvived(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"s3:HeadObject", "s3:PutObject", "codebuild:StartBuild", "codebuild:BatchGetBuilds", "logs:GetLogEvents"} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "buildspec.yml", bridgetest.Commands("echo the line"))
			w.cfg.RetryMaxAttempts = 3
			service, name, _ := strings.Cut(operation, ":")
			f := localaws.Fault{Service: service, Operation: name, Count: 2, Kind: localaws.Refused, Code: "ThrottlingException"}
			if service == "s3" {
				f.Code, f.Status = "SlowDown", 503
			}
			w.AWS.Fault(f)
			w.want(0, "\nthe line\n", "SUCCEEDED")
		})
	}
}

// So is that of the calls that find and stop a build, while it is being stopped.
func TestThrottlingIsSurvivedWhileStopping(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 60"))
	for _, operation := range []string{"ListBuildsForProject", "StopBuild"} {
		w.AWS.Fault(localaws.Fault{Operation: operation, Count: 2, Kind: localaws.Refused, Code: "ThrottlingException"})
	}
	w.wantStoppedWhileStarting()
}

// wantStoppedWhileStarting stops a build whose start was not answered: it is
// found by its token, then stopped.
func (w *world) wantStoppedWhileStarting() {
	w.t.Helper()
	hang := w.AWS.Fault(localaws.Fault{Operation: "StartBuild", Count: -1, Kind: localaws.HangAfter})
	ctx, cancel := context.WithCancelCause(w.t.Context())
	go func() {
		<-hang.Reached()
		cancel(codebuild.ErrStop)
	}()
	if code := w.build(ctx); code != 5 {
		w.t.Errorf("got exit code %d, want 5", code)
	}
	w.wantLog("is stopped")
	w.NothingGoesOn()
}

// A lost answer to StartBuild must not start two builds.
func TestUnansweredStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
	w.AWS.Fault(localaws.Fault{Service: "codebuild", Operation: "StartBuild", Count: 3, Kind: localaws.Unanswered})
	w.want(0, "SUCCEEDED")
	if n := len(w.AWS.Builds()); n != 1 {
		t.Errorf("got %d builds, want 1", n)
	}
}

// A start that was carried out and not answered, and is then refused: what is
// refused is only the repetition.
func TestUnansweredStartThatIsThenRefused(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprint("lost ", lost), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 1"))
			w.options.StateDir = filepath.Join(t.TempDir(), "state")
			w.AWS.Fault(localaws.Fault{Operation: "StartBuild", Kind: localaws.Unanswered})
			w.AWS.Fault(localaws.Fault{Operation: "StartBuild", Count: -1, Kind: localaws.Refused, Code: "AccessDeniedException"})
			if !lost {
				w.want(0, "SUCCEEDED")
			} else {
				w.AWS.Fault(localaws.Fault{Operation: "ListBuildsForProject", Count: -1, Kind: localaws.Refused, Code: "AccessDeniedException"})
				w.want(7, "codebuild:ListBuildsForProject", "codebuild-bridge stop")
				if left, err := codebuild.Saved(w.options.StateDir); len(left) != 1 || err != nil {
					t.Errorf("got %v %v, want what stop needs to find the build", left, err)
				}
			}
			if n := len(w.AWS.Builds()); n != 1 {
				t.Errorf("got %d builds, want 1", n)
			}
		})
	}
}

func TestAccountLimit(t *testing.T) {
	t.Parallel()
	t.Run("waited for", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
		w.options.WaitForCapacity, w.options.Pause = time.Minute, 10*time.Millisecond
		w.AWS.Fault(localaws.Fault{Service: "codebuild", Operation: "StartBuild", Count: 3, Kind: localaws.Refused,
			Code: "AccountLimitExceededException", Message: "Cannot have more than 1 builds in queue for the account"})
		w.want(0, "no free build", "SUCCEEDED")
	})
	t.Run("given up", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
		w.options.WaitForCapacity, w.options.Pause = 50*time.Millisecond, 10*time.Millisecond
		w.AWS.Fault(localaws.Fault{Service: "codebuild", Operation: "StartBuild", Count: -1, Kind: localaws.Refused, Code: "AccountLimitExceededException"})
		w.want(6, "--wait-for-capacity")
	})
}

func TestAWSDownBeforeTheBuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
	w.AWS.Fault(localaws.Fault{Service: "s3", Operation: "PutObject", Count: -1, Kind: localaws.Refused, Code: "InternalError", Status: 500})
	w.want(6, "uploading the archive")
}

func TestLostContact(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 60"))
	w.options.Follow.Pace.Lost = 5 * time.Second
	w.AWS.Fault(localaws.Fault{Service: "codebuild", Operation: "BatchGetBuilds", Skip: 1, Count: -1, Kind: localaws.Refused, Code: "InternalFailure", Status: 500})
	w.want(7, "AWS does not answer", "contact with the build is lost", "is stopped")
	w.NothingGoesOn()
}

// The build had ended when contact was lost, as the answer to StopBuild shows:
// then it is known how, and that counts.
func TestLostContactWithABuildThatHasEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("exit 3"))
	w.options.DotenvFile = filepath.Join(t.TempDir(), "build.env")
	started := w.AWS.Fault(localaws.Fault{Operation: "StartBuild", Kind: localaws.HangAfter})
	go func() {
		if w.AWS.Wait(t.Context(), func() bool { b := w.AWS.Builds(); return len(b) == 1 && b[0].Done }) == nil {
			started.Release()
		}
	}()
	w.AWS.Fault(localaws.Fault{Operation: "BatchGetBuilds", Count: -1, Kind: localaws.Refused, Code: "AccessDeniedException"})
	w.want(1, "had already ended: FAILED", "Failed command: exit 3")
	if text, err := os.ReadFile(w.options.DotenvFile); err != nil || !strings.Contains(string(text), "CODEBUILD_BUILD_STATUS=FAILED\n") {
		t.Errorf("got the report %q %v", text, err)
	}
}

// Connections that break in the middle of an answer.
func TestBrokenConnectionsAreSurvived(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 0.2; echo the end"))
	for _, operation := range []string{"HeadObject", "PutObject", "StartBuild", "BatchGetBuilds", "GetLogEvents"} {
		w.AWS.Fault(localaws.Fault{Operation: operation, Kind: localaws.Unanswered})
	}
	w.AWS.Fault(localaws.Fault{Operation: "BatchGetBuilds", Skip: 3, Count: 4, Kind: localaws.Unanswered})
	w.want(0, "\nthe end\n", "SUCCEEDED")
	if n := len(w.AWS.Builds()); n != 1 {
		t.Errorf("got %d builds, want 1", n)
	}
}

func TestExpiredCredentialsAreSurvived(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 0.3; echo the end"))
	for _, operation := range []string{"BatchGetBuilds", "GetLogEvents", "StartBuild"} {
		w.AWS.Fault(localaws.Fault{Operation: operation, Kind: localaws.Refused, Code: "ExpiredTokenException"})
	}
	w.want(0, "\nthe end\n", "SUCCEEDED")
}
