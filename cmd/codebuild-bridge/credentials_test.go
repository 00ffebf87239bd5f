package main

import (
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/bridgetest"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

func TestBuildWithAnotherRole(t *testing.T) {
	t.Parallel()
	j := newJob(t, "buildspec.yml", bridgetest.Commands("true"))
	j.env = append(j.env, "TOKEN=a.b.c")
	j.run(0, "build", "--role-arn", "arn:aws:iam::210987654321:role/path/build")
	j.run(0, "build", "--role-arn", "arn:aws:iam::210987654321:role/build", "--web-identity-token-env", "TOKEN")
	if n := len(j.AWS.Calls("AssumeRole", "AssumeRoleWithWebIdentity")); n != 2 {
		t.Errorf("took on a role %d times, want 2", n)
	}
}

// A job without credentials is told so, and not that a permission is missing.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	const role = "arn:aws:iam::210987654321:role/build"
	tests := []struct {
		name    string
		env     []string
		refused string // of STS
		args    []string
		want    string
	}{
		{name: "none at all", env: []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}, want: "no AWS credentials were found"},
		{name: "none at all, and no source", env: []string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}, args: []string{"--no-source"}, want: "no AWS credentials were found"},
		{name: "a role that may not be taken on", refused: "AssumeRole", args: []string{"--role-arn", role}, want: "getting AWS credentials: AccessDenied"},
		{name: "the same, and no source", refused: "AssumeRole", args: []string{"--role-arn", role, "--no-source"}, want: "getting AWS credentials: AccessDenied"},
		{name: "a token that is none", env: []string{"TOKEN=x"}, args: []string{"--role-arn", role, "--web-identity-token-env", "TOKEN"}, want: "getting AWS credentials: InvalidIdentityToken"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, "buildspec.yml", bridgetest.Commands("true"))
			j.env = append(j.env, test.env...)
			if test.refused != "" {
				j.AWS.Fault(localaws.Fault{Operation: test.refused, Count: -1, Kind: localaws.Refused, Code: "AccessDenied", Status: 403})
			}
			out := j.run(6, append([]string{"build"}, test.args...)...)
			if !strings.Contains(out, test.want) || strings.Contains(out, "the job's role needs") {
				t.Errorf("got\n%s", out)
			}
			if n := len(j.AWS.Calls("codebuild:", "s3:")); n != 0 {
				t.Errorf("made %d calls", n)
			}
			if len(test.args) == 0 {
				if out := j.run(2, "check", "--no-color"); !strings.Contains(out, "wrong  identity") || strings.Contains(out, "bucket") {
					t.Errorf("check: got\n%s", out)
				}
			}
		})
	}
}
