package fargate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// ForImage gives the task definition, family:revision, in which a job runs in
// its own image. It is made from spec's task definition, once: its family is
// named by a hash of all that is in it, and an active one is used again.
func (c *Client) ForImage(ctx context.Context, spec task.Spec) (string, error) {
	pattern, err := c.taskDefinition(ctx, spec.TaskDefinition)
	if err != nil {
		return "", err
	}
	doing := fmt.Sprintf("making a task definition for %s from %s", spec.Image, spec.TaskDefinition)
	in, err := forImage(pattern, spec)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	made, err := c.taskDefinition(ctx, *in.Family)
	if err == nil && made.Status == types.TaskDefinitionStatusActive {
		return revision(made), nil
	}
	var missing *Failure
	if err != nil && !(errors.As(err, &missing) && missing.Class == Missing) {
		return "", err
	}
	out, err := c.ecs.RegisterTaskDefinition(ctx, in)
	if err != nil {
		return "", failure(doing, err)
	}
	return revision(out.TaskDefinition), nil
}

func revision(d *types.TaskDefinition) string {
	return aws.ToString(d.Family) + ":" + strconv.Itoa(int(d.Revision))
}

// The volumes that the containers of a job with its own image share.
const agentVolume = "fargate-driver-agent"

func sharedVolume(n int) string { return "fargate-driver-shared-" + strconv.Itoa(n) }

// forImage is pure: a definition as the pattern, in which the job's container
// has another image and the agent from a volume, the pattern's own
// container is the helper, and services stand beside. Roles, secrets, logs, sizes and further containers
// stay what the pattern says.
func forImage(pattern *types.TaskDefinition, spec task.Spec) (*ecs.RegisterTaskDefinitionInput, error) {
	at := slices.IndexFunc(pattern.ContainerDefinitions, func(d types.ContainerDefinition) bool { return aws.ToString(d.Name) == spec.Container })
	if at < 0 {
		return nil, fmt.Errorf("it has no container named %s", spec.Container)
	}
	own := pattern.ContainerDefinitions[at]
	in := &ecs.RegisterTaskDefinitionInput{
		Cpu: pattern.Cpu, Memory: pattern.Memory, NetworkMode: pattern.NetworkMode, RequiresCompatibilities: pattern.RequiresCompatibilities,
		ExecutionRoleArn: pattern.ExecutionRoleArn, TaskRoleArn: pattern.TaskRoleArn, EphemeralStorage: pattern.EphemeralStorage,
		RuntimePlatform: pattern.RuntimePlatform, ProxyConfiguration: pattern.ProxyConfiguration, PidMode: pattern.PidMode,
		Volumes: append(slices.Clone(pattern.Volumes), types.Volume{Name: aws.String(agentVolume)}),
	}
	agent := types.MountPoint{SourceVolume: aws.String(agentVolume), ContainerPath: aws.String(wire.AgentDir)}
	mounts := append(slices.Clone(own.MountPoints), agent)
	for n, dir := range spec.Image.Shared {
		if slices.ContainsFunc(own.MountPoints, func(m types.MountPoint) bool { return aws.ToString(m.ContainerPath) == dir }) {
			continue // the operator's own volume is there, for both
		}
		in.Volumes = append(in.Volumes, types.Volume{Name: aws.String(sharedVolume(n))})
		mounts = append(mounts, types.MountPoint{SourceVolume: aws.String(sharedVolume(n)), ContainerPath: aws.String(dir)})
	}

	program := wire.AgentDir + "/coordinator"
	install := types.ContainerDefinition{
		Name: aws.String(wire.InstallName), Image: own.Image, RepositoryCredentials: own.RepositoryCredentials,
		EntryPoint: []string{spec.Image.AgentPath}, Command: []string{"install", program},
		Essential: aws.Bool(false), LogConfiguration: own.LogConfiguration, User: aws.String("0"),
		MountPoints: []types.MountPoint{agent},
	}
	helper := own
	helper.Name, helper.Essential, helper.MountPoints = aws.String(wire.HelperName), aws.Bool(false), mounts
	helper.Cpu, helper.Memory, helper.MemoryReservation = 0, nil, nil // shares of the task that the job's has already
	job := own
	job.MountPoints, job.Essential, job.PortMappings, job.HealthCheck = mounts, aws.Bool(true), nil, nil
	job.EntryPoint, job.Command = []string{program, "serve", "--listen", ":" + strconv.Itoa(spec.Image.Port)}, nil
	if spec.Image.Name != "" {
		// What describes the pattern's image does not describe this one.
		job.Image, job.WorkingDirectory, job.User, job.RepositoryCredentials = aws.String(spec.Image.Name), nil, nil, nil
	}
	job.DependsOn = append(slices.Clone(own.DependsOn), types.ContainerDependency{
		ContainerName: aws.String(wire.InstallName), Condition: types.ContainerConditionSuccess})
	for _, s := range spec.Image.Services {
		in.ContainerDefinitions = append(in.ContainerDefinitions, types.ContainerDefinition{
			Name: aws.String(s.Container), Image: aws.String(s.Image), EntryPoint: s.EntryPoint, Command: s.Command,
			Essential: aws.Bool(false), LogConfiguration: own.LogConfiguration,
		})
		job.DependsOn = append(job.DependsOn, types.ContainerDependency{ContainerName: aws.String(s.Container), Condition: types.ContainerConditionStart})
	}
	in.ContainerDefinitions = append(in.ContainerDefinitions, install, helper, job)
	for i, d := range pattern.ContainerDefinitions {
		if i != at {
			in.ContainerDefinitions = append(in.ContainerDefinitions, d)
		}
	}
	content, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("naming it by its content: %w", err)
	}
	sum := sha256.Sum256(content)
	in.Family = aws.String(spec.Image.Family + "-" + hex.EncodeToString(sum[:8]))
	return in, nil
}
