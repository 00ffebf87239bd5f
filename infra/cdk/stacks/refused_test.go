package stacks_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsrds"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/promises"
	"github.com/fargate-driver/fargate-driver/infra/cdk/stacks"
)

// broken has, for each rule of package promises, resources that break it in one way each.
func broken() []struct {
	rule string
	add  func(awscdk.Stack)
} {
	world := jsii.String("0.0.0.0/0")
	template := func(data *awsec2.CfnLaunchTemplate_LaunchTemplateDataProperty) func(awscdk.Stack) {
		return func(s awscdk.Stack) {
			awsec2.NewCfnLaunchTemplate(s, jsii.String("Bad"), &awsec2.CfnLaunchTemplateProps{LaunchTemplateData: data})
		}
	}
	closed := &awsec2.CfnLaunchTemplate_MetadataOptionsProperty{HttpTokens: jsii.String("required")}
	disk := func(encrypted bool) *[]any {
		return &[]any{&awsec2.CfnLaunchTemplate_BlockDeviceMappingProperty{DeviceName: jsii.String("/dev/xvda"), Ebs: &awsec2.CfnLaunchTemplate_EbsProperty{Encrypted: &encrypted, VolumeSize: jsii.Number(8)}}}
	}
	service := func(most float64, rebalancing string) func(awscdk.Stack) {
		return func(s awscdk.Stack) {
			awsecs.NewCfnService(s, jsii.String("Bad"), &awsecs.CfnServiceProps{
				TaskDefinition: jsii.String("x"), Cluster: jsii.String("x"), LaunchType: jsii.String("FARGATE"),
				DeploymentConfiguration:     &awsecs.CfnService_DeploymentConfigurationProperty{MaximumPercent: &most, MinimumHealthyPercent: jsii.Number(0)},
				AvailabilityZoneRebalancing: &rebalancing,
				NetworkConfiguration: &awsecs.CfnService_NetworkConfigurationProperty{AwsvpcConfiguration: &awsecs.CfnService_AwsVpcConfigurationProperty{
					Subnets: list("subnet-0a1b2c3d"), AssignPublicIp: jsii.String("DISABLED"),
				}},
			})
		}
	}
	return []struct {
		rule string
		add  func(awscdk.Stack)
	}{
		{"", func(s awscdk.Stack) {
			template(&awsec2.CfnLaunchTemplate_LaunchTemplateDataProperty{MetadataOptions: closed, BlockDeviceMappings: disk(true)})(s)
		}},
		{"promise-nobody-lets-the-world-in", func(s awscdk.Stack) {
			awsec2.NewCfnSecurityGroup(s, jsii.String("Bad"), &awsec2.CfnSecurityGroupProps{GroupDescription: jsii.String("x"), SecurityGroupIngress: &[]any{
				&awsec2.CfnSecurityGroup_IngressProperty{IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(22), ToPort: jsii.Number(22), CidrIp: world},
			}})
		}},
		{"promise-nobody-lets-the-world-in", func(s awscdk.Stack) {
			awsec2.NewCfnSecurityGroupIngress(s, jsii.String("Bad"), &awsec2.CfnSecurityGroupIngressProps{GroupId: jsii.String("sg-0a1b2c3d"), IpProtocol: jsii.String("tcp"), FromPort: jsii.Number(22), ToPort: jsii.Number(22), CidrIp: world})
		}},
		{"promise-instances-are-closed", template(&awsec2.CfnLaunchTemplate_LaunchTemplateDataProperty{BlockDeviceMappings: disk(true)})},
		{"promise-instances-are-closed", template(&awsec2.CfnLaunchTemplate_LaunchTemplateDataProperty{MetadataOptions: closed, BlockDeviceMappings: disk(false)})},
		{"promise-instances-are-closed", template(&awsec2.CfnLaunchTemplate_LaunchTemplateDataProperty{MetadataOptions: closed, BlockDeviceMappings: disk(true), KeyName: jsii.String("k")})},
		{"promise-disks-are-encrypted", func(s awscdk.Stack) {
			awsec2.NewCfnVolume(s, jsii.String("Bad"), &awsec2.CfnVolumeProps{AvailabilityZone: awscdk.Fn_Select(jsii.Number(0), awscdk.Fn_GetAzs(nil)), Size: jsii.Number(1)})
		}},
		{"promise-buckets-are-private", func(s awscdk.Stack) { awss3.NewCfnBucket(s, jsii.String("Bad"), nil) }},
		{"promise-one-gitlab-at-a-time", service(200, "DISABLED")},
		{"promise-one-gitlab-at-a-time", service(100, "ENABLED")},
		{"promise-databases-are-private", func(s awscdk.Stack) {
			awsrds.NewCfnDBInstance(s, jsii.String("Bad"), &awsrds.CfnDBInstanceProps{DbInstanceClass: jsii.String("db.m7g.large"), Engine: jsii.String("postgres"), PubliclyAccessible: jsii.Bool(true)})
		}},
		{"promise-tasks-have-two-roles", func(s awscdk.Stack) {
			awsecs.NewCfnTaskDefinition(s, jsii.String("Bad"), &awsecs.CfnTaskDefinitionProps{Family: jsii.String("x"), ContainerDefinitions: &[]any{
				&awsecs.CfnTaskDefinition_ContainerDefinitionProperty{Name: jsii.String("x"), Image: jsii.String("x:1")},
			}})
		}},
	}
}

// TestPromiseRules proves each rule by what breaks it: the synth must fail, and
// the report must name the rule.
func TestPromiseRules(t *testing.T) {
	for _, c := range broken() {
		t.Run(c.rule, func(t *testing.T) {
			app := stacks.NewApp()
			promises.Add(app, false)
			c.add(awscdk.NewStack(app, jsii.String("Stack"), nil))
			dir := *app.Outdir()
			defer os.RemoveAll(dir)
			err := panics(func() { app.Synth(nil) })
			if (err != nil) != (c.rule != "") {
				t.Fatalf("the synth says %v", err)
			}
			if c.rule == "" {
				return
			}
			report, err := os.ReadFile(filepath.Join(dir, "validation-report.json"))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(report), `"`+c.rule+`"`) {
				t.Errorf("the report does not name the rule: %s", report)
			}
		})
	}
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

func list(all ...string) *[]*string { return jsii.Strings(all...) }

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
		if _, err := trySynth(t, s, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", content, err)
		}
	}
}
