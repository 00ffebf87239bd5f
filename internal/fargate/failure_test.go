package fargate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"github.com/fargate-driver/fargate-driver/internal/task"
)

// The messages are AWS's own words, with the curly apostrophe that it has.
func TestFailuresAreClassified(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		code, message string
		want          Class
	}{
		{"ThrottlingException", "Rate exceeded", Throttled},
		{"InvalidParameterException", "Error retrieving subnet information for [subnet-0a]: Rate exceeded (ErrorCode: Throttling)", Throttled},
		{"ClientException", "Too many concurrent attempts to create a new revision of the specified family.", Throttled},
		{"", "Capacity is unavailable at this time. Please try again later or in a different availability zone", Capacity},
		{"", "RESOURCE:ENI", Capacity},
		{"", "You’ve reached the limit on the number of vCPUs you can run concurrently", Quota},
		{"", "You've reached the limit on the number of tasks you can run concurrently", Quota},
		{"", "The requested CPU configuration is above your limit", Permanent},
		{"ClusterNotFoundException", "Cluster not found.", Missing},
		{"ClientException", "TaskDefinition not found.", Missing},
		{"ClientException", "TaskDefinition is inactive", Missing},
		{"AccessDeniedException", "User: arn:aws:sts::1:assumed-role/m is not authorized to perform: ecs:RunTask on resource: x", Permission},
		{"AccessDeniedException", "User: x is not authorized to perform: iam:PassRole on resource: y", Permission},
		{"ServerException", "Service Unavailable. Please try again later.", Temporary},
		{"InvalidParameterException", "No Container Instances were found in your cluster.", Permanent},
		{"SomethingNewException", "what nobody has seen yet", Permanent},
		{"", "Timeout waiting for network interface provisioning to complete.", Temporary},
		{"", "CannotPullContainerError: pull image manifest has been retried 1 time(s)", ImagePull},
		{"", "Your Spot Task was interrupted.", Spot},
	} {
		var err error = &smithy.GenericAPIError{Code: test.code, Message: test.message}
		if test.code == "" {
			err = refusal("starting a task", test.message, "")
		} else {
			err = failure("starting a task", err)
		}
		if got := ClassOf(err); got != test.want {
			t.Errorf("%s: %s: class %d, want %d", test.code, test.message, got, test.want)
		}
		if !strings.Contains(err.Error(), strings.TrimSuffix(test.message, ".")) {
			t.Errorf("AWS's words are missing in %q", err)
		}
	}
}

func TestFailuresWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	if got := ClassOf(failure("x", &net.OpError{Op: "dial", Err: errors.New("refused")})); got != Unanswered {
		t.Errorf("class %d", got)
	}
	if err := failure("x", fmt.Errorf("y: %w", context.Canceled)); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call is %v", err)
	}
	if got := ClassOf(failure("x", errors.New("operation error: get identity: get credentials: no EC2 IMDS role found"))); got != Permission {
		t.Errorf("class %d", got)
	}
	if failure("x", nil) != nil {
		t.Error("no error became one")
	}
}

// climb runs a ladder through failures and writes down where it tries.
func climb(l *Ladder, failures ...Class) (places []string, waits []time.Duration) {
	places = append(places, l.Place().String())
	for _, class := range failures {
		again, wait := l.Failed(class)
		if !again {
			return append(places, "end"), waits
		}
		places, waits = append(places, l.Place().String()), append(waits, wait)
	}
	return places, waits
}

func TestLadder(t *testing.T) {
	t.Parallel()
	// The seed "seed" begins at the first subnet.
	spec := func(providers ...string) task.Spec {
		return task.Spec{Subnets: []string{"a", "b"}, CapacityProviders: providers}
	}
	begin := NewLadder(spec(), "seed").Place().Subnet
	other := map[string]string{"a": "b", "b": "a"}[begin]

	places, waits := climb(NewLadder(spec("FARGATE_SPOT", "FARGATE"), "seed"), Capacity, Capacity, Capacity, Capacity)
	want := []string{begin + " (FARGATE_SPOT)", other + " (FARGATE_SPOT)", begin + " (FARGATE)", other + " (FARGATE)", begin + " (FARGATE_SPOT)"}
	if !reflect.DeepEqual(places, want) || !reflect.DeepEqual(waits, []time.Duration{0, 0, 0, 2 * time.Second}) {
		t.Errorf("capacity: %v, %v", places, waits)
	}

	places, _ = climb(NewLadder(spec("FARGATE_SPOT", "FARGATE"), "seed"), Spot, Capacity, Capacity)
	if want := []string{begin + " (FARGATE_SPOT)", begin + " (FARGATE)", other + " (FARGATE)", begin + " (FARGATE)"}; !reflect.DeepEqual(places, want) {
		t.Errorf("after a reclaim: %v", places)
	}

	_, waits = climb(NewLadder(spec(), "seed"), Quota, Throttled, Unanswered, Quota, Quota, Quota)
	if want := []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second}; !reflect.DeepEqual(waits, want) {
		t.Errorf("waits %v", waits)
	}

	for _, class := range []Class{Permanent, Permission, Missing, ImagePull} {
		if places, _ := climb(NewLadder(spec(), "seed"), class); places[len(places)-1] != "end" {
			t.Errorf("class %d is tried again", class)
		}
	}

	l := NewLadder(spec(), "seed")
	l.UseLaunchType()
	if l.Place().Provider != LaunchTypeFargate {
		t.Errorf("got %v", l.Place())
	}

	begins := map[string]bool{}
	for i := range 50 {
		begins[NewLadder(spec(), fmt.Sprint(i)).Place().Subnet] = true
	}
	if len(begins) != 2 {
		t.Error("all jobs begin in one subnet")
	}
}

func code(n int) *int { return &n }

func TestExplain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		task  task.Task
		class Class
		want  []string
	}{
		"Spot": {task.Task{StopCode: "SpotInterruption", StoppedReason: "Your Spot Task was interrupted."}, Spot,
			[]string{"task 1f2e", "took the Spot capacity back", "(Your Spot Task was interrupted)", "on demand"}},
		"out of memory": {task.Task{StopCode: "EssentialContainerExited", StoppedReason: "Essential container in task exited", Size: task.Size{CPU: 512, Memory: 2048},
			Containers: []task.Container{{Name: "ci-coordinator", ExitCode: code(137), Reason: "OutOfMemoryError: Container killed due to memory usage"}}}, Permanent,
			[]string{"ran out of memory", "2048 MiB", "FARGATE_MEMORY"}},
		"by hand": {task.Task{StopCode: "UserInitiated", StoppedReason: "Task stopped by user"}, Permanent,
			[]string{"stopped by somebody: Task stopped by user", "CloudTrail"}},
		"image": {task.Task{StopCode: "TaskFailedToStart", StoppedReason: "CannotPullContainerError: ref pull has been retried 1 time(s): failed to resolve ref docker.io/x: not found"}, ImagePull,
			[]string{"the image cannot be pulled", "not found", "execution role"}},
		"rate limit of a registry": {task.Task{StopCode: "TaskFailedToStart", StoppedReason: "CannotPullContainerError: toomanyrequests: You have reached your pull rate limit."}, ImagePull,
			[]string{"registry limits", "pull-through cache"}},
		"image, in the container's words": {task.Task{StopCode: "TaskFailedToStart", StoppedReason: "Task failed to start",
			Containers: []task.Container{{Name: "ci-coordinator", Reason: "CannotPullContainerError: x"}}}, ImagePull, []string{"the image cannot be pulled", "CannotPullContainerError: x"}},
		"container exited": {task.Task{StopCode: "EssentialContainerExited", StoppedReason: "Essential container in task exited",
			Containers: []task.Container{{Name: "ci-coordinator", ExitCode: code(3)}}}, Permanent, []string{"ci-coordinator exited with code 3"}},
		"another container exited": {task.Task{StopCode: "EssentialContainerExited", StoppedReason: "Essential container in task exited",
			Containers: []task.Container{{Name: "ci-coordinator"}, {Name: "proxy", ExitCode: code(1)}}}, Permanent, []string{"proxy exited with code 1", "essential = false"}},
		"after the agent was installed": {task.Task{StopCode: "EssentialContainerExited", StoppedReason: "Essential container in task exited",
			Containers: []task.Container{{Name: "ci-install", ExitCode: code(0)}, {Name: "ci-service-0", ExitCode: code(1), Reason: "OutOfMemoryError: Container killed due to memory usage"},
				{Name: "ci-helper", ExitCode: code(0)}, {Name: "ci-coordinator", ExitCode: code(3)}}}, Permanent, []string{"ci-coordinator exited with code 3"}},
		"the helper exited": {task.Task{StopCode: "EssentialContainerExited", StoppedReason: "Essential container in task exited",
			Containers: []task.Container{{Name: "ci-install", ExitCode: code(0)}, {Name: "ci-coordinator", ExitCode: code(0)}, {Name: "ci-helper", ExitCode: code(137)}}}, Permanent,
			[]string{"ci-helper exited with code 137", "its log"}},
		"a service that cannot start": {task.Task{StopCode: "TaskFailedToStart", StoppedReason: "Task failed to start",
			Containers: []task.Container{{Name: "ci-install", ExitCode: code(0)}, {Name: "ci-service-1", Reason: "CannotStartContainerError: no such file"}, {Name: "ci-coordinator"}}}, Permanent,
			[]string{"cannot be started", "container ci-service-1: CannotStartContainerError"}},
		"no agent to install": {task.Task{StopCode: "TaskFailedToStart", StoppedReason: "CannotStartContainerError: no such file",
			Containers: []task.Container{{Name: "ci-coordinator"}, {Name: "ci-install", Reason: "CannotStartContainerError: no such file"}}}, Permanent, []string{"[Images] AgentPath"}},
		"nothing said":   {task.Task{}, Permanent, []string{"ECS gives no reason"}},
		"host goes away": {task.Task{StopCode: "TerminationNotice", StoppedReason: "x"}, Spot, []string{"takes the host away"}},
	} {
		test.task.ARN = "arn:aws:ecs:eu-west-1:1:task/ci/1f2e"
		got := Explain(test.task, "ci-coordinator")
		if got.Class != test.class {
			t.Errorf("%s: class %d, want %d", name, got.Class, test.class)
		}
		for _, part := range test.want {
			if !strings.Contains(got.Error(), part) {
				t.Errorf("%s: %q is missing in %q", name, part, got.Error())
			}
		}
	}
}

// Whoever reads a message at night finds it in docs/troubleshooting.md.
func TestEveryMeaningIsInTheDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		if r.meaning != "" && !strings.Contains(string(page), r.meaning) {
			t.Errorf("%q is missing in docs/troubleshooting.md", r.meaning)
		}
	}
}
