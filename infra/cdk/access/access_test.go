package access

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// TestStatementsAreWhole holds every statement to what a reader needs of it.
func TestStatementsAreWhole(t *testing.T) {
	t.Parallel()
	for _, role := range Everything() {
		if role.Why == "" {
			t.Errorf("%s: no reason for the role", role.Name)
		}
		seen := map[string]bool{}
		for _, s := range role.Statements {
			at := role.Name + "/" + s.Sid
			if s.Why == "" || len(s.Actions) == 0 || len(s.Resources) == 0 {
				t.Errorf("%s: lacks its reason, actions or resources", at)
			}
			if seen[s.Sid] {
				t.Errorf("%s is there twice", at)
			}
			seen[s.Sid] = true
			if everything := slices.Contains(s.Resources, "*"); everything != (s.Any != "") {
				t.Errorf("%s: resources %v with the reason %q", at, s.Resources, s.Any)
			}
			for _, a := range s.Actions {
				if strings.Contains(a, "*") || !strings.Contains(a, ":") {
					t.Errorf("%s: %q is not one action", at, a)
				}
			}
			for _, r := range s.Resources {
				if r != "*" && !strings.HasPrefix(r, "arn:") {
					t.Errorf("%s: %q is not an ARN", at, r)
				}
			}
		}
	}
}

// request is something that somebody with a role tries.
type request struct {
	role, action, resource string
	context                map[string]string
	want                   bool
	why                    string
}

// TestWhatRolesMayDo evaluates the statements as IAM does: allowed if one
// statement has the action, the resource and all its conditions.
func TestWhatRolesMayDo(t *testing.T) {
	t.Parallel()
	const ecs, iam = "arn:aws:ecs:REGION:ACCOUNT:", "arn:aws:iam::ACCOUNT:"
	cluster := map[string]string{"ecs:cluster": ecs + "cluster/NAME-jobs"}
	other := map[string]string{"ecs:cluster": ecs + "cluster/production"}
	toECS := map[string]string{"iam:PassedToService": "ecs-tasks.amazonaws.com"}
	const project = "arn:aws:codebuild:REGION:ACCOUNT:project/NAME-build"
	for _, r := range []request{
		{"manager", "ecs:RunTask", ecs + "task-definition/NAME-job-default:7", cluster, true, "launch a job"},
		{"manager", "ecs:RunTask", ecs + "task-definition/NAME-job-default:7", other, false, "another cluster"},
		{"manager", "ecs:RunTask", ecs + "task-definition/NAME-job-default:7", nil, false, "no cluster known"},
		{"manager", "ecs:RunTask", ecs + "task-definition/payroll:1", cluster, false, "another family"},
		{"manager", "ecs:StopTask", ecs + "task/NAME-jobs/abc", cluster, true, "stop a job"},
		{"manager", "ecs:StopTask", ecs + "task/production/abc", other, false, "stop somebody else's task"},
		{"manager", "ecs:TagResource", ecs + "task/NAME-jobs/abc", map[string]string{"ecs:CreateAction": "RunTask"}, true, "tag at launch"},
		{"manager", "ecs:TagResource", ecs + "task/NAME-jobs/abc", nil, false, "tag later"},
		{"manager", "ecs:RegisterTaskDefinition", ecs + "task-definition/NAME-image-0123456789abcdef:1", nil, true, "make a task definition for an image"},
		{"manager", "ecs:RunTask", ecs + "task-definition/NAME-image-0123456789abcdef:1", cluster, true, "launch a job in its own image"},
		{"manager", "ecs:RegisterTaskDefinition", ecs + "task-definition/NAME-job-default:8", nil, false, "change the task definition of jobs"},
		{"manager", "ecs:RegisterTaskDefinition", ecs + "task-definition/x:1", cluster, false, "make a task definition of its own"},
		{"manager", "ecs:ExecuteCommand", ecs + "task/NAME-jobs/abc", cluster, false, "a shell in a job"},
		{"manager", "iam:PassRole", iam + "role/NAME-job-default", toECS, true, "hand over the job role"},
		{"manager", "iam:PassRole", iam + "role/NAME-execution", toECS, true, "hand over the execution role"},
		{"manager", "iam:PassRole", iam + "role/Admin", toECS, false, "hand over an administrator's role"},
		{"manager", "iam:PassRole", iam + "role/NAME-job-default", map[string]string{"iam:PassedToService": "lambda.amazonaws.com"}, false, "hand over to Lambda"},
		{"manager", "iam:PassRole", iam + "role/NAME-job-default", nil, false, "hand over to nobody in particular"},
		{"manager", "cloudformation:SignalResource", "arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME-runners/0a1b", nil, true, "report its first boot"},
		{"manager", "cloudformation:SignalResource", "arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME-gitlab/0a1b", nil, false, "report in GitLab's name"},
		{"gitlab", "cloudformation:SignalResource", "arn:aws:cloudformation:REGION:ACCOUNT:stack/NAME-gitlab/0a1b", nil, true, "report its first boot"},
		{"manager", "s3:PutObject", "arn:aws:s3:::CACHE/project/1/default/cache.zip", nil, true, "sign a cache upload"},
		{"manager", "s3:DeleteObject", "arn:aws:s3:::CACHE/project/1/default/cache.zip", nil, false, "delete a cache"},
		{"manager", "ssm:GetParameter", "arn:aws:ssm:REGION:ACCOUNT:parameter/other", nil, false, "read any parameter"},
		{"manager", "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME/gitlab-root-XXXXXX", nil, false, "read GitLab's password"},

		{"job", "codebuild:StartBuild", project, nil, true, "build an image"},
		{"job", "codebuild:StartBuild", project, map[string]string{"codebuild:serviceRole": iam + "role/Admin"}, false, "build with another role"},
		{"job", "codebuild:StartBuild", "arn:aws:codebuild:REGION:ACCOUNT:project/other", nil, false, "another project"},
		{"job", "codebuild:ListBuildsForProject", project, nil, true, "find a build whose start a killed bridge never saw answered"},
		{"job", "s3:PutObject", "arn:aws:s3:::SOURCE/jobs/1/x.zip", nil, true, "upload sources"},
		{"job", "s3:PutObject", "arn:aws:s3:::SOURCE/elsewhere/x.zip", nil, false, "upload beside the prefix"},
		{"job", "s3:ListBucket", "arn:aws:s3:::SOURCE", nil, true, "look for its sources"},
		{"job", "s3:ListBucket", "arn:aws:s3:::CACHE", nil, false, "list caches"},
		{"job", "s3:DeleteObject", "arn:aws:s3:::SOURCE/jobs/1/x.zip", nil, false, "delete another job's sources"},
		{"job", "s3:GetObject", "arn:aws:s3:::CACHE/project/1/default/cache.zip", nil, false, "another project's cache"},
		{"job", "ecs:RunTask", ecs + "task-definition/NAME-job-default:7", cluster, false, "launch tasks"},
		{"job", "ecr:PutImage", "arn:aws:ecr:REGION:ACCOUNT:repository/NAME-job", nil, false, "replace the image that jobs run in"},
		{"job", "iam:PassRole", iam + "role/NAME-execution", toECS, false, "hand over a role"},

		{"execution", "s3:GetObject", "arn:aws:s3:::CACHE/x", nil, false, "read caches"},
		{"build", "ecr:PutImage", "arn:aws:ecr:REGION:ACCOUNT:repository/NAME-app", nil, true, "push an image"},
		{"build", "ecr:PutImage", "arn:aws:ecr:REGION:ACCOUNT:repository/NAME-job", nil, false, "replace the image that jobs run in"},
		{"gitlab", "ec2:AttachVolume", "arn:aws:ec2:REGION:ACCOUNT:volume/VOLUME", map[string]string{"aws:ResourceTag/fargate-driver:part": "NAME-gitlab"}, true, "take over the disk"},
		{"gitlab", "ec2:AttachVolume", "arn:aws:ec2:REGION:ACCOUNT:volume/other", map[string]string{"aws:ResourceTag/fargate-driver:part": "NAME-gitlab"}, false, "another disk"},
		{"gitlab", "ses:SendRawEmail", "arn:aws:ses:REGION:ACCOUNT:identity/example.com", map[string]string{"ses:FromAddress": "ceo@example.com"}, false, "mail as somebody else"},
		{"gitlab", "s3:GetObject", "arn:aws:s3:::CACHE/x", nil, false, "read caches"},
	} {
		if got := allowed(r); got != r.want {
			t.Errorf("%s: %s (%s on %s): allowed is %v", r.role, r.why, r.action, r.resource, got)
		}
	}
}

func allowed(r request) bool {
	for _, role := range Everything() {
		if role.Name != r.role {
			continue
		}
		if slices.ContainsFunc(role.Statements, func(s Statement) bool {
			return slices.Contains(s.Actions, r.action) && anyMatch(s.Resources, r.resource) && hold(s.Conditions, r.context)
		}) {
			return true
		}
	}
	return false
}

func hold(conditions []Condition, context map[string]string) bool {
	for _, c := range conditions {
		value, present := context[c.Key]
		switch c.Operator {
		case "Null":
			if (c.Values[0] == "true") == present {
				return false
			}
		case "StringEquals", "Bool":
			if !present || !slices.Contains(c.Values, value) {
				return false
			}
		case "ArnEquals":
			if !present || !anyMatch(c.Values, value) {
				return false
			}
		default:
			panic("no such operator here: " + c.Operator)
		}
	}
	return true
}

// anyMatch knows IAM's *, which unlike a path's runs over slashes.
func anyMatch(patterns []string, value string) bool {
	flat := func(s string) string { return strings.ReplaceAll(s, "/", "\x00") }
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(flat(p), flat(value))
		return err == nil && ok
	})
}
