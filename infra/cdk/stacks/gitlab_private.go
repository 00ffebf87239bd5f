package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53targets"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
)

// addPrivate makes a second, internal way to GitLab for the manager and jobs.
// It has the same host name: a private hosted zone of exactly that name, so
// that every other name of the domain resolves as before.
func (g *GitLab) addPrivate(e entry) elb.ApplicationTargetGroup {
	balancer := elb.NewApplicationLoadBalancer(g.stack, jsii.String("Private"), &elb.ApplicationLoadBalancerProps{
		Vpc: g.network.VPC, VpcSubnets: g.network.privateSelection(), InternetFacing: jsii.Bool(false),
		SecurityGroup: g.network.Groups[access.Private], IdleTimeout: awscdk.Duration_Seconds(jsii.Number(g.s.Entry.Idle)),
		DropInvalidHeaderFields: jsii.Bool(true), DeletionProtection: jsii.Bool(g.s.Data == "retain"), DesyncMitigationMode: elb.DesyncMitigationMode_DEFENSIVE,
	})
	balancer.LogAccessLogs(g.accessLogs, jsii.String("private"))
	targets := g.webTargets("PrivateTargets", e)
	g.addHTTPS(e, balancer, targets)
	zone := awsroute53.NewPrivateHostedZone(g.stack, jsii.String("PrivateZone"), &awsroute53.PrivateHostedZoneProps{ZoneName: &g.s.Entry.Domain, Vpc: g.network.VPC})
	awsroute53.NewARecord(g.stack, jsii.String("PrivateRecord"), &awsroute53.ARecordProps{
		Zone: zone, Target: awsroute53.RecordTarget_FromAlias(awsroute53targets.NewLoadBalancerTarget(balancer, nil)),
	})
	return targets
}
