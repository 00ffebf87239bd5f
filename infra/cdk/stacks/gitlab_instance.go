package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsbackup"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
	"github.com/fargate-driver/fargate-driver/infra/cdk/render"
)

// addInstance makes GitLab on EC2: an instance that may die, and a disk that
// may not. The disk has one host at a time, so there is never a second GitLab.
func (g *GitLab) addInstance(image, registry string, logs awscdk.CfnResource) {
	n := g.network
	subnet := n.private()[0] // a disk lives in one zone, and its host with it
	volume := awsec2.NewCfnVolume(g.stack, jsii.String("Data"), &awsec2.CfnVolumeProps{
		AvailabilityZone: n.zone(subnet), Size: jsii.Number(g.s.GitLab.DiskGiB), VolumeType: jsii.String("gp3"), Encrypted: jsii.Bool(true),
		Tags: &[]*awscdk.CfnTag{{Key: jsii.String("Name"), Value: jsii.String(g.name("gitlab-data"))}, {Key: jsii.String("fargate-driver:part"), Value: jsii.String(g.name("gitlab"))}},
	})
	if n.Key != nil {
		volume.SetKmsKeyId(n.Key.KeyArn())
	}
	volume.ApplyRemovalPolicy(g.keep(), nil)
	if g.s.Network.VPC != "" {
		awscdk.Validations_Of(volume).Acknowledge(&awscdk.Acknowledgment{
			Id: jsii.String("CloudFormation-Validate::W3010"), Reason: jsii.String("the zone of a subnet that the settings name"),
		})
	}
	g.scope.Volume, g.scope.AutoScaling = *volume.Ref(), g.name("gitlab")

	userData := render.GitLabUserData(g.s, render.GitLabHost{
		Volume: *volume.Ref(), Omnibus: g.omnibus, Image: image, Login: registry, Secrets: g.secrets, LogGroup: "/" + g.s.Name + "/gitlab", Report: g.report("Instance"),
	})
	targets := []string{*g.entry.targets.TargetGroupArn()}
	if g.entry.private != nil {
		targets = append(targets, *g.entry.private.TargetGroupArn())
	}
	if g.entry.ssh != nil {
		targets = append(targets, *g.entry.ssh.TargetGroupArn())
	}
	role := g.role("InstanceRole", access.InstanceRole(g.scope))
	g.host(host{
		id: "Instance", name: g.name("gitlab"), profile: g.instanceProfile("InstanceProfile", role), group: n.groupID(access.GitLab),
		instanceType: g.s.GitLab.InstanceType, rootGiB: 40, // the image is 4 GB, and Docker unpacks it
		userData: userData, subnets: []string{*subnet.SubnetId()}, targets: targets, partTag: g.name("gitlab"), first: []awscdk.CfnResource{logs},
	})
	g.addBackup(g.place.ARN("ec2", "volume/"+*volume.Ref()))
	g.output("Shell", "aws ssm start-session --region "+g.s.Region+" --target $(aws autoscaling describe-auto-scaling-groups --region "+g.s.Region+
		" --auto-scaling-group-names "+g.name("gitlab")+" --query AutoScalingGroups[0].Instances[0].InstanceId --output text)", "A shell on GitLab's host; there: sudo docker exec -it gitlab bash")
}

// addBackup copies GitLab's disk each night.
func (g *GitLab) addBackup(resource string) {
	if g.s.GitLab.BackupDays == 0 {
		return
	}
	props := &awsbackup.BackupVaultProps{BackupVaultName: jsii.String(g.name("gitlab")), RemovalPolicy: g.keep()}
	if g.network.Key != nil {
		props.EncryptionKey = g.network.Key
	}
	vault := awsbackup.NewBackupVault(g.stack, jsii.String("Vault"), props)
	plan := awsbackup.NewBackupPlan(g.stack, jsii.String("BackupPlan"), &awsbackup.BackupPlanProps{
		BackupPlanName: jsii.String(g.name("gitlab")),
		BackupPlanRules: &[]awsbackup.BackupPlanRule{awsbackup.NewBackupPlanRule(&awsbackup.BackupPlanRuleProps{
			RuleName: jsii.String("nightly"), BackupVault: vault,
			ScheduleExpression: awsevents.Schedule_Cron(&awsevents.CronOptions{Hour: jsii.String("17"), Minute: jsii.String("0")}),
			StartWindow:        awscdk.Duration_Hours(jsii.Number(1)), CompletionWindow: awscdk.Duration_Hours(jsii.Number(8)),
			DeleteAfter: awscdk.Duration_Days(jsii.Number(g.s.GitLab.BackupDays)),
		})},
	})
	role := g.backupRole()
	awsbackup.NewCfnBackupSelection(g.stack, jsii.String("BackupSelection"), &awsbackup.CfnBackupSelectionProps{
		BackupPlanId: plan.BackupPlanId(),
		BackupSelection: &awsbackup.CfnBackupSelection_BackupSelectionResourceTypeProperty{
			SelectionName: jsii.String(g.name("gitlab")), IamRoleArn: role.AttrArn(), Resources: list(resource),
		},
	})
	g.alarmOnMissingBackup(*vault.BackupVaultName())
}

func (g *GitLab) backupRole() awsiam.CfnRole {
	role := g.role("BackupRole", access.BackupRole())
	var policies []string
	for _, p := range access.BackupPolicies() {
		policies = append(policies, "arn:"+g.place.Partition+":iam::aws:policy/"+p)
	}
	role.SetManagedPolicyArns(list(policies...))
	return role
}
