# What no template of this app may contain, as rules of the validator that CDK
# runs at each synth. They are not in CloudFormation Guard's language, although
# this validator takes that too: its translation (1.9.0) passes over elements of
# lists, properties that are missing and the later lines of a block. promises.guard has the same for
# Guard itself.
package promises

import rego.v1

violation contains make_diag("promise-nobody-lets-the-world-in", "ERROR", name, "a security group lets the whole internet in") if {
	some name, r in input.resources
	r.resourceType == "AWS::EC2::SecurityGroup"
	some rule in r.properties.SecurityGroupIngress
	everybody(rule)
}

violation contains make_diag("promise-nobody-lets-the-world-in", "ERROR", name, "a security group lets the whole internet in") if {
	some name, r in input.resources
	r.resourceType == "AWS::EC2::SecurityGroupIngress"
	everybody(r.properties)
}

everybody(rule) if rule.CidrIp == "0.0.0.0/0"

everybody(rule) if rule.CidrIpv6 == "::/0"

violation contains make_diag("promise-instances-are-closed", "ERROR", name, "IMDSv2 must be required, disks encrypted, and there must be no key pair") if {
	some name, r in input.resources
	r.resourceType == "AWS::EC2::LaunchTemplate"
	not closed(object.get(r.properties, "LaunchTemplateData", {}))
}

violation contains make_diag("promise-instances-are-closed", "ERROR", name, "IMDSv2 must be required, disks encrypted, and there must be no key pair") if {
	some name, r in input.resources
	r.resourceType == "AWS::EC2::Instance"
	not closed(r.properties)
}

closed(host) if {
	host.MetadataOptions.HttpTokens == "required"
	not host.KeyName
	count(host.BlockDeviceMappings) > 0
	every m in host.BlockDeviceMappings {
		m.Ebs.Encrypted in [true, "true"]
	}
}

violation contains make_diag("promise-disks-are-encrypted", "ERROR", name, "a disk is not encrypted") if {
	some name, r in input.resources
	r.resourceType in ["AWS::EC2::Volume", "AWS::EFS::FileSystem"]
	not r.properties.Encrypted in [true, "true"]
}

violation contains make_diag("promise-buckets-are-private", "ERROR", name, "a bucket must be encrypted and blocked from the public") if {
	some name, r in input.resources
	r.resourceType == "AWS::S3::Bucket"
	not private(r.properties)
}

private(bucket) if {
	bucket.BucketEncryption
	every key in ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"] {
		bucket.PublicAccessBlockConfiguration[key] in [true, "true"]
	}
}

violation contains make_diag("promise-one-gitlab-at-a-time", "ERROR", name, "a second GitLab could start on the same disk, or GitLab could have a public address") if {
	some name, r in input.resources
	r.resourceType == "AWS::ECS::Service"
	not alone(r.properties)
}

alone(service) if {
	service.DeploymentConfiguration.MaximumPercent == 100
	service.DeploymentConfiguration.MinimumHealthyPercent == 0
	service.AvailabilityZoneRebalancing == "DISABLED"
	service.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp == "DISABLED"
}

violation contains make_diag("promise-one-host-at-a-time", "ERROR", name, "a group of hosts could have two") if {
	some name, r in input.resources
	r.resourceType == "AWS::AutoScaling::AutoScalingGroup"
	not r.properties.MaxSize in ["1", 1]
}

violation contains make_diag("promise-databases-are-private", "ERROR", name, "a database could be public") if {
	some name, r in input.resources
	r.resourceType == "AWS::RDS::DBInstance"
	not r.properties.PubliclyAccessible in [false, "false"]
}

violation contains make_diag("promise-tasks-have-two-roles", "ERROR", name, "a task must have a role of its own beside the execution role") if {
	some name, r in input.resources
	r.resourceType == "AWS::ECS::TaskDefinition"
	not two_roles(r.properties)
}

two_roles(definition) if {
	definition.TaskRoleArn
	definition.ExecutionRoleArn
	definition.TaskRoleArn != definition.ExecutionRoleArn
}
