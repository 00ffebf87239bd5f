// Package guard holds what no template of this app may ever contain, as
// CloudFormation Guard rules. They are checked at each synth; a template that
// breaks one is an error.
package guard

import (
	_ "embed"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

//go:embed promises.guard
var promises string

//go:embed closed.guard
var closed string

// Add has an app checked by these rules. open leaves out those against
// connections from the whole internet.
func Add(app awscdk.App, open bool) {
	rules := []*awscdk.ValidationRuleSource{{Name: jsii.String("promises"), Content: &promises}}
	if !open {
		rules = append(rules, &awscdk.ValidationRuleSource{Name: jsii.String("closed"), Content: &closed})
	}
	awscdk.Validations_Of(app).AddPlugins(awscdk.NewCloudFormationValidatePlugin(&awscdk.CloudFormationValidatePluginProps{
		IncludeDefaultRules: jsii.Bool(false), // they run by themselves
		GuardRules:          &rules,
	}))
}
