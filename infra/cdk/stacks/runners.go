package stacks

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsssm"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
	"github.com/fargate-driver/fargate-driver/infra/cdk/render"
	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
)

// Runners is the manager and where jobs run.
type Runners struct {
	part
	scope access.RunnersScope
	// managerLogs is a log group that the manager does not make itself.
	managerLogs awscdk.CfnResource
	// first is what the manager reads by name as it boots, so that
	// CloudFormation cannot see that it must be there before.
	first []awscdk.CfnResource
}

// programNames are the binaries of the manager. The driver's run stage hands
// over to the second, which must be beside the first.
func programNames() []string { return []string{"fargate-driver", "fargate-driver-run"} }

func newRunners(app awscdk.App, in Inputs, n *Network, b *Builds, url string) (*Runners, error) {
	r := &Runners{part: newPart(app, in, "Runners", "gitlab-runner's manager, and the tasks of jobs")}
	s := r.s

	cache := r.bucket("Cache", n.Key, false, s.Runners.CacheDays, nil)
	token := r.tokenSecret(n)
	r.scope = access.RunnersScope{
		Place: r.place, Name: s.Name, Cluster: r.name("jobs"), ExecutionRole: r.roleARN("execution"),
		CacheBucket: *cache.BucketArn(), Key: keyARN(n.Key), TokenSecret: *token.Ref(),
		LogGroups: []string{r.logGroupARN("manager")}, JobLogGroup: r.logGroupARN("jobs"),
		Repositories: r.imageRepositories(n), AutoScaling: r.name("manager"), Exec: s.Runners.ExecIntoTask,
	}
	if s.Runners.NamesImages() {
		r.scope.ImageFamily = render.ImageFamily(s)
	}
	if b != nil {
		r.scope.SourceBucket, r.scope.Project, r.scope.BuildsLogGroup = *b.Source.BucketArn(), b.Project, b.logGroupARN("builds")
	}
	families, err := r.addTasks(n)
	if err != nil {
		return nil, err
	}
	files := render.Manager{
		GitLabURL: url, Cluster: r.scope.Cluster, Subnets: n.privateIDs(), SecurityGroup: n.groupID(access.Coordinator),
		TaskFamilies: families, CacheBucket: *cache.BucketName(), CacheKey: keyARN(n.Key),
	}
	fargate := r.parameter("FargateToml", "fargate.toml", render.FargateTOML(s, files))
	config := r.parameter("ConfigToml", "config.toml", render.ConfigTOML(s, files))
	programs, err := r.programs()
	if err != nil {
		return nil, err
	}
	r.managerLogs = r.logGroup("ManagerLogs", "manager", n.Key)
	r.first = append(r.first, r.managerLogs, token)
	userData := render.ManagerUserData(s, render.ManagerHost{
		Programs: programs, FargateParameter: fargate, ConfigParameter: config, TokenSecret: s.Name + "/runner-token",
		Group: r.name("manager"), Hook: drainHook, LogGroup: "/" + s.Name + "/manager", Report: r.report("Manager"),
	})
	for _, name := range []string{fargate, config} {
		r.scope.Parameters = append(r.scope.Parameters, r.place.ARN("ssm", "parameter"+name))
	}
	if bucket, isS3 := strings.CutPrefix(s.Runners.Source, "s3://"); isS3 {
		r.scope.RunnerMirror = "arn:" + r.place.Partition + ":s3:::" + bucket + "/*"
	}
	role := r.role("ManagerRole", access.ManagerRole(r.scope))
	group := r.host(host{
		id: "Manager", name: r.name("manager"), profile: r.instanceProfile("ManagerProfile", role), group: n.groupID(access.Manager),
		instanceType: s.Runners.InstanceType, rootGiB: 16, userData: userData, subnets: n.privateIDs(),
		drains: true, partTag: r.name("manager"), first: r.first,
	})
	r.addSchedule(group)
	r.addAlarms(n)

	r.output("SetToken", "aws secretsmanager put-secret-value --region "+s.Region+" --secret-id "+s.Name+"/runner-token --secret-string glrt-...",
		"Next: create a runner in GitLab (Admin, CI/CD, Runners) and paste its token with this; the manager takes it within a minute")
	r.output("CheckManager", "aws ssm start-session --region "+s.Region+" --target $(aws autoscaling describe-auto-scaling-groups --region "+s.Region+
		" --auto-scaling-group-names "+r.name("manager")+" --query AutoScalingGroups[0].Instances[0].InstanceId --output text)",
		"A shell on the manager; there: sudo -u gitlab-runner fargate-driver check --aws")
	return r, nil
}

// tokenSecret is empty until a person pastes the token: GitLab makes it, not
// this app, and it must not be in a template.
func (r *Runners) tokenSecret(n *Network) awscdk.CfnResource {
	properties := map[string]any{"Name": r.s.Name + "/runner-token", "Description": "GitLab runner authentication token (glrt-...); pasted once by a person"}
	if n.Key != nil {
		properties["KmsKeyId"] = n.Key.KeyArn()
	}
	secret := awscdk.NewCfnResource(r.stack, jsii.String("Token"), &awscdk.CfnResourceProps{Type: jsii.String("AWS::SecretsManager::Secret"), Properties: &properties})
	secret.ApplyRemovalPolicy(r.keep(), nil)
	return secret
}

// parameter keeps a rendered file where the manager reads it every minute, so
// that most changes need no new manager.
func (r *Runners) parameter(id, file, text string) string {
	name := "/" + r.s.Name + "/manager/" + file
	parameter := awsssm.NewCfnParameter(r.stack, &id, &awsssm.CfnParameterProps{
		Name: &name, Type: jsii.String("String"), Tier: jsii.String("Intelligent-Tiering"), Value: &text,
		Description: jsii.String(file + " of the manager, without the token"),
	})
	r.first = append(r.first, parameter)
	return name
}

// programs puts the binaries into the bucket of the deployment's assets, with
// the checksums that the manager compares.
func (r *Runners) programs() ([]render.Program, error) {
	var all []render.Program
	for _, name := range programNames() {
		file := filepath.Join(r.in.Programs, name)
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the manager's programs: %w; `make synth` builds them", err)
		}
		sum := sha256.Sum256(data)
		asset := awss3assets.NewAsset(r.stack, jsii.String("Program-"+name), &awss3assets.AssetProps{Path: &file})
		r.scope.Programs = append(r.scope.Programs, "arn:"+r.place.Partition+":s3:::"+*asset.S3BucketName()+"/"+*asset.S3ObjectKey())
		all = append(all, render.Program{Name: name, Address: *asset.S3ObjectUrl(), SHA256: hex.EncodeToString(sum[:])})
	}
	return all, nil
}

// addSchedule starts and stops the manager by the clock.
func (r *Runners) addSchedule(group awsautoscaling.CfnAutoScalingGroup) {
	if r.s.Runners.ScheduleOn == "" {
		return
	}
	// It begins awake, to be looked at, and sleeps from the next end on.
	group.SetMinSize(jsii.String("0"))
	group.SetDesiredCapacity(jsii.String("1"))
	for _, a := range []struct {
		id, cron string
		size     float64
	}{{"On", r.s.Runners.ScheduleOn, 1}, {"Off", r.s.Runners.ScheduleOff, 0}} {
		awsautoscaling.NewCfnScheduledAction(r.stack, jsii.String("Schedule"+a.id), &awsautoscaling.CfnScheduledActionProps{
			AutoScalingGroupName: group.Ref(), Recurrence: &a.cron, TimeZone: &r.s.Runners.TimeZone,
			MinSize: &a.size, MaxSize: jsii.Number(1), DesiredCapacity: &a.size,
		})
	}
}

// policyFile reads what the operator gives the jobs of a task definition.
func (r *Runners) policyFile(t settings.Task) ([]awsiam.PolicyDocument, error) {
	if t.Policy == "" {
		return nil, nil
	}
	file := t.Policy
	if !filepath.IsAbs(file) {
		file = filepath.Join(r.in.SettingsDir, file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the policy of task %q: %w", t.Name, err)
	}
	var document map[string]any
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("reading the policy of task %q: %s is not JSON: %w", t.Name, t.Policy, err)
	}
	if _, ok := document["Statement"].([]any); !ok {
		return nil, fmt.Errorf("reading the policy of task %q: %s has no list Statement; write an IAM policy document", t.Name, t.Policy)
	}
	return []awsiam.PolicyDocument{awsiam.PolicyDocument_FromJson(document)}, nil
}
