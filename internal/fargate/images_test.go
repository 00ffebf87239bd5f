package fargate

import (
	"errors"
	"slices"
	"strings"
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
	if *helper.Image != "ci-build:1" || *helper.User != "1000" || helper.Memory != nil || !*helper.Essential || len(helper.EntryPoint) != 0 {
		t.Errorf("the helper: %+v", helper)
	}
	// /cache is the operator's own volume, /builds and the agent's directory are new.
	if len(own.MountPoints) != 3 || len(helper.MountPoints) != 3 || len(in.Volumes) != 3 || len(own.DependsOn) != 2 {
		t.Errorf("mounts %v, volumes %v, dependencies %v", own.MountPoints, in.Volumes, own.DependsOn)
	}
	install := containers[wire.InstallName]
	if got := strings.Join(install.Command, " "); got != "install /.fargate-driver/coordinator /.fargate-driver /builds" || len(install.MountPoints) != 2 || *install.User != "0" {
		t.Errorf("the installation: %s as %s, with %v", got, *install.User, install.MountPoints)
	}
	if service := containers["ci-service-0"]; len(service.Secrets) != 0 || len(service.MountPoints) != 0 || *service.Essential {
		t.Errorf("the service: %+v", service)
	}
}

// A volume of the operator's that is above a shared directory stays in its
// place, and one of ours is not mounted twice.
func TestForImageWithVolumesAbove(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		at     string
		shared []string
		want   string // mount points besides the operator's
	}{
		{"/data/", []string{"/data/builds", "/data/cache"}, "/.fargate-driver"},
		{"/cache", []string{"/builds/", "/cache/"}, "/.fargate-driver /builds"},
		{"/database", []string{"/data", "/data"}, "/.fargate-driver /data"},
		{"/x", []string{"/builds", "/builds/cache"}, "/.fargate-driver /builds"},
	} {
		p, s := pattern(), specFor("alpine:3")
		p.ContainerDefinitions[0].MountPoints[0].ContainerPath = aws.String(test.at)
		s.Image.Shared = test.shared
		in, err := forImage(p, s)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(in.ContainerDefinitions, func(d types.ContainerDefinition) bool { return *d.Name == wire.HelperName })
		var got []string
		for _, m := range in.ContainerDefinitions[i].MountPoints[1:] {
			got = append(got, *m.ContainerPath)
		}
		if strings.Join(got, " ") != test.want || len(in.Volumes) != 1+len(got) {
			t.Errorf("%s with %q: got %q, %d volumes", test.at, test.shared, got, len(in.Volumes))
		}
	}
}

// What AWS would refuse in words that do not help.
func TestForImageThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, name := range []string{wire.HelperName, wire.InstallName, "ci-service-7"} {
		p := pattern()
		p.ContainerDefinitions[1].Name = aws.String(name)
		if _, err := forImage(p, specFor("alpine:3")); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var tooMany *TooManyContainers
	if _, err := forImage(pattern(), specFor("", make([]task.Service, 6)...)); err != nil {
		t.Error(err)
	}
	if _, err := forImage(pattern(), specFor("", make([]task.Service, 7)...)); !errors.As(err, &tooMany) || !strings.Contains(err.Error(), "7 services, and there is room for 6") {
		t.Errorf("got %v", err)
	}
}

// The health check goes with the pattern's program: who waits for it, waits for
// the helper.
func TestForImageWithASidecarThatWaits(t *testing.T) {
	t.Parallel()
	p := pattern()
	p.ContainerDefinitions[0].HealthCheck = &types.HealthCheck{Command: []string{"CMD", "true"}}
	p.ContainerDefinitions[1].DependsOn = []types.ContainerDependency{{ContainerName: aws.String("ci-coordinator"), Condition: types.ContainerConditionHealthy}}
	in, err := forImage(p, specFor("alpine:3"))
	if err != nil {
		t.Fatal(err)
	}
	last := in.ContainerDefinitions[len(in.ContainerDefinitions)-1]
	if *last.Name != "xray" || *last.DependsOn[0].ContainerName != wire.HelperName || *p.ContainerDefinitions[1].DependsOn[0].ContainerName != "ci-coordinator" {
		t.Errorf("got %+v", last)
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
