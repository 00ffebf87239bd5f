package main

import (
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// Launches that cannot work: each says what, why and what to do, and leaves
// neither task nor record.
func TestLaunchesThatFail(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(w *world)
		extra  string
		vars   []string
		code   int
		want   []string
	}{
		"no such cluster": {
			change: func(w *world) { w.edit(`Cluster = "ci"`, `Cluster = "ic"`) }, code: systemFailure,
			want: []string{"starting a task in cluster ic", "there is no such cluster", "Cluster not found", "[Fargate] Cluster"}},
		"no such task definition": {
			change: func(w *world) { w.edit(`TaskDefinition = "ci-job"`, `TaskDefinition = "nope"`) }, code: systemFailure,
			want: []string{"there is no such task definition", "TaskDefinition not found", "[Fargate] TaskDefinition"}},
		"no container of the name": {
			change: func(w *world) {
				if _, err := w.aws.AddTaskDefinition("ci-job", "app", "sleep", "600"); err != nil {
					w.t.Fatal(err)
				}
			}, code: systemFailure,
			want: []string{"no container named ci-coordinator", "name the job's container ci-coordinator"}},
		"access denied": {
			change: func(w *world) {
				w.aws.Fault(localaws.Fault{Operation: "RunTask", Kind: localaws.Refused, Code: "AccessDeniedException",
					Message: "User: arn:aws:sts::123456789012:assumed-role/manager/i-1 is not authorized to perform: ecs:RunTask on resource: *"})
			}, code: systemFailure,
			want: []string{"the manager's role does not allow this", "not authorized to perform: ecs:RunTask", "docs/security.md"}},
		"no PassRole": {
			change: func(w *world) {
				w.aws.Fault(localaws.Fault{Operation: "RunTask", Kind: localaws.Refused, Code: "AccessDeniedException",
					Message: "User: x is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/job"})
			}, code: systemFailure, want: []string{"may not hand the task its roles", "iam:PassRole"}},
		"size above the account's limit": {
			change: func(w *world) {
				w.aws.Fault(localaws.Fault{Operation: "RunTask", Kind: localaws.RunFailure, Message: "The requested CPU configuration is above your limit"})
			}, code: systemFailure, want: []string{"above the account's limit", "Service Quotas"}},
		"no capacity until the deadline": {
			change: func(w *world) { w.aws.Fault(localaws.Fault{Kind: localaws.CapacityUnavailable, Count: -1}) },
			extra:  "[Launch]\nDeadline = \"1s\"", code: systemFailure,
			want: []string{"No Fargate capacity in subnet-", "not ready within 1.0s ([Launch] Deadline)"}},
		"quota until the deadline": {
			change: func(w *world) { w.aws.Fault(localaws.Fault{Kind: localaws.VCPUQuota, Count: -1}) },
			extra:  "[Launch]\nDeadline = \"1s\"", code: systemFailure,
			want: []string{"Fargate quota is used up", "reached the limit on the number of vCPUs", "not ready within"}},
		"image cannot be pulled": {
			change: func(w *world) { w.aws.Fault(localaws.Fault{Kind: localaws.PullFailure}) }, code: systemFailure,
			want: []string{"the image cannot be pulled", "CannotPullContainerError", "execution role"}},
		"task cannot be initialised": {
			change: func(w *world) { w.aws.Fault(localaws.Fault{Kind: localaws.InitFailure}) }, code: systemFailure,
			want: []string{"could not set the task up", "ResourceInitializationError"}},
		"task stops before SSH answers": {
			change: func(w *world) { w.definition("ci-job", "exit 3") }, code: systemFailure,
			want: []string{"container ci-coordinator exited with code 3"}},
		"SSH never answers": {
			change: func(w *world) { w.definition("ci-job", "exec sleep 600") },
			extra:  "[Launch]\nDeadline = \"4s\"", code: systemFailure,
			want: []string{"runs, but its SSH server does not answer", "nothing listens there", "port 2222"}},
		"subnet does not exist": {
			change: func(w *world) { w.edit(localaws.SubnetA, "subnet-0000"); w.edit(localaws.SubnetB, "subnet-0000") }, code: systemFailure,
			want: []string{"there is no such subnet", "[Fargate] Subnet"}},
		"job asks for too much": {
			vars: []string{"FARGATE_CPU=4096", "FARGATE_MEMORY=8192"}, code: buildFailure,
			want: []string{"FARGATE_CPU", "[Jobs] MaxCPU"}},
		"job asks for other rights": {
			change: func(w *world) {
				w.aws.Fault(localaws.Fault{Operation: "DescribeTaskDefinition", Kind: localaws.Refused, Code: "AccessDeniedException"})
			},
			vars: []string{"FARGATE_TASK_DEFINITION=admin"}, code: systemFailure,
			want: []string{"seeing whether the job may use task definition admin"}},
		"job names what is not there": {
			vars: []string{"FARGATE_TASK_DEFINITION=nothing"}, code: systemFailure,
			want: []string{"looking at task definition nothing", "there is no such task definition"}},
		"AWS does not answer": {
			change: func(w *world) {
				w.aws.Fault(localaws.Fault{Operation: "RunTask", Kind: localaws.HangBefore, Count: -1})
			},
			extra: "[Launch]\nDeadline = \"2s\"", code: systemFailure, want: []string{"not ready within"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, localaws.Options{NoThrottle: true}, test.extra)
			if test.change != nil {
				test.change(w)
			}
			j := w.job(test.vars...)
			r := j.stage("prepare")
			r.want(t, test.code, test.want...)
			if strings.Count(r.log(), "ERROR:") != 1 {
				t.Errorf("the error is not said once:\n%s", r.log())
			}
			// What gitlab-runner calls after a failed attempt.
			j.stage("cleanup").want(t, succeeded)
			if left := w.aws.RunningTasks(); len(left) != 0 {
				t.Errorf("running: %v", left)
			}
		})
	}
}

// Launches that meet obstacles and come through.
func TestLaunchesThatComeThrough(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		faults []localaws.Fault
		extra  string
		want   []string
	}{
		"capacity in the next subnet": {faults: []localaws.Fault{{Kind: localaws.CapacityUnavailable}}, want: []string{"No Fargate capacity in", "trying subnet-"}},
		"Spot has none, on demand has": {faults: []localaws.Fault{{Kind: localaws.CapacityUnavailable, Count: 2}}, extra: "[Launch]\nCapacityProviders = [\"FARGATE_SPOT\", \"FARGATE\"]",
			want: []string{"(FARGATE_SPOT); trying", "(FARGATE)"}},
		"throttled":              {faults: []localaws.Fault{{Operation: "RunTask", Kind: localaws.Refused, Code: "ThrottlingException", Count: 2}}},
		"throttled in disguise":  {faults: []localaws.Fault{localaws.HiddenThrottle(localaws.SubnetA)}, want: []string{"AWS asks for fewer calls"}},
		"done but not answered":  {faults: []localaws.Fault{{Operation: "RunTask", Kind: localaws.Unanswered}}},
		"never answered by SDK":  {faults: []localaws.Fault{{Operation: "RunTask", Kind: localaws.Unanswered, Count: 3}}, want: []string{"AWS did not answer"}},
		"fault of AWS's own":     {faults: []localaws.Fault{{Operation: "RunTask", Kind: localaws.Refused, Code: "ServerException", Status: 500, Count: 4}}},
		"ECS does not know yet":  {faults: []localaws.Fault{{Operation: "DescribeTasks", Kind: localaws.Missing, Count: 1}}},
		"asking is throttled":    {faults: []localaws.Fault{{Operation: "DescribeTasks", Kind: localaws.Refused, Code: "ThrottlingException", Count: 3}}},
		"may not tag":            {faults: []localaws.Fault{{Operation: "RunTask", Kind: localaws.Refused, Code: "AccessDeniedException", Message: "User: x is not authorized to perform: ecs:TagResource on resource: y"}}},
		"stuck in PROVISIONING":  {faults: []localaws.Fault{{Kind: localaws.Stuck}}, extra: "[Launch]\nProvisioningLimit = \"1s\"", want: []string{"No Fargate capacity in"}},
		"interface not in time":  {faults: []localaws.Fault{{Operation: "RunTask", Kind: localaws.RunFailure, Message: "Timeout waiting for network interface provisioning to complete."}}},
		"no default strategy":    {faults: []localaws.Fault{{Operation: "RunTask", Kind: localaws.Refused, Code: "InvalidParameterException", Message: "No Container Instances were found in your cluster."}}},
		"quota free after while": {faults: []localaws.Fault{{Kind: localaws.VCPUQuota}}, want: []string{"quota is used up"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, localaws.Options{NoThrottle: true}, test.extra)
			for _, f := range test.faults {
				w.aws.Fault(f)
			}
			j := w.job()
			j.stage("prepare").want(t, succeeded, append(test.want, "is ready after")...)
			if n := len(w.aws.RunningTasks()); n != 1 {
				t.Errorf("%d tasks run for one job", n)
			}
			j.run("echo works\n").want(t, succeeded, "works")
			j.stage("cleanup").want(t, succeeded)
		})
	}
}

func TestJobLogTellsWhatOneWaitsFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{Delays: localaws.Delays{Provisioning: 2500 * time.Millisecond, Pull: 4 * time.Second, Activating: 500 * time.Millisecond}}, "")
	j := w.job("CI_JOB_IMAGE=ruby:3.4")
	r := j.stage("prepare")
	r.want(t, succeeded, "image: ruby:3.4 is not used", "Provisioning: waiting for capacity", "pulling the image", "is ready after", "provisioning,", "pulling the image,")
	if strings.Contains(r.log(), "level=") {
		t.Errorf("diagnostics in the job log:\n%s", r.log())
	}
	j.stage("cleanup").want(t, succeeded)
}

// A Spot task that was reclaimed before it was ready is followed by one on demand.
func TestSpotReclaimedDuringLaunch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{NoThrottle: true}, "[Launch]\nCapacityProviders = [\"FARGATE_SPOT\", \"FARGATE\"]")
	w.definition("ci-job", `case $0 in *) [ -e `+w.dir+`/second ] || { touch `+w.dir+`/second; exec sleep 600; }; esac; exec `+programs+`/coordinator serve --listen $LOCALAWS_TASK_ADDRESS:2222`)
	j := w.job()
	s := j.begin("prepare")
	s.stdout.await(t, "Running: waiting for SSH")
	for _, task := range w.aws.Tasks() {
		if err := w.aws.Interrupt(task.ARN); err != nil {
			t.Fatal(err)
		}
	}
	w.finish(s).want(t, succeeded, "Spot capacity back", "(FARGATE)")
	j.stage("cleanup").want(t, succeeded)
}
