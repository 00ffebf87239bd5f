package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/bridgetest"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// way is how a program is told to stop.
type way string

const (
	byTERM   way = "SIGTERM"
	byINT    way = "SIGINT"
	byHUP    way = "SIGHUP"
	byStdout way = "closed stdout"
)

func (w way) signal() syscall.Signal {
	return map[way]syscall.Signal{byTERM: syscall.SIGTERM, byINT: syscall.SIGINT, byHUP: syscall.SIGHUP}[w]
}

// within is how long the program has from being told to stop to its end: 10 s,
// and some for a machine that is busy with all the other tests.
const within = 15 * time.Second

// stopped runs `build`, tells it to stop as soon as reached says so, and checks
// that it ends in time, as stopped, with nothing left behind. then, if not nil,
// is called when it has been told.
func (j *job) stopped(w way, reached func(*process), then func(), args ...string) string {
	j.t.Helper()
	r, stdout, err := os.Pipe()
	if err != nil {
		j.t.Fatal(err)
	}
	defer r.Close()
	p := j.start(stdout, append([]string{"build"}, args...)...)
	stdout.Close()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		p.out.ReadFrom(r)
	}()
	reached(p)
	told := time.Now()
	if w == byStdout {
		r.Close()
	} else if err := p.Process.Signal(w.signal()); err != nil {
		j.t.Fatal(err)
	}
	if then != nil {
		then()
	}
	if got := p.code(j.t); got != 5 {
		j.t.Errorf("got exit code %d, want 5", got)
	}
	if took := time.Since(told); took > within {
		j.t.Errorf("it took %s to end, want at most 10 s", took)
	}
	<-shown
	out := p.out.String()
	if w != byStdout && !strings.Contains(out, "told to stop by "+string(w)) {
		j.t.Errorf("it does not say why it ends")
	}
	if starts, ends := strings.Count(out, "section_start:"), strings.Count(out, "section_end:"); w != byStdout && starts != ends {
		j.t.Errorf("%d sections are opened and %d closed", starts, ends)
	}
	j.NothingGoesOn()
	if j.t.Failed() {
		j.t.Logf("its output:\n%s", out)
	}
	return out
}

// Told to stop while any call of AWS is on its way, or its answer is, the
// program leaves no build and no half upload.
func TestStoppedAtEachCall(t *testing.T) {
	t.Parallel()
	for i, step := range []struct {
		call string
		skip int
		big  bool
	}{
		{call: "s3:HeadObject"},
		{call: "s3:PutObject"},
		{call: "s3:CreateMultipartUpload", big: true},
		{call: "s3:UploadPart", big: true},
		{call: "s3:CompleteMultipartUpload", big: true},
		{call: "codebuild:StartBuild"},
		{call: "codebuild:BatchGetBuilds"},
		{call: "codebuild:BatchGetBuilds", skip: 2},
		{call: "logs:GetLogEvents"},
		{call: "logs:GetLogEvents", skip: 2},
	} {
		kinds := []localaws.FaultKind{localaws.HangBefore, localaws.HangAfter}
		for n, w := range []way{byTERM, byTERM, byINT, byHUP, byStdout} {
			// SIGTERM on the way there and on the way back, the others in turn.
			kind := kinds[n%2]
			if w != byTERM {
				kind = kinds[(i+n)%2]
			}
			t.Run(fmt.Sprintf("%s %d %s %s", step.call, step.skip, kind, w), func(t *testing.T) {
				t.Parallel()
				j := newJob(t, "buildspec.yml", bridgetest.Commands("echo begun; sleep 60"))
				if step.big {
					j.WriteNoise()
				}
				service, operation, _ := strings.Cut(step.call, ":")
				hang := j.AWS.Fault(localaws.Fault{Service: service, Operation: operation, Skip: step.skip, Kind: kind})
				var then func()
				if operation == "StartBuild" || operation == "CreateMultipartUpload" {
					// They are not cut off: their answers name what is to be undone.
					then = hang.Release
				}
				out := j.stopped(w, func(p *process) { p.wait(t, hang.Reached()) }, then)
				if n := len(j.AWS.Builds()); n > 1 {
					t.Errorf("%d builds were started", n)
				} else if n == 1 && w != byStdout && !strings.Contains(out, "is stopped") {
					t.Errorf("it does not say that the build is stopped:\n%s", out)
				}
			})
		}
	}
}

// The steps at which no call of AWS waits.
func TestStoppedBetweenCalls(t *testing.T) {
	t.Parallel()
	for _, step := range []struct {
		name    string
		prepare func(*job)
		reached func(*job, *process)
	}{
		{
			// A file that takes long to read and no room on the disk.
			name: "archiving",
			prepare: func(j *job) {
				if err := os.WriteFile(filepath.Join(j.Dir, "long"), nil, 0o644); err != nil {
					j.t.Fatal(err)
				}
				if err := os.Truncate(filepath.Join(j.Dir, "long"), 40<<30); err != nil {
					j.t.Fatal(err)
				}
			},
			reached: func(j *job, p *process) { p.waitOpen(j.t, filepath.Join(j.Dir, "long")) },
		},
		{
			name: "waiting for capacity",
			prepare: func(j *job) {
				j.AWS.Fault(localaws.Fault{Operation: "StartBuild", Count: -1, Kind: localaws.Refused, Code: "AccountLimitExceededException"})
			},
			reached: func(j *job, _ *process) { j.called("StartBuild", 1) },
		},
		{
			name:    "queued",
			prepare: func(j *job) { j.AWS.PlanBuilds(localaws.BuildPlan{Queue: time.Hour}) },
			reached: func(j *job, _ *process) { j.called("BatchGetBuilds", 1) },
		},
		{
			name:    "provisioning",
			prepare: func(j *job) { j.AWS.PlanBuilds(localaws.BuildPlan{Provision: time.Hour}) },
			reached: func(j *job, _ *process) { j.phase("PROVISIONING") },
		},
		{name: "building", reached: func(j *job, _ *process) { j.phase("BUILD") }},
		{
			name:    "finalizing",
			prepare: func(j *job) { j.AWS.PlanBuilds(localaws.BuildPlan{Finalize: time.Hour}); j.quickly() },
			reached: func(j *job, _ *process) { j.phase("FINALIZING") },
		},
		{
			// The build has ended and its last lines are waited for.
			name:    "draining the log",
			prepare: func(j *job) { j.AWS.PlanBuilds(localaws.BuildPlan{LateLog: time.Hour}); j.quickly() },
			reached: func(j *job, _ *process) {
				j.phase("COMPLETED")
				j.called("GetLogEvents", len(j.AWS.Calls("GetLogEvents"))+2)
			},
		},
	} {
		for _, w := range []way{byTERM, byINT, byHUP, byStdout} {
			t.Run(step.name+" "+string(w), func(t *testing.T) {
				t.Parallel()
				j := newJob(t, "buildspec.yml", sleeper)
				if step.prepare != nil {
					step.prepare(j)
				}
				j.stopped(w, func(p *process) { step.reached(j, p) }, nil)
			})
		}
	}
}

// While the end of a build is being reported there is nothing to stop any more:
// the job ends as the build has.
func TestStoppedWhileReporting(t *testing.T) {
	t.Parallel()
	for _, w := range []way{byTERM, byINT, byHUP, byStdout} {
		t.Run(string(w), func(t *testing.T) {
			t.Parallel()
			j := newJob(t, "buildspec.yml", "version: 0.2\nphases: {}\n")
			// What the program says is held up as soon as the pipe is full; the reports
			// come before the summary.
			r, stdout, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			dotenv := filepath.Join(t.TempDir(), "build.env")
			last := j.AWS.Fault(localaws.Fault{Operation: "BatchGetBuilds", Kind: localaws.HangBefore})
			p := j.start(stdout, "build", "--log", "off", "--dotenv", dotenv)
			p.wait(t, last.Reached())
			j.phase("COMPLETED")
			fill(t, stdout)
			last.Release()
			p.waitFile(t, dotenv)
			if w == byStdout {
				stdout.Close()
				r.Close()
			} else if err := p.Process.Signal(w.signal()); err != nil {
				t.Fatal(err)
			}
			if got := p.code(t); got != 0 {
				t.Errorf("got exit code %d, want that of the build, 0:\n%s", got, p.out.String())
			}
			j.NothingGoesOn()
		})
	}
}

// AWS answers nothing any more when the program is told to stop: it ends in time
// all the same, and what it had to leave is found by `stop`.
func TestStoppedWhileAWSIsSilent(t *testing.T) {
	t.Parallel()
	for _, kind := range []localaws.FaultKind{localaws.HangBefore, localaws.HangAfter} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			j := newJob(t, "buildspec.yml", sleeper)
			var silent []*localaws.OrderedFault
			for _, operation := range []string{"StartBuild", "ListBuildsForProject", "BatchGetBuilds", "StopBuild"} {
				silent = append(silent, j.AWS.Fault(localaws.Fault{Operation: operation, Count: -1, Kind: kind}))
			}
			p := j.start(nil, "build")
			p.wait(t, silent[0].Reached())
			told := time.Now()
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if got := p.code(t); got != 7 {
				t.Errorf("got exit code %d, want 7", got)
			}
			if took := time.Since(told); took > within {
				t.Errorf("it took %s to end, want at most 10 s", took)
			}
			if out := p.out.String(); !strings.Contains(out, "codebuild-bridge stop") {
				t.Errorf("it does not say what to do:\n%s", out)
			}
			for _, s := range slices.Backward(silent) {
				s.Remove()
			}
			if out := j.run(0, "stop"); !strings.Contains(out, "is stopped") && !strings.Contains(out, "was not") {
				t.Errorf("got\n%s", out)
			}
			j.NothingGoesOn()
		})
	}
}

// S3 too can fall silent in the middle of an upload.
func TestStoppedWhileS3IsSilent(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"CreateMultipartUpload", "UploadPart"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, "buildspec.yml", sleeper)
			j.WriteNoise()
			hang := j.AWS.Fault(localaws.Fault{Operation: call, Count: -1, Kind: localaws.HangBefore})
			j.AWS.Fault(localaws.Fault{Operation: "AbortMultipartUpload", Count: -1, Kind: localaws.HangBefore})
			p := j.start(nil, "build")
			p.wait(t, hang.Reached())
			told := time.Now()
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if got := p.code(t); got != 5 {
				t.Errorf("got exit code %d, want 5:\n%s", got, p.out.String())
			}
			if took := time.Since(told); took > within {
				t.Errorf("it took %s to end, want at most 10 s", took)
			}
			if n := len(j.AWS.Builds()); n != 0 {
				t.Errorf("%d builds were started", n)
			}
		})
	}
}

// A build whose start is never answered is found by its token, and stopped.
func TestStoppedWhileTheStartIsNeverAnswered(t *testing.T) {
	t.Parallel()
	j := newJob(t, "buildspec.yml", sleeper)
	hang := j.AWS.Fault(localaws.Fault{Operation: "StartBuild", Count: -1, Kind: localaws.HangAfter})
	out := j.stopped(byTERM, func(p *process) { p.wait(t, hang.Reached()) }, nil)
	if !strings.Contains(out, "is stopped") || len(j.AWS.Builds()) != 1 {
		t.Errorf("got %d builds and\n%s", len(j.AWS.Builds()), out)
	}
}
