package fargate

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

func pattern() *types.TaskDefinition {
	return &types.TaskDefinition{
		Family: aws.String("ci-job"), Revision: 7, Cpu: aws.String("1024"), Memory: aws.String("2048"),
		TaskRoleArn: aws.String("arn:aws:iam::123456789012:role/job"), ExecutionRoleArn: aws.String("arn:aws:iam::123456789012:role/execution"),
		RuntimePlatform: &types.RuntimePlatform{CpuArchitecture: types.CPUArchitectureArm64},
		Volumes:         []types.Volume{{Name: aws.String("cache")}},
		ContainerDefinitions: []types.ContainerDefinition{{
			Name: aws.String("ci-coordinator"), Image: aws.String("ci-build:1"), Memory: aws.Int32(2048), User: aws.String("1000"), WorkingDirectory: aws.String("/home/ci"),
			Secrets:               []types.Secret{{Name: aws.String("NPM"), ValueFrom: aws.String("arn:secret")}},
			RepositoryCredentials: &types.RepositoryCredentials{CredentialsParameter: aws.String("arn:registry")},
			MountPoints:           []types.MountPoint{{SourceVolume: aws.String("cache"), ContainerPath: aws.String("/cache")}},
			PortMappings:          []types.PortMapping{{ContainerPort: aws.Int32(22)}},
			StopTimeout:           aws.Int32(120),
		}, {Name: aws.String("xray"), Image: aws.String("xray:1")}},
	}
}

func specFor(image string, services ...task.Service) task.Spec {
	return task.Spec{Container: wire.ContainerName, Image: &task.Image{
		Name: image, Family: "ci-image", AgentPath: "/usr/local/bin/coordinator", Port: 2222, Shared: []string{"/builds", "/cache"}, Services: services}}
}

// A job's own image changes what it runs in, and none of its rights.
func TestForImage(t *testing.T) {
	t.Parallel()
	in, err := forImage(pattern(), specFor("alpine:3", task.Service{Container: "ci-service-0", Image: "redis:7"}))
	if err != nil {
		t.Fatal(err)
	}
	containers := map[string]types.ContainerDefinition{}
	for _, c := range in.ContainerDefinitions {
		containers[*c.Name] = c
	}
	if len(containers) != 5 || len(in.ContainerDefinitions) != 5 {
		t.Fatalf("containers: %v", containers)
	}
	if *in.TaskRoleArn != "arn:aws:iam::123456789012:role/job" || *in.ExecutionRoleArn != "arn:aws:iam::123456789012:role/execution" || in.RuntimePlatform.CpuArchitecture != types.CPUArchitectureArm64 {
		t.Error("roles or platform are others")
	}
	own, helper := containers["ci-coordinator"], containers[wire.HelperName]
	if *own.Image != "alpine:3" || own.User != nil || own.WorkingDirectory != nil || own.RepositoryCredentials != nil || len(own.Secrets) != 1 || *own.StopTimeout != 120 || !*own.Essential {
		t.Errorf("the job's container: %+v", own)
	}
	if own.EntryPoint[0] != wire.AgentDir+"/coordinator" || own.EntryPoint[3] != ":2222" {
		t.Errorf("its program: %q", own.EntryPoint)
	}
	if *helper.Image != "ci-build:1" || *helper.User != "1000" || helper.Memory != nil || *helper.Essential || len(helper.EntryPoint) != 0 {
		t.Errorf("the helper: %+v", helper)
	}
	// /cache is the operator's own volume, /builds and the agent's directory are new.
	if len(own.MountPoints) != 3 || len(helper.MountPoints) != 3 || len(in.Volumes) != 3 || len(own.DependsOn) != 2 {
		t.Errorf("mounts %v, volumes %v, dependencies %v", own.MountPoints, in.Volumes, own.DependsOn)
	}
	if service := containers["ci-service-0"]; len(service.Secrets) != 0 || len(service.MountPoints) != 0 || *service.Essential {
		t.Errorf("the service: %+v", service)
	}
}

// The family is named by all that is in it: the same content has the same name,
// and whatever differs another.
func TestForImageIsNamedByContent(t *testing.T) {
	t.Parallel()
	family := func(p *types.TaskDefinition, s task.Spec) string {
		in, err := forImage(p, s)
		if err != nil {
			t.Fatal(err)
		}
		return *in.Family
	}
	first := family(pattern(), specFor("alpine:3"))
	if again := family(pattern(), specFor("alpine:3")); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	other := pattern()
	other.TaskRoleArn = aws.String("arn:aws:iam::123456789012:role/other")
	seen := map[string]bool{first: true}
	for _, name := range []string{
		family(other, specFor("alpine:3")), family(pattern(), specFor("alpine:4")), family(pattern(), specFor("")),
		family(pattern(), specFor("alpine:3", task.Service{Container: "ci-service-0", Image: "redis:7"})),
	} {
		if seen[name] {
			t.Errorf("%s stands for two definitions", name)
		}
		seen[name] = true
	}
	if _, err := forImage(&types.TaskDefinition{}, specFor("alpine:3")); err == nil {
		t.Error("a pattern without the job's container was taken")
	}
}
