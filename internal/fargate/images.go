package fargate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

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
	in, doing, err := c.definitionFor(ctx, spec)
	if err != nil {
		return "", err
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

// CanForImage says why no task definition could be made for a spec with an
// image, as far as that shows without making it.
func (c *Client) CanForImage(ctx context.Context, spec task.Spec) error {
	_, _, err := c.definitionFor(ctx, spec)
	return err
}

// definitionFor puts the definition together, and names what is being done.
func (c *Client) definitionFor(ctx context.Context, spec task.Spec) (in *ecs.RegisterTaskDefinitionInput, doing string, err error) {
	pattern, err := c.taskDefinition(ctx, spec.TaskDefinition)
	if err != nil {
		return nil, "", err
	}
	doing = fmt.Sprintf("making a task definition for %s from %s", spec.Image, spec.TaskDefinition)
	if in, err = forImage(pattern, spec); err != nil {
		return nil, "", fmt.Errorf("%s: %w", doing, err)
	}
	return in, doing, nil
}

// TooManyContainers says that a job asks for more services than a task has room
// for beside the operator's containers.
type TooManyContainers struct{ Asked, Room int }

func (t *TooManyContainers) Error() string {
	return fmt.Sprintf("the job asks for %d services, and there is room for %d: ECS takes %d containers in a task, and the others are the job's, its helper, the agent's installation and the operator's own",
		t.Asked, max(0, t.Room), maxContainers)
}

// RoomForServices is how many services a job may have beside the containers of a
// task definition; below zero it cannot have an image of its own either.
func RoomForServices(d TaskDefinition) int { return roomBeside(len(d.Containers)) }

// roomBeside counts the helper and the agent's installation, too.
func roomBeside(containers int) int { return maxContainers - 2 - containers }

// maxContainers is ECS's limit of containers in a task definition.
const maxContainers = 10

func revision(d *types.TaskDefinition) string {
	return aws.ToString(d.Family) + ":" + strconv.Itoa(int(d.Revision))
}

// The volumes that the containers of a job with its own image share.
const agentVolume = "fargate-driver-agent"

func sharedVolume(n int) string { return "fargate-driver-shared-" + strconv.Itoa(n) }

// forImage is pure: a definition as the pattern, in which the job's container
// has another image and the agent from a volume, the pattern's own container is
// the helper, and services stand beside. Roles, secrets, logs, sizes and further
// containers stay what the pattern says.
func forImage(pattern *types.TaskDefinition, spec task.Spec) (*ecs.RegisterTaskDefinitionInput, error) {
	at := slices.IndexFunc(pattern.ContainerDefinitions, func(d types.ContainerDefinition) bool { return aws.ToString(d.Name) == spec.Container })
	if at < 0 {
		return nil, fmt.Errorf("it has no container named %s", spec.Container)
	}
	own := pattern.ContainerDefinitions[at]
	for _, d := range pattern.ContainerDefinitions {
		if name := aws.ToString(d.Name); name == wire.HelperName || name == wire.InstallName || strings.HasPrefix(name, wire.ServicePrefix) {
			return nil, fmt.Errorf("its container %s has a name that the driver needs for a container of its own; rename it there", name)
		}
	}
	if room := roomBeside(len(pattern.ContainerDefinitions)); len(spec.Image.Services) > room {
		return nil, &TooManyContainers{len(spec.Image.Services), room}
	}
	in := &ecs.RegisterTaskDefinitionInput{
		Cpu: pattern.Cpu, Memory: pattern.Memory, NetworkMode: pattern.NetworkMode, RequiresCompatibilities: pattern.RequiresCompatibilities,
		ExecutionRoleArn: pattern.ExecutionRoleArn, TaskRoleArn: pattern.TaskRoleArn, EphemeralStorage: pattern.EphemeralStorage,
		RuntimePlatform: pattern.RuntimePlatform, ProxyConfiguration: pattern.ProxyConfiguration, PidMode: pattern.PidMode,
		Volumes: append(slices.Clone(pattern.Volumes), types.Volume{Name: aws.String(agentVolume)}),
	}
	agent := types.MountPoint{SourceVolume: aws.String(agentVolume), ContainerPath: aws.String(wire.AgentDir)}
	mounts, made := slices.Clone(own.MountPoints), []types.MountPoint{agent}
	for n, dir := range spec.Image.Shared {
		if slices.ContainsFunc(slices.Concat(mounts, made), func(m types.MountPoint) bool { return within(dir, aws.ToString(m.ContainerPath)) }) {
			continue // a volume of the operator's is there or above, for both
		}
		in.Volumes = append(in.Volumes, types.Volume{Name: aws.String(sharedVolume(n))})
		made = append(made, types.MountPoint{SourceVolume: aws.String(sharedVolume(n)), ContainerPath: aws.String(path.Clean(dir))})
	}
	mounts = append(mounts, made...)

	program := wire.AgentDir + "/coordinator"
	// Root's alone are the volumes that Fargate makes, and neither image may run as root.
	command := []string{"install", program}
	for _, m := range made {
		command = append(command, *m.ContainerPath)
	}
	install := types.ContainerDefinition{
		Name: aws.String(wire.InstallName), Image: own.Image, RepositoryCredentials: own.RepositoryCredentials,
		EntryPoint: []string{spec.Image.AgentPath}, Command: command,
		Essential: aws.Bool(false), LogConfiguration: own.LogConfiguration, User: aws.String("0"),
		MountPoints: made,
	}
	// Essential as the job's: a job whose helper has died could only fail, and
	// ECS knows why a task ended.
	helper := own
	helper.Name, helper.Essential, helper.MountPoints = aws.String(wire.HelperName), aws.Bool(true), mounts
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
			d.DependsOn = onHelper(d.DependsOn, spec.Container)
			in.ContainerDefinitions = append(in.ContainerDefinitions, d)
		}
	}
	content, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("naming it by its content: %w", err)
	}
	sum := sha256.Sum256(content)
	in.Family = aws.String(spec.Image.Family + "-" + hex.EncodeToString(sum[:16]))
	return in, nil
}

// within says whether a directory is another or below it.
func within(dir, other string) bool {
	dir, other = path.Clean(dir), path.Clean(other)
	return dir == other || strings.HasPrefix(dir, strings.TrimSuffix(other, "/")+"/")
}

// onHelper has containers that wait for the health of the pattern's container
// wait for the helper's, which is the same: the job's has no check.
func onHelper(all []types.ContainerDependency, container string) []types.ContainerDependency {
	all = slices.Clone(all)
	for i := range all {
		if aws.ToString(all[i].ContainerName) == container && all[i].Condition == types.ContainerConditionHealthy {
			all[i].ContainerName = aws.String(wire.HelperName)
		}
	}
	return all
}
