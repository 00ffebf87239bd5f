package localaws

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// soon ends a test's waiting long before the test binary's own limit.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// startECS returns a stand-in with a cluster "ci" and a definition "job" whose
// container "ci-coordinator" runs argv.
func startECS(t *testing.T, o Options, argv ...string) (*Server, *ecs.Client) {
	t.Helper()
	s := start(t, o)
	if err := s.AddCluster("ci", "FARGATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddTaskDefinition("job", "ci-coordinator", argv...); err != nil {
		t.Fatal(err)
	}
	return s, ecs.NewFromConfig(config(s))
}

// sh is a container that runs a shell script.
func sh(script string) []string { return []string{"sh", "-c", script} }

// inSubnet is the least that RunTask needs.
func inSubnet() *types.NetworkConfiguration {
	return &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
		Subnets: []string{SubnetA, SubnetB}, SecurityGroups: []string{SecurityGroup},
	}}
}

func jobInput() *ecs.RunTaskInput {
	return &ecs.RunTaskInput{Cluster: aws.String("ci"), TaskDefinition: aws.String("job"), NetworkConfiguration: inSubnet()}
}

// run starts a task of "job" and returns its ARN.
func run(t *testing.T, c *ecs.Client, in *ecs.RunTaskInput) string {
	t.Helper()
	out, err := c.RunTask(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Tasks) != 1 || len(out.Failures) != 0 {
		t.Fatalf("got %d tasks and failures %v", len(out.Tasks), out.Failures)
	}
	return aws.ToString(out.Tasks[0].TaskArn)
}

// describe returns a task as the SDK reads it.
func describe(t *testing.T, c *ecs.Client, arn string) types.Task {
	t.Helper()
	out, err := c.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String("ci"), Tasks: []string{arn}, Include: []types.TaskField{types.TaskFieldTags}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Tasks) != 1 {
		t.Fatalf("got %d tasks, failures %v", len(out.Tasks), out.Failures)
	}
	return out.Tasks[0]
}

// until waits for a task's phase.
func until(t *testing.T, s *Server, arn, status string) {
	t.Helper()
	if err := s.WaitTask(soon(t), arn, status); err != nil {
		t.Fatal(err)
	}
	if got := s.Task(arn).Status; got != status {
		t.Fatalf("the task is %s, want %s: %+v", got, status, s.Task(arn))
	}
}

func privateIP(task types.Task) string {
	for _, a := range task.Attachments {
		for _, d := range a.Details {
			if aws.ToString(d.Name) == "privateIPv4Address" {
				return aws.ToString(d.Value)
			}
		}
	}
	return ""
}

// getJSON reads what a task reads of itself.
func getJSON(t *testing.T, url string, v any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}
