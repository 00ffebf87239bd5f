package main

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

const (
	jobRole   = "arn:aws:iam::" + localaws.Account + ":role/job"
	adminRole = "arn:aws:iam::" + localaws.Account + ":role/admin"
)

// withRole registers a definition of our agent with a task role, and with
// containers beside it.
func (w *world) withRole(family, role string, beside ...string) {
	w.t.Helper()
	cfg, err := awsconfig.LoadDefaultConfig(w.t.Context(), awsconfig.WithRegion(localaws.Region), awsconfig.WithBaseEndpoint(w.aws.URL()),
		awsconfig.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "nothing", "")))
	must(w.t, err)
	in := &ecs.RegisterTaskDefinitionInput{
		Family: &family, Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate}, TaskRoleArn: &role,
		ContainerDefinitions: []types.ContainerDefinition{{Name: aws.String("ci-coordinator"), Image: aws.String("example/job"), Essential: aws.Bool(true),
			EntryPoint: []string{"sh", "-c"}, Command: []string{"exec " + programs + "/coordinator serve --listen $LOCALAWS_TASK_ADDRESS:2222"}}},
	}
	for _, name := range beside {
		in.ContainerDefinitions = append(in.ContainerDefinitions, types.ContainerDefinition{Name: &name, Image: aws.String("example/sidecar"),
			Essential: aws.Bool(false), EntryPoint: []string{"sleep", "600"}})
	}
	_, err = ecs.NewFromConfig(cfg).RegisterTaskDefinition(w.t.Context(), in)
	must(w.t, err)
}

// A set-up of the official driver, where any job names its task definition,
// goes on working; what it could take in rights, it cannot any more.
func TestJobNamesATaskDefinition(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		asks  string
		extra string
		code  int
		want  []string
	}{
		"with the same role":       {asks: "same", code: succeeded, want: []string{"of same is starting"}},
		"without any role":         {asks: "plain", code: succeeded, want: []string{"of plain is starting"}},
		"with another role":        {asks: "admin", code: buildFailure, want: []string{"admin has rights that the runner's own task definition has not", "task role " + adminRole, `[Jobs] TaskDefinitions = ["admin"]`}},
		"another role, but listed": {asks: "admin", extra: "[Jobs]\nTaskDefinitions = [\"adm*\"]", code: succeeded, want: []string{"of admin is starting"}},
		"not on the list":          {asks: "same", extra: "[Jobs]\nTaskDefinitions = [\"adm*\"]", code: buildFailure, want: []string{`"same" is not among`, "adm*"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, localaws.Options{Roles: []string{jobRole, adminRole}}, test.extra)
			w.definition("plain", "exec "+programs+"/coordinator serve --listen $LOCALAWS_TASK_ADDRESS:2222")
			w.withRole("ci-job", jobRole)
			w.withRole("same", jobRole)
			w.withRole("admin", adminRole)
			j := w.job("FARGATE_TASK_DEFINITION=" + test.asks)
			j.stage("prepare").want(t, test.code, test.want...)
			j.stage("cleanup").want(t, succeeded)
		})
	}
}

func TestJobAsksForASizeInsideTheLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "[Jobs]\nMaxCPU = 1024\nMaxMemory = 4096\nMaxEphemeralStorage = 50")
	j := w.job("FARGATE_CPU=1024", "FARGATE_MEMORY=2048", "FARGATE_EPHEMERAL_STORAGE=30")
	j.stage("prepare").want(t, succeeded)
	w.command("ps").want(t, succeeded, "1 vCPU, 2 GiB")
	j.stage("cleanup").want(t, succeeded)
}
