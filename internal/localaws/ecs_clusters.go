package localaws

import (
	"context"
	"slices"
	"strings"
)

// cluster is an ECS cluster as DescribeClusters shows it.
type cluster struct {
	ClusterArn                        string         `json:"clusterArn"`
	ClusterName                       string         `json:"clusterName"`
	Status                            string         `json:"status"`
	CapacityProviders                 []string       `json:"capacityProviders"`
	DefaultCapacityProviderStrategy   []strategyItem `json:"defaultCapacityProviderStrategy"`
	RunningTasksCount                 int            `json:"runningTasksCount"`
	PendingTasksCount                 int            `json:"pendingTasksCount"`
	ActiveServicesCount               int            `json:"activeServicesCount"`
	RegisteredContainerInstancesCount int            `json:"registeredContainerInstancesCount"`
	Settings                          []keyValue     `json:"settings"`
	Tags                              []ecsTag       `json:"tags"`
}

type clusterAnswer struct {
	Cluster cluster `json:"cluster"`
}

type createClusterInput struct {
	ClusterName                     string         `json:"clusterName"`
	CapacityProviders               []string       `json:"capacityProviders"`
	DefaultCapacityProviderStrategy []strategyItem `json:"defaultCapacityProviderStrategy"`
	Settings                        []keyValue     `json:"settings"`
	Tags                            []ecsTag       `json:"tags"`
}

// createCluster makes a cluster, or answers with the one of that name, as ECS does.
func (e *ecsService) createCluster(_ context.Context, in *createClusterInput) (*clusterAnswer, error) {
	if in.ClusterName == "" {
		in.ClusterName = "default"
	}
	if err := checkStrategy(in.DefaultCapacityProviderStrategy, in.CapacityProviders); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.clusters[in.ClusterName]; c != nil {
		return &clusterAnswer{e.describeCluster(c)}, nil
	}
	c := &cluster{
		ClusterArn: e.arn("cluster", in.ClusterName), ClusterName: in.ClusterName, Status: "ACTIVE",
		CapacityProviders: in.CapacityProviders, DefaultCapacityProviderStrategy: in.DefaultCapacityProviderStrategy,
		Settings: in.Settings, Tags: in.Tags,
	}
	e.clusters[in.ClusterName] = c
	return &clusterAnswer{e.describeCluster(c)}, nil
}

// AddCluster makes a cluster with Fargate's two capacity providers and, where
// some are named, a default strategy of them in equal weight. Without one, a
// RunTask that says nothing of its own is refused, as at AWS.
func (s *Server) AddCluster(name string, defaultProviders ...string) error {
	in := &createClusterInput{ClusterName: name, CapacityProviders: []string{"FARGATE", "FARGATE_SPOT"}}
	for _, p := range defaultProviders {
		in.DefaultCapacityProviderStrategy = append(in.DefaultCapacityProviderStrategy, strategyItem{CapacityProvider: p, Weight: 1})
	}
	_, err := s.ecs.createCluster(context.Background(), in)
	return err
}

// findCluster finds a cluster by name or ARN. The caller holds mu.
func (e *ecsService) findCluster(name string) (*cluster, error) {
	if name == "" {
		name = "default"
	}
	c := e.clusters[lastPart(name)]
	if c == nil || strings.Contains(name, ":") && name != c.ClusterArn {
		return nil, refuse("ClusterNotFoundException", "Cluster not found.")
	}
	return c, nil
}

// describeCluster counts a cluster's tasks. The caller holds mu.
func (e *ecsService) describeCluster(c *cluster) cluster {
	described := *c
	for _, t := range e.order {
		if t.cluster != c || t.desired == stopped {
			continue
		}
		if t.phase == running {
			described.RunningTasksCount++
		} else {
			described.PendingTasksCount++
		}
	}
	return described
}

type describeClustersInput struct {
	Clusters []string `json:"clusters"`
	Include  []string `json:"include"`
}

type describeClustersOutput struct {
	Clusters []cluster    `json:"clusters"`
	Failures []ecsFailure `json:"failures"`
}

func (e *ecsService) describeClusters(_ context.Context, in *describeClustersInput) (*describeClustersOutput, error) {
	if len(in.Clusters) == 0 {
		in.Clusters = []string{"default"}
	}
	if len(in.Clusters) > 100 {
		return nil, refuse("InvalidParameterException", "Clusters cannot have more than 100 elements.")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	out := &describeClustersOutput{Clusters: []cluster{}, Failures: []ecsFailure{}}
	for _, name := range in.Clusters {
		c, err := e.findCluster(name)
		if err != nil {
			out.Failures = append(out.Failures, ecsFailure{Arn: e.arn("cluster", lastPart(name)), Reason: "MISSING"})
			continue
		}
		described := e.describeCluster(c)
		if !slices.Contains(in.Include, "TAGS") {
			described.Tags = nil
		}
		out.Clusters = append(out.Clusters, described)
	}
	return out, nil
}

type putClusterCapacityProvidersInput struct {
	Cluster                         string         `json:"cluster"`
	CapacityProviders               []string       `json:"capacityProviders"`
	DefaultCapacityProviderStrategy []strategyItem `json:"defaultCapacityProviderStrategy"`
}

func (e *ecsService) putClusterCapacityProviders(_ context.Context, in *putClusterCapacityProvidersInput) (*clusterAnswer, error) {
	if err := checkStrategy(in.DefaultCapacityProviderStrategy, in.CapacityProviders); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c, err := e.findCluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	c.CapacityProviders = in.CapacityProviders
	c.DefaultCapacityProviderStrategy = in.DefaultCapacityProviderStrategy
	return &clusterAnswer{e.describeCluster(c)}, nil
}

// checkStrategy applies the rules that a strategy has to keep wherever it stands.
func checkStrategy(strategy []strategyItem, associated []string) error {
	if len(strategy) > 20 {
		return refuse("InvalidParameterException", "capacityProviderStrategy can have at most 20 items.")
	}
	weight, bases := 0, 0
	for _, item := range strategy {
		if !slices.Contains(associated, item.CapacityProvider) {
			return refuse("InvalidParameterException", "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster and try again.")
		}
		weight += item.Weight
		if item.Base > 0 {
			bases++
		}
	}
	if len(strategy) > 0 && weight == 0 {
		return refuse("InvalidParameterException", "The specified capacity provider strategy must contain at least one capacity provider with a weight greater than 0.")
	}
	if bases > 1 {
		return refuse("InvalidParameterException", "The specified capacity provider strategy can contain only one capacity provider with a base.")
	}
	return nil
}

type capacityProvider struct {
	CapacityProviderArn string `json:"capacityProviderArn"`
	Name                string `json:"name"`
	Status              string `json:"status"`
}

type describeCapacityProvidersInput struct {
	CapacityProviders []string `json:"capacityProviders"`
	Include           []string `json:"include"`
	MaxResults        *int     `json:"maxResults"`
	NextToken         string   `json:"nextToken"`
	Cluster           string   `json:"cluster"`
}

type describeCapacityProvidersOutput struct {
	CapacityProviders []capacityProvider `json:"capacityProviders"`
	Failures          []ecsFailure       `json:"failures"`
}

// describeCapacityProviders knows Fargate's two; the stand-in has no others.
func (e *ecsService) describeCapacityProviders(_ context.Context, in *describeCapacityProvidersInput) (*describeCapacityProvidersOutput, error) {
	known := []string{"FARGATE", "FARGATE_SPOT"}
	names := in.CapacityProviders
	if len(names) == 0 {
		names = known
	}
	out := &describeCapacityProvidersOutput{CapacityProviders: []capacityProvider{}, Failures: []ecsFailure{}}
	for _, name := range names {
		arn := e.arn("capacity-provider", lastPart(name))
		if !slices.Contains(known, lastPart(name)) {
			out.Failures = append(out.Failures, ecsFailure{Arn: arn, Reason: "MISSING"})
			continue
		}
		out.CapacityProviders = append(out.CapacityProviders, capacityProvider{arn, lastPart(name), "ACTIVE"})
	}
	return out, nil
}
