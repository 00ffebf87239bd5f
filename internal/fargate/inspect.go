package fargate

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/fargate-driver/fargate-driver/internal/awsquery"
	"github.com/fargate-driver/fargate-driver/internal/task"
)

// Cluster is what a launch needs to know of a cluster.
type Cluster struct {
	Status          string
	Providers       []string // associated capacity providers
	DefaultStrategy []string // capacity providers of the default strategy
}

// Cluster asks ECS about a cluster.
func (c *Client) Cluster(ctx context.Context, name string) (Cluster, error) {
	doing := "looking at cluster " + name
	out, err := c.ecs.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{name}})
	if err != nil {
		return Cluster{}, failure(doing, err)
	}
	if len(out.Clusters) == 0 {
		return Cluster{}, &Failure{Class: Missing, Doing: doing, Message: "MISSING", Meaning: "there is no such cluster in this Region",
			Hint: "see [Fargate] Cluster and Region in fargate.toml"}
	}
	found := Cluster{Status: aws.ToString(out.Clusters[0].Status), Providers: out.Clusters[0].CapacityProviders}
	for _, item := range out.Clusters[0].DefaultCapacityProviderStrategy {
		found.DefaultStrategy = append(found.DefaultStrategy, aws.ToString(item.CapacityProvider))
	}
	return found, nil
}

// TaskDefinition is what a launch needs to know of a task definition.
type TaskDefinition struct {
	Name          string // family:revision
	Active        bool
	Fargate       bool // declares compatibility with Fargate
	Network       string
	Size          task.Size
	TaskRole      string
	ExecutionRole string
	Containers    []DefinedContainer
}

// DefinedContainer is one container of a task definition.
type DefinedContainer struct {
	Name        string
	Image       string
	Essential   bool
	Logs        bool // has a log configuration
	StopTimeout int  // seconds; 0: the platform's 30
}

// TaskDefinition asks ECS about a task definition.
func (c *Client) TaskDefinition(ctx context.Context, name string) (TaskDefinition, error) {
	d, err := c.taskDefinition(ctx, name)
	if err != nil {
		return TaskDefinition{}, err
	}
	out := TaskDefinition{
		Name:          fmt.Sprintf("%s:%d", aws.ToString(d.Family), d.Revision),
		Active:        d.Status == types.TaskDefinitionStatusActive,
		Network:       string(d.NetworkMode),
		TaskRole:      aws.ToString(d.TaskRoleArn),
		ExecutionRole: aws.ToString(d.ExecutionRoleArn),
	}
	for _, compatible := range append(d.Compatibilities, d.RequiresCompatibilities...) {
		out.Fargate = out.Fargate || compatible == types.CompatibilityFargate
	}
	out.Size.CPU, _ = strconv.Atoi(aws.ToString(d.Cpu)) // absent for EC2 tasks; Fargate says so itself
	out.Size.Memory, _ = strconv.Atoi(aws.ToString(d.Memory))
	for _, container := range d.ContainerDefinitions {
		out.Containers = append(out.Containers, DefinedContainer{
			Name: aws.ToString(container.Name), Image: aws.ToString(container.Image),
			Essential: container.Essential == nil || *container.Essential,
			Logs:      container.LogConfiguration != nil, StopTimeout: int(aws.ToInt32(container.StopTimeout)),
		})
	}
	return out, nil
}

// Network asks EC2 about the subnets and security groups of a launch.
func (c *Client) Network(ctx context.Context, subnets, groups []string) ([]awsquery.Subnet, []awsquery.SecurityGroup, error) {
	foundSubnets, err := c.query.Subnets(ctx, subnets)
	if err != nil {
		return nil, nil, failure("looking at subnets "+strings.Join(subnets, ", "), err)
	}
	if len(groups) == 0 {
		return foundSubnets, nil, nil
	}
	foundGroups, err := c.query.SecurityGroups(ctx, groups)
	if err != nil {
		return nil, nil, failure("looking at security groups "+strings.Join(groups, ", "), err)
	}
	return foundSubnets, foundGroups, nil
}

// RoleTrust returns the trust policy of a role, by its ARN or name.
func (c *Client) RoleTrust(ctx context.Context, role string) (string, error) {
	name := role[strings.LastIndex(role, "/")+1:]
	trust, err := c.query.RoleTrust(ctx, name)
	return trust, failure("looking at role "+name, err)
}
