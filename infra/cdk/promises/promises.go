// Package promises holds what no template of this app may ever contain. The
// validator that comes with CDK checks it at each synth; a template that
// breaks a promise is an error.
package promises

import (
	_ "embed"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

//go:embed promises.rego
var rules string

// Add has an app held to the promises. openToWorld is for settings that let
// the whole internet in on purpose.
func Add(app awscdk.App, openToWorld bool) {
	text := rules
	if openToWorld {
		text = strings.ReplaceAll(text, `"0.0.0.0/0"`, `"entry.open_to_the_world"`)
	}
	awscdk.Validations_Of(app).AddPlugins(awscdk.NewCloudFormationValidatePlugin(&awscdk.CloudFormationValidatePluginProps{
		IncludeDefaultRules: jsii.Bool(false), // they run by themselves
		RegoRules:           &[]*awscdk.ValidationRuleSource{{Name: jsii.String("promises"), Content: &text}},
	}))
}
