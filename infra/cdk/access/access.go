// Package access says who may do what, and who may talk to whom, each with its
// reason. It is plain data: the stacks turn it into IAM roles and security
// groups, and docs/security-infra.md is written from it, so that neither can
// say something else than the other.
package access

// Statement is what a role may do.
type Statement struct {
	Sid       string
	Why       string
	Actions   []string
	Resources []string
	// Any is the reason why the resources are "*": AWS offers no narrower
	// resource for these actions. It is required there and only there.
	Any        string
	Conditions []Condition
}

// Condition is one line of a statement's conditions; all of them must hold.
type Condition struct {
	Operator string // ArnEquals, StringEquals, Null
	Key      string
	Values   []string
}

// Role is a role with everything that it may do.
type Role struct {
	Name       string
	Service    string // the AWS service that may take the role
	Why        string
	Statements []Statement
}

// Place is where everything is: each value may be a CloudFormation reference.
type Place struct{ Partition, Region, Account string }

// ARN is the ARN of something in this place.
func (p Place) ARN(service, resource string) string {
	return "arn:" + p.Partition + ":" + service + ":" + p.Region + ":" + p.Account + ":" + resource
}

// global is the ARN of something that belongs to no Region.
func (p Place) global(service, resource string) string {
	return "arn:" + p.Partition + ":" + service + "::" + p.Account + ":" + resource
}

func equals(key string, values ...string) Condition {
	return Condition{"StringEquals", key, values}
}

func arnEquals(key string, values ...string) Condition { return Condition{"ArnEquals", key, values} }

// key lets a role use a KMS key through the services that hold the data.
func key(p Place, arn, why string, services ...string) []Statement {
	if arn == "" {
		return nil // AWS-managed keys need no permission
	}
	via := make([]string, len(services))
	for i, s := range services {
		via[i] = s + "." + p.Region + ".amazonaws.com"
	}
	return []Statement{{
		Sid: "Key", Why: why,
		Actions: []string{"kms:Decrypt", "kms:GenerateDataKey"}, Resources: []string{arn},
		Conditions: []Condition{equals("kms:ViaService", via...)},
	}}
}

// session lets an operator open a shell through Session Manager. The managed
// policy AmazonSSMManagedInstanceCore would also read every parameter.
func session() []Statement {
	return []Statement{{
		Sid: "Session", Why: "Session Manager is the only way to a shell: there is no SSH port and no key pair",
		Actions: []string{
			"ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
			"ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
		},
		Resources: []string{"*"}, Any: "the messaging channels have no resources",
	}}
}

// execShell lets ECS Exec open a shell in a task.
func execShell(why string) Statement {
	return Statement{
		Sid: "Exec", Why: why,
		Actions:   []string{"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel"},
		Resources: []string{"*"}, Any: "the messaging channels have no resources",
	}
}

// report lets a host say how its first boot went.
func report(p Place, stack string) Statement {
	return Statement{
		Sid: "Report", Why: "tell CloudFormation how the first boot went, so that a deployment whose host fails, fails",
		Actions: []string{"cloudformation:SignalResource"}, Resources: []string{p.ARN("cloudformation", "stack/"+stack+"/*")},
	}
}

// logs lets a role write to log groups.
func logs(groups ...string) Statement {
	s := Statement{Sid: "Logs", Why: "ships its logs", Actions: []string{"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"}}
	for _, g := range groups {
		s.Resources = append(s.Resources, g+":*")
	}
	return s
}

// metrics lets a host report its disk and memory, and what else it knows.
func metrics(namespace string) Statement {
	return Statement{
		Sid: "Metrics", Why: "disk and memory, and whether the runner runs, which alarms watch", Actions: []string{"cloudwatch:PutMetricData"},
		Resources: []string{"*"}, Any: "metrics have no resources; the namespace bounds it",
		Conditions: []Condition{equals("cloudwatch:namespace", namespace)},
	}
}

// pull lets a role pull images from repositories of this account.
func pull(repositories ...string) []Statement {
	return []Statement{{
		Sid: "RegistryLogin", Why: "log in to ECR", Actions: []string{"ecr:GetAuthorizationToken"},
		Resources: []string{"*"}, Any: "the token is for the account's registry, not for a repository",
	}, {
		Sid: "Pull", Why: "pull these images and no others",
		Actions: []string{"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"}, Resources: repositories,
	}}
}

func under(arn string, paths ...string) []string {
	all := make([]string, len(paths))
	for i, p := range paths {
		all[i] = arn + "/" + p
	}
	return all
}
