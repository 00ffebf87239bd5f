package localaws

import (
	"context"
	"slices"
	"strings"
	"time"
)

type describeTasksInput struct {
	Cluster string   `json:"cluster"`
	Tasks   []string `json:"tasks"`
	Include []string `json:"include"`
}

type describeTasksOutput struct {
	Tasks    []taskAnswer `json:"tasks"`
	Failures []ecsFailure `json:"failures"`
}

func (e *ecsService) describeTasks(ctx context.Context, in *describeTasksInput) (*describeTasksOutput, error) {
	if len(in.Tasks) == 0 {
		return nil, refuse("InvalidParameterException", "Tasks cannot be empty.")
	}
	if len(in.Tasks) > 100 {
		return nil, refuse("InvalidParameterException", "Tasks cannot have more than 100 elements.")
	}
	if i := slices.IndexFunc(in.Include, func(s string) bool { return s != "TAGS" }); i >= 0 {
		return nil, refuse("InvalidParameterException", "include can only have TAGS, not %s", in.Include[i])
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.findCluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	missing := ordered(ctx, Missing) != nil
	out := &describeTasksOutput{Tasks: []taskAnswer{}, Failures: []ecsFailure{}}
	for _, name := range in.Tasks {
		t := e.tasks[lastPart(name)]
		if t == nil || t.cluster != c || missing {
			out.Failures = append(out.Failures, ecsFailure{Arn: e.arn("task", c.ClusterName, lastPart(name)), Reason: "MISSING"})
			continue
		}
		out.Tasks = append(out.Tasks, t.describe(len(in.Include) > 0))
	}
	return out, nil
}

type listTasksInput struct {
	Cluster           string `json:"cluster"`
	ContainerInstance string `json:"containerInstance"`
	DesiredStatus     string `json:"desiredStatus"`
	Family            string `json:"family"`
	LaunchType        string `json:"launchType"`
	MaxResults        *int   `json:"maxResults"`
	NextToken         string `json:"nextToken"`
	ServiceName       string `json:"serviceName"`
	StartedBy         string `json:"startedBy"`
}

type listTasksOutput struct {
	TaskArns  []string `json:"taskArns"`
	NextToken string   `json:"nextToken,omitempty"`
}

func (e *ecsService) listTasks(ctx context.Context, in *listTasksInput) (*listTasksOutput, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	c, err := e.findCluster(in.Cluster)
	var arns []string
	for _, t := range e.order {
		if t.cluster == c && in.wants(t) && !hidden(ctx, t) {
			arns = append(arns, t.arn)
		}
	}
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	names, next, err := page(arns, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &listTasksOutput{names, next}, nil
}

func (in *listTasksInput) check() error {
	if in.StartedBy != "" && (in.Family != "" || in.ContainerInstance != "" || in.ServiceName != "" || in.LaunchType != "" || in.DesiredStatus != "") {
		return refuse("InvalidParameterException", "startedBy must be the only filter that you use.")
	}
	switch in.DesiredStatus {
	case "":
		in.DesiredStatus = string(running)
	case "RUNNING", "PENDING", "STOPPED":
	default:
		return refuse("InvalidParameterException", "Invalid desiredStatus: %s", in.DesiredStatus)
	}
	return nil
}

// wants says whether a task passes the filters. No task ever has the desired
// status PENDING, as at AWS.
func (in *listTasksInput) wants(t *task) bool {
	return string(t.desired) == in.DesiredStatus &&
		(in.StartedBy == "" || t.startedBy == in.StartedBy) &&
		(in.Family == "" || t.definition.Family == in.Family) &&
		(in.LaunchType == "" || in.LaunchType == "FARGATE") &&
		in.ContainerInstance == "" && in.ServiceName == ""
}

func hidden(ctx context.Context, t *task) bool {
	f := ordered(ctx, Lagging)
	return f != nil && (f.Delay == 0 || time.Since(t.createdAt) < f.Delay)
}

type stopTaskInput struct {
	Cluster string `json:"cluster"`
	Task    string `json:"task"`
	Reason  string `json:"reason"`
}

type taskOutput struct {
	Task taskAnswer `json:"task"`
}

// maxReason is how many characters StopTask takes as a reason.
const maxReason = 1024

func (e *ecsService) stopTask(_ context.Context, in *stopTaskInput) (*taskOutput, error) {
	if in.Task == "" {
		return nil, refuse("InvalidParameterException", "Task can not be blank.")
	}
	if len([]rune(in.Reason)) > maxReason {
		return nil, refuse("InvalidParameterException", "reason can have at most %d characters.", maxReason)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.findCluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	t := e.tasks[lastPart(in.Task)]
	if t == nil || t.cluster != c {
		return nil, refuse("InvalidParameterException", "The referenced task was not found.")
	}
	e.stops[t.id]++
	reason := in.Reason
	if reason == "" {
		reason = "Task stopped by user"
	}
	e.requestStop(t, "UserInitiated", reason)
	return &taskOutput{t.describe(false)}, nil
}

// TaskState is a task as a test wants to see it.
type TaskState struct {
	ARN            string
	TaskDefinition string // ARN
	Status         string // as lastStatus
	DesiredStatus  string
	Address        string // its private IPv4 address, "" before PENDING
	Subnet         string
	Provider       string // capacity provider, "" for the launch type
	StartedBy      string
	StopCode       string
	StoppedReason  string
	Stops          int // how often StopTask was called for it
}

// Tasks returns all tasks that ever ran, the oldest first.
func (s *Server) Tasks() []TaskState {
	s.ecs.mu.Lock()
	defer s.ecs.mu.Unlock()
	var all []TaskState
	for _, t := range s.ecs.order {
		all = append(all, TaskState{
			t.arn, t.definition.TaskDefinitionArn, string(t.phase), string(t.desired), t.address, t.subnet, t.provider, t.startedBy,
			t.stopCode, t.stopReason, s.ecs.stops[t.id],
		})
	}
	return all
}

// Task returns a task by its ARN or id; the zero TaskState if there is none.
func (s *Server) Task(name string) TaskState {
	for _, t := range s.Tasks() {
		if t.ARN == name || strings.HasSuffix(t.ARN, "/"+name) {
			return t
		}
	}
	return TaskState{}
}

// RunningTasks returns the ARNs of the tasks that nobody has stopped and that
// have not stopped by themselves: at the end of a test there shall be none.
func (s *Server) RunningTasks() []string {
	var arns []string
	for _, t := range s.Tasks() {
		if t.DesiredStatus != string(stopped) {
			arns = append(arns, t.ARN)
		}
	}
	return arns
}

// StoppedTwice returns the ARNs of the tasks that StopTask was called for more
// than once.
func (s *Server) StoppedTwice() []string {
	var arns []string
	for _, t := range s.Tasks() {
		if t.Stops > 1 {
			arns = append(arns, t.ARN)
		}
	}
	return arns
}

// WaitTask returns when a task's lastStatus is the wanted one, or the task has
// STOPPED.
func (s *Server) WaitTask(ctx context.Context, name, status string) error {
	return s.Wait(ctx, func() bool {
		now := s.Task(name).Status
		return now == status || now == string(stopped)
	})
}

// WaitIdle returns when every task has STOPPED.
func (s *Server) WaitIdle(ctx context.Context) error {
	return s.Wait(ctx, func() bool {
		return !slices.ContainsFunc(s.Tasks(), func(t TaskState) bool { return t.Status != string(stopped) })
	})
}
