package stacks

import (
	"strconv"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsefs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
	"github.com/fargate-driver/fargate-driver/infra/cdk/render"
)

// directories are what GitLab keeps, and where its image wants it.
func directories() []struct{ name, path string } {
	return []struct{ name, path string }{{"config", "/etc/gitlab"}, {"logs", "/var/log/gitlab"}, {"data", "/var/opt/gitlab"}}
}

// addService makes GitLab on Fargate, with its data on EFS.
func (g *GitLab) addService(image, logs string) {
	fileSystem, points := g.addFileSystem()
	g.fileSystem = *fileSystem.Ref()
	g.scope.FileSystem, g.scope.AccessPoints = *fileSystem.AttrArn(), points.arns
	execution := g.role("ExecutionRole", access.GitLabExecutionRole(g.scope))
	role := g.role("TaskRole", access.GitLabTaskRole(g.scope))
	architecture := "X86_64"
	definition := awsecs.NewCfnTaskDefinition(g.stack, jsii.String("Task"), &awsecs.CfnTaskDefinitionProps{
		Family: jsii.String(g.name("gitlab")), RequiresCompatibilities: list("FARGATE"), NetworkMode: jsii.String("awsvpc"),
		Cpu: jsii.String(strconv.Itoa(g.s.GitLab.CPU)), Memory: jsii.String(strconv.Itoa(g.s.GitLab.Memory)),
		ExecutionRoleArn: execution.AttrArn(), TaskRoleArn: role.AttrArn(),
		RuntimePlatform:      &awsecs.CfnTaskDefinition_RuntimePlatformProperty{CpuArchitecture: &architecture, OperatingSystemFamily: jsii.String("LINUX")},
		EphemeralStorage:     &awsecs.CfnTaskDefinition_EphemeralStorageProperty{SizeInGiB: jsii.Number(40)},
		ContainerDefinitions: &[]any{g.container(image, logs)},
		Volumes:              points.volumes(g.fileSystem),
	})
	cluster := awsecs.NewCfnCluster(g.stack, jsii.String("Cluster"), &awsecs.CfnClusterProps{
		ClusterName:     jsii.String(g.name("gitlab")),
		ClusterSettings: &[]any{&awsecs.CfnCluster_ClusterSettingsProperty{Name: jsii.String("containerInsights"), Value: jsii.String("enabled")}},
	})
	service := awsecs.NewCfnService(g.stack, jsii.String("Service"), &awsecs.CfnServiceProps{
		ServiceName: jsii.String(g.name("gitlab")), Cluster: cluster.Ref(), TaskDefinition: definition.Ref(), LaunchType: jsii.String("FARGATE"), DesiredCount: jsii.Number(1),
		// At no time two GitLabs on one disk: the old task ends first, and ECS
		// must not start a second one to balance zones.
		DeploymentConfiguration: &awsecs.CfnService_DeploymentConfigurationProperty{
			MinimumHealthyPercent: jsii.Number(0), MaximumPercent: jsii.Number(100),
			// No way back after a migration: an older GitLab cannot use a newer
			// one's database.
			DeploymentCircuitBreaker: &awsecs.CfnService_DeploymentCircuitBreakerProperty{Enable: jsii.Bool(true), Rollback: jsii.Bool(false)},
		},
		AvailabilityZoneRebalancing:   jsii.String("DISABLED"),
		HealthCheckGracePeriodSeconds: jsii.Number(g.s.GitLab.GraceMinutes * 60),
		EnableExecuteCommand:          jsii.Bool(g.s.GitLab.ExecIntoTask),
		NetworkConfiguration: &awsecs.CfnService_NetworkConfigurationProperty{AwsvpcConfiguration: &awsecs.CfnService_AwsVpcConfigurationProperty{
			Subnets: list(g.network.privateIDs()...), SecurityGroups: list(g.network.groupID(access.GitLab)), AssignPublicIp: jsii.String("DISABLED"),
		}},
		LoadBalancers: g.serviceTargets(), PropagateTags: jsii.String("SERVICE"),
	})
	for _, d := range points.mountTargets {
		service.AddResourceDependency(d, nil)
	}
	// A target group takes targets only once a listener uses it.
	service.Node().AddDependency(g.entry.targets.LoadBalancerAttached())
	if g.entry.private != nil {
		service.Node().AddDependency(g.entry.private.LoadBalancerAttached())
	}
	if g.entry.ssh != nil {
		service.Node().AddDependency(g.entry.ssh.LoadBalancerAttached())
	}
	g.addBackup(*fileSystem.AttrArn())
	if g.s.GitLab.ExecIntoTask {
		g.output("Shell", "aws ecs execute-command --region "+g.s.Region+" --cluster "+g.name("gitlab")+" --container gitlab --interactive --command bash --task $(aws ecs list-tasks --region "+
			g.s.Region+" --cluster "+g.name("gitlab")+" --query taskArns[0] --output text)", "A shell in GitLab's task")
	}
}

func (g *GitLab) container(image, logs string) *awsecs.CfnTaskDefinition_ContainerDefinitionProperty {
	var secrets, mounts []any
	for _, s := range g.secrets {
		for _, f := range s.Fields {
			secrets = append(secrets, &awsecs.CfnTaskDefinition_SecretProperty{Name: jsii.String(f.Variable), ValueFrom: jsii.String(s.ARN + ":" + strings.TrimPrefix(f.Path, ".") + "::")})
		}
	}
	for _, d := range directories() {
		mounts = append(mounts, &awsecs.CfnTaskDefinition_MountPointProperty{SourceVolume: jsii.String(d.name), ContainerPath: jsii.String(d.path), ReadOnly: jsii.Bool(false)})
	}
	// ECS waits five minutes at most before checks count; the rest of the time
	// that a migration may take comes from ten retries.
	interval := min(max((g.s.GitLab.GraceMinutes*60-300)/10, 30), 300)
	return &awsecs.CfnTaskDefinition_ContainerDefinitionProperty{
		Name: jsii.String("gitlab"), Image: &image, Essential: jsii.Bool(true), StopTimeout: jsii.Number(stopSeconds),
		EntryPoint: list("/bin/bash", "-c"), Command: list(render.TaskCommand()),
		Environment:  &[]any{&awsecs.CfnTaskDefinition_KeyValuePairProperty{Name: jsii.String("GITLAB_OMNIBUS_CONFIG"), Value: &g.omnibus}},
		Secrets:      &secrets,
		MountPoints:  &mounts,
		PortMappings: &[]any{&awsecs.CfnTaskDefinition_PortMappingProperty{ContainerPort: jsii.Number(80)}, &awsecs.CfnTaskDefinition_PortMappingProperty{ContainerPort: jsii.Number(22)}},
		LogConfiguration: &awsecs.CfnTaskDefinition_LogConfigurationProperty{LogDriver: jsii.String("awslogs"), Options: map[string]string{
			"awslogs-group": logs, "awslogs-region": g.s.Region, "awslogs-stream-prefix": "gitlab", "mode": "non-blocking", "max-buffer-size": "4m",
		}},
		// ECS does not read the image's own health check.
		HealthCheck: &awsecs.CfnTaskDefinition_HealthCheckProperty{
			Command:     list("CMD", "/opt/gitlab/bin/gitlab-healthcheck", "--fail", "--max-time", "10"),
			StartPeriod: jsii.Number(300), Interval: jsii.Number(interval), Timeout: jsii.Number(15), Retries: jsii.Number(10),
		},
	}
}

func (g *GitLab) serviceTargets() *[]any {
	all := []any{&awsecs.CfnService_LoadBalancerProperty{ContainerName: jsii.String("gitlab"), ContainerPort: jsii.Number(80), TargetGroupArn: g.entry.targets.TargetGroupArn()}}
	if g.entry.private != nil {
		all = append(all, &awsecs.CfnService_LoadBalancerProperty{ContainerName: jsii.String("gitlab"), ContainerPort: jsii.Number(80), TargetGroupArn: g.entry.private.TargetGroupArn()})
	}
	if g.entry.ssh != nil {
		all = append(all, &awsecs.CfnService_LoadBalancerProperty{ContainerName: jsii.String("gitlab"), ContainerPort: jsii.Number(22), TargetGroupArn: g.entry.ssh.TargetGroupArn()})
	}
	return &all
}

// accessPoints are the three directories of GitLab on EFS. EFS makes each
// directory as it is first mounted, so that no task can come before it.
type accessPoints struct {
	ids, arns    []string
	mountTargets []awscdk.CfnResource
}

func (g *GitLab) addFileSystem() (awsefs.CfnFileSystem, accessPoints) {
	props := &awsefs.CfnFileSystemProps{
		Encrypted: jsii.Bool(true), ThroughputMode: jsii.String("elastic"), // no burst credits that could run out
		PerformanceMode:      jsii.String("generalPurpose"),
		BackupPolicy:         &awsefs.CfnFileSystem_BackupPolicyProperty{Status: jsii.String("DISABLED")}, // the plan of this stack does it
		FileSystemPolicy:     g.fileSystemPolicy(),
		FileSystemProtection: &awsefs.CfnFileSystem_FileSystemProtectionProperty{ReplicationOverwriteProtection: jsii.String("ENABLED")},
		FileSystemTags:       &[]*awsefs.CfnFileSystem_ElasticFileSystemTagProperty{{Key: jsii.String("Name"), Value: jsii.String(g.name("gitlab"))}},
	}
	if g.network.Key != nil {
		props.KmsKeyId = g.network.Key.KeyArn()
	}
	fileSystem := awsefs.NewCfnFileSystem(g.stack, jsii.String("Disk"), props)
	fileSystem.ApplyRemovalPolicy(g.keep(), nil)

	var points accessPoints
	for i, id := range g.network.privateIDs() {
		points.mountTargets = append(points.mountTargets, awsefs.NewCfnMountTarget(g.stack, jsii.String("DiskTarget"+strconv.Itoa(i+1)), &awsefs.CfnMountTargetProps{
			FileSystemId: fileSystem.Ref(), SubnetId: &id, SecurityGroups: anys(g.network.groupID(access.Disk)),
		}))
	}
	for _, d := range directories() {
		// No PosixUser: GitLab's services have users of their own, and one
		// forced on all of them breaks git clone.
		point := awsefs.NewCfnAccessPoint(g.stack, jsii.String("Disk-"+d.name), &awsefs.CfnAccessPointProps{
			FileSystemId: fileSystem.Ref(),
			RootDirectory: &awsefs.CfnAccessPoint_RootDirectoryProperty{
				Path:         jsii.String("/" + d.name),
				CreationInfo: &awsefs.CfnAccessPoint_CreationInfoProperty{OwnerUid: jsii.String("0"), OwnerGid: jsii.String("0"), Permissions: jsii.String("0755")},
			},
		})
		points.ids = append(points.ids, *point.AttrAccessPointId())
		points.arns = append(points.arns, *point.AttrArn())
	}
	return fileSystem, points
}

// fileSystemPolicy lets in who has an IAM permission, over TLS, and nobody
// anonymously: without a policy, EFS lets in whoever reaches its port. The
// permission itself is GitLab's role alone.
func (g *GitLab) fileSystemPolicy() awsiam.PolicyDocument {
	return awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &[]awsiam.PolicyStatement{
		awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid: jsii.String("ByRole"), Principals: &[]awsiam.IPrincipal{awsiam.NewAccountRootPrincipal()},
			Actions:    list("elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite", "elasticfilesystem:ClientRootAccess"),
			Conditions: &map[string]any{"Bool": map[string]string{"elasticfilesystem:AccessedViaMountTarget": "true"}},
		}),
		awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid: jsii.String("TlsOnly"), Effect: awsiam.Effect_DENY, Principals: &[]awsiam.IPrincipal{awsiam.NewAnyPrincipal()}, Actions: list("*"),
			Conditions: &map[string]any{"Bool": map[string]string{"aws:SecureTransport": "false"}},
		}),
	}})
}

func (a accessPoints) volumes(fileSystem string) *[]any {
	var all []any
	for i, d := range directories() {
		all = append(all, &awsecs.CfnTaskDefinition_VolumeProperty{
			Name: jsii.String(d.name),
			EfsVolumeConfiguration: &awsecs.CfnTaskDefinition_EFSVolumeConfigurationProperty{
				FilesystemId: &fileSystem, TransitEncryption: jsii.String("ENABLED"),
				AuthorizationConfig: &awsecs.CfnTaskDefinition_AuthorizationConfigProperty{AccessPointId: &a.ids[i], Iam: jsii.String("ENABLED")},
			},
		})
	}
	return &all
}
