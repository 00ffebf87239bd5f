package fargate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// Place is where one RunTask puts a task.
type Place struct {
	Subnet string
	// Provider is a capacity provider, FARGATE by launch type when it is
	// LaunchTypeFargate, and the cluster's default strategy when empty.
	Provider string
}

// LaunchTypeFargate is the Place.Provider of a cluster that has no default
// strategy: it asks for the launch type, for which the cluster needs no
// associated capacity provider.
const LaunchTypeFargate = "launch type FARGATE"

func (p Place) String() string {
	if p.Provider == "" {
		return p.Subnet
	}
	return p.Subnet + " (" + p.Provider + ")"
}

// RunTask asks for one task in one place, with one call. Repeated with the
// same token and place it returns the task that the first call started, for 24
// hours.
func (c *Client) RunTask(ctx context.Context, spec task.Spec, place Place, token string) (task.Task, error) {
	doing := "starting a task in cluster " + spec.Cluster
	out, err := c.ecs.RunTask(ctx, runTaskInput(spec, place, token))
	if err != nil {
		err = failure(doing, err)
		// A fault of AWS's own may have come after the task was started: only the
		// same call, with the same token, can tell.
		var f *Failure
		if errors.As(err, &f) && f.Class == Temporary {
			f.Class = Unanswered
		}
		return task.Task{}, err
	}
	if len(out.Tasks) > 0 {
		return fromSDK(out.Tasks[0]), nil
	}
	// RunTask answers 200 with what went wrong inside.
	if len(out.Failures) > 0 {
		f := out.Failures[0]
		return task.Task{}, refusal(doing, aws.ToString(f.Reason), aws.ToString(f.Detail))
	}
	return task.Task{}, &Failure{Class: Temporary, Doing: doing, Message: "ECS answered with neither a task nor a failure"}
}

func runTaskInput(spec task.Spec, place Place, token string) *ecs.RunTaskInput {
	in := &ecs.RunTaskInput{
		Cluster:              &spec.Cluster,
		TaskDefinition:       &spec.TaskDefinition,
		ClientToken:          &token,
		Count:                aws.Int32(1),
		StartedBy:            &spec.StartedBy,
		EnableExecuteCommand: spec.EnableExecuteCommand,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
			Subnets:        []string{place.Subnet},
			SecurityGroups: spec.SecurityGroups,
			AssignPublicIp: types.AssignPublicIpDisabled,
		}},
		Overrides: overrides(spec),
	}
	if spec.PublicIP {
		in.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp = types.AssignPublicIpEnabled
	}
	if spec.PlatformVersion != "" {
		in.PlatformVersion = &spec.PlatformVersion
	}
	if spec.PropagateTags {
		in.PropagateTags = types.PropagateTagsTaskDefinition
	}
	switch place.Provider {
	case "":
	case LaunchTypeFargate:
		in.LaunchType = types.LaunchTypeFargate
	default:
		in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: &place.Provider, Weight: 1}}
	}
	for _, t := range spec.Tags {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(t.Name), Value: aws.String(t.Value)})
	}
	return in
}

func overrides(spec task.Spec) *types.TaskOverride {
	o := &types.TaskOverride{}
	override := func(container string, environment []task.Variable) {
		c := types.ContainerOverride{Name: &container}
		for _, v := range environment {
			c.Environment = append(c.Environment, types.KeyValuePair{Name: aws.String(v.Name), Value: aws.String(v.Value)})
		}
		o.ContainerOverrides = append(o.ContainerOverrides, c)
	}
	override(spec.Container, spec.Environment)
	if spec.Image != nil {
		override(wire.HelperName, append(slices.Clone(spec.Environment), task.Variable{Name: wire.EnvUmask, Value: "0000"}))
		for _, s := range spec.Image.Services {
			override(s.Container, s.Environment)
		}
	}
	if spec.Size.CPU != 0 {
		o.Cpu = aws.String(strconv.Itoa(spec.Size.CPU))
		o.Memory = aws.String(strconv.Itoa(spec.Size.Memory))
	}
	if spec.EphemeralStorage != 0 {
		o.EphemeralStorage = &types.EphemeralStorage{SizeInGiB: int32(spec.EphemeralStorage)}
	}
	if spec.TaskRole != "" {
		o.TaskRoleArn = &spec.TaskRole
	}
	return o
}

// NeedsLaunchType says that the cluster has no default capacity provider
// strategy, so that a launch must name one.
func NeedsLaunchType(err error) bool {
	var f *Failure
	return errors.As(err, &f) && strings.Contains(strings.ToLower(f.Message), "no container instances were found")
}

// MayNotTag says that the manager may start tasks but not tag them.
func MayNotTag(err error) bool {
	var f *Failure
	return errors.As(err, &f) && f.Class == Permission && strings.Contains(f.Message, "ecs:TagResource")
}

// TooLong says that the override has more characters than ECS takes: only what
// a job's services are given can make it so long.
func TooLong(err error) bool {
	var f *Failure
	return errors.As(err, &f) && strings.Contains(strings.ToLower(f.Message), tooLong)
}

// tooLong is a part of what ECS says of such an override.
const tooLong = "overrides length must be at most"

// SameRights says whether a task definition gives a task no more than a trusted
// one does: roles, secrets, file systems, registry credentials. With trusted
// empty it must give nothing at all. The reason names the first thing more.
func (c *Client) SameRights(ctx context.Context, definition, trusted string) (bool, string, error) {
	asked, err := c.taskDefinition(ctx, definition)
	if err != nil {
		return false, "", err
	}
	var have []string
	if trusted != "" {
		d, err := c.taskDefinition(ctx, trusted)
		if err != nil {
			return false, "", err
		}
		have = rights(d)
	}
	for _, right := range rights(asked) {
		if !slices.Contains(have, right) {
			return false, right, nil
		}
	}
	return true, "", nil
}

// rights are what a task definition lets a task have beyond its image.
func rights(d *types.TaskDefinition) []string {
	var all []string
	add := func(kind string, value *string) {
		if value != nil && *value != "" {
			all = append(all, kind+" "+*value)
		}
	}
	add("task role", d.TaskRoleArn)
	add("execution role", d.ExecutionRoleArn)
	for _, v := range d.Volumes {
		if v.EfsVolumeConfiguration != nil {
			add("EFS file system", v.EfsVolumeConfiguration.FileSystemId)
		}
		if v.FsxWindowsFileServerVolumeConfiguration != nil {
			add("FSx file system", v.FsxWindowsFileServerVolumeConfiguration.FileSystemId)
		}
	}
	for _, container := range d.ContainerDefinitions {
		for _, secret := range container.Secrets {
			add("secret", secret.ValueFrom)
		}
		for _, file := range container.EnvironmentFiles {
			add("environment file", file.Value)
		}
		if container.RepositoryCredentials != nil {
			add("registry credentials", container.RepositoryCredentials.CredentialsParameter)
		}
		if container.LogConfiguration != nil {
			for _, secret := range container.LogConfiguration.SecretOptions {
				add("secret", secret.ValueFrom)
			}
		}
	}
	return all
}

func (c *Client) taskDefinition(ctx context.Context, name string) (*types.TaskDefinition, error) {
	doing := "looking at task definition " + name
	out, err := c.ecs.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &name})
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "ClientException" {
		return nil, &Failure{Class: Missing, Doing: doing, Message: fmt.Sprintf("%s (%s)", api.ErrorMessage(), api.ErrorCode()),
			Meaning: "there is no such task definition", Hint: "see [Fargate] TaskDefinition in fargate.toml, or FARGATE_TASK_DEFINITION of the job", cause: err}
	}
	if err != nil {
		return nil, failure(doing, err)
	}
	return out.TaskDefinition, nil
}
