package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
)

// sourceDays is how long a build's sources stay. The bridge skips the upload
// of what is there already, so a few days make the next builds quick.
const sourceDays = 7

// Builds is Docker images by CodeBuild.
type Builds struct {
	part
	Source  awss3.Bucket
	Project string // name
}

func newBuilds(app awscdk.App, in Inputs, n *Network) *Builds {
	b := &Builds{part: newPart(app, in, "Builds", "CodeBuild project, source bucket and image repositories")}
	b.Project = b.name("build")
	b.Source = b.bucket("Source", n.Key, false, sourceDays, nil)

	var repositories []string
	for _, name := range b.s.Builds.Repositories {
		b.repository("Repository-"+name, b.name(name), n, b.s.Builds.PushFrom)
		repositories = append(repositories, b.place.ARN("ecr", "repository/"+b.name(name)))
		b.output("Push-"+name, b.registry()+"/"+b.name(name), "Repository of "+name)
	}
	b.logGroup("BuildLogs", "builds", n.Key)
	scope := access.BuildsScope{
		Place: b.place, Key: keyARN(n.Key), SourceBucket: *b.Source.BucketArn(), LogGroup: b.logGroupARN("builds"), Repositories: repositories,
	}
	if b.s.Builds.InVPC {
		for _, id := range n.privateIDs() {
			scope.Subnets = append(scope.Subnets, b.place.ARN("ec2", "subnet/"+id))
		}
	}
	role := b.role("BuildRole", access.BuildRole(scope))
	b.addProject(n, role)
	b.output("Project", b.Project, "Name for codebuild-bridge --project")
	b.output("SourceBucket", *b.Source.BucketName(), "Name for codebuild-bridge --bucket")
	b.addAlarm(n)
	return b
}

func (b *Builds) addProject(n *Network, role awsiam.CfnRole) {
	set := b.s.Builds
	environment := &awscodebuild.CfnProject_EnvironmentProperty{
		Type: &set.Environment, Image: &set.Image, ComputeType: &set.Compute,
		ImagePullCredentialsType: jsii.String("CODEBUILD"),
		// Docker in the build needs it. A build machine is CodeBuild's own and
		// is thrown away afterwards.
		PrivilegedMode: jsii.Bool(true),
	}
	if set.DockerServer {
		server := &awscodebuild.CfnProject_DockerServerProperty{ComputeType: &set.Compute}
		if set.InVPC {
			server.SecurityGroupIds = list(n.groupID(access.Builds))
		}
		environment.DockerServer = server
	}
	props := &awscodebuild.CfnProjectProps{
		Name: &b.Project, Description: jsii.String("Docker images for GitLab jobs; started by codebuild-bridge"),
		ServiceRole: role.AttrArn(), Environment: environment,
		Artifacts: &awscodebuild.CfnProject_ArtifactsProperty{Type: jsii.String("NO_ARTIFACTS")},
		// The bridge names the object of each build; this one never exists, so
		// that a build started by hand fails instead of building something old.
		Source:           &awscodebuild.CfnProject_SourceProperty{Type: jsii.String("S3"), Location: jsii.String(*b.Source.BucketName() + "/jobs/named-by-the-bridge.zip")},
		TimeoutInMinutes: jsii.Number(set.Minutes), QueuedTimeoutInMinutes: jsii.Number(set.QueuedMinutes),
		// A second build after a failed one would push behind a red job's back.
		AutoRetryLimit: jsii.Number(0),
		Cache:          &awscodebuild.CfnProject_ProjectCacheProperty{Type: jsii.String("NO_CACHE")},
		LogsConfig: &awscodebuild.CfnProject_LogsConfigProperty{CloudWatchLogs: &awscodebuild.CfnProject_CloudWatchLogsConfigProperty{
			Status: jsii.String("ENABLED"), GroupName: jsii.String("/" + b.s.Name + "/builds"),
		}},
	}
	if set.Cache == "local" {
		props.Cache = &awscodebuild.CfnProject_ProjectCacheProperty{Type: jsii.String("LOCAL"), Modes: list("LOCAL_DOCKER_LAYER_CACHE")}
	}
	if n.Key != nil {
		props.EncryptionKey = n.Key.KeyArn()
	}
	if set.InVPC {
		props.VpcConfig = &awscodebuild.CfnProject_VpcConfigProperty{
			VpcId: n.VPC.VpcId(), Subnets: list(n.privateIDs()...), SecurityGroupIds: list(n.groupID(access.Builds)),
		}
	}
	awscodebuild.NewCfnProject(b.stack, jsii.String("BuildProject"), props)
}

// repository makes an image repository: tags never move, but for those of the
// build cache; images are scanned, and old ones go.
func (p part) repository(id, name string, n *Network, pushFrom []string) awsecr.CfnRepository {
	props := &awsecr.CfnRepositoryProps{
		RepositoryName:     &name,
		ImageTagMutability: jsii.String("IMMUTABLE_WITH_EXCLUSION"),
		ImageTagMutabilityExclusionFilters: &[]any{&awsecr.CfnRepository_ImageTagMutabilityExclusionFilterProperty{
			ImageTagMutabilityExclusionFilterType: jsii.String("WILDCARD"), ImageTagMutabilityExclusionFilterValue: jsii.String("cache*"),
		}},
		ImageScanningConfiguration: &awsecr.CfnRepository_ImageScanningConfigurationProperty{ScanOnPush: jsii.Bool(true)},
		EncryptionConfiguration:    &awsecr.CfnRepository_EncryptionConfigurationProperty{EncryptionType: jsii.String("AES256")},
		LifecyclePolicy:            &awsecr.CfnRepository_LifecyclePolicyProperty{LifecyclePolicyText: jsii.String(lifecycle(p.s.Builds.KeepImages))},
		EmptyOnDelete:              jsii.Bool(p.s.Data == "destroy"),
	}
	if n.Key != nil {
		props.EncryptionConfiguration = &awsecr.CfnRepository_EncryptionConfigurationProperty{EncryptionType: jsii.String("KMS"), KmsKey: n.Key.KeyArn()}
	}
	if len(pushFrom) > 0 {
		var principals []awsiam.IPrincipal
		for _, account := range pushFrom {
			principals = append(principals, awsiam.NewAccountPrincipal(account))
		}
		props.RepositoryPolicyText = awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &[]awsiam.PolicyStatement{
			awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
				Sid: jsii.String("PushFromAccounts"), Principals: &principals,
				Actions: list("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
					"ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart"),
			}),
		}})
	}
	repository := awsecr.NewCfnRepository(p.stack, &id, props)
	repository.ApplyRemovalPolicy(p.keep(), nil)
	return repository
}

// lifecycle keeps the newest images, and untagged ones for a day: they are
// what a cache tag pointed at before.
func lifecycle(keep int) string {
	return string(mustJSON(map[string]any{"rules": []any{
		map[string]any{"rulePriority": 1, "description": "untagged images go after a day", "selection": map[string]any{"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1}, "action": map[string]string{"type": "expire"}},
		map[string]any{"rulePriority": 2, "description": "the newest are kept", "selection": map[string]any{"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep}, "action": map[string]string{"type": "expire"}},
	}}))
}
