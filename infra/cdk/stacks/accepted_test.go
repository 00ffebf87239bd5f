package stacks_test

import "strings"

// accepted is a rule of cdk-nag, or a warning of CDK's validator, that does not
// hold here, where, and why that is right. An entry that nothing needs any more
// fails the test too.
type accepted struct{ rule, path, why string }

func acceptedFindings() []accepted {
	return []accepted{
		{"AwsSolutions-IAM5", "", "each wildcard has its reason in package access, which TestPromises holds the templates to"},
		{"AwsSolutions-IAM4", "GitLab/BackupRole", "AWS Backup's own policies, which AWS extends as the service grows"},
		{"AwsSolutions-S1", "GitLab/AccessLogs", "it is the bucket of access logs itself"},
		{"AwsSolutions-S1", "Runners/Cache", "caches go after days; who reads them is in the job logs"},
		{"AwsSolutions-S1", "Builds/Source", "sources of builds go after days; CodeBuild's history says who read them"},
		{"AwsSolutions-AEC5", "GitLab/Redis", "the standard port; reached by GitLab's group alone, with TLS and a password"},
		{"AwsSolutions-RDS11", "GitLab/Database", "the standard port; reached by GitLab's group alone, with TLS"},
		{"AwsSolutions-SMG4", "GitLab/", "GitLab reads its passwords as it starts; a rotation behind its back would lock it out"},
		{"AwsSolutions-AS3", "", "a group of one: the alarms Manager-Down and GitLab-Unhealthy tell what matters"},
		{"AwsSolutions-ECS2", "", "the plain variables hold no secret, which TestPromises checks"},
		{"AwsSolutions-ECS4", "Runners/Cluster", "Container Insights bills every job's task; jobs have logs of their own"},
		{"AwsSolutions-CB4", "Builds/BuildProject", "small uses the keys that AWS manages"},
		{"AwsSolutions-VPC7", "Network/Vpc", "small has no flow logs"},
		{"AwsSolutions-EC28", "Network/Vpc", "detailed monitoring of a NAT instance of a demo"},
		{"AwsSolutions-EC23", "Network/Group-entry", "open to the world, as entry.open_to_the_world says"},
		{"AwsSolutions-EC23", "Network/Group-ssh-entry", "the same for Git over SSH"},
		{"W2508", "Network/Group-ssh-entry", "the same"},
		{"AwsSolutions-RDS6", "GitLab/Database", "Aurora: GitLab cannot log in by IAM"},
		{"AwsSolutions-EC29", "Network/Vpc", "the NAT instance keeps nothing, and must go with its stack"},
		{"CdkNagValidationFailure[AwsSolutions-EC23]", "Network/Group-", "cdk-nag cannot read a NAT's address before it exists; the rules of package promises and TestPromises do"},
	}
}

func acceptedBy(f finding) (accepted, bool) {
	for _, a := range acceptedFindings() {
		if strings.HasPrefix(f.Text, a.rule) && strings.HasPrefix(f.Path, a.path) {
			return a, true
		}
	}
	return accepted{}, false
}
