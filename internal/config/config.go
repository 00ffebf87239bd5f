// Package config is fargate.toml: defaults, decode, validate, then a read-only
// value. The struct tags below are the one place that says what a key means:
// decoding, messages, the reference in docs/ and the renderer read them.
package config

import "time"

// Config is a complete, valid configuration.
//
// The sections Fargate, TaskMetadata and SSH and the keys of the top level
// are those of GitLab's official driver; a file written for it loads
// unchanged. The other sections are this driver's own.
type Config struct {
	LogLevel  string `default:"info" doc:"What goes to the driver's log: debug, info, warn, error, fatal or panic." example:"debug"`
	LogFormat string `default:"text" doc:"Form of a log line: text, text-simple or json." example:"json"`
	LogFile   string `doc:"File for the driver's log. Empty: the system log (journalctl -t fargate-driver); where there is none, fargate-driver.log in the [TaskMetadata] Directory." example:"/var/log/fargate-driver.log"`

	Fargate      Fargate      `official:"true" doc:"Where a job's task runs."`
	TaskMetadata TaskMetadata `official:"true" doc:"Where the driver keeps what it must remember between the stages of a job."`
	SSH          SSH          `official:"true" doc:"How the driver logs in to the job's container."`

	Launch Launch `doc:"How a task is launched, beyond what the official driver knows."`
	Jobs   Jobs   `doc:"What a job finds, and what its variables may ask for. Nothing that decides about privilege is open to a job unless it is listed here."`
	Images Images `doc:"Jobs in the image that their image: names. The task definition stays in the task as a helper, which clones, caches and carries artifacts, so that the job's image needs nothing but a shell."`
	Run    Run    `doc:"How a job's scripts are run and cancelled."`
	Agent  Agent  `doc:"What the coordinator agent does on its own. OpenSSH images do none of this."`
	Reap   Reap   `doc:"What counts as an orphan for cleanup and fargate-driver reap."`
}

// Fargate is where a job's task runs.
type Fargate struct {
	Cluster        string  `required:"true" doc:"Name or ARN of the ECS cluster." example:"ci"`
	Region         string  `doc:"AWS Region. Empty: AWS_REGION, or the SDK's shared configuration." example:"ap-northeast-1"`
	Subnet         Strings `required:"true" doc:"Subnet id, or several: with several, a launch that finds no capacity in one goes on in the next." example:"[\"subnet-0a1b2c3d\", \"subnet-4e5f6a7b\"]"`
	SecurityGroup  Strings `doc:"Security group id, or up to five. The manager must reach the SSH port through it. Empty: the VPC's default group." example:"sg-0123abcd"`
	TaskDefinition string  `doc:"Task definition of a job's task: family, family:revision or ARN. It needs a container named ci-coordinator. May be left out only if each job names its own." example:"ci-job:7"`

	EnablePublicIP       bool        `default:"false" doc:"Give the task a public IP address. Needed in a public subnet, which has no other way out." example:"true"`
	UsePublicIP          bool        `default:"false" doc:"Connect to the public address instead of the private one. Needs EnablePublicIP, and ec2:DescribeNetworkInterfaces for the manager." example:"true"`
	PlatformVersion      string      `default:"LATEST" doc:"Fargate platform version." example:"1.4.0"`
	EnableExecuteCommand bool        `default:"false" doc:"Turn on ECS Exec for the task; its task role then needs the ssmmessages permissions." example:"true"`
	PropagateTags        Propagation `default:"false" doc:"Copy the task definition's tags to the task: true or false, or ECS's words for it, \"TASK_DEFINITION\" and \"NONE\"." example:"true"`
}

// TaskMetadata is where task records are kept.
type TaskMetadata struct {
	Directory string `required:"true" doc:"Directory for task records: absolute, writable by the user that runs gitlab-runner, not shared between managers." example:"/opt/gitlab-runner/metadata"`
}

// SSH is how the driver logs in.
type SSH struct {
	Username string `default:"root" doc:"User to log in as." example:"root"`
	Port     int    `default:"22" doc:"Port of the SSH server in the task." example:"22"`
}

// Launch is how a task is launched.
type Launch struct {
	CapacityProviders Strings  `doc:"Capacity providers in order of preference; when one has no capacity, the next is tried. Empty: the cluster's default strategy, and FARGATE where it has none." example:"[\"FARGATE_SPOT\", \"FARGATE\"]"`
	Deadline          Duration `default:"10m" doc:"Longest time from the start of prepare to an answer by the task's SSH server, with all retries. A launch that takes longer fails the attempt, and its task is stopped." example:"15m"`
	ProvisioningLimit Duration `default:"3m" doc:"Longest time that a task may stay in PROVISIONING. It is then stopped and another launched, in the next subnet." example:"5m"`
	OnDemandAfter     Duration `default:"24h" doc:"For how long a job whose Spot task was reclaimed is launched without FARGATE_SPOT when it is retried. 0s: never." example:"6h"`

	CPU              int               `doc:"CPU units of each task (1024 are one vCPU), instead of the task definition's. Goes with Memory." example:"1024"`
	Memory           int               `doc:"Memory of each task in MiB, instead of the task definition's. Goes with CPU." example:"4096"`
	EphemeralStorage int               `doc:"Disk of each task in GiB, 21 to 200. Empty: as the task definition says, 20 GiB without." example:"50"`
	TaskRole         string            `doc:"ARN of the IAM role of each task, instead of the task definition's." example:"arn:aws:iam::123456789012:role/ci-job"`
	Tags             map[string]string `doc:"Tags for each task, besides those that the driver sets (gitlab:project, gitlab:pipeline, gitlab:job, gitlab:job-name). Needs ecs:TagResource." example:"{ CostCenter = \"ci\" }"`
}

// Jobs is what a job finds and what its variables may ask for.
type Jobs struct {
	BuildsDir string `doc:"Directory in the task for the job's clone. Empty: builds_dir of config.toml." example:"/builds"`
	CacheDir  string `doc:"Directory in the task for caches. Empty: cache_dir of config.toml." example:"/cache"`
	Shell     string `doc:"Shell that gitlab-runner writes scripts for: bash or sh. Empty: shell of config.toml, bash without." example:"sh"`

	TaskDefinitions   Strings `doc:"Task definitions that FARGATE_TASK_DEFINITION may name: families, family:revision or ARNs, with * for any characters. Empty: only those that give no rights which [Fargate] TaskDefinition does not give: roles, secrets, file systems." example:"[\"ci-*\"]"`
	PlatformVersions  Strings `default:"LATEST,1.*" doc:"Platform versions that FARGATE_PLATFORM_VERSION may name." example:"[\"LATEST\"]"`
	TaskRoles         Strings `doc:"IAM role ARNs that FARGATE_TASK_ROLE may name, with * for any characters. Empty: none." example:"[\"arn:aws:iam::123456789012:role/ci-*\"]"`
	CapacityProviders Strings `doc:"Capacity providers that FARGATE_CAPACITY_PROVIDER may name. Empty: those of [Launch] CapacityProviders." example:"[\"FARGATE\", \"FARGATE_SPOT\"]"`

	MaxCPU              int `doc:"Most CPU units that FARGATE_CPU may ask for. Empty: a job may not choose." example:"4096"`
	MaxMemory           int `doc:"Most MiB that FARGATE_MEMORY may ask for. Empty: a job may not choose." example:"16384"`
	MaxEphemeralStorage int `doc:"Most GiB that FARGATE_EPHEMERAL_STORAGE may ask for. Empty: a job may not choose." example:"100"`
}

// Images is which images jobs may name, and how the agent gets into them.
type Images struct {
	Allowed   Strings `doc:"Images that image: may name, with * for any characters. Empty: image: is not used, and the job log says so. Needs [Jobs] BuildsDir and CacheDir, ecs:RegisterTaskDefinition, and Port open from the manager." example:"[\"public.ecr.aws/docker/library/*\", \"123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/*\"]"`
	Services  Strings `doc:"Images that services: may name, in the same way. They run beside the job's container, on its address, and end with it. Empty: services: are not started, and the job log says so." example:"[\"public.ecr.aws/docker/library/*\"]"`
	Family    string  `default:"fargate-driver-image" doc:"How the families of task definitions begin that are made for images. The rest is a hash of all that is in them, so each is made once." example:"ci-image"`
	AgentPath string  `default:"/usr/local/bin/coordinator" doc:"Where the agent's program is in the image of [Fargate] TaskDefinition, from which the job's container gets it." example:"/usr/local/bin/coordinator"`
	Port      int     `default:"2222" doc:"Port of the agent in the job's container; the helper beside it has [SSH] Port." example:"2222"`
}

// Run is how scripts are run and cancelled.
type Run struct {
	ConnectTimeout Duration `default:"10s" doc:"Longest time for one attempt to connect." example:"5s"`
	KeepAlive      Duration `default:"15s" doc:"Longest silence on a connection before it counts as lost." example:"30s"`
	ResumeLimit    Duration `default:"10m" doc:"How long a lost connection is sought again before the job ends as a system failure. Agent only; with OpenSSH images a lost connection ends the job." example:"30m"`
	KillGrace      Duration `default:"10s" doc:"Time between TERM and KILL for a cancelled script. Keep it below graceful_kill_timeout of config.toml." example:"30s"`
	CleanupLimit   Duration `default:"1m" doc:"Longest time for cleanup to reach ECS, with retries." example:"2m"`
}

// Agent is what the agent does on its own.
type Agent struct {
	Required       bool     `default:"false" doc:"Refuse tasks without the coordinator agent. Only the agent has a host key that the driver knows beforehand; of an OpenSSH image the first key seen is trusted for the rest of the job." example:"true"`
	IdleLimit      Duration `default:"15m" doc:"The agent exits, and the task with it, when nobody has been connected for this long." example:"30m"`
	DeadlineMargin Duration `default:"15m" doc:"The agent exits this long after the job's own timeout has passed, counted from the launch." example:"1h"`
	SpoolLimit     int      `default:"8388608" doc:"Bytes of output that the agent keeps on disk while nobody reads; a script that writes more waits." example:"67108864"`
}

// Reap is what counts as an orphan.
type Reap struct {
	Manager   string   `doc:"Name of this manager in startedBy, by which it knows its own tasks. Set it to something that stays when the host is replaced. Empty: the host's name." example:"ci-manager-1"`
	OlderThan Duration `default:"30m" doc:"A task that no job owns is an orphan after this time." example:"2h"`
}

// Strings is one string or an array of them.
type Strings []string

// Propagation is a switch that versions of the official driver's file may
// write in ECS's words instead.
type Propagation bool

// Duration is a time.Duration written as 90s, 10m or 1h30m.
type Duration struct{ time.Duration }

// MarshalText writes the duration as it is read.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
