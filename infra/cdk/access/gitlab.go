package access

// GitLabScope is what the roles of the GitLab stack are about.
type GitLabScope struct {
	Place
	Name         string
	Key          string   // ARN, or "" for AWS-managed keys
	Secrets      []string // ARNs of what GitLab reads at its start
	Repository   string   // ARN of the image's repository, "" with Docker Hub
	PullThrough  bool
	LogGroup     string   // ARN
	Buckets      []string // ARNs of object storage
	Mail         bool     // SES by role
	MailFrom     string
	Volume       string // id of the data disk, with EC2
	AutoScaling  string // name of the group, with EC2
	FileSystem   string // ARN, with Fargate
	AccessPoints []string
	Exec         bool
}

// InstanceRole is the role of GitLab's EC2 instance, GitLab in its container
// included.
func InstanceRole(s GitLabScope) Role {
	statements := append(s.own(),
		Statement{Sid: "Secrets", Why: "read at start into memory, never into user data", Actions: []string{"secretsmanager:GetSecretValue"}, Resources: s.Secrets},
		Statement{Sid: "Disk", Why: "a new instance takes over the data disk", Actions: []string{"ec2:AttachVolume"},
			Resources:  []string{s.ARN("ec2", "volume/"+s.Volume), s.ARN("ec2", "instance/*")},
			Conditions: []Condition{equals("aws:ResourceTag/fargate-driver:part", s.Name+"-gitlab")}},
		Statement{Sid: "DiskLook", Why: "wait until the disk is free", Actions: []string{"ec2:DescribeVolumes"}, Resources: []string{"*"}, Any: "EC2's Describe calls have no resources"},
		logs(s.LogGroup),
		metrics(s.Name+"/gitlab"),
		report(s.Place, s.Name+"-gitlab"),
	)
	if s.Key != "" {
		statements = append(statements, Statement{
			Sid: "DiskKey", Why: "EC2 decrypts the data disk on its behalf as it attaches it", Actions: []string{"kms:CreateGrant"}, Resources: []string{s.Key},
			Conditions: []Condition{equals("kms:ViaService", "ec2."+s.Region+".amazonaws.com"), {"Bool", "kms:GrantIsForAWSResource", []string{"true"}}},
		}, Statement{
			Sid: "DiskKeyUse", Why: "what EBS asks besides of whoever uses an encrypted disk",
			Actions:   []string{"kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"},
			Resources: []string{s.Key}, Conditions: []Condition{equals("kms:ViaService", "ec2."+s.Region+".amazonaws.com")},
		})
	}
	if s.Repository != "" {
		statements = append(statements, s.pullImage()...)
	}
	statements = append(statements, session()...)
	statements = append(statements, key(s.Place, s.Key, "secrets, buckets and the data disk are encrypted with it", "s3", "secretsmanager", "ec2")...)
	return Role{"gitlab", "ec2.amazonaws.com", "GitLab's instance", statements}
}

// GitLabTaskRole is the role of GitLab itself on Fargate.
func GitLabTaskRole(s GitLabScope) Role {
	statements := append(s.own(), Statement{
		Sid: "Disk", Why: "mount the three directories on EFS, through their access points only",
		Actions: []string{"elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite", "elasticfilesystem:ClientRootAccess"}, Resources: []string{s.FileSystem},
		Conditions: []Condition{arnEquals("elasticfilesystem:AccessPointArn", s.AccessPoints...)},
	})
	if len(s.Buckets) > 0 {
		statements = append(statements, key(s.Place, s.Key, "buckets are encrypted with it", "s3")...)
	}
	if s.Exec {
		statements = append(statements, execShell("a shell in the task for an operator (gitlab.exec)"))
	}
	return Role{"gitlab", "ecs-tasks.amazonaws.com", "GitLab itself", statements}
}

// GitLabExecutionRole is the role by which ECS starts GitLab's task.
func GitLabExecutionRole(s GitLabScope) Role {
	statements := []Statement{
		{Sid: "Secrets", Why: "hand the passwords to the container as it starts", Actions: []string{"secretsmanager:GetSecretValue"}, Resources: s.Secrets},
		{Sid: "Logs", Why: "the container's output", Actions: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resources: []string{s.LogGroup + ":*"}},
	}
	if s.Repository != "" {
		statements = append(statements, s.pullImage()...)
	}
	statements = append(statements, key(s.Place, s.Key, "secrets are encrypted with it", "secretsmanager")...)
	return Role{"gitlab-execution", "ecs-tasks.amazonaws.com", "ECS itself, when it starts GitLab", statements}
}

// own is what GitLab does by itself, wherever it runs.
func (s GitLabScope) own() []Statement {
	var statements []Statement
	if len(s.Buckets) > 0 {
		statements = append(statements,
			Statement{Sid: "Objects", Why: "artifacts, LFS, uploads and the like", Actions: []string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}, Resources: each(s.Buckets, "/*")},
			Statement{Sid: "ObjectLists", Why: "list what is in its own buckets", Actions: []string{"s3:ListBucket"}, Resources: s.Buckets})
	}
	if s.Mail {
		statements = append(statements, Statement{
			Sid: "Mail", Why: "send mail as this address and no other", Actions: []string{"ses:SendEmail", "ses:SendRawEmail"},
			Resources: []string{s.ARN("ses", "identity/*")}, Conditions: []Condition{equals("ses:FromAddress", s.MailFrom)},
		})
	}
	return statements
}

// pullImage adds what ECR asks of the first one who pulls an image through it.
func (s GitLabScope) pullImage() []Statement {
	statements := pull(s.Repository)
	if s.PullThrough {
		statements = append(statements, Statement{
			Sid: "PullThrough", Why: "the first pull of a version makes the repository and copies the image", Actions: []string{"ecr:CreateRepository", "ecr:BatchImportUpstreamImage"}, Resources: []string{s.Repository},
		})
	}
	return statements
}

func each(arns []string, suffix string) []string {
	all := make([]string, len(arns))
	for i, a := range arns {
		all[i] = a + suffix
	}
	return all
}
