package localaws

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// What RunTask refuses, and in which words.
func TestRunTaskRules(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{NoThrottle: true}, "true")
	if err := s.AddCluster("bare"); err != nil {
		t.Fatal(err)
	}
	registered, err := c.RegisterTaskDefinition(t.Context(), definition("old", func(*ecs.RegisterTaskDefinitionInput) {}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeregisterTaskDefinition(t.Context(), &ecs.DeregisterTaskDefinitionInput{TaskDefinition: registered.TaskDefinition.TaskDefinitionArn}); err != nil {
		t.Fatal(err)
	}
	override := func(o types.ContainerOverride) *types.TaskOverride {
		return &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{o}}
	}
	for name, test := range map[string]struct {
		change        func(*ecs.RunTaskInput)
		code, message string
	}{
		"no such cluster":     {func(in *ecs.RunTaskInput) { in.Cluster = aws.String("nope") }, "ClusterNotFoundException", "Cluster not found."},
		"no such definition":  {func(in *ecs.RunTaskInput) { in.TaskDefinition = aws.String("nope") }, "ClientException", "TaskDefinition not found."},
		"no active revision":  {func(in *ecs.RunTaskInput) { in.TaskDefinition = aws.String("old") }, "ClientException", "TaskDefinition not found."},
		"inactive revision":   {func(in *ecs.RunTaskInput) { in.TaskDefinition = aws.String("old:1") }, "ClientException", "TaskDefinition is inactive"},
		"no default strategy": {func(in *ecs.RunTaskInput) { in.Cluster = aws.String("bare") }, "InvalidParameterException", "No Container Instances were found in your cluster."},
		"type and strategy": {func(in *ecs.RunTaskInput) {
			in.LaunchType = types.LaunchTypeFargate
			in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE"), Weight: 1}}
		}, "InvalidParameterException", "Specifying both a launch type and capacity provider strategy is not supported."},
		"strange provider": {func(in *ecs.RunTaskInput) {
			in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("mine"), Weight: 1}}
		}, "InvalidParameterException", "not associated with the cluster"},
		"no weight": {func(in *ecs.RunTaskInput) {
			in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE")}}
		}, "InvalidParameterException", "weight greater than 0"},
		"no network":     {func(in *ecs.RunTaskInput) { in.NetworkConfiguration = nil }, "InvalidParameterException", "Network Configuration must be provided"},
		"no such subnet": {func(in *ecs.RunTaskInput) { in.NetworkConfiguration.AwsvpcConfiguration.Subnets[0] = "subnet-1" }, "InvalidParameterException", "The subnet ID 'subnet-1' does not exist (ErrorCode: InvalidSubnetID.NotFound)"},
		"no such group":  {func(in *ecs.RunTaskInput) { in.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups[0] = "sg-1" }, "InvalidParameterException", "The security group 'sg-1' does not exist"},
		"six groups": {func(in *ecs.RunTaskInput) {
			in.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups = make([]string, 6)
		}, "InvalidParameterException", "securityGroups can have at most 5 items."},
		"17 subnets":      {func(in *ecs.RunTaskInput) { in.NetworkConfiguration.AwsvpcConfiguration.Subnets = make([]string, 17) }, "InvalidParameterException", "subnets can have at most 16 items."},
		"eleven tasks":    {func(in *ecs.RunTaskInput) { in.Count = aws.Int32(11) }, "InvalidParameterException", "between 1 and 10"},
		"long token":      {func(in *ecs.RunTaskInput) { in.ClientToken = aws.String(strings.Repeat("x", 65)) }, "InvalidParameterException", "clientToken"},
		"token of spaces": {func(in *ecs.RunTaskInput) { in.ClientToken = aws.String("a b") }, "InvalidParameterException", "clientToken"},
		"long startedBy":  {func(in *ecs.RunTaskInput) { in.StartedBy = aws.String(strings.Repeat("x", 129)) }, "InvalidParameterException", "startedBy"},
		"startedBy colon": {func(in *ecs.RunTaskInput) { in.StartedBy = aws.String("a:b") }, "InvalidParameterException", "startedBy"},
		"service's tags":  {func(in *ecs.RunTaskInput) { in.PropagateTags = types.PropagateTagsService }, "InvalidParameterException", "propagateTags SERVICE"},
		"big override": {func(in *ecs.RunTaskInput) {
			in.Overrides = override(types.ContainerOverride{Name: aws.String("ci-coordinator"), Environment: []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String(strings.Repeat("x", 8192))}}})
		}, "InvalidParameterException", "Container Overrides length must be at most 8192"},
		"strange container": {func(in *ecs.RunTaskInput) {
			in.Overrides = override(types.ContainerOverride{Name: aws.String("build")})
		}, "InvalidParameterException", "Override for container named build is not a container in the TaskDefinition."},
		"impossible size": {func(in *ecs.RunTaskInput) {
			in.Overrides = &types.TaskOverride{Cpu: aws.String("256"), Memory: aws.String("8192")}
		}, "ClientException", "No Fargate configuration exists for given values"},
		"small disk": {func(in *ecs.RunTaskInput) {
			in.Overrides = &types.TaskOverride{EphemeralStorage: &types.EphemeralStorage{SizeInGiB: 20}}
		}, "InvalidParameterException", "between 21 and 200"},
		"exec, no role": {func(in *ecs.RunTaskInput) { in.EnableExecuteCommand = true }, "InvalidParameterException", "valid taskRoleArn"},
		"aws: tag":      {func(in *ecs.RunTaskInput) { in.Tags = []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("y")}} }, "InvalidParameterException", "reserved prefix"},
		"strange tag":   {func(in *ecs.RunTaskInput) { in.Tags = []types.Tag{{Key: aws.String("x"), Value: aws.String("a,b")}} }, "InvalidParameterException", "invalid characters"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := jobInput()
			test.change(in)
			_, err := c.RunTask(t.Context(), in)
			wantCode(t, err, test.code, test.message)
		})
	}
}

func TestOverridesJustBelowTheLimitPass(t *testing.T) {
	t.Parallel()
	_, c := startECS(t, Options{}, "true")
	in := jobInput()
	in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
		Name: aws.String("ci-coordinator"), Environment: []types.KeyValuePair{{Name: aws.String("A"), Value: aws.String(strings.Repeat("x", 8000))}},
	}}}
	run(t, c, in)
}

func definition(family string, change func(*ecs.RegisterTaskDefinitionInput)) *ecs.RegisterTaskDefinitionInput {
	in := &ecs.RegisterTaskDefinitionInput{
		Family: &family, Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions:    []types.ContainerDefinition{{Name: aws.String("a"), Image: aws.String("debian")}},
	}
	change(in)
	return in
}

func TestTaskDefinitionRules(t *testing.T) {
	t.Parallel()
	_, c := startECS(t, Options{NoThrottle: true}, "true")
	depends := func(on string, when types.ContainerCondition) []types.ContainerDependency {
		return []types.ContainerDependency{{ContainerName: &on, Condition: when}}
	}
	for name, test := range map[string]struct {
		change  func(*ecs.RegisterTaskDefinitionInput)
		message string
	}{
		"family":        {func(in *ecs.RegisterTaskDefinitionInput) { in.Family = aws.String("a b") }, "Family"},
		"host network":  {func(in *ecs.RegisterTaskDefinitionInput) { in.NetworkMode = types.NetworkModeHost }, "Fargate only supports network mode"},
		"size":          {func(in *ecs.RegisterTaskDefinitionInput) { in.Memory = aws.String("513") }, "No Fargate configuration exists"},
		"no size":       {func(in *ecs.RegisterTaskDefinitionInput) { in.Cpu = nil }, "'cpu' and 'memory' be defined at the task level"},
		"no containers": {func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions = []types.ContainerDefinition{} }, "should not be null or empty"},
		"no image":      {func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].Image = nil }, "Container.image should not be null or empty."},
		"eleven": {func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions = make([]types.ContainerDefinition, 11)
		}, "too many containers"},
		"stop timeout": {func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].StopTimeout = aws.Int32(121) }, "at most 120"},
		"privileged":   {func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].Privileged = aws.Bool(true) }, "privileged"},
		"inessential":  {func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].Essential = aws.Bool(false) }, "at least one essential"},
		"unknown volume": {func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].MountPoints = []types.MountPoint{{SourceVolume: aws.String("v")}}
		}, "Unknown volume 'v'."},
		"unknown depends": {func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].DependsOn = depends("b", "START")
		}, "unknown container 'b'"},
		"cycle": {func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions = append(in.ContainerDefinitions, types.ContainerDefinition{Name: aws.String("b"), Image: aws.String("x"), DependsOn: depends("a", "START")})
			in.ContainerDefinitions[0].DependsOn = depends("b", "START")
		}, "cycle"},
		"too big": {func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].Command = []string{strings.Repeat("x", 64<<10)}
		}, "Max allowed length is '65536' bytes."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.RegisterTaskDefinition(t.Context(), definition("d", test.change))
			wantCode(t, err, "ClientException", test.message)
		})
	}
}

func TestTaskDefinitionRevisions(t *testing.T) {
	t.Parallel()
	_, c := startECS(t, Options{}, "true")
	for want := int32(1); want <= 2; want++ {
		out, err := c.RegisterTaskDefinition(t.Context(), definition("d", func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{"awslogs-group": "/ci"}}
			in.Tags = []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}
		}))
		if err != nil || out.TaskDefinition.Revision != want {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	out, err := c.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("d"), Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags}})
	if err != nil {
		t.Fatal(err)
	}
	d := out.TaskDefinition
	if d.Revision != 2 || d.ContainerDefinitions[0].LogConfiguration.Options["awslogs-group"] != "/ci" || len(out.Tags) != 1 || d.Status != types.TaskDefinitionStatusActive {
		t.Errorf("%+v, tags %v", d, out.Tags)
	}
	_, err = c.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("d:3")})
	wantCode(t, err, "ClientException", "Unable to describe task definition.")
	list, err := c.ListTaskDefinitions(t.Context(), &ecs.ListTaskDefinitionsInput{FamilyPrefix: aws.String("d"), Sort: types.SortOrderDesc})
	if err != nil || len(list.TaskDefinitionArns) != 2 || !strings.HasSuffix(list.TaskDefinitionArns[0], "/d:2") {
		t.Errorf("%+v, %v", list, err)
	}
}

// Only what a strategy's weights and base say decides where tasks run.
func TestPickProviders(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		strategy []strategyItem
		count    int
		want     string
	}{
		{nil, 2, ","},
		{[]strategyItem{{"FARGATE_SPOT", 1, 0}}, 2, "FARGATE_SPOT,FARGATE_SPOT"},
		{[]strategyItem{{"FARGATE", 0, 1}, {"FARGATE_SPOT", 1, 0}}, 3, "FARGATE,FARGATE_SPOT,FARGATE_SPOT"},
		{[]strategyItem{{"FARGATE", 1, 0}, {"FARGATE_SPOT", 3, 0}}, 4, "FARGATE,FARGATE_SPOT,FARGATE_SPOT,FARGATE_SPOT"},
	} {
		if got := strings.Join(pickProviders(test.strategy, test.count), ","); got != test.want {
			t.Errorf("%v, %d tasks: got %s, want %s", test.strategy, test.count, got, test.want)
		}
	}
}

func TestClustersAndProviders(t *testing.T) {
	t.Parallel()
	_, c := startECS(t, Options{}, "true")
	out, err := c.DescribeClusters(t.Context(), &ecs.DescribeClustersInput{Clusters: []string{"ci", "nope"}})
	if err != nil || len(out.Clusters) != 1 || len(out.Failures) != 1 || aws.ToString(out.Failures[0].Reason) != "MISSING" {
		t.Fatalf("%+v, %v", out, err)
	}
	if s := out.Clusters[0].DefaultCapacityProviderStrategy; len(s) != 1 || aws.ToString(s[0].CapacityProvider) != "FARGATE" {
		t.Errorf("default strategy %v", s)
	}
	put, err := c.PutClusterCapacityProviders(t.Context(), &ecs.PutClusterCapacityProvidersInput{
		Cluster: aws.String("ci"), CapacityProviders: []string{"FARGATE_SPOT"},
		DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE_SPOT"), Weight: 1}},
	})
	if err != nil || len(put.Cluster.CapacityProviders) != 1 {
		t.Fatalf("%+v, %v", put, err)
	}
	arn := run(t, c, jobInput())
	if p := aws.ToString(describe(t, c, arn).CapacityProviderName); p != "FARGATE_SPOT" {
		t.Errorf("ran on %q", p)
	}
	providers, err := c.DescribeCapacityProviders(t.Context(), &ecs.DescribeCapacityProvidersInput{CapacityProviders: []string{"FARGATE_SPOT", "mine"}})
	if err != nil || len(providers.CapacityProviders) != 1 || len(providers.Failures) != 1 {
		t.Errorf("%+v, %v", providers, err)
	}
}

func TestUnknownParametersAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL(), strings.NewReader(`{"tasks": ["x"], "clutser": "ci"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.DescribeTasks")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 400 || !strings.Contains(string(body), `Unknown parameter in input: \"clutser\"`) {
		t.Errorf("%s: %s (%v)", resp.Status, body, err)
	}
}

func TestTagsOfATask(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "sleep", "600")
	arn := run(t, c, jobInput())
	for _, value := range []string{"1", "2"} {
		if _, err := c.TagResource(t.Context(), &ecs.TagResourceInput{ResourceArn: &arn, Tags: []types.Tag{{Key: aws.String("state"), Value: &value}}}); err != nil {
			t.Fatal(err)
		}
	}
	out, err := c.ListTagsForResource(t.Context(), &ecs.ListTagsForResourceInput{ResourceArn: &arn})
	if err != nil || len(out.Tags) != 1 || aws.ToString(out.Tags[0].Value) != "2" {
		t.Errorf("%+v, %v", out, err)
	}
	if err := s.StopByHand(arn); err != nil {
		t.Fatal(err)
	}
	until(t, s, arn, "STOPPED")
	_, err = c.TagResource(t.Context(), &ecs.TagResourceInput{ResourceArn: &arn, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("b")}}})
	wantCode(t, err, "InvalidParameterException", "task was not found")
}
