package stacks_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"

	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
	"github.com/fargate-driver/fargate-driver/infra/cdk/stacks"
	"github.com/fargate-driver/fargate-driver/infra/cdk/template"
)

//lint:file-ignore SA1019 the assertions module returns the type of messages that CDK moves elsewhere

// finding is what a gate says about a construct or a resource.
type finding struct{ Path, Text string }

// judge synthesises settings as the app's command does, and returns what it
// wrote, the directory of that, and what the gates said: CDK's validator with
// the promises, and cdk-nag.
func judge(t *testing.T, s settings.Settings, promises awscdk.IPolicyValidationPlugin) (d template.Deployment, dir string, found []finding) {
	t.Helper()
	app := newApp(t)
	awscdk.Validations_Of(app).AddPlugins(promises)
	if _, err := stacks.Add(app, inputs(s)); err != nil {
		t.Fatal(err)
	}
	if err := panics(func() { app.Synth(nil) }); err != nil {
		t.Fatal(err)
	}
	dir = *app.Outdir()
	d, err := template.Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d, dir, append(violations(t, dir), nag(t, s)...)
}

// newApp makes an app whose output goes with the test.
func newApp(t *testing.T) awscdk.App {
	app := stacks.NewApp()
	t.Cleanup(func() { os.RemoveAll(*app.Outdir()) })
	return app
}

// violations are what the validator reported, mere warnings too.
func violations(t *testing.T, dir string) []finding {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "validation-report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		PluginReports []struct {
			Violations []struct {
				RuleName, Description string
				ViolatingConstructs   []struct{ ConstructPath string }
			}
		}
	}
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	var all []finding
	for _, plugin := range report.PluginReports {
		for _, v := range plugin.Violations {
			for _, c := range v.ViolatingConstructs {
				all = append(all, finding{c.ConstructPath, v.RuleName + ": " + v.Description})
			}
		}
	}
	return all
}

// nag runs AWS's solution checks. Its errors would end the synth that judge
// looks at, so it has one of its own.
func nag(t *testing.T, s settings.Settings) []finding {
	t.Helper()
	app := newApp(t)
	if _, err := stacks.Add(app, inputs(s)); err != nil {
		t.Fatal(err)
	}
	awscdk.Aspects_Of(app).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Reports: jsii.Bool(false)}), nil)
	var all []finding
	for _, child := range *app.Node().Children() {
		stack, isStack := child.(awscdk.Stack)
		if !isStack {
			continue
		}
		annotations, any := assertions.Annotations_FromStack(stack), jsii.String("*")
		rules := assertions.Match_StringLikeRegexp(jsii.String("AwsSolutions-.*"))
		for _, m := range append(*annotations.FindError(any, rules), *annotations.FindWarning(any, rules)...) {
			all = append(all, finding{strings.TrimPrefix(*m.Id, "/"), m.Entry.Data.(string)})
		}
	}
	return all
}
