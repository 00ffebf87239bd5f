package stacks_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"

	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
	"github.com/fargate-driver/fargate-driver/infra/cdk/template"
)

// form is what a service takes as a property, which no schema says. The longest
// name that settings allow is among the variants.
type form struct {
	kind string
	path []any
	// takes is the pattern in the API reference of the service.
	takes *regexp.Regexp
	// never is what the reference refuses although the pattern has it, or nil.
	never *regexp.Regexp
}

func forms() []form {
	of := func(kind, takes, never string, path ...any) form {
		f := form{kind: "AWS::" + kind, path: path, takes: regexp.MustCompile(`^(?:` + takes + `)$`)}
		if never != "" {
			f.never = regexp.MustCompile(never)
		}
		return f
	}
	const latin = `[\t\n\r -~\x{a1}-\x{ff}]` // IAM's
	return []form{
		of("IAM::Role", `[\w+=,.@-]{1,64}`, `^AWSServiceRole`, "RoleName"),
		of("IAM::Role", latin+`{0,1000}`, "", "Description"),
		of("EC2::SecurityGroup", `[\w. :/()#,@\[\]+=&;{}!$*-]{1,255}`, `^sg-`, "GroupName"),
		of("EC2::LaunchTemplate", `[a-zA-Z0-9().\-/_]{3,128}`, "", "LaunchTemplateName"),
		of("AutoScaling::AutoScalingGroup", `[^:]{1,255}`, "", "AutoScalingGroupName"),
		of("SSM::Parameter", `(/[a-zA-Z0-9_.-]+){1,15}`, `(?i)^/(aws|ssm)`, "Name"),
		of("SSM::Parameter", latin+`{0,1000}`, "", "Description"),
		of("SecretsManager::Secret", `[\w/+=.@-]{1,512}`, `-[A-Za-z0-9]{6}$`, "Name"), // what looks like its own suffix
		of("Backup::BackupVault", `[a-zA-Z0-9_-]{2,50}`, "", "BackupVaultName"),
		of("Backup::BackupPlan", `[\w.-]{1,50}`, "", "BackupPlan", "BackupPlanName"),
		of("Backup::BackupSelection", `[\w.-]{1,50}`, "", "BackupSelection", "SelectionName"),
		of("ECS::Cluster", `[\w-]{1,255}`, "", "ClusterName"),
		of("ECS::Service", `[\w-]{1,255}`, "", "ServiceName"),
		of("ECS::TaskDefinition", `[\w-]{1,255}`, "", "Family"),
		of("ECR::Repository", `([a-z0-9]+([._-][a-z0-9]+)*/)*[a-z0-9]+([._-][a-z0-9]+)*`, `^.{257}|^.$`, "RepositoryName"),
		of("ECR::PullThroughCacheRule", `[a-z0-9]+([._-][a-z0-9]+)*`, `^.{31}|^.$`, "EcrRepositoryPrefix"),
		of("ElastiCache::ReplicationGroup", `[a-z](-?[a-z0-9])*`, `^.{41}`, "ReplicationGroupId"),
		of("RDS::DBInstance", `[A-Za-z][A-Za-z0-9_]{0,62}`, "", "DBName"),
		of("RDS::DBCluster", `[A-Za-z][A-Za-z0-9_]{0,62}`, "", "DatabaseName"),
		of("CodeBuild::Project", `[A-Za-z0-9][\w-]{1,149}`, "", "Name"),
		of("CodeBuild::Project", latin+`{0,255}`, "", "Description"),
		of("CloudWatch::Alarm", latin+`{1,255}`, "", "AlarmName"),
		of("CloudWatch::Alarm", latin+`{0,1000}`, "", "AlarmDescription"),
		of("CloudWatch::Dashboard", `[\w-]{1,255}`, "", "DashboardName"),
		of("Events::Rule", `[\w.-]{1,64}`, "", "Name"),
		of("Events::Rule", latin+`{0,512}`, "", "Description"),
		of("SNS::Topic", `[\w-]{1,256}`, "", "TopicName"),
		of("KMS::Alias", `alias/[\w/-]{1,250}`, `^alias/aws`, "AliasName"),
		of("Logs::LogGroup", `[\w./#-]{1,512}`, `^aws/`, "LogGroupName"),
		of("Logs::MetricFilter", `[^:*]{1,512}`, "", "FilterName"),
		of("CertificateManager::Certificate", `.{1,64}`, "", "DomainName"),
	}
}

// namesAndTextsAreTaken holds names and descriptions to what services take: with
// another one a deployment fails in the middle.
func namesAndTextsAreTaken(t *testing.T, v made) {
	seen := 0
	for _, f := range forms() {
		for _, r := range v.d.Of(f.kind) {
			text, ok := template.At(r.Properties, f.path...).(string)
			if !ok {
				continue // a reference, or not set
			}
			seen++
			if !f.takes.MatchString(text) || f.never != nil && f.never.MatchString(text) {
				t.Errorf("%s: %v is %q", r, f.path, text)
			}
		}
	}
	if seen < 40 {
		t.Errorf("only %d names and texts were seen", seen)
	}
	for _, r := range v.d.Of("AWS::SSM::Parameter") {
		// SSM reads braces in a value as another parameter's name.
		if text := asJSON(r.Properties["Value"]); strings.Contains(text, "{{") || len(text) > 8192 {
			t.Errorf("%s: a value that SSM does not take: %d characters", r, len(text))
		}
	}
}

// descriptionsAreTaken holds texts to what EC2 takes and no schema says: with
// another character a deployment fails.
func descriptionsAreTaken(t *testing.T, v made) {
	taken := regexp.MustCompile(`^[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}$`)
	seen := 0
	var look func(what template.Resource, value any)
	look = func(what template.Resource, value any) {
		properties, _ := value.(map[string]any)
		for key, value := range properties {
			if text, ok := value.(string); ok && strings.HasSuffix(key, "Description") {
				seen++
				if !taken.MatchString(text) {
					t.Errorf("%s: %q", what, text)
				}
			}
			for _, inner := range template.Many(value) {
				look(what, inner)
			}
		}
	}
	for _, kind := range []string{"AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress"} {
		for _, r := range v.d.Of(kind) {
			look(r, r.Properties)
		}
	}
	if seen < 5 {
		t.Errorf("only %d descriptions were seen", seen)
	}
}

// buildsReachTheirDockerServer holds a project in a VPC to what CodeBuild asks
// of its Docker server: a security group that lets the project's group in.
func buildsReachTheirDockerServer(t *testing.T, v made) {
	for _, r := range v.d.Of("AWS::CodeBuild::Project") {
		own, server := template.Many(template.At(r.Properties, "VpcConfig", "SecurityGroupIds")), template.At(r.Properties, "Environment", "DockerServer")
		if len(own) > 0 && template.At(r.Properties, "Cache", "Type") == "LOCAL" {
			t.Errorf("%s: CodeBuild has no local cache in a VPC", r)
		}
		if server == nil || len(own) == 0 {
			continue
		}
		groups := template.Many(template.At(server, "SecurityGroupIds"))
		if len(groups) != 1 || asJSON(groups[0]) != asJSON(own[0]) {
			t.Errorf("%s: its Docker server is in the groups %s", r, asJSON(groups))
		}
		open := slices.ContainsFunc(ingresses(v.d), func(i ingress) bool {
			return strings.Contains(i.to, "Groupbuilds") && strings.Contains(i.from, "Groupbuilds") && i.port == "9876"
		})
		if !open {
			t.Errorf("%s: builds do not reach port 9876 of the Docker server", r)
		}
	}
}

// addressesFollowTheirGateway has each public address wait for the way out, which
// nothing in its properties refers to.
func addressesFollowTheirGateway(t *testing.T, v made) {
	for _, r := range append(v.d.Of("AWS::EC2::EIPAssociation"), v.d.Of("AWS::EC2::NatGateway")...) {
		if !strings.Contains(asJSON(r.DependsOn), "DefaultRoute") && !strings.Contains(asJSON(r.DependsOn), "VPCGW") {
			t.Errorf("%s: it may come before the VPC has an internet gateway: %s", r, asJSON(r.DependsOn))
		}
	}
}

// diskIsWhereItsHostIs has the disk's zone come from the subnet of its host, and
// subnets in the zones that are set.
func diskIsWhereItsHostIs(t *testing.T, v made) {
	for _, r := range v.d.Of("AWS::EC2::Volume") {
		zone := asJSON(r.Properties["AvailabilityZone"])
		if v.s.Network.VPC != "" {
			if zone != asJSON(v.s.Network.AvailabilityZones[0]) {
				t.Errorf("%s is in %s", r, zone)
			}
		} else if !strings.Contains(zone, "Subnet1") || !strings.Contains(zone, "AvailabilityZone") {
			t.Errorf("%s: its zone is not its host's: %s", r, zone)
		}
	}
	for _, r := range v.d.Of("AWS::EC2::Subnet") {
		if zones := v.s.Network.AvailabilityZones; len(zones) > 0 && !slices.Contains(zones, strings.Trim(asJSON(r.Properties["AvailabilityZone"]), `"`)) {
			t.Errorf("%s is not in one of the zones %v", r, zones)
		}
	}
}

// TestEndpointsExist compares the names that settings allow with those that CDK
// knows: another one is a service name that EC2 refuses.
func TestEndpointsExist(t *testing.T) {
	known := []string{}
	for _, e := range []awsec2.InterfaceVpcEndpointAwsService{
		awsec2.InterfaceVpcEndpointAwsService_ECR(), awsec2.InterfaceVpcEndpointAwsService_ECR_DOCKER(),
		awsec2.InterfaceVpcEndpointAwsService_CLOUDWATCH_LOGS(), awsec2.InterfaceVpcEndpointAwsService_CLOUDWATCH_MONITORING(),
		awsec2.InterfaceVpcEndpointAwsService_SECRETS_MANAGER(), awsec2.InterfaceVpcEndpointAwsService_SSM(),
		awsec2.InterfaceVpcEndpointAwsService_SSM_MESSAGES(), awsec2.InterfaceVpcEndpointAwsService_EC2_MESSAGES(),
		awsec2.InterfaceVpcEndpointAwsService_EC2(), awsec2.InterfaceVpcEndpointAwsService_ECS(),
		awsec2.InterfaceVpcEndpointAwsService_CODEBUILD(), awsec2.InterfaceVpcEndpointAwsService_STS(),
		awsec2.InterfaceVpcEndpointAwsService_KMS(), awsec2.InterfaceVpcEndpointAwsService_EMAIL(),
		awsec2.InterfaceVpcEndpointAwsService_EMAIL_SMTP(), awsec2.InterfaceVpcEndpointAwsService_CODE_CONNECTIONS(),
		awsec2.InterfaceVpcEndpointAwsService_AUTOSCALING(), awsec2.InterfaceVpcEndpointAwsService_CLOUDFORMATION(),
		awsec2.InterfaceVpcEndpointAwsService_ELASTIC_FILESYSTEM(), awsec2.InterfaceVpcEndpointAwsService_SNS(),
	} {
		known = append(known, *e.ShortName())
	}
	slices.Sort(known)
	if got := slices.Sorted(slices.Values(settings.Endpoints())); !slices.Equal(got, known) {
		t.Errorf("got  %q\nCDK's %q", got, known)
	}
}
