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

// Plugin is the validator that holds apps to the promises, for
// awscdk.Validations_Of(app).AddPlugins. openToWorld is for settings that let
// the whole internet in on purpose. It is made once for many apps: each one
// takes seconds and hundreds of megabytes.
func Plugin(openToWorld bool) awscdk.CloudFormationValidatePlugin {
	text := rules
	if openToWorld {
		text = strings.ReplaceAll(text, `"0.0.0.0/0"`, `"entry.open_to_the_world"`)
	}
	return awscdk.NewCloudFormationValidatePlugin(&awscdk.CloudFormationValidatePluginProps{
		IncludeDefaultRules: jsii.Bool(false), // they run by themselves
		RegoRules:           &[]*awscdk.ValidationRuleSource{{Name: jsii.String("promises"), Content: &text}},
	})
}
