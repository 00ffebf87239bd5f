package localaws

import (
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// startContainers returns a stand-in whose definition "job" has these containers.
func startContainers(t *testing.T, o Options, containers ...types.ContainerDefinition) (*Server, *ecs.Client) {
	t.Helper()
	s := start(t, o)
	if err := s.AddCluster("ci", "FARGATE"); err != nil {
		t.Fatal(err)
	}
	c := ecs.NewFromConfig(config(s))
	_, err := c.RegisterTaskDefinition(t.Context(), definition("job", func(in *ecs.RegisterTaskDefinitionInput) {
		in.Volumes = []types.Volume{{Name: aws.String("shared")}}
		in.ContainerDefinitions = containers
	}))
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func essential(name string, argv ...string) types.ContainerDefinition {
	return types.ContainerDefinition{Name: &name, Image: aws.String("debian"), EntryPoint: argv}
}

// helper is a container that may end before the task does.
func helper(name string, argv ...string) types.ContainerDefinition {
	c := essential(name, argv...)
	c.Essential = aws.Bool(false)
	return c
}

func needs(c types.ContainerDefinition, on string, when types.ContainerCondition) types.ContainerDefinition {
	c.DependsOn = append(c.DependsOn, types.ContainerDependency{ContainerName: &on, Condition: when})
	return c
}

func checked(c types.ContainerDefinition, command string) types.ContainerDefinition {
	c.HealthCheck = &types.HealthCheck{Command: []string{"CMD-SHELL", command}, Interval: aws.Int32(5), Retries: aws.Int32(1)}
	return c
}

func TestDependenciesThatFail(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		containers []types.ContainerDefinition
		code       types.TaskStopCode
		reason     string
	}{
		"success": {
			[]types.ContainerDefinition{needs(essential("job", "sleep", "600"), "install", "SUCCESS"), helper("install", "false")},
			"TaskFailedToStart", "Container install exited with a code other than 0",
		},
		"health": {
			[]types.ContainerDefinition{needs(essential("job", "sleep", "600"), "db", "HEALTHY"), checked(helper("db", "true"), "false")},
			"TaskFailedToStart", "Container db exited before it was healthy",
		},
		"start": {
			[]types.ContainerDefinition{needs(helper("sidecar", "sleep", "600"), "job", "START"), essential("job", "no-such-program")},
			"TaskFailedToStart", "CannotStartContainerError",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := startContainers(t, Options{}, test.containers...)
			arn := run(t, c, jobInput())
			until(t, s, arn, "STOPPED")
			if task := s.Task(arn); task.StopCode != string(test.code) || !strings.Contains(task.StoppedReason, test.reason) {
				t.Errorf("%s: %q", task.StopCode, task.StoppedReason)
			}
		})
	}
}

func TestCompletedContainersLetOthersStart(t *testing.T) {
	t.Parallel()
	s, c := startContainers(t, Options{},
		needs(essential("job", "sh", "-c", "exit 5"), "install", "COMPLETE"), helper("install", "false"))
	arn := run(t, c, jobInput())
	until(t, s, arn, "STOPPED")
	task := describe(t, c, arn)
	if aws.ToInt32(task.Containers[0].ExitCode) != 5 || aws.ToInt32(task.Containers[1].ExitCode) != 1 {
		t.Errorf("exit codes %v and %v", task.Containers[0].ExitCode, task.Containers[1].ExitCode)
	}
}

func TestUnhealthyContainers(t *testing.T) {
	t.Parallel()
	s, c := startContainers(t, Options{}, checked(essential("job", "sleep", "600"), "echo no; exit 1"))
	arn := run(t, c, jobInput())
	err := s.Wait(soon(t), func() bool { return describe(t, c, arn).HealthStatus == types.HealthStatusUnhealthy })
	if err != nil {
		t.Fatal(err)
	}
}

// An image is a name: what its entry point would have been is told by Options.
func TestImagesByTheirEntryPoints(t *testing.T) {
	t.Parallel()
	image := Image{Entrypoint: []string{"sh", "-c"}, Cmd: []string{`echo "cmd $FROM_IMAGE"`}, Env: []string{"FROM_IMAGE=image", "OVER=image"}}
	said := func(change func(*types.ContainerDefinition, *ecs.RunTaskInput)) string {
		t.Helper()
		job := types.ContainerDefinition{Name: aws.String("job"), Image: aws.String("tool:1")}
		in := jobInput()
		change(&job, in)
		s, c := startContainers(t, Options{Images: map[string]Image{"tool:1": image}}, job)
		arn := run(t, c, in)
		until(t, s, arn, "STOPPED")
		log, err := os.ReadFile(s.LogFile(arn, "job"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(log))
	}
	for want, change := range map[string]func(*types.ContainerDefinition, *ecs.RunTaskInput){
		"cmd image": func(*types.ContainerDefinition, *ecs.RunTaskInput) {},
		"command image": func(d *types.ContainerDefinition, _ *ecs.RunTaskInput) {
			d.Command = []string{`echo "command $OVER"`}
		},
		"override definition": func(d *types.ContainerDefinition, in *ecs.RunTaskInput) {
			d.Environment = []types.KeyValuePair{{Name: aws.String("OVER"), Value: aws.String("definition")}}
			in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
				Name: aws.String("job"), Command: []string{`echo "override $OVER"`},
			}}}
		},
		"entry point": func(d *types.ContainerDefinition, _ *ecs.RunTaskInput) {
			d.EntryPoint = []string{"echo", "entry", "point"} // sets the image's Cmd aside
		},
	} {
		if got := said(change); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestVolumesAreShared(t *testing.T) {
	t.Parallel()
	mount := []types.MountPoint{{SourceVolume: aws.String("shared"), ContainerPath: aws.String("/nonesuch/shared/")}}
	writer := helper("writer", "sh", "-c", `echo "from the writer" > "$0"`, "/nonesuch/shared/file")
	reader := needs(essential("reader", "sh", "-c", `cat "$WHERE"; pwd`), "writer", "SUCCESS")
	reader.Environment = []types.KeyValuePair{{Name: aws.String("WHERE"), Value: aws.String("/nonesuch/shared/file")}}
	reader.WorkingDirectory = aws.String("/nonesuch/shared")
	writer.MountPoints, reader.MountPoints = mount, mount
	s, c := startContainers(t, Options{}, reader, writer)
	arn := run(t, c, jobInput())
	until(t, s, arn, "STOPPED")
	log, err := os.ReadFile(s.LogFile(arn, "reader"))
	if err != nil || !strings.HasPrefix(string(log), "from the writer\n") || !strings.HasSuffix(string(log), "/volumes/shared\n") {
		t.Errorf("the reader read %q (%v)", log, err)
	}
}
