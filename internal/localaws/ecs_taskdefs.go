package localaws

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

type registerTaskDefinitionInput struct {
	definitionContent
	Tags []ecsTag `json:"tags"`
}

type definitionAnswer struct {
	TaskDefinition *taskDefinition `json:"taskDefinition"`
	Tags           []ecsTag        `json:"tags,omitempty"`
}

var familyPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

func (e *ecsService) registerTaskDefinition(_ context.Context, in *registerTaskDefinitionInput) (*definitionAnswer, error) {
	d := &taskDefinition{definitionContent: in.definitionContent, Status: "ACTIVE", tags: in.Tags, RegisteredBy: callerARN}
	if err := checkDefinition(&d.definitionContent); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	d.Compatibilities = []string{"EC2", "FARGATE"}
	if d.NetworkMode != "awsvpc" || d.CPU == "" {
		d.Compatibilities = []string{"EC2"}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	revisions := e.families[d.Family]
	d.Revision = len(revisions) + 1
	d.TaskDefinitionArn = e.arn("task-definition", d.Family+":"+strconv.Itoa(d.Revision))
	d.RegisteredAt = epoch(time.Now())
	e.families[d.Family] = append(revisions, d)
	return &definitionAnswer{d, in.Tags}, nil
}

// checkDefinition applies the rules of Fargate that a definition may break, and
// writes sizes as ECS gives them back.
func checkDefinition(d *definitionContent) error {
	if !familyPattern.MatchString(d.Family) {
		return refuse("ClientException", "Family should not be null or empty, and may have letters, numbers, hyphens and underscores.")
	}
	if text, err := json.Marshal(d); err != nil || len(text) > 64<<10 {
		return refuse("ClientException", "Actual length: '%d'. Max allowed length is '65536' bytes.", len(text))
	}
	if len(d.ContainerDefinitions) == 0 {
		return refuse("ClientException", "Container definitions should not be null or empty.")
	}
	if len(d.ContainerDefinitions) > 10 {
		return refuse("ClientException", "Task definition has too many containers: the limit is 10.")
	}
	if err := checkContainers(d); err != nil {
		return err
	}
	if err := checkStorage(d.EphemeralStorage); err != nil {
		return err
	}
	if !slices.Contains(d.RequiresCompatibilities, "FARGATE") {
		return nil
	}
	if d.NetworkMode != "awsvpc" {
		return refuse("ClientException", "Fargate only supports network mode ‘awsvpc’.")
	}
	if d.CPU == "" || d.Memory == "" {
		return refuse("ClientException", "Fargate requires that 'cpu' and 'memory' be defined at the task level.")
	}
	var err error
	d.CPU, d.Memory, err = checkSize(d.CPU, d.Memory)
	return err
}

func checkContainers(d *definitionContent) error {
	var names, volumes []string
	for _, v := range d.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, c := range d.ContainerDefinitions {
		names = append(names, c.Name)
	}
	essential := false
	for i, c := range d.ContainerDefinitions {
		switch {
		case !familyPattern.MatchString(c.Name):
			return refuse("ClientException", "Container.name contains invalid characters.")
		case slices.Index(names, c.Name) != i:
			return refuse("ClientException", "Container.name should be unique: %s", c.Name)
		case c.Image == "":
			return refuse("ClientException", "Container.image should not be null or empty.")
		case c.StopTimeout > 120:
			return refuse("ClientException", "Container.stopTimeout should be at most 120 on Fargate.")
		case c.Privileged && slices.Contains(d.RequiresCompatibilities, "FARGATE"):
			return refuse("ClientException", "Fargate does not support privileged containers: %s", c.Name)
		}
		essential = essential || c.essential()
		for _, m := range c.MountPoints {
			if !slices.Contains(volumes, m.SourceVolume) {
				return refuse("ClientException", "Unknown volume '%s'.", m.SourceVolume)
			}
		}
		for _, dep := range c.DependsOn {
			on := slices.Index(names, dep.ContainerName)
			if on < 0 || on == i {
				return refuse("ClientException", "Invalid 'dependsOn' setting for container '%s': unknown container '%s'.", c.Name, dep.ContainerName)
			}
			if err := checkDependency(dep, d.ContainerDefinitions[on]); err != nil {
				return err
			}
		}
	}
	if !essential {
		return refuse("ClientException", "A task definition must have at least one essential container.")
	}
	return checkCycles(d.ContainerDefinitions)
}

func checkDependency(dep containerDependency, on containerDefinition) error {
	switch dep.Condition {
	case "START":
	case "COMPLETE", "SUCCESS":
		if on.essential() {
			return refuse("ClientException", "Container '%s' is essential and cannot have the condition %s.", on.Name, dep.Condition)
		}
	case "HEALTHY":
		if on.HealthCheck == nil {
			return refuse("ClientException", "Container '%s' has no health check to be HEALTHY by.", on.Name)
		}
	default:
		return refuse("ClientException", "Invalid condition '%s' in 'dependsOn'.", dep.Condition)
	}
	return nil
}

// checkCycles refuses containers that wait for each other.
func checkCycles(containers []containerDefinition) error {
	left := slices.Clone(containers)
	waiting := func(c containerDefinition) bool {
		return slices.ContainsFunc(c.DependsOn, func(dep containerDependency) bool {
			return slices.ContainsFunc(left, func(o containerDefinition) bool { return o.Name == dep.ContainerName })
		})
	}
	for len(left) > 0 {
		before := len(left)
		for i := len(left) - 1; i >= 0; i-- {
			if !waiting(left[i]) {
				left = slices.Delete(left, i, i+1)
			}
		}
		if len(left) == before {
			return refuse("ClientException", "The containers' dependencies form a cycle.")
		}
	}
	return nil
}

// findDefinition finds family, family:revision or an ARN; a bare family means
// its latest active revision. The caller holds mu.
func (e *ecsService) findDefinition(name string) *taskDefinition {
	family, revision, numbered := strings.Cut(lastPart(name), ":")
	revisions := e.families[family]
	if numbered {
		n, err := strconv.Atoi(revision)
		if err != nil || n < 1 || n > len(revisions) {
			return nil
		}
		return revisions[n-1]
	}
	for _, d := range slices.Backward(revisions) {
		if d.Status == "ACTIVE" {
			return d
		}
	}
	return nil
}

type describeTaskDefinitionInput struct {
	TaskDefinition string   `json:"taskDefinition"`
	Include        []string `json:"include"`
}

func (e *ecsService) describeTaskDefinition(_ context.Context, in *describeTaskDefinitionInput) (*definitionAnswer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.findDefinition(in.TaskDefinition)
	if d == nil {
		return nil, refuse("ClientException", "Unable to describe task definition.")
	}
	copied := *d
	out := &definitionAnswer{TaskDefinition: &copied}
	if slices.Contains(in.Include, "TAGS") {
		out.Tags = d.tags
	}
	return out, nil
}

type deregisterTaskDefinitionInput struct {
	TaskDefinition string `json:"taskDefinition"`
}

func (e *ecsService) deregisterTaskDefinition(_ context.Context, in *deregisterTaskDefinitionInput) (*definitionAnswer, error) {
	if !strings.Contains(lastPart(in.TaskDefinition), ":") {
		return nil, refuse("ClientException", "Revision is missing.")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.findDefinition(in.TaskDefinition)
	if d == nil {
		return nil, refuse("ClientException", "The specified task definition does not exist. Specify a valid account, family, revision and try again.")
	}
	d.Status, d.DeregisteredAt = "INACTIVE", epoch(time.Now())
	copied := *d
	return &definitionAnswer{TaskDefinition: &copied}, nil
}

type listTaskDefinitionsInput struct {
	FamilyPrefix string `json:"familyPrefix"`
	Status       string `json:"status"`
	Sort         string `json:"sort"`
	NextToken    string `json:"nextToken"`
	MaxResults   *int   `json:"maxResults"`
}

type listTaskDefinitionsOutput struct {
	TaskDefinitionArns []string `json:"taskDefinitionArns"`
	NextToken          string   `json:"nextToken,omitempty"`
}

// listTaskDefinitions lists by family and revision. FamilyPrefix is, in spite of
// its name, a whole family, as at AWS.
func (e *ecsService) listTaskDefinitions(_ context.Context, in *listTaskDefinitionsInput) (*listTaskDefinitionsOutput, error) {
	if in.Status == "" {
		in.Status = "ACTIVE"
	}
	e.mu.Lock()
	var families, arns []string
	for family := range e.families {
		if in.FamilyPrefix == "" || family == in.FamilyPrefix {
			families = append(families, family)
		}
	}
	slices.Sort(families)
	for _, family := range families {
		for _, d := range e.families[family] {
			if d.Status == in.Status {
				arns = append(arns, d.TaskDefinitionArn)
			}
		}
	}
	e.mu.Unlock()
	if in.Sort == "DESC" {
		slices.Reverse(arns)
	}
	names, next, err := page(arns, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &listTaskDefinitionsOutput{names, next}, nil
}

// AddTaskDefinition registers a Fargate definition of 0.25 vCPU and 512 MiB with
// one container, which runs argv, and returns its ARN. What argv may use of its
// environment is told at Server.
func (s *Server) AddTaskDefinition(family, container string, argv ...string) (string, error) {
	out, err := s.ecs.registerTaskDefinition(context.Background(), &registerTaskDefinitionInput{definitionContent: definitionContent{
		Family: family, NetworkMode: "awsvpc", CPU: "256", Memory: "512", RequiresCompatibilities: []string{"FARGATE"},
		ContainerDefinitions: []containerDefinition{{Name: container, Image: container, EntryPoint: argv}},
	}})
	if err != nil {
		return "", err
	}
	return out.TaskDefinition.TaskDefinitionArn, nil
}
