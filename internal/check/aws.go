package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fargate-driver/fargate-driver/internal/awsquery"
	"github.com/fargate-driver/fargate-driver/internal/config"
	"github.com/fargate-driver/fargate-driver/internal/fargate"
	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// AWS looks at what the configuration names. Everything is asked by reading
// calls; a call that is not allowed is a finding of its own.
func AWS(ctx context.Context, c config.Config, ecs *fargate.Client, startedBy string) []Line {
	var lines []Line
	lines = append(lines, cluster(ctx, c, ecs)...)
	lines = append(lines, definition(ctx, c, ecs)...)
	lines = append(lines, network(ctx, c, ecs)...)
	if _, err := ecs.List(ctx, c.Fargate.Cluster, startedBy); err != nil {
		lines = append(lines, failed("finding tasks", "allow ecs:ListTasks and ecs:DescribeTasks; cleanup and reap find unfinished launches by them", "%v", err))
	} else {
		lines = append(lines, ok("finding tasks", "started by %s", startedBy))
	}
	return lines
}

func cluster(ctx context.Context, c config.Config, ecs *fargate.Client) []Line {
	what := "cluster " + c.Fargate.Cluster
	found, err := ecs.Cluster(ctx, c.Fargate.Cluster)
	if err != nil {
		return []Line{failed(what, "", "%v", err)}
	}
	if found.Status != "ACTIVE" {
		return []Line{failed(what, "name another cluster in [Fargate] Cluster", "it is %s", found.Status)}
	}
	lines := []Line{ok(what, "ACTIVE")}
	wanted := append(slices.Clone(c.Launch.CapacityProviders), c.Jobs.CapacityProviders...)
	for _, provider := range slices.Compact(slices.Sorted(slices.Values(wanted))) {
		if slices.Contains(found.Providers, provider) {
			lines = append(lines, ok("capacity provider "+provider, "associated with the cluster"))
			continue
		}
		lines = append(lines, failed("capacity provider "+provider,
			fmt.Sprintf("aws ecs put-cluster-capacity-providers --cluster %s --capacity-providers FARGATE FARGATE_SPOT --default-capacity-provider-strategy capacityProvider=FARGATE,weight=1", c.Fargate.Cluster),
			"not associated with the cluster, which has %s", orNone(found.Providers)))
	}
	if len(wanted) == 0 {
		if len(found.DefaultStrategy) == 0 {
			lines = append(lines, ok("capacity", "the cluster has no default strategy: launch type FARGATE is used, after one refused call for each job; CapacityProviders = [\"FARGATE\"] in [Launch] saves it"))
		} else {
			lines = append(lines, ok("capacity", "the cluster's default strategy: %s", strings.Join(found.DefaultStrategy, ", ")))
		}
	}
	return lines
}

func definition(ctx context.Context, c config.Config, ecs *fargate.Client) []Line {
	name := c.Fargate.TaskDefinition
	if name == "" {
		return []Line{warning("task definition", "set [Fargate] TaskDefinition", "none is configured: a job that does not name its own fails")}
	}
	what := "task definition " + name
	d, err := ecs.TaskDefinition(ctx, name)
	if err != nil {
		return []Line{failed(what, "", "%v", err)}
	}
	if !d.Active {
		return []Line{failed(what, "name an active revision", "%s is not active", d.Name)}
	}
	if !d.Fargate || d.Network != "awsvpc" {
		return []Line{failed(what, "register it with requiresCompatibilities FARGATE and networkMode awsvpc", "it is not for Fargate (network mode %q)", d.Network)}
	}
	i := slices.IndexFunc(d.Containers, func(x fargate.DefinedContainer) bool { return x.Name == wire.ContainerName })
	if i < 0 {
		names := make([]string, len(d.Containers))
		for n, x := range d.Containers {
			names[n] = x.Name
		}
		return []Line{failed(what, "name the job's container "+wire.ContainerName, "it has no container %s, but %s", wire.ContainerName, orNone(names))}
	}
	lines := []Line{ok(what, "%s, %s, container %s from %s", d.Name, d.Size, wire.ContainerName, d.Containers[i].Image)}
	if !d.Containers[i].Logs {
		lines = append(lines, warning(what, "add a logConfiguration to the container", "without a log nobody learns why a container does not start"))
	}
	if slices.Contains(c.Launch.CapacityProviders, "FARGATE_SPOT") && d.Containers[i].StopTimeout < 120 {
		lines = append(lines, warning(what, "set stopTimeout to 120 for "+wire.ContainerName, "on Spot, AWS gives two minutes of notice, and the container takes %d s of them", max(30, d.Containers[i].StopTimeout)))
	}
	lines = append(lines, rolesOf(ctx, c, ecs, d)...)
	return append(lines, images(ctx, c, ecs, d)...)
}

// images says whether jobs can have images of their own, as far as that shows
// without starting one.
func images(ctx context.Context, c config.Config, ecs *fargate.Client, d fargate.TaskDefinition) []Line {
	if len(c.Images.Allowed)+len(c.Images.Services) == 0 {
		return nil
	}
	spec := task.Spec{TaskDefinition: c.Fargate.TaskDefinition, Container: wire.ContainerName, Image: &task.Image{
		Name: "any", Family: c.Images.Family, AgentPath: c.Images.AgentPath, Port: c.Images.Port, Shared: []string{c.Jobs.BuildsDir, c.Jobs.CacheDir}}}
	if err := ecs.CanForImage(ctx, spec); err != nil {
		return []Line{failed("images", "change the task definition, or leave [Images] out", "%v", err)}
	}
	return []Line{ok("images", "a task definition can be made for each, with room for %d services. What a look cannot tell (ecs:RegisterTaskDefinition, port %d, the agent at %s): fargate-driver smoke --image IMAGE",
		fargate.RoomForServices(d), c.Images.Port, c.Images.AgentPath)}
}

func rolesOf(ctx context.Context, c config.Config, ecs *fargate.Client, d fargate.TaskDefinition) []Line {
	var lines []Line
	taskRole := d.TaskRole
	if c.Launch.TaskRole != "" {
		taskRole = c.Launch.TaskRole
	}
	if c.Fargate.EnableExecuteCommand && taskRole == "" {
		lines = append(lines, failed("task role", "give the task definition a task role with the ssmmessages permissions", "EnableExecuteCommand is set and the task has no role"))
	}
	if fit, why := task.CheckSize(d.Size); fit == task.Unknown && c.Launch.CPU == 0 && d.Size.CPU != 0 {
		lines = append(lines, warning("size", "", "%s", why))
	}
	for _, role := range []struct{ kind, arn string }{{"task role", taskRole}, {"execution role", d.ExecutionRole}} {
		if role.arn == "" {
			continue
		}
		trust, err := ecs.RoleTrust(ctx, role.arn)
		switch {
		case fargate.ClassOf(err) == fargate.Permission:
			lines = append(lines, warning(role.kind, "allow iam:GetRole to have it looked at", "%s: %v", role.arn, err))
		case err != nil:
			lines = append(lines, failed(role.kind, "create it, or name another in the task definition", "%s: %v", role.arn, err))
		case !strings.Contains(trust, "ecs-tasks.amazonaws.com"):
			lines = append(lines, failed(role.kind, "let its trust policy name the service ecs-tasks.amazonaws.com", "%s cannot be assumed by tasks", role.arn))
		default:
			lines = append(lines, ok(role.kind, "%s", role.arn))
		}
	}
	return lines
}

func network(ctx context.Context, c config.Config, ecs *fargate.Client) []Line {
	subnets, groups, err := ecs.Network(ctx, c.Fargate.Subnet, c.Fargate.SecurityGroup)
	if fargate.ClassOf(err) == fargate.Permission {
		return []Line{warning("network", "allow ec2:DescribeSubnets and ec2:DescribeSecurityGroups to have it looked at", "%v", err)}
	}
	if err != nil {
		return []Line{failed("network", "see [Fargate] Subnet and SecurityGroup", "%v", err)}
	}
	var lines []Line
	zones := map[string]bool{}
	for _, s := range subnets {
		zones[s.AvailabilityZone] = true
		if s.FreeAddresses < 8 {
			lines = append(lines, warning("subnet "+s.ID, "add a subnet to [Fargate] Subnet", "%d free addresses in %s; each task takes one", s.FreeAddresses, s.AvailabilityZone))
			continue
		}
		lines = append(lines, ok("subnet "+s.ID, "%s, %d free addresses", s.AvailabilityZone, s.FreeAddresses))
	}
	if len(zones) == 1 {
		lines = append(lines, warning("subnets", "add a subnet of another availability zone to [Fargate] Subnet", "all are in one availability zone: when it has no capacity, jobs wait"))
	}
	return append(lines, sameVPC(subnets, groups)...)
}

func sameVPC(subnets []awsquery.Subnet, groups []awsquery.SecurityGroup) []Line {
	if len(subnets) == 0 {
		return nil
	}
	var lines []Line
	vpc := subnets[0].VPC
	for _, s := range subnets {
		if s.VPC != vpc {
			lines = append(lines, failed("subnet "+s.ID, "use subnets of one VPC", "is in %s, and the first in %s", s.VPC, vpc))
		}
	}
	for _, g := range groups {
		if g.VPC != vpc {
			lines = append(lines, failed("security group "+g.ID, "use a group of the subnets' VPC", "is in %s, and the subnets in %s", g.VPC, vpc))
			continue
		}
		lines = append(lines, ok("security group "+g.ID, "in %s", g.VPC))
	}
	return lines
}

func orNone(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
