package stacks_test

//lint:file-ignore SA1019 the assertions module returns the type of messages that CDK moves elsewhere

import (
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"github.com/fargate-driver/fargate-driver/infra/cdk/stacks"
)

// accepted is a rule of cdk-nag that does not hold here, where, and why that
// is right. An entry that no profile needs any more fails the test too.
type accepted struct{ rule, path, why string }

func acceptedFindings() []accepted {
	return []accepted{
		{"AwsSolutions-IAM5", "", "each wildcard has its reason in package access, which TestPromises holds the templates to"},
		{"AwsSolutions-IAM4", "/GitLab/BackupRole", "AWS Backup's own policies, which AWS extends as the service grows"},
		{"AwsSolutions-S1", "/GitLab/AccessLogs", "it is the bucket of access logs itself"},
		{"AwsSolutions-S1", "/Runners/Cache", "caches go after days; who reads them is in the job logs"},
		{"AwsSolutions-S1", "/Builds/Source", "sources of builds go after days; CodeBuild's history says who read them"},
		{"AwsSolutions-AEC5", "/GitLab/Redis", "the standard port; reached by GitLab's group alone, with TLS and a password"},
		{"AwsSolutions-RDS11", "/GitLab/Database", "the standard port; reached by GitLab's group alone, with TLS"},
		{"AwsSolutions-SMG4", "/GitLab/", "GitLab reads its passwords as it starts; a rotation behind its back would lock it out"},
		{"AwsSolutions-AS3", "", "a group of one: the alarms Manager-Down and GitLab-Unhealthy tell what matters"},
		{"AwsSolutions-ECS2", "", "the plain variables hold no secret, which TestPromises checks"},
		{"AwsSolutions-ECS4", "/Runners/Cluster", "Container Insights bills every job's task; jobs have logs of their own"},
		{"AwsSolutions-CB4", "/Builds/BuildProject", "small uses the keys that AWS manages"},
		{"AwsSolutions-VPC7", "/Network/Vpc", "small has no flow logs"},
		{"AwsSolutions-EC28", "/Network/Vpc", "detailed monitoring of a NAT instance of a demo"},
		{"AwsSolutions-EC29", "/Network/Vpc", "the NAT instance keeps nothing, and must go with its stack"},
		{"CdkNagValidationFailure[AwsSolutions-EC23]", "/Network/Group-", "cdk-nag cannot read a NAT's address before it exists; the rules of package promises and TestPromises do"},
	}
}

// TestNag runs AWS's solution checks over the profiles.
func TestNag(t *testing.T) {
	needed := map[accepted]bool{}
	for _, profile := range profiles() {
		_, err := trySynth(t, load(t, profile), func(app awscdk.App, _ stacks.Stacks) {
			awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Reports: jsii.Bool(false)}), nil)
			for _, child := range *app.Node().Children() {
				stack, isStack := child.(awscdk.Stack)
				if !isStack {
					continue
				}
				annotations, any := assertions.Annotations_FromStack(stack), jsii.String("*")
				rules := assertions.Match_StringLikeRegexp(jsii.String("AwsSolutions-.*"))
				for _, m := range append(*annotations.FindError(any, rules), *annotations.FindWarning(any, rules)...) {
					text := m.Entry.Data.(string)
					a, ok := accept(text, *m.Id)
					if !ok {
						t.Errorf("%s: %s: %s", profile, *m.Id, text)
					}
					needed[a] = true
				}
			}
		})
		// Errors of cdk-nag make the synth fail; they are what was read above.
		if err != nil && !strings.Contains(err.Error(), "Found errors") {
			t.Error(err)
		}
	}
	for _, a := range acceptedFindings() {
		if !needed[a] {
			t.Errorf("%s at %q is accepted, and nothing breaks it: take it out", a.rule, a.path)
		}
	}
}

func accept(text, path string) (accepted, bool) {
	for _, a := range acceptedFindings() {
		if strings.HasPrefix(text, a.rule) && strings.HasPrefix(path, a.path) {
			return a, true
		}
	}
	return accepted{}, false
}
