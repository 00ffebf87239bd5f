package localaws

import (
	"encoding/json"
	"time"
)

// The shapes of the ECS API that the stand-in reads and writes, by AWS's API
// reference. json.RawMessage stands for what it takes and gives back as it came.

type keyValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type ecsTag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type ecsFailure struct {
	Arn    string `json:"arn,omitempty"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
}

type strategyItem struct {
	CapacityProvider string `json:"capacityProvider"`
	Weight           int    `json:"weight"`
	Base             int    `json:"base"`
}

type ephemeralStorage struct {
	SizeInGiB int `json:"sizeInGiB"`
}

type awsvpcConfiguration struct {
	Subnets        []string `json:"subnets,omitempty"`
	SecurityGroups []string `json:"securityGroups,omitempty"`
	AssignPublicIP string   `json:"assignPublicIp,omitempty"`
}

type networkConfiguration struct {
	Awsvpc *awsvpcConfiguration `json:"awsvpcConfiguration,omitempty"`
}

type containerOverride struct {
	Name                 string            `json:"name,omitempty"`
	Command              []string          `json:"command,omitempty"`
	Environment          []keyValue        `json:"environment,omitempty"`
	EnvironmentFiles     []json.RawMessage `json:"environmentFiles,omitempty"`
	CPU                  *int              `json:"cpu,omitempty"`
	Memory               *int              `json:"memory,omitempty"`
	MemoryReservation    *int              `json:"memoryReservation,omitempty"`
	ResourceRequirements []json.RawMessage `json:"resourceRequirements,omitempty"`
}

type taskOverride struct {
	ContainerOverrides []containerOverride `json:"containerOverrides"`
	CPU                string              `json:"cpu,omitempty"`
	Memory             string              `json:"memory,omitempty"`
	EphemeralStorage   *ephemeralStorage   `json:"ephemeralStorage,omitempty"`
	TaskRoleArn        string              `json:"taskRoleArn,omitempty"`
	ExecutionRoleArn   string              `json:"executionRoleArn,omitempty"`
}

type containerDependency struct {
	ContainerName string `json:"containerName"`
	Condition     string `json:"condition"`
}

type mountPoint struct {
	SourceVolume  string `json:"sourceVolume"`
	ContainerPath string `json:"containerPath"`
	ReadOnly      bool   `json:"readOnly"`
}

type healthCheck struct {
	Command     []string `json:"command"`
	Interval    int      `json:"interval,omitempty"` // seconds
	Timeout     int      `json:"timeout,omitempty"`
	Retries     int      `json:"retries,omitempty"`
	StartPeriod int      `json:"startPeriod,omitempty"`
}

type containerDefinition struct {
	Name             string                `json:"name"`
	Image            string                `json:"image"`
	CPU              int                   `json:"cpu"`
	Memory           int                   `json:"memory,omitempty"`
	Essential        *bool                 `json:"essential,omitempty"`
	EntryPoint       []string              `json:"entryPoint,omitempty"`
	Command          []string              `json:"command,omitempty"`
	WorkingDirectory string                `json:"workingDirectory,omitempty"`
	Environment      []keyValue            `json:"environment,omitempty"`
	DependsOn        []containerDependency `json:"dependsOn,omitempty"`
	MountPoints      []mountPoint          `json:"mountPoints,omitempty"`
	HealthCheck      *healthCheck          `json:"healthCheck,omitempty"`
	StopTimeout      int                   `json:"stopTimeout,omitempty"` // seconds
	Privileged       bool                  `json:"privileged,omitempty"`

	MemoryReservation      json.RawMessage `json:"memoryReservation,omitempty"`
	Links                  json.RawMessage `json:"links,omitempty"`
	PortMappings           json.RawMessage `json:"portMappings,omitempty"`
	VolumesFrom            json.RawMessage `json:"volumesFrom,omitempty"`
	LinuxParameters        json.RawMessage `json:"linuxParameters,omitempty"`
	Secrets                json.RawMessage `json:"secrets,omitempty"`
	StartTimeout           json.RawMessage `json:"startTimeout,omitempty"`
	Hostname               json.RawMessage `json:"hostname,omitempty"`
	User                   json.RawMessage `json:"user,omitempty"`
	DisableNetworking      json.RawMessage `json:"disableNetworking,omitempty"`
	ReadonlyRootFilesystem json.RawMessage `json:"readonlyRootFilesystem,omitempty"`
	DNSServers             json.RawMessage `json:"dnsServers,omitempty"`
	DNSSearchDomains       json.RawMessage `json:"dnsSearchDomains,omitempty"`
	ExtraHosts             json.RawMessage `json:"extraHosts,omitempty"`
	DockerSecurityOptions  json.RawMessage `json:"dockerSecurityOptions,omitempty"`
	Interactive            json.RawMessage `json:"interactive,omitempty"`
	PseudoTerminal         json.RawMessage `json:"pseudoTerminal,omitempty"`
	DockerLabels           json.RawMessage `json:"dockerLabels,omitempty"`
	Ulimits                json.RawMessage `json:"ulimits,omitempty"`
	LogConfiguration       json.RawMessage `json:"logConfiguration,omitempty"`
	SystemControls         json.RawMessage `json:"systemControls,omitempty"`
	ResourceRequirements   json.RawMessage `json:"resourceRequirements,omitempty"`
	FirelensConfiguration  json.RawMessage `json:"firelensConfiguration,omitempty"`
	CredentialSpecs        json.RawMessage `json:"credentialSpecs,omitempty"`
	EnvironmentFiles       json.RawMessage `json:"environmentFiles,omitempty"`
	RepositoryCredentials  json.RawMessage `json:"repositoryCredentials,omitempty"`
	RestartPolicy          json.RawMessage `json:"restartPolicy,omitempty"`
	VersionConsistency     json.RawMessage `json:"versionConsistency,omitempty"`
}

func (c containerDefinition) essential() bool { return c.Essential == nil || *c.Essential }

// definitionContent is what RegisterTaskDefinition takes, but for the tags, and
// DescribeTaskDefinition gives back.
type definitionContent struct {
	Family                  string                `json:"family"`
	TaskRoleArn             string                `json:"taskRoleArn,omitempty"`
	ExecutionRoleArn        string                `json:"executionRoleArn,omitempty"`
	NetworkMode             string                `json:"networkMode,omitempty"`
	ContainerDefinitions    []containerDefinition `json:"containerDefinitions"`
	Volumes                 []definitionVolume    `json:"volumes"`
	PlacementConstraints    []json.RawMessage     `json:"placementConstraints"`
	RequiresCompatibilities []string              `json:"requiresCompatibilities,omitempty"`
	CPU                     string                `json:"cpu,omitempty"`
	Memory                  string                `json:"memory,omitempty"`
	EphemeralStorage        *ephemeralStorage     `json:"ephemeralStorage,omitempty"`
	PidMode                 string                `json:"pidMode,omitempty"`
	IpcMode                 string                `json:"ipcMode,omitempty"`

	ProxyConfiguration    json.RawMessage `json:"proxyConfiguration,omitempty"`
	InferenceAccelerators json.RawMessage `json:"inferenceAccelerators,omitempty"`
	RuntimePlatform       json.RawMessage `json:"runtimePlatform,omitempty"`
	EnableFaultInjection  json.RawMessage `json:"enableFaultInjection,omitempty"`
}

type definitionVolume struct {
	Name                   string          `json:"name"`
	Host                   json.RawMessage `json:"host,omitempty"`
	EFSVolumeConfiguration json.RawMessage `json:"efsVolumeConfiguration,omitempty"`
	ConfiguredAtLaunch     json.RawMessage `json:"configuredAtLaunch,omitempty"`
}

// taskDefinition is a registered revision.
type taskDefinition struct {
	definitionContent
	TaskDefinitionArn string   `json:"taskDefinitionArn"`
	Revision          int      `json:"revision"`
	Status            string   `json:"status"` // ACTIVE, INACTIVE
	Compatibilities   []string `json:"compatibilities"`
	RegisteredAt      *float64 `json:"registeredAt,omitempty"`
	DeregisteredAt    *float64 `json:"deregisteredAt,omitempty"`
	RegisteredBy      string   `json:"registeredBy,omitempty"`

	tags []ecsTag
}

type attachment struct {
	ID      string     `json:"id"`
	Type    string     `json:"type"`
	Status  string     `json:"status"`
	Details []keyValue `json:"details"`
}

type networkInterface struct {
	AttachmentID       string `json:"attachmentId"`
	PrivateIPv4Address string `json:"privateIpv4Address,omitempty"`
}

// containerAnswer is a container as DescribeTasks shows it.
type containerAnswer struct {
	ContainerArn      string             `json:"containerArn"`
	TaskArn           string             `json:"taskArn"`
	Name              string             `json:"name"`
	Image             string             `json:"image"`
	LastStatus        string             `json:"lastStatus"`
	ExitCode          *int               `json:"exitCode,omitempty"`
	Reason            string             `json:"reason,omitempty"`
	NetworkBindings   []json.RawMessage  `json:"networkBindings"`
	NetworkInterfaces []networkInterface `json:"networkInterfaces"`
	HealthStatus      string             `json:"healthStatus"`
	CPU               string             `json:"cpu"`
}

// taskAnswer is a task as RunTask, DescribeTasks and StopTask show it.
type taskAnswer struct {
	TaskArn              string            `json:"taskArn"`
	ClusterArn           string            `json:"clusterArn"`
	TaskDefinitionArn    string            `json:"taskDefinitionArn"`
	Attachments          []attachment      `json:"attachments"`
	Attributes           []json.RawMessage `json:"attributes"`
	AvailabilityZone     string            `json:"availabilityZone,omitempty"`
	CapacityProviderName string            `json:"capacityProviderName,omitempty"`
	Connectivity         string            `json:"connectivity,omitempty"`
	ConnectivityAt       *float64          `json:"connectivityAt,omitempty"`
	Containers           []containerAnswer `json:"containers"`
	CPU                  string            `json:"cpu"`
	Memory               string            `json:"memory"`
	CreatedAt            *float64          `json:"createdAt,omitempty"`
	DesiredStatus        string            `json:"desiredStatus"`
	EnableExecuteCommand bool              `json:"enableExecuteCommand"`
	EphemeralStorage     *ephemeralStorage `json:"ephemeralStorage,omitempty"`
	ExecutionStoppedAt   *float64          `json:"executionStoppedAt,omitempty"`
	Group                string            `json:"group"`
	HealthStatus         string            `json:"healthStatus"`
	LastStatus           string            `json:"lastStatus"`
	LaunchType           string            `json:"launchType"`
	Overrides            taskOverride      `json:"overrides"`
	PlatformFamily       string            `json:"platformFamily"`
	PlatformVersion      string            `json:"platformVersion"`
	PullStartedAt        *float64          `json:"pullStartedAt,omitempty"`
	PullStoppedAt        *float64          `json:"pullStoppedAt,omitempty"`
	StartedAt            *float64          `json:"startedAt,omitempty"`
	StartedBy            string            `json:"startedBy,omitempty"`
	StopCode             string            `json:"stopCode,omitempty"`
	StoppedAt            *float64          `json:"stoppedAt,omitempty"`
	StoppedReason        string            `json:"stoppedReason,omitempty"`
	StoppingAt           *float64          `json:"stoppingAt,omitempty"`
	Tags                 []ecsTag          `json:"tags"`
	Version              int               `json:"version"`
}

// epoch is a time as AWS JSON has it: seconds since 1970, to the millisecond.
// A zero time is no time.
func epoch(t time.Time) *float64 {
	if t.IsZero() {
		return nil
	}
	seconds := float64(t.UnixMilli()) / 1000
	return &seconds
}
