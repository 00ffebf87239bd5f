package access

// FlowLogRole is the role by which the VPC records rejected connections.
func FlowLogRole(logGroup string) Role {
	return Role{"flow-logs", "vpc-flow-logs.amazonaws.com", "the VPC's own log of rejected connections", []Statement{{
		Sid: "Logs", Why: "write that log", Actions: []string{"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"}, Resources: []string{logGroup + ":*"},
	}}}
}

// BackupRole is the role by which AWS Backup copies GitLab's disk. AWS keeps
// what it needs in a policy of its own, which grows with the service.
func BackupRole() Role {
	return Role{"backup", "backup.amazonaws.com", "AWS Backup, for GitLab's disk", nil}
}

// BackupPolicies are AWS's own policies for the backup role.
func BackupPolicies() []string {
	return []string{"service-role/AWSBackupServiceRolePolicyForBackup", "service-role/AWSBackupServiceRolePolicyForRestores"}
}
