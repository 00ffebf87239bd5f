// Package fargate is the ECS API, and the only package that calls it: launch,
// find, watch, explain and stop tasks. It deals in task.Spec and task.Task;
// the SDK's types do not leave it. It knows nothing of GitLab.
package fargate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/fargate-driver/fargate-driver/internal/awsquery"
	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// Client calls ECS in one Region. It is safe for concurrent use.
type Client struct {
	ecs   *ecs.Client
	query *awsquery.Client
}

// New makes a client; it calls nothing.
func New(cfg aws.Config) *Client {
	return &Client{ecs: ecs.NewFromConfig(cfg), query: awsquery.New(cfg)}
}

// ErrGone says that ECS does not know a task: it ended more than an hour ago,
// or never was. Just after RunTask it can also mean that ECS has not spread
// the word yet.
var ErrGone = errors.New("the task does not exist")

// describeMost is how many tasks DescribeTasks takes at once.
const describeMost = 100

// Describe asks for one task. The error is ErrGone where there is none.
func (c *Client) Describe(ctx context.Context, cluster, arn string) (task.Task, error) {
	all, err := c.describe(ctx, cluster, []string{arn})
	if err != nil {
		return task.Task{}, err
	}
	if len(all) == 0 {
		return task.Task{}, fmt.Errorf("asking for task %s: %w", task.IDOf(arn), ErrGone)
	}
	return all[0], nil
}

func (c *Client) describe(ctx context.Context, cluster string, arns []string) ([]task.Task, error) {
	var all []task.Task
	for len(arns) > 0 {
		n := min(len(arns), describeMost)
		out, err := c.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{
			Cluster: &cluster,
			Tasks:   arns[:n],
			Include: []types.TaskField{types.TaskFieldTags},
		})
		if err != nil {
			return nil, failure("asking ECS about tasks in cluster "+cluster, err)
		}
		for _, f := range out.Failures {
			if aws.ToString(f.Reason) != "MISSING" {
				return nil, refusal("asking ECS about task "+task.IDOf(aws.ToString(f.Arn)), aws.ToString(f.Reason), aws.ToString(f.Detail))
			}
		}
		for _, t := range out.Tasks {
			all = append(all, fromSDK(t))
		}
		arns = arns[n:]
	}
	return all, nil
}

// List returns the tasks that were started under a name and are not stopped.
func (c *Client) List(ctx context.Context, cluster, startedBy string) ([]task.Task, error) {
	var arns []string
	pages := ecs.NewListTasksPaginator(c.ecs, &ecs.ListTasksInput{Cluster: &cluster, StartedBy: &startedBy})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, failure("listing the tasks of "+startedBy+" in cluster "+cluster, err)
		}
		arns = append(arns, page.TaskArns...)
	}
	return c.describe(ctx, cluster, arns)
}

// stoppedByUs begins the stoppedReason of every task that this driver stops.
const stoppedByUs = "fargate-driver: "

// Stop asks ECS to stop a task: TERM now, KILL after the container's
// stopTimeout. The reason is shown as stoppedReason. ErrGone where there is
// nothing to stop.
func (c *Client) Stop(ctx context.Context, cluster, arn, reason string) error {
	_, err := c.ecs.StopTask(ctx, &ecs.StopTaskInput{Cluster: &cluster, Task: &arn, Reason: aws.String(truncate(stoppedByUs+reason, 255))})
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "InvalidParameterException" && strings.Contains(strings.ToLower(api.ErrorMessage()), "not found") {
		return fmt.Errorf("stopping task %s: %w", task.IDOf(arn), ErrGone)
	}
	return failure("stopping task "+task.IDOf(arn)+" in cluster "+cluster, err)
}

func truncate(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// PublicIP returns the public address of a task's network interface.
func (c *Client) PublicIP(ctx context.Context, eni string) (string, error) {
	doing := "asking for the public address of network interface " + eni
	ip, err := c.query.PublicIP(ctx, eni)
	if err != nil {
		return "", failure(doing, err)
	}
	if ip == "" {
		return "", &Failure{Class: Temporary, Doing: doing, Message: "it has none", Hint: "see that [Fargate] EnablePublicIP is set and that the subnet is a public one"}
	}
	return ip, nil
}

func fromSDK(t types.Task) task.Task {
	out := task.Task{
		ARN:              aws.ToString(t.TaskArn),
		TaskDefinition:   aws.ToString(t.TaskDefinitionArn),
		State:            task.State(aws.ToString(t.LastStatus)),
		DesiredState:     task.State(aws.ToString(t.DesiredStatus)),
		AvailabilityZone: aws.ToString(t.AvailabilityZone),
		CapacityProvider: aws.ToString(t.CapacityProviderName),
		LaunchType:       string(t.LaunchType),
		PlatformVersion:  aws.ToString(t.PlatformVersion),
		StartedBy:        aws.ToString(t.StartedBy),
		CreatedAt:        when(t.CreatedAt),
		PullStartedAt:    when(t.PullStartedAt),
		PullStoppedAt:    when(t.PullStoppedAt),
		StartedAt:        when(t.StartedAt),
		StoppingAt:       when(t.StoppingAt),
		StoppedAt:        when(t.StoppedAt),
		StopCode:         string(t.StopCode),
		StoppedReason:    aws.ToString(t.StoppedReason),
	}
	out.Size.CPU, _ = strconv.Atoi(aws.ToString(t.Cpu)) // absent on EC2; 0 is "unknown"
	out.Size.Memory, _ = strconv.Atoi(aws.ToString(t.Memory))
	for _, a := range t.Attachments {
		if aws.ToString(a.Type) != "ElasticNetworkInterface" {
			continue
		}
		for _, d := range a.Details {
			switch aws.ToString(d.Name) {
			case "privateIPv4Address":
				out.PrivateIP = aws.ToString(d.Value)
			case "networkInterfaceId":
				out.NetworkInterface = aws.ToString(d.Value)
			case "subnetId":
				out.Subnet = aws.ToString(d.Value)
			}
		}
	}
	for _, tag := range t.Tags {
		out.Tags = append(out.Tags, task.Variable{Name: aws.ToString(tag.Key), Value: aws.ToString(tag.Value)})
	}
	for _, c := range t.Containers {
		container := task.Container{Name: aws.ToString(c.Name), Reason: aws.ToString(c.Reason)}
		if c.ExitCode != nil {
			code := int(*c.ExitCode)
			container.ExitCode = &code
		}
		out.Containers = append(out.Containers, container)
	}
	if t.Overrides != nil {
		for _, o := range t.Overrides.ContainerOverrides {
			if strings.HasPrefix(aws.ToString(o.Name), wire.ServicePrefix) {
				continue // the job's author wrote it
			}
			for _, e := range o.Environment {
				out.Environment = append(out.Environment, task.Variable{Name: aws.ToString(e.Name), Value: aws.ToString(e.Value)})
			}
		}
	}
	return out
}

func when(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// LaunchedWith says whether a task was launched with this public key, which is
// new for each launch and stands in the task's override for everybody to see.
func LaunchedWith(t task.Task, publicKey string) bool {
	for _, v := range t.Environment {
		if v.Value == publicKey {
			return true
		}
	}
	return false
}
