package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

func processName(t *testing.T, pid int) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// prepare is killed at every step of its way, and gitlab-runner calls cleanup.
// After it, or where ECS needs a moment after a reap, no task is left.
func TestPrepareIsKilledAtEachStep(t *testing.T) {
	t.Parallel()
	hang := func(operation string, kind localaws.FaultKind) func(*world) *localaws.OrderedFault {
		return func(w *world) *localaws.OrderedFault {
			return w.aws.Fault(localaws.Fault{Operation: operation, Kind: kind})
		}
	}
	for name, test := range map[string]struct {
		at     func(*world) *localaws.OrderedFault
		lag    bool   // ListTasks does not know the task yet when cleanup asks
		script string // of the job's container
	}{
		"before RunTask is done":          {at: hang("RunTask", localaws.HangBefore)},
		"RunTask is done, not answered":   {at: hang("RunTask", localaws.HangAfter)},
		"the same, and ListTasks lags":    {at: hang("RunTask", localaws.HangAfter), lag: true},
		"asking for the address":          {at: hang("DescribeTasks", localaws.HangBefore)},
		"the address is not yet answered": {at: hang("DescribeTasks", localaws.HangAfter)},
		"waiting for SSH":                 {script: "touch READY; exec sleep 600"},
		"SSH answered, asking for details": {at: func(w *world) *localaws.OrderedFault {
			return w.aws.Fault(localaws.Fault{Operation: "DescribeTasks", Kind: localaws.HangBefore, Skip: 1})
		}},
	} {
		for signal, sig := range map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM} {
			t.Run(name+" by "+signal, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, localaws.Options{NoThrottle: true}, "[Reap]\nOlderThan = \"1ms\"")
				if test.script != "" {
					w.definition("ci-job", strings.ReplaceAll(test.script, "READY", w.dir+"/ready"))
				}
				j := w.job()
				var fault *localaws.OrderedFault
				if test.at != nil {
					fault = test.at(w)
				}
				s := j.begin("prepare")
				if fault != nil {
					<-fault.Reached()
				} else {
					s.stdout.await(t, "waiting for SSH")
				}
				if test.lag {
					w.aws.Fault(localaws.Fault{Kind: localaws.Lagging, Count: 1})
				}
				s.signal(t, sig)
				if fault != nil && sig == syscall.SIGKILL {
					defer fault.Release()
				}
				r := w.finish(s)
				if r.code == succeeded {
					t.Errorf("prepare succeeded:\n%s", r.log())
				}
				if r.took > 20*time.Second {
					t.Errorf("prepare needed %v to end after %s", r.took, signal)
				}
				if fault != nil {
					fault.Remove()
				}
				j.stage("cleanup").want(t, succeeded)
				if len(w.aws.RunningTasks()) > 0 {
					if !test.lag {
						t.Errorf("cleanup left a task that ECS shows")
					}
					w.command("reap").want(t, succeeded, "ended task")
				}
				if left := w.aws.RunningTasks(); len(left) > 0 {
					t.Errorf("tasks are left: %v", left)
				}
				w.command("reap").want(t, succeeded)
				if left := w.records(); len(left) > 0 {
					t.Errorf("records are left: %v", left)
				}
			})
		}
	}
}

// The answer of RunTask reaches a prepare whose job was cleaned up meanwhile:
// gitlab-runner may call cleanup while a killed stage is still dying.
func TestCleanupWhilePrepareStillLives(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	j := w.job()
	fault := w.aws.Fault(localaws.Fault{Operation: "RunTask", Kind: localaws.HangBefore})
	s := j.begin("prepare")
	<-fault.Reached()
	j.stage("cleanup").want(t, succeeded, "no task to stop")
	fault.Release()
	w.finish(s).want(t, systemFailure, "the job was cleaned up meanwhile")
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := w.aws.WaitIdle(ctx); err != nil {
		t.Errorf("prepare left its task running: %v", w.aws.RunningTasks())
	}
}

func TestCleanupWhileRunStillLives(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	j := w.job()
	j.stage("prepare").want(t, succeeded)
	s := j.begin("run", j.script("echo begun; sleep 300\n"), "build_script")
	s.stdout.await(t, "begun")
	j.stage("cleanup").want(t, succeeded)
	r := w.finish(s)
	r.want(t, systemFailure)
	if r.took > 30*time.Second {
		t.Errorf("run needed %v to notice", r.took)
	}
	if left := w.records(); len(left) > 0 {
		t.Errorf("records are left: %v", left)
	}
}

// A new attempt finds what a killed one left, where cleanup was never called.
func TestNextAttemptEndsThePrevious(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	j := w.job()
	j.stage("prepare").want(t, succeeded)
	j.stage("prepare").want(t, succeeded)
	if n := len(w.aws.RunningTasks()); n != 1 {
		t.Errorf("%d tasks run for one job", n)
	}
	j.stage("cleanup").want(t, succeeded)
	if left := w.records(); len(left) > 0 {
		t.Errorf("records are left: %v", left)
	}
}

// Two attempts at once: the first is still dying when gitlab-runner starts the
// next. The second has its task, and the first none.
func TestAttemptsThatOverlap(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{NoThrottle: true}, "")
	j := w.job()
	hanging := w.aws.Fault(localaws.Fault{Operation: "DescribeTasks", Kind: localaws.HangBefore})
	first := j.begin("prepare")
	<-hanging.Reached()
	second := j.begin("prepare")
	second.stdout.await(t, "is ready after")
	w.finish(second).want(t, succeeded)
	hanging.Release()
	w.finish(first).want(t, systemFailure)
	if n := len(w.aws.RunningTasks()); n != 1 {
		t.Errorf("%d tasks run for one job", n)
	}
	j.run("echo the second attempt works\n").want(t, succeeded, "the second attempt works")
	j.stage("cleanup").want(t, succeeded)
	if left := w.records(); len(left) > 0 {
		t.Errorf("records are left: %v", left)
	}
}

// RunTask is done and not heard, and then AWS has faults of its own: however
// often it is asked again, one task is started.
func TestOneTaskWhateverAWSAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{NoThrottle: true}, "")
	w.aws.Fault(localaws.Fault{Operation: "RunTask", Kind: localaws.Unanswered, Count: 3})
	w.aws.Fault(localaws.Fault{Operation: "RunTask", Kind: localaws.Refused, Code: "ServerException", Status: 500, Count: 3})
	j := w.job()
	j.stage("prepare").want(t, succeeded)
	if n := len(w.aws.Tasks()); n != 1 {
		t.Errorf("%d tasks were started for one job", n)
	}
	j.stage("cleanup").want(t, succeeded)
}

// The disk fills up while a job runs: its task is stopped all the same.
func TestCleanupOnAFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	mount(w, 0, "size=64k")
	j := w.job()
	j.stage("prepare").want(t, succeeded)
	fill(w)
	j.stage("cleanup").want(t, systemFailure, "no space left on device")
	if left := w.aws.RunningTasks(); len(left) > 0 {
		t.Errorf("running: %v", left)
	}
}

// gitlab-runner is gone, and with it whoever reads the job log.
func TestReaderOfTheJobLogIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "[Run]\nKillGrace = \"1s\"")
	j := w.job()
	j.stage("prepare").want(t, succeeded)
	marker := filepath.Join(w.dir, "marker")
	cmd := exec.Command(filepath.Join(programs, "fargate-driver"), "--config", w.config, "custom", "run",
		j.script("export MARKER="+marker+"\necho begun\nsleep 1\nwhile :; do echo more; sleep 0.1; done\n"), "build_script")
	cmd.Dir, cmd.Env = j.tempDir, j.env
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	must(t, out.Close())
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != systemFailure {
		t.Errorf("run ended with %v, want a system failure", err)
	}
	awaitNoProcess(t, marker)
	j.stage("cleanup").want(t, succeeded)
}

// run is killed outright, with its script running on: the same sub-stage,
// called again, does not run twice.
func TestRunIsKilledAndCalledAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	j := w.job()
	j.stage("prepare").want(t, succeeded)
	script := j.script("echo begun; echo x >> " + w.dir + "/runs; while [ ! -e " + w.dir + "/go ]; do sleep 0.05; done; echo finished; exit 5\n")
	s := j.begin("run", script, "build_script")
	s.stdout.await(t, "begun")
	s.signal(t, syscall.SIGKILL)
	w.finish(s)
	again := j.begin("run", script, "build_script")
	if err := os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.finish(again).want(t, buildFailure, "finished")
	runs, err := os.ReadFile(filepath.Join(w.dir, "runs"))
	if err != nil || string(runs) != "x\n" {
		t.Errorf("the script ran %q times, %v", runs, err)
	}
	j.stage("cleanup").want(t, succeeded)
}

func TestCleanupKeepsTheRecordUntilECSHasAgreed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{NoThrottle: true}, "[Reap]\nOlderThan = \"1ms\"")
	j := w.job()
	j.stage("prepare").want(t, succeeded)
	denied := w.aws.Fault(localaws.Fault{Operation: "StopTask", Kind: localaws.Refused, Code: "AccessDeniedException", Count: -1,
		Message: "User: x is not authorized to perform: ecs:StopTask on resource: y"})
	j.stage("cleanup").want(t, systemFailure, "stopping task", "ecs:StopTask", "reap")
	if len(w.records()) == 0 {
		t.Fatal("the record of a running task was forgotten")
	}
	denied.Remove()
	w.command("reap", "--dry-run").want(t, succeeded, "would end task", "its cleanup could not be finished")
	if len(w.aws.RunningTasks()) != 1 {
		t.Error("a dry run stopped the task")
	}
	w.command("reap").want(t, succeeded, "ended task", "1 of 1 are orphans")
	if left := w.records(); len(left) > 0 {
		t.Errorf("records are left: %v", left)
	}
}

// Both faults of a stop that pass: refused for the moment, and done unheard.
func TestCleanupTriesAgain(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]localaws.Fault{
		"throttled":        {Operation: "StopTask", Kind: localaws.Refused, Code: "ThrottlingException", Count: 4},
		"done, unanswered": {Operation: "StopTask", Kind: localaws.Unanswered, Count: 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, localaws.Options{NoThrottle: true}, "")
			j := w.job()
			j.stage("prepare").want(t, succeeded)
			w.aws.Fault(fault)
			j.stage("cleanup").want(t, succeeded)
			if left := w.records(); len(left) > 0 {
				t.Errorf("records are left: %v", left)
			}
		})
	}
}

func TestReapLeavesRunningJobsAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "[Reap]\nOlderThan = \"1ms\"")
	j := w.job()
	j.stage("prepare").want(t, succeeded)
	s := j.begin("run", j.script("echo begun; while [ ! -e "+w.dir+"/go ]; do sleep 0.05; done\n"), "build_script")
	s.stdout.await(t, "begun")
	w.command("reap").want(t, succeeded, "0 of 1 are orphans")
	w.command("ps").want(t, succeeded, "team/app", "unit", "RUNNING", "0.25 vCPU, 512 MiB", "a stage of the job runs")
	if err := os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.finish(s).want(t, succeeded)
	j.stage("cleanup").want(t, succeeded)
}

func TestBadMetadataDirectories(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(w *world)
		want   []string
	}{
		"missing": {func(w *world) { must(w.t, os.Remove(filepath.Join(w.dir, "records"))) }, []string{"no such file or directory", "[TaskMetadata] Directory"}},
		"a file": {func(w *world) {
			must(w.t, os.Remove(filepath.Join(w.dir, "records")))
			must(w.t, os.WriteFile(filepath.Join(w.dir, "records"), nil, 0o600))
		}, []string{"is not a directory"}},
		"full":      {func(w *world) { full(w) }, []string{"no space left on device", "make room"}},
		"read-only": {func(w *world) { readOnly(w) }, []string{"read-only file system", "be able to write"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, localaws.Options{}, "")
			test.change(w)
			j := w.job()
			j.stage("prepare").want(t, systemFailure, test.want...)
			if n := len(w.aws.Calls("RunTask")); n != 0 {
				t.Errorf("a task was started without a record of it")
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mount puts a small file system over the records, where the tests may do so.
func mount(w *world, flags uintptr, options string) {
	dir := filepath.Join(w.dir, "records")
	if err := syscall.Mount("none", dir, "tmpfs", flags, options); err != nil {
		w.t.Skipf("mounting a file system takes root: %v", err)
	}
	w.t.Cleanup(func() { must(w.t, syscall.Unmount(dir, 0)) })
}

func readOnly(w *world) { mount(w, syscall.MS_RDONLY, "") }

func full(w *world) {
	mount(w, 0, "size=4k,nr_inodes=4")
	fill(w)
}

func fill(w *world) {
	f, err := os.Create(filepath.Join(w.dir, "records", "filler"))
	must(w.t, err)
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 1024)); err != nil {
			return
		}
	}
}
