package stacks

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/internal/wire"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
)

// stopSeconds is the most that Fargate gives a container between TERM and
// KILL. Jobs on Spot want all of it: AWS takes the capacity two minutes after
// the notice.
const stopSeconds = 120

// ownImages are the repositories of the images that jobs run in: the agent
// alone, and the build image with the agent, git and gitlab-runner.
func ownImages() []string { return []string{"coordinator", "job"} }

// imageRepositories makes the repositories of the job images, and returns the
// ARNs of all that job tasks pull from.
func (r *Runners) imageRepositories(n *Network) []string {
	var arns []string
	for _, name := range ownImages() {
		r.repository("Repository-"+name, r.name(name), n, nil)
		arns = append(arns, r.place.ARN("ecr", "repository/"+r.name(name)))
	}
	images := slices.Concat(r.s.Runners.Images, r.s.Runners.Services)
	for _, t := range r.s.Tasks {
		images = append(images, t.Image)
	}
	for _, image := range images {
		if arn, ok := r.privateRepository(image); ok && !slices.Contains(arns, arn) {
			arns = append(arns, arn)
		}
	}
	return arns
}

// privateRepository is the repository of an image that is in some ECR.
func (r *Runners) privateRepository(image string) (arn string, ok bool) {
	registry, rest, _ := strings.Cut(image, "/")
	parts := strings.Split(registry, ".")
	if len(parts) < 6 || parts[1] != "dkr" || parts[2] != "ecr" {
		return "", false
	}
	name, _, _ := strings.Cut(rest, "@")
	name, _, _ = strings.Cut(name, ":")
	return "arn:" + r.place.Partition + ":ecr:" + parts[3] + ":" + parts[0] + ":repository/" + name, true
}

// image is the address of a task's image: own:TAG is the job image here.
func (r *Runners) image(name string) string {
	if tag, own := strings.CutPrefix(name, "own:"); own {
		return r.registry() + "/" + r.name("job") + ":" + tag
	}
	return name
}

// addTasks makes the cluster, the roles and the task definitions, and returns
// the families.
func (r *Runners) addTasks(n *Network) ([]string, error) {
	insights := "disabled" // billed by the task; jobs have their own logs
	cluster := awsecs.NewCfnCluster(r.stack, jsii.String("Cluster"), &awsecs.CfnClusterProps{
		ClusterName:     jsii.String(r.name("jobs")),
		ClusterSettings: &[]any{&awsecs.CfnCluster_ClusterSettingsProperty{Name: jsii.String("containerInsights"), Value: &insights}},
	})
	awsecs.NewCfnClusterCapacityProviderAssociations(r.stack, jsii.String("CapacityProviders"), &awsecs.CfnClusterCapacityProviderAssociationsProps{
		Cluster: cluster.Ref(), CapacityProviders: anys("FARGATE", "FARGATE_SPOT"),
		DefaultCapacityProviderStrategy: &[]any{&awsecs.CfnClusterCapacityProviderAssociations_CapacityProviderStrategyProperty{CapacityProvider: jsii.String("FARGATE"), Weight: jsii.Number(1)}},
	})
	logs := r.logGroup("JobLogs", "jobs", n.Key)
	execution := r.role("ExecutionRole", access.ExecutionRole(r.scope))
	var families []string
	for _, t := range r.s.Tasks {
		policy, err := r.policyFile(t)
		if err != nil {
			return nil, err
		}
		description := access.JobRole(r.scope, t.Builds)
		description.Name = "job-" + t.Name
		role := r.role("JobRole-"+t.Name, description, policy...)
		r.scope.JobRoles = append(r.scope.JobRoles, r.roleARN(description.Name))
		family := r.name("job-" + t.Name)
		families = append(families, family)
		r.scope.Families = append(r.scope.Families, family)
		r.addTask(t, family, *execution.AttrArn(), *role.AttrArn(), *logs.Ref())
	}
	return families, nil
}

func (r *Runners) addTask(t settings.Task, family, execution, role, logs string) {
	architecture := "ARM64"
	if t.Architecture == "x86-64" {
		architecture = "X86_64"
	}
	props := &awsecs.CfnTaskDefinitionProps{
		Family: &family, RequiresCompatibilities: list("FARGATE"), NetworkMode: jsii.String("awsvpc"),
		Cpu: jsii.String(strconv.Itoa(t.CPU)), Memory: jsii.String(strconv.Itoa(t.Memory)),
		ExecutionRoleArn: &execution, TaskRoleArn: &role,
		RuntimePlatform: &awsecs.CfnTaskDefinition_RuntimePlatformProperty{CpuArchitecture: &architecture, OperatingSystemFamily: jsii.String("LINUX")},
		ContainerDefinitions: &[]any{&awsecs.CfnTaskDefinition_ContainerDefinitionProperty{
			Name: jsii.String(wire.ContainerName), Image: jsii.String(r.image(t.Image)), Essential: jsii.Bool(true),
			StopTimeout:  jsii.Number(stopSeconds),
			PortMappings: &[]any{&awsecs.CfnTaskDefinition_PortMappingProperty{ContainerPort: jsii.Number(22), Protocol: jsii.String("tcp")}},
			LogConfiguration: &awsecs.CfnTaskDefinition_LogConfigurationProperty{LogDriver: jsii.String("awslogs"), Options: map[string]string{
				"awslogs-group": logs, "awslogs-region": r.s.Region, "awslogs-stream-prefix": t.Name,
				// A job must not wait for CloudWatch.
				"mode": "non-blocking", "max-buffer-size": "4m",
			}},
			Environment: &[]any{&awsecs.CfnTaskDefinition_KeyValuePairProperty{
				Name: jsii.String(wire.EnvStopTimeout), Value: jsii.String(strconv.Itoa(stopSeconds) + "s"),
			}},
		}},
	}
	if t.DiskGiB != 0 {
		props.EphemeralStorage = &awsecs.CfnTaskDefinition_EphemeralStorageProperty{SizeInGiB: jsii.Number(t.DiskGiB)}
	}
	awsecs.NewCfnTaskDefinition(r.stack, jsii.String("Task-"+t.Name), props)
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("stacks: encoding JSON: " + err.Error()) // plain data; every test would see it
	}
	return data
}
