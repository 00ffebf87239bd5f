package stacks_test

import (
	"strings"
	"testing"
)

func dataIsEncryptedAndKept(t *testing.T, v variant) {
	encrypted := func(r resource, path ...any) {
		if got := at(r.Properties, path...); got == nil || got == false {
			t.Errorf("%s is not encrypted", r)
		}
	}
	for _, r := range v.d.resources {
		switch r.Type {
		case "AWS::S3::Bucket":
			encrypted(r, "BucketEncryption")
			if at(r.Properties, "PublicAccessBlockConfiguration", "RestrictPublicBuckets") != true || at(r.Properties, "OwnershipControls", "Rules", 0, "ObjectOwnership") != "BucketOwnerEnforced" {
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
		if v.s.Data == "retain" && r.DeletionPolicy != "Retain" && r.DeletionPolicy != "Snapshot" && r.Type != "AWS::RDS::DBInstance" {
			t.Errorf("%s: its deletion policy is %q although data = \"retain\"", r, r.DeletionPolicy)
		}
		if v.s.Data == "destroy" && r.DeletionPolicy != "Delete" {
			t.Errorf("%s: its deletion policy is %q although data = \"destroy\"", r, r.DeletionPolicy)
		}
	}
	for _, r := range v.d.all("AWS::ElasticLoadBalancingV2::Listener") {
		if r.Properties["Protocol"] == "HTTPS" && !strings.Contains(r.Properties["SslPolicy"].(string), "TLS13-1-2") {
			t.Errorf("%s: TLS policy %v", r, r.Properties["SslPolicy"])
		}
		if r.Properties["Protocol"] == "HTTP" && !v.s.Entry.PlainHTTP && at(r.Properties, "DefaultActions", 0, "Type") != "redirect" {
			t.Errorf("%s serves plain HTTP", r)
		}
	}
}

func tlsOnly(t *testing.T, v variant, bucket resource) {
	for _, p := range v.d.all("AWS::S3::BucketPolicy") {
		if p.Stack == bucket.Stack && at(p.Properties, "Bucket", "Ref") == bucket.ID && strings.Contains(asJSON(p.Properties), `"aws:SecureTransport":"false"`) {
			return
		}
	}
	t.Errorf("%s takes requests without TLS", bucket)
}

func oneGitLabAtATime(t *testing.T, v variant) {
	for _, r := range v.d.all("AWS::ECS::Service") {
		deployment := r.Properties["DeploymentConfiguration"]
		if at(deployment, "MaximumPercent") != 100.0 || at(deployment, "MinimumHealthyPercent") != 0.0 || r.Properties["AvailabilityZoneRebalancing"] != "DISABLED" {
			t.Errorf("%s: ECS may start a second GitLab: %s", r, asJSON(r.Properties))
		}
		if at(deployment, "DeploymentCircuitBreaker", "Rollback") != false {
			t.Errorf("%s goes back to an older GitLab after a migration", r)
		}
		for _, definition := range v.d.all("AWS::ECS::TaskDefinition") {
			command := asJSON(at(definition.Properties, "ContainerDefinitions", 0, "Command"))
			if definition.Stack == "GitLab" && !strings.Contains(command, "flock") {
				t.Errorf("%s starts without the lock: %s", definition, command)
			}
		}
	}
	for _, r := range v.d.all("AWS::AutoScaling::AutoScalingGroup") {
		if r.Properties["MaxSize"] != "1" || at(r.UpdatePolicy, "AutoScalingRollingUpdate", "MinInstancesInService") != 0.0 {
			t.Errorf("%s may have two hosts", r)
		}
	}
}

func logsEnd(t *testing.T, v variant) {
	groups := v.d.all("AWS::Logs::LogGroup")
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
