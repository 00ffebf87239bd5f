package localaws

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestRunTaskAnswersWithFailures(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "true")
	s.Fault(Fault{Kind: CapacityUnavailable, Match: SubnetA})
	s.Fault(Fault{Kind: VCPUQuota})
	s.Fault(Fault{Kind: RunFailure, Message: "The requested CPU configuration is above your limit"})
	for _, want := range []string{
		"Capacity is unavailable at this time. Please try again later or in a different availability zone",
		"You’ve reached the limit on the number of vCPUs you can run concurrently",
		"The requested CPU configuration is above your limit",
	} {
		out, err := c.RunTask(t.Context(), jobInput())
		if err != nil || len(out.Tasks) != 0 || len(out.Failures) != 1 || aws.ToString(out.Failures[0].Reason) != want {
			t.Errorf("got %+v, %v, want %q", out, err, want)
		}
	}
	run(t, c, jobInput())
}

func TestQuotaOfVCPUs(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{VCPUs: 1}, "sleep", "600")
	in := jobInput()
	in.Count = aws.Int32(4) // of a quarter each
	out, err := c.RunTask(t.Context(), in)
	if err != nil || len(out.Tasks) != 4 {
		t.Fatalf("%+v, %v", out, err)
	}
	fifth, err := c.RunTask(t.Context(), jobInput())
	if err != nil || len(fifth.Failures) != 1 || !strings.Contains(aws.ToString(fifth.Failures[0].Reason), "limit on the number of vCPUs") {
		t.Fatalf("%+v, %v", fifth, err)
	}
	arn := aws.ToString(out.Tasks[0].TaskArn)
	if err := s.StopByHand(arn); err != nil {
		t.Fatal(err)
	}
	until(t, s, arn, "STOPPED")
	run(t, c, jobInput())
}

func TestHiddenThrottle(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "true")
	s.Fault(HiddenThrottle(SubnetA))
	_, err := c.RunTask(t.Context(), jobInput())
	wantCode(t, err, "InvalidParameterException", "Error retrieving subnet information for ["+SubnetA+"]: Rate exceeded (ErrorCode: Throttling)")
}

func TestTasksThatDoNotStart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault  Fault
		reason string
	}{
		{Fault{Kind: PullFailure}, "CannotPullContainerError: "},
		{Fault{Kind: PullFailure, Message: "CannotPullContainerError: toomanyrequests"}, "CannotPullContainerError: toomanyrequests"},
		{Fault{Kind: InitFailure}, "ResourceInitializationError: "},
	} {
		t.Run(string(test.fault.Kind), func(t *testing.T) {
			t.Parallel()
			s, c := startECS(t, Options{}, "sleep", "600")
			s.Fault(test.fault)
			arn := run(t, c, jobInput())
			until(t, s, arn, "STOPPED")
			task := describe(t, c, arn)
			if task.StopCode != types.TaskStopCodeTaskFailedToStart || !strings.HasPrefix(aws.ToString(task.StoppedReason), test.reason) {
				t.Errorf("%s: %q", task.StopCode, aws.ToString(task.StoppedReason))
			}
			if c := task.Containers[0]; c.ExitCode != nil || !strings.HasPrefix(aws.ToString(c.Reason), test.reason) {
				t.Errorf("container: exit code %v, %q", c.ExitCode, aws.ToString(c.Reason))
			}
		})
	}
}

func TestStuckUntilStopped(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "sleep", "600")
	s.Fault(Fault{Kind: Stuck})
	arn := run(t, c, jobInput())
	other := run(t, c, jobInput())
	until(t, s, other, "RUNNING")
	if task := describe(t, c, arn); aws.ToString(task.LastStatus) != "PROVISIONING" || privateIP(task) != "" {
		t.Errorf("%s at %q", aws.ToString(task.LastStatus), privateIP(task))
	}
	if _, err := c.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: aws.String("ci"), Task: &arn}); err != nil {
		t.Fatal(err)
	}
	until(t, s, arn, "STOPPED")
	if task := describe(t, c, arn); task.StopCode != types.TaskStopCodeUserInitiated || task.PullStartedAt != nil {
		t.Errorf("%s, pull started at %v", task.StopCode, task.PullStartedAt)
	}
}

func TestExitAtOnce(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "sleep", "600")
	s.Fault(Fault{Kind: ExitAtOnce, ExitCode: 127})
	arn := run(t, c, jobInput())
	until(t, s, arn, "STOPPED")
	if task := describe(t, c, arn); task.StopCode != types.TaskStopCodeEssentialContainerExited || aws.ToInt32(task.Containers[0].ExitCode) != 127 {
		t.Errorf("%s, exit code %d", task.StopCode, aws.ToInt32(task.Containers[0].ExitCode))
	}
}

func TestEndsThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end                     func(*Server, string) error
		code                    types.TaskStopCode
		reason, containerReason string
		exit                    int32
	}{
		"Spot":   {(*Server).Interrupt, "SpotInterruption", "Your Spot Task was interrupted.", "", 143},
		"memory": {(*Server).KillForMemory, "EssentialContainerExited", "Essential container in task exited", "OutOfMemoryError: Container killed due to memory usage", 137},
		"hand":   {(*Server).StopByHand, "UserInitiated", "Task stopped by user", "", 143},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := startECS(t, Options{}, "sleep", "600")
			arn := run(t, c, jobInput())
			until(t, s, arn, "RUNNING")
			if err := test.end(s, arn); err != nil {
				t.Fatal(err)
			}
			until(t, s, arn, "STOPPED")
			task := describe(t, c, arn)
			container := task.Containers[0]
			if task.StopCode != test.code || aws.ToString(task.StoppedReason) != test.reason ||
				aws.ToString(container.Reason) != test.containerReason || aws.ToInt32(container.ExitCode) != test.exit {
				t.Errorf("%s, %q, container %q with %d", task.StopCode, aws.ToString(task.StoppedReason), aws.ToString(container.Reason), aws.ToInt32(container.ExitCode))
			}
		})
	}
}

func TestEventualConsistency(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "sleep", "600")
	s.Fault(Fault{Kind: Missing, Count: 2})
	s.Fault(Fault{Kind: Lagging, Delay: time.Hour})
	arn := run(t, c, jobInput())
	for i := range 3 {
		out, err := c.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String("ci"), Tasks: []string{arn}})
		if err != nil || len(out.Tasks) != i/2 {
			t.Errorf("DescribeTasks %d: %+v, %v", i, out, err)
		} else if i < 2 && (aws.ToString(out.Failures[0].Reason) != "MISSING" || aws.ToString(out.Failures[0].Arn) != arn) {
			t.Errorf("failure %+v", out.Failures[0])
		}
	}
	for i := range 2 {
		out, err := c.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("ci")})
		if err != nil || len(out.TaskArns) != i {
			t.Errorf("ListTasks %d: %+v, %v", i, out, err)
		}
	}
}

// The work of an unanswered RunTask is done: a second try with the same client
// token finds the same task.
func TestUnansweredRunTask(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "sleep", "600")
	s.Fault(Fault{Operation: "RunTask", Kind: Unanswered})
	in := jobInput()
	in.ClientToken = aws.String("job-42")
	if _, err := c.RunTask(t.Context(), in); err == nil {
		t.Fatal("answered")
	}
	arn := run(t, c, in)
	if tasks := s.Tasks(); len(tasks) != 1 || tasks[0].ARN != arn {
		t.Errorf("tasks %+v, want only %s", tasks, arn)
	}
}

// A client that dies while its call hangs after the work leaves a task.
func TestClientDiesWhileItsAnswerHangs(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "sleep", "600")
	f := s.Fault(Fault{Operation: "RunTask", Kind: HangAfter})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := c.RunTask(ctx, jobInput())
		result <- err
	}()
	<-f.Reached()
	cancel()
	if err := <-result; err == nil {
		t.Fatal("answered")
	}
	if len(s.RunningTasks()) != 1 {
		t.Errorf("tasks: %+v", s.Tasks())
	}
}

// Eleven calls are far below the limit of calls, but 101 launches are one too many.
func TestRunTaskIsThrottledAsByAWS(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "true")
	clock := time.Now()
	s.throttle.now = func() time.Time { return clock }
	for range 10 {
		in := jobInput() // anew each time: the SDK writes a client token into it
		in.Count = aws.Int32(10)
		if _, err := c.RunTask(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.RunTask(t.Context(), jobInput())
	wantCode(t, err, "ThrottlingException", "Rate exceeded")
	s.Throttle(false)
	run(t, c, jobInput())
}
