package localaws

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// phase is where a task is in its life, in ECS's words.
type phase string

const (
	provisioning   phase = "PROVISIONING"
	pending        phase = "PENDING"
	activating     phase = "ACTIVATING"
	running        phase = "RUNNING"
	deactivating   phase = "DEACTIVATING"
	stopping       phase = "STOPPING"
	deprovisioning phase = "DEPROVISIONING"
	stopped        phase = "STOPPED"
)

// task is a task and what ECS knows of it. Everything below the line changes
// and is guarded by ecs.mu.
type task struct {
	id         string
	arn        string
	cluster    *cluster
	definition *taskDefinition
	overrides  taskOverride
	startedBy  string
	group      string
	platform   string
	exec       bool
	subnet     string
	zone       string
	eni        string
	publicIP   bool
	provider   string // "" for the launch type
	cpu        string
	memory     string
	storage    *ephemeralStorage
	fate       fate
	end        chan struct{} // closed when the task shall stop
	launched   bool          // its containers were set going; of the goroutine that is the task

	// ---
	phase      phase
	desired    phase
	address    string // "" until the network interface is there
	tags       []ecsTag
	containers []*container
	stopCode   string
	stopReason string
	version    int
	// outOfMemory says that the containers' end is the kernel's doing.
	outOfMemory bool
	reserved    net.Listener // holds the address against other stand-ins

	createdAt, pullStartedAt, pullStoppedAt, connectivityAt, startedAt time.Time
	stoppingAt, executionStoppedAt, stoppedAt                          time.Time
}

// container is one container of a task. Below the line: guarded by ecs.mu.
type container struct {
	definition containerDefinition
	override   containerOverride
	arn        string

	// ---
	process  *process // nil before it is started
	status   string   // as lastStatus
	exitCode *int
	reason   string
	health   string        // as healthStatus
	started  chan struct{} // closed when it runs, or never will
	exited   chan struct{} // closed when it has ended, or never will run
	healthy  chan struct{} // closed when its health check first succeeds
}

// newTask makes the i-th task of a call. The caller holds mu.
func (e *ecsService) newTask(in *runTaskInput, c *cluster, d *taskDefinition, vpc *awsvpcConfiguration, i int) *task {
	id := strings.ReplaceAll(requestID(), "-", "")
	subnet := vpc.Subnets[(len(e.order)+i)%len(vpc.Subnets)]
	t := &task{
		id: id, arn: e.arn("task", c.ClusterName, id), cluster: c, definition: d, overrides: in.overrides,
		startedBy: in.StartedBy, group: in.Group, platform: in.PlatformVersion, exec: in.EnableExecuteCommand,
		subnet: subnet, zone: e.server.vpc.zone(subnet), eni: "eni-0" + id[:16], publicIP: vpc.AssignPublicIP == "ENABLED",
		storage: in.overrides.EphemeralStorage,
		end:     make(chan struct{}),
		phase:   provisioning, desired: running, version: 1, createdAt: time.Now(),
	}
	if t.group == "" {
		t.group = "family:" + d.Family
	}
	if t.platform == "" || t.platform == "LATEST" {
		t.platform = "1.4.0"
	}
	if t.storage == nil {
		t.storage = d.EphemeralStorage
	}
	if t.storage == nil {
		t.storage = &ephemeralStorage{20}
	}
	t.tags = t.launchTags(in)
	for _, definition := range d.ContainerDefinitions {
		t.containers = append(t.containers, e.newContainer(t, definition))
	}
	return t
}

func (t *task) launchTags(in *runTaskInput) []ecsTag {
	var tags []ecsTag
	if in.PropagateTags == "TASK_DEFINITION" {
		tags = mergeTags(tags, t.definition.tags)
	}
	tags = mergeTags(tags, in.Tags)
	if in.EnableECSManagedTags {
		tags = append(tags, ecsTag{"aws:ecs:clusterName", t.cluster.ClusterName})
	}
	return tags
}

func (e *ecsService) newContainer(t *task, d containerDefinition) *container {
	c := &container{
		definition: d,
		arn:        e.arn("container", t.cluster.ClusterName, t.id, requestID()),
		status:     "PENDING", health: "UNKNOWN",
		started: make(chan struct{}), exited: make(chan struct{}), healthy: make(chan struct{}),
	}
	for _, o := range t.overrides.ContainerOverrides {
		if o.Name == d.Name {
			c.override = o
		}
	}
	return c
}

// describe shows the task as ECS does. A task that has stopped has lost its
// tags. The caller holds mu.
func (t *task) describe(withTags bool) taskAnswer {
	a := taskAnswer{
		TaskArn: t.arn, ClusterArn: t.cluster.ClusterArn, TaskDefinitionArn: t.definition.TaskDefinitionArn,
		Attachments: []attachment{t.attachment()}, Attributes: []json.RawMessage{json.RawMessage(`{"name":"ecs.cpu-architecture","value":"x86_64"}`)},
		AvailabilityZone: t.zone, CapacityProviderName: t.provider,
		CPU: t.cpu, Memory: t.memory, EphemeralStorage: t.storage, EnableExecuteCommand: t.exec,
		DesiredStatus: string(t.desired), LastStatus: string(t.phase), LaunchType: "FARGATE", HealthStatus: t.health(),
		Group: t.group, StartedBy: t.startedBy, Overrides: t.overrides, PlatformFamily: "Linux", PlatformVersion: t.platform,
		CreatedAt: epoch(t.createdAt), PullStartedAt: epoch(t.pullStartedAt), PullStoppedAt: epoch(t.pullStoppedAt),
		ConnectivityAt: epoch(t.connectivityAt), StartedAt: epoch(t.startedAt), StoppingAt: epoch(t.stoppingAt),
		ExecutionStoppedAt: epoch(t.executionStoppedAt), StoppedAt: epoch(t.stoppedAt),
		StopCode: t.stopCode, StoppedReason: t.stopReason, Version: t.version, Tags: []ecsTag{},
	}
	if !t.connectivityAt.IsZero() {
		a.Connectivity = "CONNECTED"
	}
	if withTags && t.phase != stopped {
		a.Tags = append(a.Tags, t.tags...)
	}
	if a.Overrides.ContainerOverrides == nil {
		a.Overrides.ContainerOverrides = []containerOverride{}
	}
	for _, c := range t.containers {
		a.Containers = append(a.Containers, c.describe(t))
	}
	return a
}

func (c *container) describe(t *task) containerAnswer {
	a := containerAnswer{
		ContainerArn: c.arn, TaskArn: t.arn, Name: c.definition.Name, Image: c.definition.Image,
		LastStatus: c.status, ExitCode: c.exitCode, Reason: c.reason, HealthStatus: c.health,
		CPU: strconv.Itoa(c.definition.CPU), NetworkBindings: []json.RawMessage{}, NetworkInterfaces: []networkInterface{},
	}
	if t.address != "" {
		a.NetworkInterfaces = append(a.NetworkInterfaces, networkInterface{t.attachmentID(), t.address})
	}
	return a
}

func (t *task) attachmentID() string {
	return fmt.Sprintf("%s-%s-4000-8000-%s", t.id[:8], t.id[8:12], t.id[12:24])
}

// attachment is the task's network interface. Its address comes with PENDING.
func (t *task) attachment() attachment {
	a := attachment{ID: t.attachmentID(), Type: "ElasticNetworkInterface", Status: "PRECREATED",
		Details: []keyValue{{"subnetId", t.subnet}}}
	if t.address == "" {
		return a
	}
	a.Status = "ATTACHED"
	if t.phase == stopped {
		a.Status = "DELETED"
	}
	a.Details = append(a.Details,
		keyValue{"networkInterfaceId", t.eni},
		keyValue{"macAddress", fmt.Sprintf("0a:%s:%s:%s:%s:%s", t.id[:2], t.id[2:4], t.id[4:6], t.id[6:8], t.id[8:10])},
		keyValue{"privateDnsName", "ip-" + strings.ReplaceAll(t.address, ".", "-") + ".ec2.internal"},
		keyValue{"privateIPv4Address", t.address})
	return a
}

// health sums up the essential containers' health checks.
func (t *task) health() string {
	sum := "UNKNOWN"
	for _, c := range t.containers {
		if !c.definition.essential() || c.definition.HealthCheck == nil {
			continue
		}
		if c.health != "HEALTHY" {
			return c.health
		}
		sum = "HEALTHY"
	}
	return sum
}
