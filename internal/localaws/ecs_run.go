package localaws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"unicode/utf8"
)

type runTaskInput struct {
	Cluster                  string                `json:"cluster"`
	TaskDefinition           string                `json:"taskDefinition"`
	CapacityProviderStrategy []strategyItem        `json:"capacityProviderStrategy"`
	LaunchType               string                `json:"launchType"`
	ClientToken              string                `json:"clientToken"`
	Count                    *int                  `json:"count"`
	EnableECSManagedTags     bool                  `json:"enableECSManagedTags"`
	EnableExecuteCommand     bool                  `json:"enableExecuteCommand"`
	Group                    string                `json:"group"`
	NetworkConfiguration     *networkConfiguration `json:"networkConfiguration"`
	Overrides                json.RawMessage       `json:"overrides"`
	PlacementConstraints     []json.RawMessage     `json:"placementConstraints"`
	PlacementStrategy        []json.RawMessage     `json:"placementStrategy"`
	PlatformVersion          string                `json:"platformVersion"`
	PropagateTags            string                `json:"propagateTags"`
	ReferenceID              string                `json:"referenceId"`
	StartedBy                string                `json:"startedBy"`
	Tags                     []ecsTag              `json:"tags"`
	VolumeConfigurations     []json.RawMessage     `json:"volumeConfigurations"`

	overrides taskOverride // decoded from Overrides
}

type runTaskOutput struct {
	Tasks    []taskAnswer `json:"tasks"`
	Failures []ecsFailure `json:"failures"`
}

// launch is what a client token stands for.
type launch struct {
	request string // the parameters, in one form
	tasks   []*task
}

// runTask is RunTask. It takes the body itself because a client token is bound
// to the whole of it.
func (e *ecsService) runTask(ctx context.Context, body []byte) (any, error) {
	in := &runTaskInput{}
	if err := decodeStrictly(body, in); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, errors.New("the stand-in is closed")
	}
	c, err := e.findCluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	request := canonical(body)
	token := c.ClusterName + " " + in.ClientToken
	if l := e.idempotent[token]; l != nil && in.ClientToken != "" {
		return l.repeat(request)
	}
	d, err := e.definitionToRun(in)
	if err != nil {
		return nil, err
	}
	strategy, err := e.placement(in, c)
	if err != nil {
		return nil, err
	}
	tasks, failure, err := e.launchTasks(ctx, in, c, d, strategy)
	if err != nil {
		return nil, err
	}
	out := &runTaskOutput{Tasks: []taskAnswer{}, Failures: []ecsFailure{}}
	if failure != "" {
		out.Failures = append(out.Failures, ecsFailure{Reason: failure})
		return out, nil
	}
	if in.ClientToken != "" {
		e.idempotent[token] = &launch{request, tasks}
	}
	for _, t := range tasks {
		out.Tasks = append(out.Tasks, t.describe(true))
	}
	return out, nil
}

// repeat answers a call that was made before. The caller holds mu.
func (l *launch) repeat(request string) (*runTaskOutput, error) {
	if request != l.request {
		ids := []string{}
		for _, t := range l.tasks {
			ids = append(ids, t.arn)
		}
		return nil, &Error{
			Code:    "ConflictException",
			Message: "The client token was already used in a request with other parameters. Use another token.",
			Fields:  map[string]any{"resourceIds": ids},
		}
	}
	out := &runTaskOutput{Tasks: []taskAnswer{}, Failures: []ecsFailure{}}
	for _, t := range l.tasks {
		out.Tasks = append(out.Tasks, t.describe(true))
	}
	return out, nil
}

// canonical is a JSON text with its members in order and no spaces.
func canonical(body []byte) string {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return string(body)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return string(body)
	}
	return string(text)
}

var (
	tokenPattern     = regexp.MustCompile(`^[\x21-\x7e]{0,64}$`)
	startedByPattern = regexp.MustCompile(`^[A-Za-z0-9/_-]{0,128}$`)
)

// check applies the rules that need nothing but the call itself.
func (in *runTaskInput) check() error {
	switch {
	case in.TaskDefinition == "":
		return refuse("InvalidParameterException", "TaskDefinition can not be blank.")
	case in.Count != nil && (*in.Count < 1 || *in.Count > 10):
		return refuse("InvalidParameterException", "Count should be between 1 and 10.")
	case !tokenPattern.MatchString(in.ClientToken):
		return refuse("InvalidParameterException", "clientToken can have up to 64 characters in the range of 33-126.")
	case !startedByPattern.MatchString(in.StartedBy):
		return refuse("InvalidParameterException", "startedBy can have up to 128 letters, numbers, hyphens, forward slashes and underscores.")
	case in.LaunchType != "" && len(in.CapacityProviderStrategy) > 0:
		return refuse("InvalidParameterException", "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.")
	case in.PropagateTags != "" && in.PropagateTags != "TASK_DEFINITION" && in.PropagateTags != "NONE":
		return refuse("InvalidParameterException", "propagateTags %s is not supported by RunTask.", in.PropagateTags)
	case len(in.PlacementConstraints) > 0 || len(in.PlacementStrategy) > 0:
		return refuse("InvalidParameterException", "Placement constraints and strategies are not supported with Fargate.")
	case len(in.VolumeConfigurations) > 0:
		return refuse("InvalidParameterException", "the stand-in does not attach volumes at launch")
	}
	if err := in.checkOverrides(); err != nil {
		return err
	}
	return checkTags(in.Tags)
}

// maxOverrides is how many characters of JSON the overrides may have.
const maxOverrides = 8192

func (in *runTaskInput) checkOverrides() error {
	if len(in.Overrides) == 0 {
		return nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, in.Overrides); err != nil {
		return refuse("SerializationException", "%v", err)
	}
	if utf8.RuneCount(compact.Bytes()) > maxOverrides {
		return refuse("InvalidParameterException", "Container Overrides length must be at most %d", maxOverrides)
	}
	if err := decodeStrictly(in.Overrides, &in.overrides); err != nil {
		return err
	}
	return checkStorage(in.overrides.EphemeralStorage)
}

// definitionToRun finds the definition of a call and holds its overrides
// against it. The caller holds mu.
func (e *ecsService) definitionToRun(in *runTaskInput) (*taskDefinition, error) {
	d := e.findDefinition(in.TaskDefinition)
	if d == nil {
		return nil, refuse("ClientException", "TaskDefinition not found.")
	}
	if d.Status != "ACTIVE" {
		return nil, refuse("ClientException", "TaskDefinition is inactive")
	}
	for _, o := range in.overrides.ContainerOverrides {
		if !slices.ContainsFunc(d.ContainerDefinitions, func(c containerDefinition) bool { return c.Name == o.Name }) {
			return nil, refuse("InvalidParameterException", "Override for container named %s is not a container in the TaskDefinition.", o.Name)
		}
	}
	if in.EnableExecuteCommand && d.TaskRoleArn == "" && in.overrides.TaskRoleArn == "" {
		return nil, refuse("InvalidParameterException", "The task couldn't be started because a valid taskRoleArn is not being used. Specify a valid task role in your task definition and try again.")
	}
	return d, nil
}

// launchTasks makes the tasks of a call and sets them going, unless there is no
// room, which is told in failure. The caller holds mu.
func (e *ecsService) launchTasks(ctx context.Context, in *runTaskInput, c *cluster, d *taskDefinition, strategy []strategyItem) (tasks []*task, failure string, err error) {
	if !slices.Contains(d.Compatibilities, "FARGATE") {
		return nil, "", refuse("InvalidParameterException", "Task definition does not support launch_type FARGATE.")
	}
	vpc, err := e.checkNetwork(in.NetworkConfiguration)
	if err != nil {
		return nil, "", err
	}
	cpu, memory := d.CPU, d.Memory
	if in.overrides.CPU != "" {
		cpu = in.overrides.CPU
	}
	if in.overrides.Memory != "" {
		memory = in.overrides.Memory
	}
	if cpu, memory, err = checkSize(cpu, memory); err != nil {
		return nil, "", err
	}
	count := 1
	if in.Count != nil {
		count = *in.Count
	}
	providers, spot := pickProviders(strategy, count), 0
	for _, p := range providers {
		if p == "FARGATE_SPOT" {
			spot++
		}
	}
	if err := e.server.throttle.launch(count-spot, spot); err != nil {
		return nil, "", err
	}
	if failure := e.refusedCapacity(ctx, cpu, count); failure != "" {
		return nil, failure, nil
	}
	for i := range count {
		t := e.newTask(in, c, d, vpc, i)
		t.provider, t.cpu, t.memory = providers[i], cpu, memory
		t.fate = fateOf(ctx)
		tasks = append(tasks, t)
		e.begin(t)
	}
	return tasks, "", nil
}
