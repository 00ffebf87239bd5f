package access

// BuildsScope is what the role of the Builds stack is about.
type BuildsScope struct {
	Place
	Key          string   // ARN, or "" for AWS-managed keys
	SourceBucket string   // ARN
	LogGroup     string   // ARN
	Repositories []string // ARNs
	Subnets      []string // ARNs, with builds in the VPC
}

// BuildRole is the role of a CodeBuild build.
func BuildRole(s BuildsScope) Role {
	statements := []Statement{
		{Sid: "Source", Why: "download what a job uploaded", Actions: []string{"s3:GetObject", "s3:GetObjectVersion"}, Resources: under(s.SourceBucket, "jobs/*")},
		{Sid: "SourceBucket", Why: "CodeBuild asks where the bucket is before it downloads", Actions: []string{"s3:GetBucketLocation", "s3:GetBucketAcl"}, Resources: []string{s.SourceBucket}},
		{Sid: "Logs", Why: "the build's log, which the job shows", Actions: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resources: []string{s.LogGroup + ":*"}},
	}
	if len(s.Repositories) > 0 {
		statements = append(statements, pull(s.Repositories...)...)
		statements = append(statements, Statement{
			Sid: "Push", Why: "push images to these repositories and no others",
			Actions:   []string{"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:DescribeImages"},
			Resources: s.Repositories,
		})
	}
	statements = append(statements, key(s.Place, s.Key, "the sources are encrypted with it", "s3")...)
	if len(s.Subnets) > 0 {
		statements = append(statements, Statement{
			Sid: "NetworkLook", Why: "CodeBuild places builds in the private subnets",
			Actions:   []string{"ec2:CreateNetworkInterface", "ec2:DescribeDhcpOptions", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "ec2:DescribeVpcs"},
			Resources: []string{"*"}, Any: "CodeBuild's own documentation asks for it: interfaces have no name before they exist",
		}, Statement{
			Sid: "NetworkHandOver", Why: "hand the interface to CodeBuild, in these subnets only", Actions: []string{"ec2:CreateNetworkInterfacePermission"},
			Resources:  []string{s.ARN("ec2", "network-interface/*")},
			Conditions: []Condition{equals("ec2:AuthorizedService", "codebuild.amazonaws.com"), arnEquals("ec2:Subnet", s.Subnets...)},
		})
	}
	return Role{"build", "codebuild.amazonaws.com", "a CodeBuild build: whoever may push a Dockerfile or buildspec has it", statements}
}
