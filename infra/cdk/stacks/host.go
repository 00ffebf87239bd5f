package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsautoscaling"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/render"
)

// host is an Auto Scaling group of one: an instance that is replaced when it
// dies. One that still drains may have its successor beside it already.
type host struct {
	id, name     string // construct, and the group's name
	profile      string // ARN
	group        string // security group
	instanceType string
	rootGiB      int
	userData     string
	subnets      []string
	targets      []string // target group ARNs
	drains       bool     // the instance ends its work before it goes
	partTag      string
	first        []awscdk.CfnResource // what must be there before its first boot
}

// bootMinutes is how long a host's first boot may take: GitLab's waits up to
// ten minutes for its disk, and the network may be as young as the host.
const bootMinutes = 25

// report is where a host reports how its first boot went.
func (p part) report(id string) render.Report {
	return render.Report{Stack: *p.stack.StackName(), Resource: groupID(id)}
}

func groupID(id string) string { return id + "Group" }

// drainHook is the name of the lifecycle hook of a host that drains.
const drainHook = "drain"

// drainHeartbeat is how many seconds Auto Scaling waits for a sign of life.
const drainHeartbeat = 3600

func (p part) host(h host) awsautoscaling.CfnAutoScalingGroup {
	template := awsec2.NewCfnLaunchTemplate(p.stack, jsii.String(h.id+"Template"), &awsec2.CfnLaunchTemplateProps{
		LaunchTemplateName: &h.name,
		LaunchTemplateData: &awsec2.CfnLaunchTemplate_LaunchTemplateDataProperty{
			ImageId:            jsii.String(image(h.instanceType)),
			InstanceType:       &h.instanceType,
			IamInstanceProfile: &awsec2.CfnLaunchTemplate_IamInstanceProfileProperty{Arn: &h.profile},
			SecurityGroupIds:   list(h.group),
			UserData:           awscdk.Fn_Base64(&h.userData),
			// A hop limit of one keeps containers with a network of their own
			// away from the instance's role.
			MetadataOptions: &awsec2.CfnLaunchTemplate_MetadataOptionsProperty{HttpTokens: jsii.String("required"), HttpPutResponseHopLimit: jsii.Number(1), HttpEndpoint: jsii.String("enabled")},
			BlockDeviceMappings: &[]any{&awsec2.CfnLaunchTemplate_BlockDeviceMappingProperty{
				DeviceName: jsii.String("/dev/xvda"),
				Ebs: &awsec2.CfnLaunchTemplate_EbsProperty{
					Encrypted: jsii.Bool(true), VolumeType: jsii.String("gp3"), VolumeSize: jsii.Number(h.rootGiB), DeleteOnTermination: jsii.Bool(true),
				},
			}},
			Monitoring: &awsec2.CfnLaunchTemplate_MonitoringProperty{Enabled: jsii.Bool(true)},
		},
	})
	awscdk.Validations_Of(template).Acknowledge(&awscdk.Acknowledgment{
		Id: jsii.String("CloudFormation-Validate::E1152"), Reason: jsii.String("EC2 itself looks up resolve:ssm: in a launch template as an instance starts"),
	})
	props := &awsautoscaling.CfnAutoScalingGroupProps{
		AutoScalingGroupName: &h.name,
		MinSize:              jsii.String("1"), MaxSize: jsii.String("1"),
		LaunchTemplate: &awsautoscaling.CfnAutoScalingGroup_LaunchTemplateSpecificationProperty{
			LaunchTemplateId: template.Ref(), Version: template.AttrLatestVersionNumber(),
		},
		VpcZoneIdentifier:      anys(h.subnets...),
		HealthCheckType:        jsii.String("EC2"),
		HealthCheckGracePeriod: jsii.Number(300),
		MetricsCollection:      &[]any{&awsautoscaling.CfnAutoScalingGroup_MetricsCollectionProperty{Granularity: jsii.String("1Minute")}},
		Tags: &[]*awsautoscaling.CfnAutoScalingGroup_TagPropertyProperty{
			{Key: jsii.String("Name"), Value: &h.name, PropagateAtLaunch: jsii.Bool(true)},
			{Key: jsii.String("fargate-driver:part"), Value: &h.partTag, PropagateAtLaunch: jsii.Bool(true)},
		},
	}
	if len(h.targets) > 0 {
		props.TargetGroupArns = anys(h.targets...)
	}
	if h.drains {
		props.LifecycleHookSpecificationList = &[]any{&awsautoscaling.CfnAutoScalingGroup_LifecycleHookSpecificationProperty{
			LifecycleHookName: jsii.String(drainHook), LifecycleTransition: jsii.String("autoscaling:EC2_INSTANCE_TERMINATING"),
			// The host sends a sign of life every half hour while it drains; one
			// that is dead is given up after this time.
			HeartbeatTimeout: jsii.Number(drainHeartbeat), DefaultResult: jsii.String("CONTINUE"),
		}}
	}
	group := awsautoscaling.NewCfnAutoScalingGroup(p.stack, jsii.String(groupID(h.id)), props)
	for _, r := range h.first {
		group.AddResourceDependency(r, nil)
	}
	// A host whose first boot fails, or that is not heard of, fails the
	// deployment.
	timeout := jsii.String(fmt.Sprintf("PT%dM", bootMinutes))
	group.CfnOptions().SetCreationPolicy(&awscdk.CfnCreationPolicy{ResourceSignal: &awscdk.CfnResourceSignal{Count: jsii.Number(1), Timeout: timeout}})
	// The old instance is told to end before the new one is asked for; whether
	// Auto Scaling waits for its end is not promised. GitLab's disk holds its new
	// host back, and a manager leaves alone what another one has started.
	group.CfnOptions().SetUpdatePolicy(&awscdk.CfnUpdatePolicy{AutoScalingRollingUpdate: &awscdk.CfnAutoScalingRollingUpdate{
		MaxBatchSize: jsii.Number(1), MinInstancesInService: jsii.Number(0),
		WaitOnResourceSignals: jsii.Bool(true), PauseTime: timeout,
		SuspendProcesses: list("HealthCheck", "ReplaceUnhealthy", "AZRebalance", "AlarmNotification", "ScheduledActions"),
	}, AutoScalingScheduledAction: &awscdk.CfnAutoScalingScheduledAction{IgnoreUnmodifiedGroupSizeProperties: jsii.Bool(true)}})
	return group
}

func anys(all ...string) *[]any {
	out := make([]any, len(all))
	for i := range all {
		out[i] = &all[i]
	}
	return &out
}
