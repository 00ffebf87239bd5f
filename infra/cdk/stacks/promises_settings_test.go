package stacks_test

import (
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
	"github.com/fargate-driver/fargate-driver/infra/cdk/template"
)

// settingsTakeEffect has what a setting asks for in the templates, and nothing
// of it where the setting does not ask.
func settingsTakeEffect(t *testing.T, v made) {
	own := v.s.GitLab.Compute != "none"
	for _, c := range []struct {
		what       string
		want       bool
		kind, text string // some resource of the kind has the text
	}{
		{what: "Git over SSH", want: own && v.s.Entry.SSH != "none", kind: "AWS::ElasticLoadBalancingV2::LoadBalancer", text: `"Type":"network"`},
		{what: "the web behind the network load balancer", want: own && v.s.Entry.SSH == "in-front", kind: "AWS::ElasticLoadBalancingV2::TargetGroup", text: `"TargetType":"alb"`},
		{what: "the second entry's name", want: own && v.s.Entry.Private, kind: "AWS::Route53::HostedZone", text: `"VPCs"`},
		{what: "a certificate by DNS", want: own && v.s.Entry.HostedZone != "" && v.s.Entry.Certificate == "", kind: "AWS::CertificateManager::Certificate", text: `"ValidationMethod":"DNS"`},
		{what: "the redirect", want: own && !v.s.Entry.PlainHTTP && v.s.Entry.SSH != "in-front", kind: "AWS::ElasticLoadBalancingV2::Listener", text: `"redirect"`},
		{what: "a web ACL", want: own && v.s.Entry.WebACL != "", kind: "AWS::WAFv2::WebACLAssociation", text: "webacl"},
		{what: "RDS in two zones", want: own && v.s.GitLab.Database == "rds", kind: "AWS::RDS::DBInstance", text: `"MultiAZ":true`},
		{what: "Aurora", want: own && v.s.GitLab.Database == "aurora", kind: "AWS::RDS::DBCluster", text: `"aurora-postgresql"`},
		{what: "Redis with cluster mode off", want: own && v.s.GitLab.Redis == "elasticache", kind: "AWS::ElastiCache::ReplicationGroup", text: `"NumCacheClusters":2`},
		{what: "the SMTP password as a secret", want: own && v.s.GitLab.Mail == "smtp", kind: "AWS::EC2::LaunchTemplate", text: "GITLAB_SMTP_PASSWORD"},
		{what: "a cache of Docker Hub", want: own && v.s.GitLab.ImageSource == "pull-through", kind: "AWS::ECR::PullThroughCacheRule", text: "registry-1.docker.io"},
		{what: "GitLab's repository", want: own && v.s.GitLab.ImageSource == "ecr", kind: "AWS::ECR::Repository", text: `"RepositoryName":"` + v.s.Name + `-gitlab"`},
		{what: "backups", want: own && v.s.GitLab.BackupDays > 0, kind: "AWS::Backup::BackupPlan", text: "DeleteAfterDays"},
		{what: "the schedule", want: v.s.Runners.ScheduleOn != "", kind: "AWS::AutoScaling::ScheduledAction", text: `"TimeZone"`},
		{what: "a scheduled manager that begins awake", want: v.s.Runners.ScheduleOn != "", kind: "AWS::AutoScaling::AutoScalingGroup", text: `"DesiredCapacity":"1"`},
		{what: "the metrics port", want: v.s.Runners.MetricsCIDR != "", kind: "AWS::EC2::SecurityGroup", text: `"FromPort":9252`},
		{what: "images of jobs", want: v.s.Runners.NamesImages(), kind: "AWS::SSM::Parameter", text: `[Images]`},
		{what: "task definitions for them", want: v.s.Runners.NamesImages(), kind: "AWS::IAM::Role", text: `ecs:RegisterTaskDefinition`},
		{what: "the cache by KMS", want: v.s.CustomerKey, kind: "AWS::SSM::Parameter", text: `ServerSideEncryption = \"KMS\"`},
		{what: "capacity of both kinds", want: true, kind: "AWS::ECS::ClusterCapacityProviderAssociations", text: `["FARGATE","FARGATE_SPOT"]`},
		{what: "the repository of the agent", want: true, kind: "AWS::ECR::Repository", text: `"RepositoryName":"` + v.s.Name + `-coordinator"`},
		{what: "the repository of the build image", want: true, kind: "AWS::ECR::Repository", text: `"RepositoryName":"` + v.s.Name + `-job"`},
		{what: "tags that do not move but for the cache's", want: true, kind: "AWS::ECR::Repository", text: `"IMMUTABLE_WITH_EXCLUSION"`},
		{what: "the Docker server", want: v.s.Builds.Enabled && v.s.Builds.DockerServer, kind: "AWS::CodeBuild::Project", text: `"DockerServer"`},
		{what: "layers on the build machine", want: v.s.Builds.Enabled && v.s.Builds.Cache == "local", kind: "AWS::CodeBuild::Project", text: `"LOCAL_DOCKER_LAYER_CACHE"`},
		{what: "builds in the VPC", want: v.s.Builds.Enabled && v.s.Builds.InVPC, kind: "AWS::CodeBuild::Project", text: `"VpcConfig"`},
		{what: "pushes from other accounts", want: v.s.Builds.Enabled && len(v.s.Builds.PushFrom) > 0, kind: "AWS::ECR::Repository", text: `"PushFromAccounts"`},
		{what: "NAT gateways", want: v.s.Network.VPC == "" && v.s.Network.Egress == "nat-gateway", kind: "AWS::EC2::NatGateway", text: "AllocationId"},
		{what: "a fixed address of the NAT instance", want: v.s.Network.VPC == "" && v.s.Network.Egress == "nat-instance", kind: "AWS::EC2::EIPAssociation", text: "InstanceId"},
		{what: "a VPC of the range that is set", want: v.s.Network.VPC == "", kind: "AWS::EC2::VPC", text: `"CidrBlock":"` + v.s.Network.CIDR + `"`},
		{what: "S3 without a NAT", want: v.s.Network.VPC == "", kind: "AWS::EC2::VPCEndpoint", text: `.s3"`},
	} {
		found := false
		for _, r := range v.d.Of(c.kind) {
			found = found || strings.Contains(asJSON(r.Properties), c.text)
		}
		if found != c.want {
			t.Errorf("%s: in the templates is %v", c.what, found)
		}
	}
	groups := 0
	for _, r := range v.d.Of("AWS::EC2::VPCEndpoint") {
		if r.Properties["VpcEndpointType"] == "Interface" && len(template.Many(r.Properties["SecurityGroupIds"])) == 1 && strings.Contains(asJSON(r.Properties["SecurityGroupIds"]), "Groupendpoints") {
			groups++
		}
	}
	if v.s.Network.VPC == "" && groups != len(v.s.Network.Endpoints) {
		t.Errorf("%d of %d endpoints are behind the one security group", groups, len(v.s.Network.Endpoints))
	}
}

// outputsSayWhatToType has the commands that a person needs next.
func outputsSayWhatToType(t *testing.T, v made) {
	for _, o := range outputs(v.s) {
		if !strings.Contains(v.d.Texts[o.stack], `"`+o.id+`": {`) {
			t.Errorf("%s lacks the output %s", o.stack, o.id)
		}
	}
	for _, r := range v.d.Resources {
		if tags := asJSON(r.Properties["Tags"]) + asJSON(r.Properties["FileSystemTags"]); r.Type == "AWS::S3::Bucket" && !strings.Contains(tags, `"fargate-driver:deployment"`) {
			t.Errorf("%s has no tag of the deployment: %s", r, tags)
		}
	}
}

type output struct{ stack, id string }

func outputs(s settings.Settings) []output {
	all := []output{{"Network", "AlarmTopic"}, {"Runners", "SetToken"}, {"Runners", "CheckManager"}}
	if s.GitLab.Compute != "none" {
		all = append(all, output{"GitLab", "Url"}, output{"GitLab", "RootPassword"})
		if s.GitLab.Compute == "ec2" || s.GitLab.ExecIntoTask {
			all = append(all, output{"GitLab", "Shell"})
		}
		if s.GitLab.ImageSource == "ecr" {
			all = append(all, output{"Network", "CopyImage"})
		}
		if s.Entry.Domain != "" && s.Entry.HostedZone == "" {
			all = append(all, output{"GitLab", "DnsTarget"})
		}
	}
	if s.Builds.Enabled {
		all = append(all, output{"Builds", "Project"}, output{"Builds", "SourceBucket"})
	}
	return all
}
