// Package stacks turns settings into CloudFormation: four stacks with plain
// names, wired by a page of code. What a role may do and who may talk to whom
// is decided in package access, what hosts read in package render; here they
// only become resources.
package stacks

import (
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
)

// Inputs is what the stacks need besides the settings.
type Inputs struct {
	Settings settings.Settings
	// SettingsDir is the directory of the settings file: policy files are
	// relative to it.
	SettingsDir string
	// Programs is the directory with fargate-driver and fargate-driver-run,
	// static, for the manager's architecture.
	Programs string
}

// Stacks are the stacks of a deployment; GitLab and Builds are nil where the
// settings do without them.
type Stacks struct {
	Network *Network
	GitLab  *GitLab
	Builds  *Builds
	Runners *Runners
}

// NewApp makes an app with the choices that its templates depend on. They are
// here and not in cdk.json, so that a template is the same however it is made.
func NewApp() awscdk.App {
	return awscdk.NewApp(&awscdk.AppProps{
		AnalyticsReporting: jsii.Bool(false),
		PostCliContext: &map[string]any{
			// CloudFormation's own validation is an error here, not a warning.
			"@aws-cdk/core:validateAgainstDefaultRules": true,
			"@aws-cdk/core:enablePartitionLiterals":     true,
			// A stack cannot take away what another one still uses.
			"@aws-cdk/core:defaultCrossStackReferences": "strong",
			// S3 writes access logs by a bucket policy; ACLs are off.
			"@aws-cdk/aws-s3:serverAccessLogsUseBucketPolicy": true,
		},
	})
}

// Add puts everything into an app.
func Add(app awscdk.App, in Inputs) (Stacks, error) {
	var s Stacks
	s.Network = newNetwork(app, in)
	url := in.Settings.GitLab.URL
	if in.Settings.GitLab.Compute != "none" {
		s.GitLab = newGitLab(app, in, s.Network)
		url = s.GitLab.URL
	}
	if in.Settings.Builds.Enabled {
		s.Builds = newBuilds(app, in, s.Network)
	}
	var err error
	if s.Runners, err = newRunners(app, in, s.Network, s.Builds, url); err != nil {
		return Stacks{}, err
	}
	addDashboard(s.Runners.stack, in.Settings, s)

	addTags(app, in.Settings)
	return s, nil
}

// addTags tags every resource. Two types are left out, because not every
// edition of CloudFormation's schemas lets them have tags.
func addTags(app awscdk.App, s settings.Settings) {
	tags := awscdk.Tags_Of(app)
	props := &awscdk.TagProps{ExcludeResourceTypes: list("AWS::ElasticLoadBalancingV2::Listener", "AWS::CloudWatch::Dashboard")}
	tags.Add(jsii.String("fargate-driver:deployment"), &s.Name, props)
	// A map has no order of its own, and a template must.
	for _, name := range slices.Sorted(maps.Keys(s.Tags)) {
		tags.Add(&name, jsii.String(s.Tags[name]), props)
	}
}

// part is what every stack is made of.
type part struct {
	stack awscdk.Stack
	in    Inputs
	s     settings.Settings
	place access.Place
}

func newPart(scope constructs.Construct, in Inputs, id, description string) part {
	s := in.Settings
	stack := awscdk.NewStack(scope, &id, &awscdk.StackProps{
		StackName:   jsii.String(s.Name + "-" + lower(id)),
		Description: &description,
		// The account is that of the credentials at `cdk deploy`, so that the
		// same settings give the same template wherever they are synthesised.
		Env:                   &awscdk.Environment{Region: &s.Region},
		TerminationProtection: jsii.Bool(s.Data == "retain"),
		AnalyticsReporting:    jsii.Bool(false),
	})
	if s.PermissionsBoundary != "" {
		// On the stack and not on each role: CDK makes one too, for a NAT instance.
		awsiam.PermissionsBoundary_Of(stack).Apply(awsiam.ManagedPolicy_FromManagedPolicyName(stack, jsii.String("Boundary"), &s.PermissionsBoundary))
	}
	return part{stack: stack, in: in, s: s, place: access.Place{
		Partition: *awscdk.Aws_PARTITION(), Region: s.Region, Account: *awscdk.Aws_ACCOUNT_ID(),
	}}
}

// name is the full name of something in this deployment.
func (p part) name(suffix string) string { return p.s.Name + "-" + suffix }

// keep is what happens to data when its stack is destroyed. What a deployment
// made that then failed is empty, and would be in the way of the next.
func (p part) keep() awscdk.RemovalPolicy {
	if p.s.Data == "retain" {
		return awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE
	}
	return awscdk.RemovalPolicy_DESTROY
}

// output is a line that `cdk deploy` prints.
func (p part) output(id, value, description string) {
	awscdk.NewCfnOutput(p.stack, &id, &awscdk.CfnOutputProps{Value: &value, Description: &description})
}

func lower(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] >= 'A' && b[i] <= 'Z' {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

func list(all ...string) *[]*string { return jsii.Strings(all...) }
