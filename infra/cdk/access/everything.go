package access

// Everything is every role that any settings can make, about readable names
// instead of references: what docs/security-infra.md lists, and what the tests
// evaluate.
func Everything() []Role {
	place := Place{"aws", "REGION", "ACCOUNT"}
	key := place.ARN("kms", "key/KEY")
	runners := RunnersScope{
		Place: place, Name: "NAME", Cluster: "NAME-jobs", Families: []string{"NAME-job-default"}, ImageFamily: "NAME-image",
		ExecutionRole: place.global("iam", "role/NAME-execution"), JobRoles: []string{place.global("iam", "role/NAME-job-default")},
		CacheBucket: "arn:aws:s3:::CACHE", Key: key, TokenSecret: place.ARN("secretsmanager", "secret:NAME/runner-token-XXXXXX"),
		Parameters: []string{place.ARN("ssm", "parameter/NAME/manager/fargate.toml"), place.ARN("ssm", "parameter/NAME/manager/config.toml")},
		Programs:   []string{"arn:aws:s3:::ASSETS/PROGRAM"}, RunnerMirror: "arn:aws:s3:::MIRROR/*",
		LogGroups: []string{place.ARN("logs", "log-group:/NAME/manager")}, JobLogGroup: place.ARN("logs", "log-group:/NAME/jobs"),
		Repositories: []string{place.ARN("ecr", "repository/NAME-job")}, AutoScaling: "NAME-manager", Exec: true,
		SourceBucket: "arn:aws:s3:::SOURCE", Project: "NAME-build", BuildsLogGroup: place.ARN("logs", "log-group:/NAME/builds"),
	}
	gitlab := GitLabScope{
		Place: place, Name: "NAME", Key: key, Secrets: []string{place.ARN("secretsmanager", "secret:NAME/gitlab-root-XXXXXX")},
		Repository: place.ARN("ecr", "repository/NAME-gitlab"), PullThrough: true, LogGroup: place.ARN("logs", "log-group:/NAME/gitlab"),
		Buckets: []string{"arn:aws:s3:::OBJECTS"}, Mail: true, MailFrom: "MAIL_FROM", Volume: "VOLUME", AutoScaling: "NAME-gitlab",
		FileSystem: place.ARN("elasticfilesystem", "file-system/FS"), AccessPoints: []string{place.ARN("elasticfilesystem", "access-point/AP")}, Exec: true,
	}
	builds := BuildsScope{
		Place: place, Key: key, SourceBucket: "arn:aws:s3:::SOURCE", LogGroup: place.ARN("logs", "log-group:/NAME/builds"),
		Repositories: []string{place.ARN("ecr", "repository/NAME-app")}, Subnets: []string{place.ARN("ec2", "subnet/SUBNET")},
	}
	return []Role{
		ManagerRole(runners), ExecutionRole(runners), JobRole(runners, true), BuildRole(builds),
		InstanceRole(gitlab), GitLabTaskRole(gitlab), GitLabExecutionRole(gitlab), FlowLogRole(place.ARN("logs", "log-group:/NAME/rejected-connections")), BackupRole(),
	}
}
