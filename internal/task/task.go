// Package task has the nouns of a job's task, as plain data: what to launch,
// what became of it and why it stopped. It knows neither AWS nor GitLab.
package task

import (
	"fmt"
	"time"
)

// Spec is what to launch for one job.
type Spec struct {
	Cluster        string
	TaskDefinition string // family, family:revision or ARN
	Container      string // the container whose environment is set

	Subnets        []string // tried in this order when capacity is short
	SecurityGroups []string
	PublicIP       bool

	// CapacityProviders are tried in this order; empty leaves the choice to
	// the cluster's default strategy.
	CapacityProviders []string
	PlatformVersion   string

	Size             Size // zero: as the task definition says
	EphemeralStorage int  // GiB; 0: as the task definition says
	TaskRole         string

	// Image is the job's own image; nil runs the job in the task definition as it is.
	Image *Image

	Environment []Variable // set on Container by override, readable by DescribeTasks
	Tags        []Variable
	StartedBy   string

	PropagateTags        bool
	EnableExecuteCommand bool
}

// Image is a job's own image. The task definition is then the pattern of one that
// is made for it: Container runs this image, and the pattern's Container becomes
// the helper beside it.
type Image struct {
	Name      string   // empty: the pattern's own, beside Services
	Family    string   // beginning of the new definition's family
	AgentPath string   // of the agent's program in the pattern's image
	Port      int      // of the agent in the job's container
	Shared    []string // directories that job and helper share
	Services  []Service
}

// String names it for people: "image golang:1.26 with 2 services".
func (i *Image) String() string {
	text := "image " + i.Name
	if i.Name == "" {
		text = "its own image"
	}
	switch n := len(i.Services); n {
	case 0:
		return text
	case 1:
		return text + " with 1 service"
	default:
		return fmt.Sprintf("%s with %d services", text, n)
	}
}

// Service is a container beside the job's, on the same address.
type Service struct {
	Container   string
	Image       string
	EntryPoint  []string
	Command     []string
	Hosts       []string   // names by which the job reaches it
	Environment []Variable // by override, readable by DescribeTasks
}

// Variable is a name with its value, kept in order so that two equal specs
// make the same request.
type Variable struct{ Name, Value string }

// State is where a task is in its life, in the words of ECS.
type State string

const (
	Provisioning State = "PROVISIONING"
	Pending      State = "PENDING"
	Activating   State = "ACTIVATING"
	Running      State = "RUNNING"
	Stopped      State = "STOPPED"
)

// Ended says that a task can run nothing any more: it stops or has stopped.
func (s State) Ended() bool {
	switch s {
	case "DEACTIVATING", "STOPPING", "DEPROVISIONING", Stopped, "DELETED":
		return true
	}
	return false
}

// Task is what ECS said of a task at one moment. Zero times have not come yet.
type Task struct {
	ARN              string
	TaskDefinition   string
	State            State
	DesiredState     State
	PrivateIP        string
	NetworkInterface string // id of its ENI
	Subnet           string
	AvailabilityZone string
	CapacityProvider string
	LaunchType       string
	PlatformVersion  string
	Size             Size
	StartedBy        string
	Environment      []Variable // of the override
	Tags             []Variable
	Containers       []Container

	CreatedAt, PullStartedAt, PullStoppedAt, StartedAt, StoppingAt, StoppedAt time.Time

	StopCode      string
	StoppedReason string
}

// Container is one container of a task. ExitCode is nil while it runs and
// where it never ran.
type Container struct {
	Name     string
	Reason   string
	ExitCode *int
}

// ID is the last part of the ARN: what the console shows.
func (t Task) ID() string { return IDOf(t.ARN) }

// IDOf is the last part of a task's ARN.
func IDOf(arn string) string {
	for i := len(arn) - 1; i >= 0; i-- {
		if arn[i] == '/' {
			return arn[i+1:]
		}
	}
	return arn
}

// Variable returns the value of an override's variable, or "".
func (t Task) Variable(name string) string { return Lookup(t.Environment, name) }

// Tag returns the value of a tag, or "". A stopped task has lost its tags.
func (t Task) Tag(key string) string { return Lookup(t.Tags, key) }

// Lookup returns the value of the first variable of that name, or "".
func Lookup(all []Variable, name string) string {
	for _, v := range all {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}
