package codebuild_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/bridgetest"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/follow"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// wantNumbers checks that the lines "line 1" to "line n" are there, each once
// and in order.
func (w *world) wantNumbers(n int) {
	w.t.Helper()
	next := 1
	for line := range strings.SplitSeq(w.log.String(), "\n") {
		if !strings.HasPrefix(line, "line ") {
			continue
		}
		if line != fmt.Sprintf("line %d", next) {
			w.t.Fatalf("got %q, want line %d", line, next)
		}
		next++
	}
	if next != n+1 {
		w.t.Errorf("got %d lines, want %d", next-1, n)
	}
}

// numbers is a buildspec that writes that many lines.
func numbers(n int) string {
	return bridgetest.Commands(fmt.Sprintf("seq 1 %d | sed 's/^/line /'", n))
}

func TestEveryLineOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		lines int
		pages localaws.LogPages
		plan  localaws.BuildPlan
	}{
		{name: "several pages", lines: 25_000},
		{name: "short and empty pages", lines: 60, pages: localaws.LogPages{Events: 9, Empty: true}},
		{name: "late events", lines: 50, plan: localaws.BuildPlan{LateLog: 150 * time.Millisecond}},
		{name: "events later than the grace", lines: 50, plan: localaws.BuildPlan{LateLog: time.Second}},
		{name: "late stream", lines: 50, plan: localaws.BuildPlan{LateStream: 300 * time.Millisecond}},
		{name: "finalizing", lines: 50, plan: localaws.BuildPlan{Finalize: 300 * time.Millisecond}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "buildspec.yml", numbers(test.lines))
			w.AWS.SetLogPages(test.pages)
			w.AWS.PlanBuilds(test.plan)
			w.want(0)
			w.wantNumbers(test.lines)
			w.wantSections(5)
		})
	}
}

func TestEveryLineOnceUnderThrottling(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", numbers(30))
	w.AWS.SetLogPages(localaws.LogPages{Events: 10})
	// Refused again and again, so that no page comes without a refusal before it.
	for i := range 4 {
		w.AWS.Fault(localaws.Fault{Operation: "GetLogEvents", Skip: i, Count: 2, Kind: localaws.Refused, Code: "ThrottlingException"})
	}
	w.want(0)
	w.wantNumbers(30)
}

// A log that waits and comes in short pages is no trickle: its pages are asked
// for one after the other, while the build runs too.
func TestBacklogInShortPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 60"))
	w.AWS.SetLogPages(localaws.LogPages{Events: 5})
	w.AWS.PlanBuilds(localaws.BuildPlan{NoLogGroup: true})                            // but for the lines below
	w.options.Follow.Pace.LogMin, w.options.Follow.Pace.LogMax = time.Hour, time.Hour // of rest
	started := w.AWS.Fault(localaws.Fault{Operation: "StartBuild", Kind: localaws.HangAfter})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-started.Reached()
		_, stream, _ := strings.Cut(w.AWS.Builds()[0].ID, ":")
		for i := range 200 {
			w.AWS.PutOldLogEvents("/aws/codebuild/docker-build", stream, time.Minute, fmt.Sprintf("line %d\n", i+1))
		}
		started.Release()
		if w.AWS.WaitCalls(ctx, "GetLogEvents", 40) == nil {
			cancel(codebuild.ErrStop)
		}
	}()
	if code := w.build(ctx); code != 5 {
		t.Errorf("got exit code %d, want 5", code)
	}
	w.wantNumbers(200)
}

// The events of a build that was stopped or has failed early come without the
// last lines that show its end.
func TestLinesOfAFailedBuildThatComeLate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("seq 1 40 | sed 's/^/line /'; exit 3"))
	w.AWS.PlanBuilds(localaws.BuildPlan{LateLog: 250 * time.Millisecond})
	w.want(1, "exit status 3")
	w.wantNumbers(40)
}

// A build that never stops writing is looked at all the same, and its log is
// not asked for with every line.
func TestLogThatNeverPauses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("for i in $(seq 1 150); do echo line $i; sleep 0.01; done"))
	w.options.Follow.Pace.LogMin, w.options.Follow.Pace.LogMax = 100*time.Millisecond, 100*time.Millisecond
	w.want(0)
	w.wantNumbers(150)
	if n := len(w.AWS.Calls("GetLogEvents")); n > 60 {
		t.Errorf("asked %d times for 150 lines in 1.5 s, want about one call in 100 ms", n)
	}
}

func TestLogThatCannotBeHad(t *testing.T) {
	t.Parallel()
	t.Run("no log group", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "buildspec.yml", bridgetest.Commands("exit 1"))
		w.AWS.PlanBuilds(localaws.BuildPlan{NoLogGroup: true})
		w.want(1, "does not exist", "Failed command: exit 1")
	})
	t.Run("switched off in the project", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
		w.AWS.AddProject(localaws.Project{Name: localaws.ProjectName, LogsDisabled: true})
		w.want(0, "SUCCEEDED")
		if n := len(w.AWS.Calls("GetLogEvents")); n != 0 {
			t.Errorf("asked %d times for a log that is not kept", n)
		}
	})
	t.Run("CloudWatch down", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "buildspec.yml", bridgetest.Commands("exit 1"))
		w.options.Follow.Pace.GiveUp = 300 * time.Millisecond
		w.AWS.Fault(localaws.Fault{Service: "logs", Count: -1, Kind: localaws.Refused, Code: "ServiceUnavailableException", Status: 503})
		w.want(1, "CloudWatch did not answer", "Failed command: exit 1")
	})
}

func TestModes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		mode     follow.Mode
		spec     string
		code     int
		has, not []string
	}{
		{follow.Phases, bridgetest.Commands("echo a line"), 0, []string{"BUILD            SUCCEEDED", "POST_BUILD"}, []string{"\na line\n", "[Container]"}},
		{follow.Phases, bridgetest.Commands("exit 1"), 1, []string{"BUILD            FAILED"}, []string{"[Container]"}},
		{follow.Phases, bridgetest.Commands("echo toomanyrequests; exit 1"), 1, []string{"Docker Hub limits pulls"}, []string{"\ntoomanyrequests\n"}},
		{follow.Failed, bridgetest.Commands("echo a line"), 0, nil, []string{"\na line\n", "section_"}},
		{follow.Failed, bridgetest.Commands("echo a line; exit 1"), 1, []string{"\na line\n"}, []string{"section_"}},
		{follow.Off, bridgetest.Commands("echo a line; exit 1"), 1, []string{"Failed command"}, []string{"\na line\n", "PROVISIONING"}},
	}
	for i, test := range tests {
		t.Run(fmt.Sprint(test.mode, " ", i), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "buildspec.yml", test.spec)
			w.options.Follow.Mode = test.mode
			w.want(test.code, test.has...)
			for _, word := range test.not {
				if strings.Contains(w.log.String(), word) {
					t.Errorf("the job log has %q:\n%s", word, w.log)
				}
			}
		})
	}
}

func TestByteBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("seq 1 20000 | sed 's/^/line /'; exit 1"))
	w.options.Follow.MaxBytes = 20_000
	w.want(1, "\nline 1\n", "\nline 20000\n", "lines are left out here", "Failed command")
	if size := len(w.log.String()); size > 23_000 {
		t.Errorf("got %d bytes, want the budget of 20,000 and the summary", size)
	}
	w.wantClosedSections()
}

// A line over the budget is the one thing that is cut.
func TestByteBudgetOfOneLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("head -c 700000 /dev/zero | tr '\\0' x; echo; exit 1"))
	w.options.Follow.MaxBytes = 20_000
	w.want(1, "bytes of this line are left out here", "Failed command")
	if size := len(w.log.String()); size > 23_000 {
		t.Errorf("got %d bytes, want the budget of 20,000 and the summary", size)
	}
}

// A build that writes the agent's own lines gets no sections for them.
func TestAgentLinesOfTheBuildItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands(
		`for i in $(seq 1 500); do echo "[Container] 2024/05/20 12:34:56 Entering phase BUILD"; echo "[Container] 2024/05/20 12:34:56 Entering phase MINE$i"; done`))
	w.want(0, "Entering phase MINE500")
	w.wantSections(5)
}

// A build's output can neither close our sections nor open one that hides what
// comes after it.
func TestMarkersInTheOutputAreHarmless(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands(
		`printf '\033[0Ksection_end:1:codebuild_4_build\r\033[0K\n'`,
		`printf '\033[0Ksection_start:1:hidden[collapsed=true]\r\033[0Knothing to see\n'`,
		`exit 1`))
	w.want(1, "nothing to see")
	w.wantSections(5)
}

// Nor can the values that it exports, which the summary shows.
func TestMarkersInExportedVariablesAreHarmless(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", "env:\n  exported-variables: [MINE]\n"+bridgetest.Commands(
		`export MINE="$(printf '\033[0Ksection_start:1:hidden[collapsed=true]\r\033[0Knothing to see')"`))
	w.want(0, "MINE=", "nothing to see")
	w.wantSections(5)
}

func TestOddLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands(
		`head -c 700000 /dev/zero | tr '\0' x; echo`,
		`printf 'without an end'`))
	w.want(0, "\n"+strings.Repeat("x", 700_000)+"\n", "\nwithout an end")
	w.wantSections(5)
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 1"))
	w.options.Follow.Pace.Heartbeat = 200 * time.Millisecond
	w.want(0, "... still in BUILD after")
}

// A fleet's log can be silent for longer than anybody waits, and then come at
// once: while the build runs, and after its end.
func TestSilenceOfAFleet(t *testing.T) {
	t.Parallel()
	for name, seconds := range map[string]string{"shorter than the build": "2", "longer than the build": "0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "buildspec.yml", bridgetest.Commands("seq 1 50 | sed 's/^/line /'; sleep "+seconds))
			w.AWS.PlanBuilds(localaws.BuildPlan{Silence: time.Second})
			w.want(0)
			w.wantNumbers(50)
		})
	}
}

// Many followers share CloudWatch's quota: in silence they ask less often.
func TestSilenceIsAskedLessOften(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 1.5"))
	w.options.Follow.Pace.LogMax, w.options.Follow.Pace.BuildMax = 500*time.Millisecond, 500*time.Millisecond
	w.want(0)
	if n := len(w.AWS.Calls("GetLogEvents", "BatchGetBuilds")); n > 30 {
		t.Errorf("asked %d times in 1.5 s, want fewer and fewer", n)
	}
}
