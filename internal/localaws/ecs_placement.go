package localaws

import (
	"context"
	"strconv"
	"strings"
)

// What AWS says where Fargate has no room. The apostrophe is AWS's own.
const (
	noCapacity = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
	noQuota    = "You’ve reached the limit on the number of vCPUs you can run concurrently"
)

// placement finds out on which capacity the tasks run: a strategy, or nil for
// the launch type FARGATE. The caller holds mu.
func (e *ecsService) placement(in *runTaskInput, c *cluster) ([]strategyItem, error) {
	strategy := in.CapacityProviderStrategy
	if in.LaunchType == "" && len(strategy) == 0 {
		strategy = c.DefaultCapacityProviderStrategy
	}
	if err := checkStrategy(strategy, c.CapacityProviders); err != nil {
		return nil, err
	}
	if len(strategy) == 0 && in.LaunchType != "FARGATE" {
		// Without any word about capacity, ECS means EC2; this cluster has none.
		return nil, refuse("InvalidParameterException", "No Container Instances were found in your cluster.")
	}
	return strategy, nil
}

// pickProviders shares tasks out over a strategy: the base first, then by weight.
func pickProviders(strategy []strategyItem, count int) []string {
	if len(strategy) == 0 {
		return make([]string, count) // the launch type FARGATE: no provider
	}
	given := make([]int, len(strategy))
	names := make([]string, 0, count)
	for range count {
		best := -1
		for i, item := range strategy {
			if given[i] < item.Base {
				best = i
				break
			}
			if item.Weight == 0 {
				continue
			}
			// The one that is furthest behind its share; a base does not count.
			if best < 0 || (given[i]-item.Base)*strategy[best].Weight < (given[best]-strategy[best].Base)*item.Weight {
				best = i
			}
		}
		given[best]++
		names = append(names, strategy[best].CapacityProvider)
	}
	return names
}

// launch takes the tokens of so many launches.
func (t *throttle) launch(onDemand, spot int) error {
	if err := t.takeKey(launchOnDemand, onDemand); err != nil {
		return err
	}
	return t.takeKey(launchSpot, spot)
}

// refusedCapacity returns why there is no room for the tasks, or "". The caller
// holds mu.
func (e *ecsService) refusedCapacity(ctx context.Context, cpu string, count int) string {
	if ordered(ctx, CapacityUnavailable) != nil {
		return noCapacity
	}
	if ordered(ctx, VCPUQuota) != nil {
		return noQuota
	}
	if f := ordered(ctx, RunFailure); f != nil {
		return f.Message
	}
	if e.server.opts.VCPUs == 0 {
		return ""
	}
	units, _ := strconv.Atoi(cpu)
	units *= count
	for _, t := range e.order {
		if t.phase != stopped {
			n, _ := strconv.Atoi(t.cpu)
			units += n
		}
	}
	if units > e.server.opts.VCPUs*1024 {
		return noQuota
	}
	return ""
}

// checkNetwork applies awsvpc's rules.
func (e *ecsService) checkNetwork(n *networkConfiguration) (*awsvpcConfiguration, error) {
	if n == nil || n.Awsvpc == nil {
		return nil, refuse("InvalidParameterException", "Network Configuration must be provided when networkMode 'awsvpc' is specified.")
	}
	v := n.Awsvpc
	switch {
	case len(v.Subnets) == 0:
		return nil, refuse("InvalidParameterException", "subnets can not be empty.")
	case len(v.Subnets) > 16:
		return nil, refuse("InvalidParameterException", "subnets can have at most 16 items.")
	case len(v.SecurityGroups) > 5:
		return nil, refuse("InvalidParameterException", "securityGroups can have at most 5 items.")
	case v.AssignPublicIP != "" && v.AssignPublicIP != "ENABLED" && v.AssignPublicIP != "DISABLED":
		return nil, refuse("InvalidParameterException", "assignPublicIp is ENABLED or DISABLED.")
	}
	if missing := e.server.vpc.missingSubnet(v.Subnets); missing != "" {
		return nil, refuse("InvalidParameterException", "Error retrieving subnet information for [%s]: The subnet ID '%s' does not exist (ErrorCode: InvalidSubnetID.NotFound)", strings.Join(v.Subnets, ", "), missing)
	}
	if missing := e.server.vpc.missingGroup(v.SecurityGroups); missing != "" {
		return nil, refuse("InvalidParameterException", "Error retrieving security group information for [%s]: The security group '%s' does not exist (ErrorCode: InvalidGroup.NotFound)", strings.Join(v.SecurityGroups, ", "), missing)
	}
	return v, nil
}
