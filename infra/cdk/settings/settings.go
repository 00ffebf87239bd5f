// Package settings is the one file that configures the deployment: defaults,
// decode, validate, then a read-only value. The struct tags say what a key
// means; messages and the annotated sample are made from them.
package settings

// Settings is a complete, valid configuration of one deployment.
type Settings struct {
	Name   string `toml:"name" required:"true" doc:"Prefix of every name that this deployment makes: stacks, roles, log groups. Lower case, up to 12 characters, no two hyphens together, not beginning with aws, ssm or sg-, which AWS keeps for itself. Used once in an account: roles belong to all Regions. Changing it later makes everything anew." example:"ci"`
	Region string `toml:"region" required:"true" doc:"AWS Region of everything." example:"ap-northeast-1"`
	Data   string `toml:"data" default:"retain" doc:"What 'cdk destroy' does to repositories, databases and buckets that hold data: retain keeps them, destroy deletes them." example:"destroy"`

	CustomerKey         bool              `toml:"customer_key" default:"true" doc:"Encrypt with a KMS key of this deployment, rotated each year. false: with the keys that AWS manages, which cost nothing and whose policy cannot be changed." example:"false"`
	PermissionsBoundary string            `toml:"permissions_boundary" doc:"Name of an IAM policy that bounds every role made here. Empty: none." example:"developer-boundary"`
	LogRetentionDays    int               `toml:"log_retention_days" default:"90" doc:"Days that logs are kept: a value that CloudWatch Logs has, such as 7, 30, 90 or 365." example:"30"`
	AlarmEmail          string            `toml:"alarm_email" doc:"Address that alarms are mailed to; AWS asks it for a confirmation first. Empty: alarms go to the topic in the outputs, which nobody reads yet." example:"ops@example.com"`
	Tags                map[string]string `toml:"tags" doc:"Tags on every resource." example:"{ CostCenter = \"ci\" }"`

	Network Network `toml:"network" doc:"The VPC, and what leaves it."`
	Entry   Entry   `toml:"entry" doc:"How people reach GitLab."`
	GitLab  GitLab  `toml:"gitlab" doc:"GitLab itself."`
	Runners Runners `toml:"runners" doc:"The manager and the tasks of jobs."`
	Tasks   []Task  `toml:"task" doc:"A task definition that jobs may run in; one [[task]] for each. The first is the default, the others are chosen by a job's variable FARGATE_TASK_DEFINITION."`
	Builds  Builds  `toml:"builds" doc:"Docker images by CodeBuild."`
}

// Network is the VPC.
type Network struct {
	CIDR              string   `toml:"cidr" default:"10.60.0.0/16" doc:"Address range of a new VPC, /16 to /22. Each running job takes one address of a private subnet." example:"10.20.0.0/16"`
	VPC               string   `toml:"vpc" doc:"Id of an existing VPC to use instead of a new one. cidr is then its range, and the next three keys belong to it." example:"vpc-0a1b2c3d"`
	AvailabilityZones []string `toml:"availability_zones" doc:"With vpc: its availability zones, in the order of the subnets. With a new VPC: two zones that have the instance types; empty are the first two that AWS lists. GitLab's disk is in the first: do not change them later." example:"[\"ap-northeast-1a\", \"ap-northeast-1c\"]"`
	PrivateSubnets    []string `toml:"private_subnets" doc:"With vpc: a private subnet in each zone." example:"[\"subnet-0a1b2c3d\", \"subnet-1a1b2c3d\"]"`
	PublicSubnets     []string `toml:"public_subnets" doc:"With vpc: a public subnet in each zone. Only an internet-facing entry needs them." example:"[\"subnet-2a1b2c3d\", \"subnet-3a1b2c3d\"]"`
	Egress            string   `toml:"egress" default:"nat-gateway" doc:"How private subnets of a new VPC reach the internet: nat-gateway, nat-instance (one small EC2 instance with a fixed address; cheap, not redundant) or none." example:"none"`
	OutPorts          []int    `toml:"out_ports" default:"443,80,22,587" doc:"TCP ports that GitLab and jobs may reach outside: HTTPS, HTTP for package mirrors, Git over SSH, mail. 443 is needed always." example:"[443]"`
	Endpoints         []string `toml:"endpoints" doc:"Interface endpoints, each billed by the hour in each zone: ecr.api, ecr.dkr, logs, monitoring, secretsmanager, ssm, ssmmessages, ec2messages, ec2, ecs, codebuild, sts, kms, email, email-smtp, codeconnections.api, autoscaling, cloudformation, elasticfilesystem, sns. S3 has a gateway endpoint always, which is free." example:"[\"ecr.api\", \"ecr.dkr\", \"logs\"]"`
	FlowLogs          bool     `toml:"flow_logs" default:"true" doc:"Record rejected connections of a new VPC in a log group." example:"false"`
}

// Entry is how people reach GitLab.
type Entry struct {
	Scheme       string   `toml:"scheme" default:"internal" doc:"internal: reachable from the VPC and what is connected to it (VPN, Transit Gateway); internet-facing: from the internet, for allowed_cidrs." example:"internet-facing"`
	AllowedCIDRs []string `toml:"allowed_cidrs" required:"true" doc:"Who may connect, to the web and to Git over SSH. 0.0.0.0/0 only together with open_to_the_world." example:"[\"198.51.100.0/24\"]"`
	OpenToWorld  bool     `toml:"open_to_the_world" default:"false" doc:"Allow 0.0.0.0/0 in allowed_cidrs. Never with plain_http." example:"true"`

	Domain      string `toml:"domain" doc:"Host name of GitLab. Needs a certificate: hosted_zone, or certificate_arn." example:"gitlab.example.com"`
	HostedZone  string `toml:"hosted_zone" doc:"Id of the public Route 53 hosted zone of the domain: makes the certificate, by DNS validation, and the alias record." example:"Z0123456789EXAMPLE"`
	ZoneName    string `toml:"zone_name" doc:"Name of that hosted zone." example:"example.com"`
	Certificate string `toml:"certificate_arn" doc:"ACM certificate to use instead of a new one. Without hosted_zone, the DNS record is yours to make." example:"arn:aws:acm:ap-northeast-1:123456789012:certificate/0a1b2c3d"`
	PlainHTTP   bool   `toml:"plain_http" default:"false" doc:"No TLS: passwords and tokens cross the network readable. For a demo." example:"true"`

	Private bool `toml:"private_too" default:"false" doc:"With internet-facing: a second, internal load balancer for the manager and jobs, under the same host name by a private hosted zone, so that clones stay in the VPC instead of going through the NAT." example:"true"`

	SSH    string `toml:"ssh" default:"none" doc:"Git over SSH, which needs a network load balancer: none; nlb: one beside the ALB, with a host name of its own in the outputs; in-front: one in front of the ALB, so that web and SSH share one address." example:"nlb"`
	Idle   int    `toml:"idle_seconds" default:"600" doc:"Seconds that a connection may be silent before the ALB cuts it. Large clones and pushes need more than AWS's 60." example:"3600"`
	WebACL string `toml:"web_acl_arn" doc:"AWS WAF web ACL for the ALB. Empty: none." example:"arn:aws:wafv2:ap-northeast-1:123456789012:regional/webacl/gitlab/0a1b2c3d"`
}

// GitLab is GitLab itself.
type GitLab struct {
	Compute string `toml:"compute" default:"ec2" doc:"ec2: one instance with its own disk, which GitLab recommends; fargate: one task on EFS, slower and without servers; none: GitLab is elsewhere, at url." example:"fargate"`
	URL     string `toml:"url" doc:"With compute = \"none\": where GitLab is." example:"https://gitlab.example.com"`

	Version     string `toml:"version" doc:"Version of GitLab. Upgrades go through GitLab's required stops, one at a time. Never a moving name such as latest." example:"19.3.0"`
	Edition     string `toml:"edition" default:"ee" doc:"ee (works without a licence too, and can be upgraded in place) or ce." example:"ce"`
	ImageSource string `toml:"image_source" default:"docker-hub" doc:"docker-hub; ecr: a repository made here, into which you copy the image once per version (the command is in the outputs); pull-through: an ECR cache of Docker Hub, for which pull_through_secret and a way to the internet are needed." example:"ecr"`
	PullSecret  string `toml:"pull_through_secret" doc:"ARN of the secret with a Docker Hub user and access token; ECR demands that its name begins with ecr-pullthroughcache/." example:"arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:ecr-pullthroughcache/docker-hub-AbCdEf"`
	RootEmail   string `toml:"root_email" default:"admin@example.com" doc:"E-mail address of the first administrator. The password is made by Secrets Manager." example:"admin@example.com"`

	InstanceType string `toml:"instance_type" default:"m7i.xlarge" doc:"With ec2: instance type. GitLab wants 8 GiB and 4 vCPU for up to 1,000 users. Its image exists for x86-64 and arm64." example:"m7g.xlarge"`
	DiskGiB      int    `toml:"disk_gib" default:"100" doc:"With ec2: size of the data disk (gp3, encrypted). It can grow later, never shrink." example:"500"`
	CPU          int    `toml:"cpu" default:"4096" doc:"With fargate: CPU units of the task." example:"2048"`
	Memory       int    `toml:"memory" default:"8192" doc:"With fargate: memory of the task in MiB, 8192 or more." example:"16384"`
	GraceMinutes int    `toml:"grace_minutes" default:"30" doc:"Longest time from start to ready, with the database migrations of an upgrade." example:"60"`

	Database        string `toml:"database" default:"bundled" doc:"bundled: inside GitLab; rds: RDS for PostgreSQL 17 in two zones; aurora: against GitLab's advice (\"Amazon Aurora is incompatible and not supported\"), only with aurora_unsupported_by_gitlab = true." example:"rds"`
	Aurora          bool   `toml:"aurora_unsupported_by_gitlab" default:"false" doc:"You know that GitLab does not support Aurora and want it all the same." example:"true"`
	DatabaseType    string `toml:"database_instance_type" default:"m7g.large" doc:"Instance type of the database, without db. in front; burstable ones are not recommended by GitLab." example:"m7g.xlarge"`
	DatabaseVersion string `toml:"database_version" default:"17.9" doc:"With rds or aurora: version of PostgreSQL. GitLab 19 wants 17 or newer; RDS retires minor versions after a while." example:"17.10"`
	DatabaseGiB     int    `toml:"database_gib" default:"100" doc:"With rds: storage of the database, which grows by itself up to four times this." example:"200"`
	Redis           string `toml:"redis" default:"bundled" doc:"bundled, or elasticache: two nodes, cluster mode off, TLS and a password." example:"elasticache"`
	RedisType       string `toml:"redis_node_type" default:"cache.m7g.large" doc:"Node type with elasticache." example:"cache.t4g.small"`
	ObjectBucket    bool   `toml:"object_storage" default:"false" doc:"Keep artifacts, LFS, uploads, packages and the like in S3 buckets, one for each kind, by role. Buckets are not in the disk's backups." example:"true"`

	Mail         string `toml:"mail" default:"none" doc:"none; ses: Amazon SES by role, from GitLab 19.3 on; smtp: a server and a user with a password in Secrets Manager." example:"ses"`
	MailFrom     string `toml:"mail_from" doc:"Sender of mails; a verified identity of SES." example:"gitlab@example.com"`
	SMTPHost     string `toml:"smtp_host" doc:"With smtp: the server, on port 587 with STARTTLS." example:"email-smtp.ap-northeast-1.amazonaws.com"`
	SMTPSecret   string `toml:"smtp_secret_arn" doc:"With smtp: ARN of a secret with the JSON keys username and password." example:"arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:smtp-AbCdEf"`
	BackupDays   int    `toml:"backup_days" default:"35" doc:"Days that a daily AWS Backup recovery point of GitLab's disk is kept. 0: no backups." example:"7"`
	ExtraConfig  string `toml:"extra_config" doc:"Lines of gitlab.rb to add, Ruby. No secrets: they would be readable in the template." example:"gitlab_rails['time_zone'] = 'Tokyo'"`
	ExecIntoTask bool   `toml:"exec" default:"false" doc:"With fargate: allow 'aws ecs execute-command' into GitLab's task. On EC2 there is Session Manager always." example:"true"`
}

// Runners is the manager and where jobs run.
type Runners struct {
	Concurrent   int    `toml:"concurrent" default:"50" doc:"Jobs at once. Also bounded by the account's Fargate vCPU quota and the free addresses of the private subnets." example:"200"`
	InstanceType string `toml:"instance_type" default:"t4g.micro" doc:"The manager's instance type: arm64 or x86-64, 1 GiB of memory is enough for 200 jobs." example:"t3.micro"`
	Version      string `toml:"gitlab_runner_version" default:"19.4.0" doc:"Version of gitlab-runner." example:"19.4.0"`
	SHA256       string `toml:"gitlab_runner_sha256" doc:"SHA-256 of that gitlab-runner binary for the manager's architecture. Empty: checked against release.sha256 of the same source, which proves no more than a good download; the deployment guide has the command that tells it." example:"6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"`
	Source       string `toml:"gitlab_runner_source" default:"https://s3.dualstack.us-east-1.amazonaws.com/gitlab-runner-downloads" doc:"Where VERSION/binaries/gitlab-runner-linux-ARCH and VERSION/release.sha256 are: an https address, or s3://bucket/prefix for a network without internet." example:"s3://my-mirror/gitlab-runner"`
	Spot         string `toml:"spot" default:"prefer" doc:"never: on-demand Fargate; prefer: Fargate Spot, and on-demand where Spot has no capacity; only: Spot alone." example:"never"`
	CloneURL     string `toml:"clone_url" doc:"Address by which jobs clone, if it is not GitLab's own." example:"https://gitlab.internal.example.com"`
	OutputLimit  int    `toml:"output_limit_kib" default:"16384" doc:"KiB of a job's log that GitLab keeps." example:"4096"`
	DrainMinutes int    `toml:"drain_minutes" default:"120" doc:"When the manager is replaced, running jobs get this long to end. 1 to 2880." example:"60"`
	CacheDays    int    `toml:"cache_days" default:"14" doc:"Days after which a cached object is deleted." example:"30"`
	MetricsCIDR  string `toml:"metrics_cidr" doc:"Range of addresses that may read gitlab-runner's Prometheus metrics on port 9252. Empty: only the manager itself." example:"10.60.0.0/16"`
	ScheduleOn   string `toml:"schedule_on" doc:"Start the manager at this time: five cron fields. Goes with schedule_off. Empty: always on." example:"0 8 * * 1-5"`
	ScheduleOff  string `toml:"schedule_off" doc:"Stop the manager at this time; running jobs get drain_minutes to end." example:"0 20 * * 1-5"`
	TimeZone     string `toml:"time_zone" default:"Etc/UTC" doc:"Time zone of the schedule." example:"Asia/Tokyo"`
	ExecIntoTask bool   `toml:"exec_into_tasks" default:"false" doc:"Allow ECS Exec into tasks of jobs, for an operator; jobs get the permission for it with their role." example:"true"`

	Images   []string `toml:"images" doc:"Images that jobs may run in by image:, with * for any characters; end a registry's name with /*. Their tasks have the roles, size and logs of the job's task definition. Empty: image: is not used, and the job log says so." example:"[\"public.ecr.aws/docker/library/*\"]"`
	Services []string `toml:"services" doc:"Images that jobs may run beside themselves by services:, in the same way." example:"[\"public.ecr.aws/docker/library/*\"]"`

	MaxCPU    int `toml:"max_cpu" default:"0" doc:"Most CPU units that a job may ask for with FARGATE_CPU. 0: a job may not choose its size." example:"4096"`
	MaxMemory int `toml:"max_memory" default:"0" doc:"Most MiB that a job may ask for with FARGATE_MEMORY. Goes with max_cpu." example:"16384"`
}

// NamesImages says that jobs may name images, for themselves or their services.
func (r Runners) NamesImages() bool { return len(r.Images)+len(r.Services) > 0 }

// Task is a task definition for jobs.
type Task struct {
	Name         string `toml:"name" required:"true" doc:"Name: the family becomes NAME-OF-DEPLOYMENT-job-NAME." example:"default"`
	Image        string `toml:"image" required:"true" doc:"Image of the job's container, which has the coordinator agent or an SSH server in it. 'own:TAG' is the build image of this deployment's repository." example:"own:1.0.0"`
	CPU          int    `toml:"cpu" default:"1024" doc:"CPU units; 1024 are one vCPU." example:"2048"`
	Memory       int    `toml:"memory" default:"2048" doc:"Memory in MiB." example:"4096"`
	Architecture string `toml:"architecture" default:"arm64" doc:"arm64 or x86-64." example:"x86-64"`
	DiskGiB      int    `toml:"disk_gib" default:"0" doc:"Disk in GiB, 21 to 200. 0: Fargate's own 20." example:"50"`
	Policy       string `toml:"policy_file" doc:"IAM policy document in JSON that jobs in this task get besides the rest; the path is relative to the settings file." example:"policies/deploy.json"`
	Builds       bool   `toml:"builds" default:"true" doc:"Jobs in this task may build Docker images through CodeBuild." example:"false"`
}

// Builds is Docker images by CodeBuild.
type Builds struct {
	Enabled       bool     `toml:"enabled" default:"true" doc:"Make the CodeBuild project, its source bucket and the repositories." example:"false"`
	Image         string   `toml:"image" default:"aws/codebuild/amazonlinux-aarch64-standard:3.0" doc:"CodeBuild's image; its architecture must be that of environment." example:"aws/codebuild/amazonlinux-x86_64-standard:5.0"`
	Environment   string   `toml:"environment" default:"ARM_CONTAINER" doc:"ARM_CONTAINER or LINUX_CONTAINER." example:"LINUX_CONTAINER"`
	Compute       string   `toml:"compute" default:"BUILD_GENERAL1_SMALL" doc:"Size of a build machine, billed by the minute." example:"BUILD_GENERAL1_LARGE"`
	Minutes       int      `toml:"minutes" default:"60" doc:"Longest time of one build, 5 to 2160." example:"120"`
	QueuedMinutes int      `toml:"queued_minutes" default:"60" doc:"Longest time that a build waits for its turn, 5 to 480." example:"30"`
	InVPC         bool     `toml:"in_vpc" default:"false" doc:"Run builds in the private subnets: they leave by the NAT's fixed address and reach what is private, and every pull goes through the NAT." example:"true"`
	Cache         string   `toml:"cache" default:"registry" doc:"registry: the bridge keeps layers in the repository; local: CodeBuild keeps them on a machine for a while, but not with in_vpc and not on BUILD_GENERAL1_2XLARGE." example:"local"`
	DockerServer  bool     `toml:"docker_server" default:"false" doc:"Use CodeBuild's Docker server, which keeps layers between builds and is billed by the minute too." example:"true"`
	Repositories  []string `toml:"repositories" doc:"ECR repositories to make for your images." example:"[\"app\", \"worker\"]"`
	KeepImages    int      `toml:"keep_images" default:"50" doc:"Images that are kept in each repository." example:"100"`
	PushFrom      []string `toml:"push_from_accounts" doc:"Other AWS accounts that may push to the repositories." example:"[\"210987654321\"]"`
}
