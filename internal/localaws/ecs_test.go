package localaws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestTaskLifeFromRunToStop(t *testing.T) {
	t.Parallel()
	fifo := newFifo(t)
	s, c := startECS(t, Options{}, "sh", "-c", `echo "$GREETING from $LOCALAWS_TASK_ADDRESS in $PWD"; echo up > "$0"; exec sleep 600`, fifo)
	in := jobInput()
	in.StartedBy = aws.String("runner/1")
	in.Tags = []types.Tag{{Key: aws.String("job"), Value: aws.String("42")}}
	in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
		Name: aws.String("ci-coordinator"), Environment: []types.KeyValuePair{{Name: aws.String("GREETING"), Value: aws.String("hello")}},
	}}}
	arn := run(t, c, in)
	until(t, s, arn, "RUNNING")
	await(t, fifo)
	task := describe(t, c, arn)
	ip := privateIP(task)
	if !strings.HasPrefix(ip, "127.") || ip != s.Task(arn).Address {
		t.Errorf("private address %q, want %q", ip, s.Task(arn).Address)
	}
	if aws.ToString(task.Tags[0].Value) != "42" || aws.ToString(task.StartedBy) != "runner/1" || task.LaunchType != types.LaunchTypeFargate {
		t.Errorf("tags %v, startedBy %q, launch type %s", task.Tags, aws.ToString(task.StartedBy), task.LaunchType)
	}
	for name, at := range map[string]*time.Time{"created": task.CreatedAt, "pull started": task.PullStartedAt, "pull stopped": task.PullStoppedAt, "started": task.StartedAt} {
		if at == nil || time.Since(*at) > time.Minute {
			t.Errorf("%s at %v", name, at)
		}
	}
	if _, err := c.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: aws.String("ci"), Task: &arn, Reason: aws.String("job 42 is over")}); err != nil {
		t.Fatal(err)
	}
	until(t, s, arn, "STOPPED")
	task = describe(t, c, arn)
	if task.StopCode != types.TaskStopCodeUserInitiated || aws.ToString(task.StoppedReason) != "job 42 is over" {
		t.Errorf("stopped by %s: %q", task.StopCode, aws.ToString(task.StoppedReason))
	}
	if code := aws.ToInt32(task.Containers[0].ExitCode); code != 128+15 {
		t.Errorf("exit code %d, want 143", code)
	}
	if len(task.Tags) != 0 {
		t.Errorf("a stopped task still has its tags: %v", task.Tags)
	}
	log, err := os.ReadFile(s.LogFile(arn, "ci-coordinator"))
	if want := "hello from " + ip; err != nil || !strings.Contains(string(log), want) {
		t.Errorf("the log is %q (%v), want %q in it", log, err, want)
	}
	if left := s.RunningTasks(); len(left) > 0 || len(s.StoppedTwice()) > 0 {
		t.Errorf("left running: %v, stopped twice: %v", left, s.StoppedTwice())
	}
}

func TestEachTaskHasItsOwnAddress(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "sleep", "600")
	seen := map[string]bool{}
	for range 5 {
		arn := run(t, c, jobInput())
		until(t, s, arn, "RUNNING")
		address := s.Task(arn).Address
		if seen[address] {
			t.Fatalf("%s was given twice", address)
		}
		seen[address] = true
		// A server in the task can listen there on any port.
		ln, err := net.Listen("tcp", address+":0")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
	}
}

func TestContainerThatExits(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, sh("exit 42")...)
	arn := run(t, c, jobInput())
	until(t, s, arn, "STOPPED")
	task := describe(t, c, arn)
	if task.StopCode != types.TaskStopCodeEssentialContainerExited || aws.ToString(task.StoppedReason) != "Essential container in task exited" ||
		aws.ToInt32(task.Containers[0].ExitCode) != 42 {
		t.Errorf("%s, %q, exit code %d", task.StopCode, aws.ToString(task.StoppedReason), aws.ToInt32(task.Containers[0].ExitCode))
	}
}

func TestContainersThatCannotStart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		argv []string
		want string
	}{
		"no such program": {[]string{"no-such-program"}, `exec: "no-such-program": executable file not found in $PATH`},
		"no command":      {nil, `container "ci-coordinator" has neither entryPoint nor command`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := startECS(t, Options{}, test.argv...)
			arn := run(t, c, jobInput())
			until(t, s, arn, "STOPPED")
			task := describe(t, c, arn)
			if task.StopCode != types.TaskStopCodeTaskFailedToStart || !strings.Contains(aws.ToString(task.StoppedReason), test.want) ||
				!strings.HasPrefix(aws.ToString(task.StoppedReason), "CannotStartContainerError: ") {
				t.Errorf("%s: %q", task.StopCode, aws.ToString(task.StoppedReason))
			}
			if task.StartedAt != nil || task.Containers[0].ExitCode != nil {
				t.Errorf("started at %v, exit code %v", task.StartedAt, task.Containers[0].ExitCode)
			}
		})
	}
}

func TestClientTokensAreIdempotent(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "sleep", "600")
	in := jobInput()
	in.ClientToken = aws.String("job-42")
	first, again := run(t, c, in), run(t, c, in)
	if first != again || len(s.Tasks()) != 1 {
		t.Errorf("got %s and %s, %d tasks", first, again, len(s.Tasks()))
	}
	in.StartedBy = aws.String("another")
	_, err := c.RunTask(t.Context(), in)
	var conflict *types.ConflictException
	if !errors.As(err, &conflict) || len(conflict.ResourceIds) != 1 || conflict.ResourceIds[0] != first {
		t.Errorf("other parameters: %v", err)
	}
}

func TestCountOfTasks(t *testing.T) {
	t.Parallel()
	_, c := startECS(t, Options{}, "sleep", "600")
	in := jobInput()
	in.Count = aws.Int32(3)
	out, err := c.RunTask(t.Context(), in)
	if err != nil || len(out.Tasks) != 3 {
		t.Fatalf("%v, %v", out, err)
	}
}

func TestListTasksFiltersAndPages(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "sleep", "600")
	if _, err := s.AddTaskDefinition("other", "x", "sleep", "600"); err != nil {
		t.Fatal(err)
	}
	var mine []string
	for i := range 5 {
		in := jobInput()
		in.StartedBy = aws.String(fmt.Sprintf("runner-%d", i%2))
		if i == 4 {
			in.TaskDefinition = aws.String("other")
		}
		mine = append(mine, run(t, c, in))
	}
	list := func(in ecs.ListTasksInput) []string {
		t.Helper()
		in.Cluster = aws.String("ci")
		var arns []string
		for pages := ecs.NewListTasksPaginator(c, &in); pages.HasMorePages(); {
			out, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			arns = append(arns, out.TaskArns...)
		}
		return arns
	}
	if got := list(ecs.ListTasksInput{MaxResults: aws.Int32(2)}); len(got) != 5 {
		t.Errorf("all, by pages of two: %v", got)
	}
	if got := list(ecs.ListTasksInput{StartedBy: aws.String("runner-1")}); len(got) != 2 || got[0] != mine[1] {
		t.Errorf("of runner-1: %v", got)
	}
	if got := list(ecs.ListTasksInput{Family: aws.String("other")}); len(got) != 1 || got[0] != mine[4] {
		t.Errorf("of family other: %v", got)
	}
	if _, err := c.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: aws.String("ci"), Task: &mine[0]}); err != nil {
		t.Fatal(err)
	}
	if got := list(ecs.ListTasksInput{}); len(got) != 4 {
		t.Errorf("a task that shall stop is still listed as RUNNING: %v", got)
	}
	if got := list(ecs.ListTasksInput{DesiredStatus: types.DesiredStatusStopped}); len(got) != 1 {
		t.Errorf("stopped: %v", got)
	}
	_, err := c.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("ci"), StartedBy: aws.String("a"), Family: aws.String("job")})
	wantCode(t, err, "InvalidParameterException", "startedBy must be the only filter")
}

func TestDependenciesVolumesAndHealth(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	if err := s.AddCluster("ci", "FARGATE"); err != nil {
		t.Fatal(err)
	}
	c := ecs.NewFromConfig(config(s))
	no := aws.Bool(false)
	tools := []types.MountPoint{{SourceVolume: aws.String("tools"), ContainerPath: aws.String("/nonesuch/tools")}}
	_, err := c.RegisterTaskDefinition(t.Context(), &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("job"), Cpu: aws.String("1 vCPU"), Memory: aws.String("2 GB"),
		NetworkMode: types.NetworkModeAwsvpc, RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		Volumes: []types.Volume{{Name: aws.String("tools")}},
		ContainerDefinitions: []types.ContainerDefinition{
			{
				Name: aws.String("job"), Image: aws.String("debian"), EntryPoint: []string{"/nonesuch/tools/run"}, MountPoints: tools,
				DependsOn: []types.ContainerDependency{
					{ContainerName: aws.String("install"), Condition: types.ContainerConditionSuccess},
					{ContainerName: aws.String("service"), Condition: types.ContainerConditionHealthy},
				},
			},
			{
				Name: aws.String("install"), Image: aws.String("agent"), Essential: no, MountPoints: tools,
				Command: sh(`printf '#!/bin/sh\nexit 7\n' > "$0"/run && chmod +x "$0"/run`),
			},
			{
				Name: aws.String("service"), Image: aws.String("redis"), Essential: no, EntryPoint: sh("touch ready; exec sleep 600"),
				HealthCheck: &types.HealthCheck{Command: []string{"CMD-SHELL", "test -e ready"}, Interval: aws.Int32(5)},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	in := jobInput()
	// An override may replace the command, so the volume's path comes as its argument.
	in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
		Name: aws.String("install"), Command: append(sh(`printf '#!/bin/sh\nexit 7\n' > "$0"/run && chmod +x "$0"/run`), "/nonesuch/tools"),
	}}}
	arn := run(t, c, in)
	until(t, s, arn, "STOPPED")
	task := describe(t, c, arn)
	if code := task.Containers[0].ExitCode; code == nil || *code != 7 {
		t.Errorf("the job: exit code %v, %s %s", code, aws.ToString(task.Containers[0].Reason), aws.ToString(task.StoppedReason))
	}
	if task.Containers[2].HealthStatus != types.HealthStatusHealthy {
		t.Errorf("the service is %s", task.Containers[2].HealthStatus)
	}
	if aws.ToString(task.Cpu) != "1024" || aws.ToString(task.Memory) != "2048" {
		t.Errorf("%s CPU, %s memory", aws.ToString(task.Cpu), aws.ToString(task.Memory))
	}
}

func TestTwoHundredTasksAtOnce(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{NoThrottle: true}, "sleep", "600")
	results := make(chan error, 200)
	for range 200 {
		go func() {
			_, err := c.RunTask(context.Background(), jobInput())
			results <- err
		}()
	}
	for range 200 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	running := func() (n int) {
		for _, task := range s.Tasks() {
			if task.Status == "RUNNING" {
				n++
			}
		}
		return n
	}
	if err := s.Wait(soon(t), func() bool { return running() == 200 }); err != nil {
		for _, task := range s.Tasks() {
			if task.Status != "RUNNING" {
				t.Errorf("%+v", task)
			}
		}
		t.Fatalf("%v: %d are running", err, running())
	}
}

// The metadata endpoint and the role's credentials are what a program in a task
// finds its task and its rights by.
func TestTasksCanAskAboutThemselves(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "env")
	arn := run(t, c, jobInput())
	until(t, s, arn, "STOPPED")
	log, err := os.ReadFile(s.LogFile(arn, "ci-coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(log), "ECS_CONTAINER_METADATA_URI_V4=")
	uri, _, _ := strings.Cut(rest, "\n")
	var answer struct{ TaskARN, Cluster string }
	getJSON(t, uri+"/task", &answer)
	if answer.TaskARN != arn || !strings.HasSuffix(answer.Cluster, ":cluster/ci") {
		t.Errorf("the metadata of %s: %+v", arn, answer)
	}
	for _, leak := range []string{"GOPATH", "SSH_", "USER="} {
		if strings.Contains(string(log), leak) {
			t.Errorf("the container has our own %s", leak)
		}
	}
}
