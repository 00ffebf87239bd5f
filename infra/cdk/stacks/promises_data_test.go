package stacks_test

import (
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/infra/cdk/template"
)

func dataIsEncryptedAndKept(t *testing.T, v made) {
	encrypted := func(r template.Resource, path ...any) {
		if got := template.At(r.Properties, path...); got == nil || got == false {
			t.Errorf("%s is not encrypted", r)
		}
	}
	for _, r := range v.d.Resources {
		switch r.Type {
		case "AWS::S3::Bucket":
			encrypted(r, "BucketEncryption")
			if template.At(r.Properties, "PublicAccessBlockConfiguration", "RestrictPublicBuckets") != true || template.At(r.Properties, "OwnershipControls", "Rules", 0, "ObjectOwnership") != "BucketOwnerEnforced" {
				t.Errorf("%s is not private", r)
			}
			tlsOnly(t, v, r)
		case "AWS::EC2::Volume", "AWS::EFS::FileSystem":
			encrypted(r, "Encrypted")
		case "AWS::RDS::DBInstance":
			if v.s.GitLab.Database == "rds" {
				encrypted(r, "StorageEncrypted")
			}
			if r.Properties["PubliclyAccessible"] == true {
				t.Errorf("%s is public", r)
			}
		case "AWS::RDS::DBCluster":
			encrypted(r, "StorageEncrypted")
		case "AWS::ElastiCache::ReplicationGroup":
			encrypted(r, "AtRestEncryptionEnabled")
			encrypted(r, "TransitEncryptionEnabled")
		default:
			continue
		}
		if v.s.Data == "retain" && r.DeletionPolicy != "RetainExceptOnCreate" && r.DeletionPolicy != "Snapshot" && r.Type != "AWS::RDS::DBInstance" {
			t.Errorf("%s: its deletion policy is %q although data = \"retain\"", r, r.DeletionPolicy)
		}
		if v.s.Data == "destroy" && r.DeletionPolicy != "Delete" {
			t.Errorf("%s: its deletion policy is %q although data = \"destroy\"", r, r.DeletionPolicy)
		}
	}
	for _, r := range v.d.Of("AWS::ElasticLoadBalancingV2::Listener") {
		if r.Properties["Protocol"] == "HTTPS" && !strings.Contains(r.Properties["SslPolicy"].(string), "TLS13-1-2") {
			t.Errorf("%s: TLS policy %v", r, r.Properties["SslPolicy"])
		}
		if r.Properties["Protocol"] == "HTTP" && !v.s.Entry.PlainHTTP && template.At(r.Properties, "DefaultActions", 0, "Type") != "redirect" {
			t.Errorf("%s serves plain HTTP", r)
		}
	}
}

func tlsOnly(t *testing.T, v made, bucket template.Resource) {
	for _, p := range v.d.Of("AWS::S3::BucketPolicy") {
		if p.Stack == bucket.Stack && template.At(p.Properties, "Bucket", "Ref") == bucket.ID && strings.Contains(asJSON(p.Properties), `"aws:SecureTransport":"false"`) {
			return
		}
	}
	t.Errorf("%s takes requests without TLS", bucket)
}

func oneGitLabAtATime(t *testing.T, v made) {
	for _, r := range v.d.Of("AWS::ECS::Service") {
		deployment := r.Properties["DeploymentConfiguration"]
		if template.At(deployment, "MaximumPercent") != 100.0 || template.At(deployment, "MinimumHealthyPercent") != 0.0 || r.Properties["AvailabilityZoneRebalancing"] != "DISABLED" {
			t.Errorf("%s: ECS may start a second GitLab: %s", r, asJSON(r.Properties))
		}
		if template.At(deployment, "DeploymentCircuitBreaker", "Rollback") != false {
			t.Errorf("%s goes back to an older GitLab after a migration", r)
		}
		for _, definition := range v.d.Of("AWS::ECS::TaskDefinition") {
			command := asJSON(template.At(definition.Properties, "ContainerDefinitions", 0, "Command"))
			if definition.Stack == "GitLab" && !strings.Contains(command, "flock") {
				t.Errorf("%s starts without the lock: %s", definition, command)
			}
		}
	}
	for _, r := range v.d.Of("AWS::AutoScaling::AutoScalingGroup") {
		if r.Properties["MaxSize"] != "1" || template.At(r.UpdatePolicy, "AutoScalingRollingUpdate", "MinInstancesInService") != 0.0 {
			t.Errorf("%s may have two hosts", r)
		}
	}
}

func logsEnd(t *testing.T, v made) {
	groups := v.d.Of("AWS::Logs::LogGroup")
	if len(groups) == 0 {
		t.Fatal("no log group was seen")
	}
	for _, r := range groups {
		if r.Properties["RetentionInDays"] != float64(v.s.LogRetentionDays) {
			t.Errorf("%s keeps logs for %v days", r, r.Properties["RetentionInDays"])
		}
		if v.s.CustomerKey && r.Properties["KmsKeyId"] == nil {
			t.Errorf("%s is not encrypted with the deployment's key", r)
		}
	}
}
