package access

// RunnersScope is what the roles of the Runners stack are about.
type RunnersScope struct {
	Place
	Name           string   // prefix of the deployment
	Cluster        string   // name
	Families       []string // of the task definitions that jobs may run in
	ImageFamily    string   // beginning of those that the driver makes for images, or ""
	ExecutionRole  string   // ARN
	JobRoles       []string // ARNs
	CacheBucket    string   // ARN
	Key            string   // ARN, or "" for AWS-managed keys
	TokenSecret    string   // ARN
	Parameters     []string // ARNs of the rendered configuration
	Programs       []string // ARNs of the objects with the programs
	RunnerMirror   string   // ARN pattern of a bucket with gitlab-runner, or ""
	LogGroups      []string // ARNs
	JobLogGroup    string
	Repositories   []string // ARNs of the images that job tasks pull
	AutoScaling    string   // name of the manager's group
	Exec           bool     // ECS Exec into tasks
	SourceBucket   string   // ARN, "" without builds
	Project        string   // name
	BuildsLogGroup string   // ARN
}

func (s RunnersScope) cluster() string { return s.ARN("ecs", "cluster/"+s.Cluster) }
func (s RunnersScope) tasks() string   { return s.ARN("ecs", "task/"+s.Cluster+"/*") }

// ManagerRole is the role of the host that runs gitlab-runner and fargate-driver.
func ManagerRole(s RunnersScope) Role {
	onCluster := []Condition{arnEquals("ecs:cluster", s.cluster())}
	families := make([]string, len(s.Families))
	for i, f := range s.Families {
		families[i] = s.ARN("ecs", "task-definition/"+f+":*")
	}
	var made []string
	if s.ImageFamily != "" {
		made = []string{s.ARN("ecs", "task-definition/"+s.ImageFamily+"-*:*")}
		families = append(families, made...)
	}
	statements := []Statement{
		{Sid: "Launch", Why: "start a job's task: from these task definitions, on this cluster", Actions: []string{"ecs:RunTask"}, Resources: families, Conditions: onCluster},
		{Sid: "Tasks", Why: "wait for, explain and stop the tasks of this cluster", Actions: []string{"ecs:DescribeTasks", "ecs:StopTask"}, Resources: []string{s.tasks()}, Conditions: onCluster},
		{Sid: "Orphans", Why: "fargate-driver ps and reap list the cluster's tasks", Actions: []string{"ecs:ListTasks"}, Resources: []string{"*"}, Any: "ListTasks knows no task; the condition bounds it to the cluster", Conditions: onCluster},
		{Sid: "TagLaunched", Why: "a task carries its project and job as tags, set as it starts and never later", Actions: []string{"ecs:TagResource"}, Resources: []string{s.tasks()}, Conditions: []Condition{equals("ecs:CreateAction", "RunTask")}},
		{Sid: "Definitions", Why: "compare the roles of a task definition that a job names; fargate-driver check", Actions: []string{"ecs:DescribeTaskDefinition"}, Resources: []string{"*"}, Any: "AWS offers no resource for DescribeTaskDefinition"},
		{Sid: "Cluster", Why: "fargate-driver check", Actions: []string{"ecs:DescribeClusters"}, Resources: []string{s.cluster()}},
		{Sid: "Network", Why: "fargate-driver check --aws looks at subnets and groups", Actions: []string{"ec2:DescribeSubnets", "ec2:DescribeSecurityGroups"}, Resources: []string{"*"}, Any: "EC2's Describe calls have no resources"},
		{Sid: "Roles", Why: "fargate-driver check --aws looks whether the tasks' roles exist", Actions: []string{"iam:GetRole"}, Resources: append([]string{s.ExecutionRole}, s.JobRoles...)},
		{Sid: "HandOver", Why: "give a task its execution role and its job role, and no other role to no other service", Actions: []string{"iam:PassRole"}, Resources: append([]string{s.ExecutionRole}, s.JobRoles...), Conditions: []Condition{equals("iam:PassedToService", "ecs-tasks.amazonaws.com")}},
		{Sid: "Cache", Why: "sign the addresses by which jobs get and put their caches", Actions: []string{"s3:GetObject", "s3:PutObject"}, Resources: under(s.CacheBucket, "*")},
		{Sid: "CacheList", Why: "without it S3 answers 403 instead of 404 for a cache that is not there yet", Actions: []string{"s3:ListBucket"}, Resources: []string{s.CacheBucket}},
		{Sid: "Token", Why: "the runner authentication token, pasted once by a person", Actions: []string{"secretsmanager:GetSecretValue"}, Resources: []string{s.TokenSecret}},
		{Sid: "Configuration", Why: "config.toml and fargate.toml as this app rendered them", Actions: []string{"ssm:GetParameter"}, Resources: s.Parameters},
		{Sid: "Programs", Why: "fargate-driver, checked by its SHA-256", Actions: []string{"s3:GetObject"}, Resources: s.Programs},
		{Sid: "Drain", Why: "tell Auto Scaling that running jobs have ended, on its own group", Actions: []string{"autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"}, Resources: []string{s.ARN("autoscaling", "autoScalingGroup:*:autoScalingGroupName/"+s.AutoScaling)}},
		logs(s.LogGroups...),
		metrics(s.Name + "/manager"),
		report(s.Place, s.Name+"-runners"),
	}
	if made != nil {
		statements = append(statements, Statement{Sid: "ForImages", Why: "make a task definition for an image that a job names; HandOver bounds the roles that it can be launched with", Actions: []string{"ecs:RegisterTaskDefinition"}, Resources: made})
	}
	if s.RunnerMirror != "" {
		statements = append(statements, Statement{Sid: "Mirror", Why: "gitlab-runner from your own bucket", Actions: []string{"s3:GetObject"}, Resources: []string{s.RunnerMirror}})
	}
	statements = append(statements, session()...)
	statements = append(statements, key(s.Place, s.Key, "cache objects and the token are encrypted with it", "s3", "secretsmanager")...)
	return Role{"manager", "ec2.amazonaws.com", "the host that runs gitlab-runner and fargate-driver", statements}
}

// ExecutionRole is the role by which ECS itself starts a job's task.
func ExecutionRole(s RunnersScope) Role {
	var statements []Statement
	if len(s.Repositories) > 0 {
		statements = pull(s.Repositories...)
	}
	statements = append(statements, Statement{
		Sid: "Logs", Why: "the container's own output", Actions: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resources: []string{s.JobLogGroup + ":*"},
	})
	return Role{"execution", "ecs-tasks.amazonaws.com", "ECS itself, when it starts a job's task; a job never has it", statements}
}

// JobRole is the role that the scripts of a job have. Whoever may write a
// .gitlab-ci.yml has it.
func JobRole(s RunnersScope, builds bool) Role {
	var statements []Statement
	if builds && s.SourceBucket != "" {
		project := s.ARN("codebuild", "project/"+s.Project)
		statements = []Statement{
			{Sid: "Source", Why: "codebuild-bridge uploads a build's sources, skips what is there, and takes back what it could not finish", Actions: []string{"s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"}, Resources: under(s.SourceBucket, "jobs/*")},
			{Sid: "SourceList", Why: "without it S3 answers 403 instead of 404 for sources that are not there yet, and a prefix as condition would not count for that", Actions: []string{"s3:ListBucket", "s3:GetBucketVersioning"}, Resources: []string{s.SourceBucket}},
			{Sid: "Build", Why: "start a build of this project, but not with another role than its own", Actions: []string{"codebuild:StartBuild"}, Resources: []string{project}, Conditions: []Condition{{"Null", "codebuild:serviceRole", []string{"true"}}}},
			{Sid: "Follow", Why: "wait for the build, and stop it when the job is cancelled, or was killed and its id is not known", Actions: []string{"codebuild:BatchGetBuilds", "codebuild:StopBuild", "codebuild:ListBuildsForProject", "codebuild:BatchGetProjects"}, Resources: []string{project}},
			{Sid: "BuildLog", Why: "show the build's log in the job's", Actions: []string{"logs:GetLogEvents"}, Resources: []string{s.BuildsLogGroup + ":log-stream:*"}},
		}
		statements = append(statements, key(s.Place, s.Key, "the sources are encrypted with it", "s3")...)
	}
	if s.Exec {
		statements = append(statements, execShell("an operator may open a shell by ECS Exec (runners.exec_into_tasks)"))
	}
	return Role{"job", "ecs-tasks.amazonaws.com", "the scripts of jobs: whoever may push a .gitlab-ci.yml has it", statements}
}
