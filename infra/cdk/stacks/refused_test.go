package stacks_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsrds"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/promises"
	"github.com/fargate-driver/fargate-driver/infra/cdk/stacks"
)

// broken makes resources that each break one rule of package promises in one
// way, and says which: by construct id.
func broken(s awscdk.Stack) map[string]string {
	want := map[string]string{}
	id := func(name, rule string) *string {
		want[name] = "promise-" + rule
		return &name
	}
	world := jsii.String("0.0.0.0/0")
	awsec2.NewCfnSecurityGroup(s, id("OpenGroup", "nobody-lets-the-world-in"), &awsec2.CfnSecurityGroupProps{GroupDescription: jsii.String("x"), SecurityGroupIngress: &[]any{
		&awsec2.CfnSecurityGroup_IngressProperty{IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(22), ToPort: jsii.Number(22), CidrIp: world},
	}})
	awsec2.NewCfnSecurityGroupIngress(s, id("OpenRule", "nobody-lets-the-world-in"), &awsec2.CfnSecurityGroupIngressProps{GroupId: jsii.String("sg-0a1b2c3d"), IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(22), ToPort: jsii.Number(22), CidrIp: world})

	closed := &awsec2.CfnLaunchTemplate_MetadataOptionsProperty{HttpTokens: jsii.String("required")}
	disk := func(encrypted bool) *[]any {
		return &[]any{&awsec2.CfnLaunchTemplate_BlockDeviceMappingProperty{DeviceName: jsii.String("/dev/xvda"), Ebs: &awsec2.CfnLaunchTemplate_EbsProperty{Encrypted: &encrypted, VolumeSize: jsii.Number(8)}}}
	}
	for name, data := range map[string]*awsec2.CfnLaunchTemplate_LaunchTemplateDataProperty{
		"NoIMDSv2":  {BlockDeviceMappings: disk(true)},
		"PlainDisk": {MetadataOptions: closed, BlockDeviceMappings: disk(false)},
		"NoDisk":    {MetadataOptions: closed},
		"KeyPair":   {MetadataOptions: closed, BlockDeviceMappings: disk(true), KeyName: jsii.String("k")},
	} {
		awsec2.NewCfnLaunchTemplate(s, id(name, "instances-are-closed"), &awsec2.CfnLaunchTemplateProps{LaunchTemplateData: data})
	}
	awsec2.NewCfnInstance(s, id("OpenInstance", "instances-are-closed"), &awsec2.CfnInstanceProps{InstanceType: jsii.String("t4g.nano")})
	awsec2.NewCfnVolume(s, id("PlainVolume", "disks-are-encrypted"), &awsec2.CfnVolumeProps{AvailabilityZone: awscdk.Fn_Select(jsii.Number(0), awscdk.Fn_GetAzs(nil)), Size: jsii.Number(1)})
	awss3.NewCfnBucket(s, id("OpenBucket", "buckets-are-private"), nil)
	for name, c := range map[string]struct {
		most    float64
		balance string
		public  string
	}{"TwoAtOnce": {200, "DISABLED", "DISABLED"}, "Balanced": {100, "ENABLED", "DISABLED"}, "PublicTask": {100, "DISABLED", "ENABLED"}} {
		awsecs.NewCfnService(s, id(name, "one-gitlab-at-a-time"), &awsecs.CfnServiceProps{
			TaskDefinition: jsii.String("x"), Cluster: jsii.String("x"), LaunchType: jsii.String("FARGATE"),
			DeploymentConfiguration:     &awsecs.CfnService_DeploymentConfigurationProperty{MaximumPercent: &c.most, MinimumHealthyPercent: jsii.Number(0)},
			AvailabilityZoneRebalancing: &c.balance,
			NetworkConfiguration: &awsecs.CfnService_NetworkConfigurationProperty{AwsvpcConfiguration: &awsecs.CfnService_AwsVpcConfigurationProperty{
				Subnets: jsii.Strings("subnet-0a1b2c3d"), AssignPublicIp: &c.public,
			}},
		})
	}
	awsautoscaling.NewCfnAutoScalingGroup(s, id("TwoHosts", "one-host-at-a-time"), &awsautoscaling.CfnAutoScalingGroupProps{MinSize: jsii.String("1"), MaxSize: jsii.String("2")})
	awsrds.NewCfnDBInstance(s, id("PublicDatabase", "databases-are-private"), &awsrds.CfnDBInstanceProps{DbInstanceClass: jsii.String("db.m7g.large"), Engine: jsii.String("postgres"), PubliclyAccessible: jsii.Bool(true)})
	for name, role := range map[string]*string{"NoTaskRole": nil, "OneRole": jsii.String("arn:aws:iam::123456789012:role/x-execution")} {
		props := &awsecs.CfnTaskDefinitionProps{Family: jsii.String("x"), ExecutionRoleArn: jsii.String("arn:aws:iam::123456789012:role/x-execution"), ContainerDefinitions: &[]any{
			&awsecs.CfnTaskDefinition_ContainerDefinitionProperty{Name: jsii.String("x"), Image: jsii.String("x:1")},
		}}
		if role != nil {
			props.TaskRoleArn = role
		}
		awsecs.NewCfnTaskDefinition(s, id(name, "tasks-have-two-roles"), props)
	}
	return want
}

// TestPromiseRules proves each rule by what breaks it: the synth must fail,
// and its report must name the rule beside the resource. That what is right
// passes, the tests of the profiles show.
func TestPromiseRules(t *testing.T) {
	app := stacks.NewApp()
	awscdk.Validations_Of(app).AddPlugins(promises.Plugin(false))
	want := broken(awscdk.NewStack(app, jsii.String("Stack"), nil))
	dir := *app.Outdir()
	defer os.RemoveAll(dir)
	if err := panics(func() { app.Synth(nil) }); err == nil {
		t.Fatal("the synth succeeds")
	}
	found := map[string]bool{}
	for _, f := range violations(t, dir) {
		rule, _, _ := strings.Cut(f.Text, ":")
		found[rule+" "+strings.TrimPrefix(f.Path, "Stack/")] = true
	}
	for id, rule := range want {
		if !found[rule+" "+id] {
			t.Errorf("%s passes %s", id, rule)
		}
	}
	t.Run("Guard", func(t *testing.T) {
		var ids []string
		for _, some := range guard(t, dir) {
			ids = append(ids, some...)
		}
		for id := range want {
			if !slices.Contains(ids, id) {
				t.Errorf("%s passes the rules of promises.guard", id)
			}
		}
	})
}

// panics turns CDK's way of failing into an error.
func panics(do func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("CDK: %v", p)
		}
	}()
	do()
	return nil
}

// TestPolicyFiles refuses what is not an IAM policy before CloudFormation does.
func TestPolicyFiles(t *testing.T) {
	dir := t.TempDir()
	for content, want := range map[string]string{"": "reading the policy of task \"default\"", "[]": "is not JSON", `{"Statement": {}}`: "has no list Statement"} {
		s := load(t, "small")
		s.Tasks[0].Policy = filepath.Join(dir, "policy.json")
		if content != "" {
			if err := os.WriteFile(s.Tasks[0].Policy, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		} else {
			s.Tasks[0].Policy = filepath.Join(dir, "none.json")
		}
		if _, err := trySynth(t, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", content, err)
		}
	}
}
