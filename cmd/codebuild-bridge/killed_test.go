package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// Killed without a chance to stop its build, the bridge leaves its id for
// after_script.
func TestKilledThenStoppedByAfterScript(t *testing.T) {
	t.Parallel()
	j := newJob(t, "buildspec.yml", sleeper)
	p := j.start(nil, "build")
	j.phase("BUILD")
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.code(t)
	if out := j.run(0, "stop"); !strings.Contains(out, "is stopped") {
		t.Errorf("got\n%s", out)
	}
	j.wantStopped()
	if out := j.run(0, "stop"); !strings.Contains(out, "No build of this job is left") {
		t.Errorf("got\n%s", out)
	}
}

// Killed without a chance to do anything while the answer to StartBuild is on
// its way, it has left what `stop` needs.
func TestKilledWhileStarting(t *testing.T) {
	t.Parallel()
	j := newJob(t, "buildspec.yml", sleeper)
	hang := j.AWS.Fault(localaws.Fault{Operation: "StartBuild", Kind: localaws.HangAfter})
	p := j.start(nil, "build")
	p.wait(t, hang.Reached())
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.code(t)
	if out := j.run(0, "stop"); !strings.Contains(out, "is stopped") {
		t.Errorf("got\n%s", out)
	}
	j.wantStopped()
}

// A cancelled publish leaves no half upload, and a deployment that was made goes
// on: half of one would be worse.
func TestPublishStopped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ call, want string }{
		{"UploadPart", "told to stop by SIGTERM"},
		{"CompleteMultipartUpload", "told to stop by SIGTERM"},
		{"GetDeployment", "told to stop by SIGTERM"},
		{"ListDeploymentTargets", "is not stopped; it goes on"},
	} {
		t.Run(test.call, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, "appspec.yml", "version: 0.0\n")
			j.WriteNoise()
			j.AWS.PlanDeployments(localaws.DeployPlan{Event: time.Second})
			hang := j.AWS.Fault(localaws.Fault{Operation: test.call, Kind: localaws.HangBefore})
			p := j.start(nil, "publish", "--application", "shop", "--deployment-group", "prod", "--key", "shop.zip", "--wait")
			p.wait(t, hang.Reached())
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if got, out := p.code(t), p.out.String(); got != 5 || !strings.Contains(out, test.want) {
				t.Errorf("got exit code %d, want 5, and %q in\n%s", got, test.want, out)
			}
			j.NothingGoesOn()
		})
	}
}
