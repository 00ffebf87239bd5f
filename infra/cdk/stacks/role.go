package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
)

// role makes a role of exactly what package access says. Nothing here uses
// CDK's grants, which give more than they are asked for.
func (p part) role(id string, r access.Role, more ...awsiam.PolicyDocument) awsiam.CfnRole {
	policies := []any{}
	if len(r.Statements) > 0 {
		policies = append(policies, &awsiam.CfnRole_PolicyProperty{PolicyName: jsii.String("access"), PolicyDocument: document(r.Statements)})
	}
	for _, d := range more {
		policies = append(policies, &awsiam.CfnRole_PolicyProperty{PolicyName: jsii.String("settings"), PolicyDocument: d})
	}
	props := &awsiam.CfnRoleProps{
		RoleName:    jsii.String(p.name(r.Name)),
		Description: &r.Why,
		AssumeRolePolicyDocument: awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &[]awsiam.PolicyStatement{
			awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
				Actions:    list("sts:AssumeRole"),
				Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(&r.Service, nil)},
				Conditions: p.ownAccountOnly(r.Service),
			}),
		}}),
	}
	if len(policies) > 0 {
		props.Policies = policies
	}
	return awsiam.NewCfnRole(p.stack, &id, props)
}

// ownAccountOnly keeps a service from taking the role on behalf of somebody
// else's account. EC2 does not send the key, and of AWS Backup it is nowhere
// written for roles: were it missing, no backup would ever be made. Both take a
// role only where somebody of this account passed it.
func (p part) ownAccountOnly(service string) *map[string]any {
	if service == "ec2.amazonaws.com" || service == "backup.amazonaws.com" {
		return nil
	}
	return &map[string]any{"StringEquals": map[string]string{"aws:SourceAccount": p.place.Account}}
}

// roleARN is the ARN of a role before it exists, by its name: roles that name
// each other would otherwise be a circle.
func (p part) roleARN(name string) string {
	return "arn:" + p.place.Partition + ":iam::" + p.place.Account + ":role/" + p.name(name)
}

func document(statements []access.Statement) awsiam.PolicyDocument {
	all := make([]awsiam.PolicyStatement, len(statements))
	for i, s := range statements {
		conditions := map[string]any{}
		for _, c := range s.Conditions {
			keys, ok := conditions[c.Operator].(map[string]any)
			if !ok {
				keys = map[string]any{}
				conditions[c.Operator] = keys
			}
			keys[c.Key] = c.Values
			if len(c.Values) == 1 {
				keys[c.Key] = c.Values[0]
			}
		}
		all[i] = awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid: &s.Sid, Actions: list(s.Actions...), Resources: list(s.Resources...), Conditions: &conditions,
		})
	}
	// Minimising would merge statements and drop their names.
	return awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &all, Minimize: jsii.Bool(false)})
}

// instanceProfile lets an EC2 instance have a role.
func (p part) instanceProfile(id string, role awsiam.CfnRole) string {
	profile := awsiam.NewCfnInstanceProfile(p.stack, &id, &awsiam.CfnInstanceProfileProps{Roles: &[]any{role.Ref()}})
	return *awscdk.Token_AsString(profile.AttrArn(), nil)
}
