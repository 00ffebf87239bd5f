package localaws

import (
	"strings"
	"testing"
)

func TestPoliciesAreEvaluated(t *testing.T) {
	t.Parallel()
	const text = `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": ["s3:Get*", "s3:putobject"], "Resource": "arn:aws:s3:::b/jobs/*"},
		{"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
		{"Sid": "Never", "Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::b/jobs/secret/?"},
		{"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Null": {"codebuild:serviceRole": "false"}}},
		{"Effect": "Allow", "Action": "logs:GetLogEvents", "Resource": "*", "Condition": {"Null": {"a:b": "true"}}}]}`
	p, err := readPolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ action, resource, want string }{
		{"s3:GetObject", "arn:aws:s3:::b/jobs/1/x.zip", allowed},
		{"s3:PutObject", "arn:aws:s3:::b/jobs/1/deep/x.zip", allowed},
		{"s3:PutObject", "arn:aws:s3:::b/other/x.zip", implicitDeny},
		{"s3:DeleteObject", "arn:aws:s3:::b/jobs/1/x.zip", implicitDeny},
		{"s3:GetObject", "arn:aws:s3:::b/jobs/secret/1", explicitDeny},
		{"s3:GetObject", "arn:aws:s3:::b/jobs/secret/12", allowed},
		{"ecr:GetAuthorizationToken", "*", allowed},
		{"logs:GetLogEvents", "arn:aws:logs:r:1:log-group:g:log-stream:s", allowed},
	} {
		if got, _ := p.decide(test.action, test.resource); got != test.want {
			t.Errorf("%s on %s: got %s, want %s", test.action, test.resource, got, test.want)
		}
	}
	for _, bad := range []string{
		`{"Statement": [{"Effect": "allow", "Action": "*", "Resource": "*"}]}`,
		`{"Statement": [{"Effect": "Allow", "NotAction": "*", "Resource": "*"}]}`,
		`{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"a:b": "c"}}}]}`,
	} {
		if _, err := readPolicy(bad); err == nil {
			t.Errorf("%s is taken, and would not be evaluated as IAM does", bad)
		}
	}
}

func TestSimulation(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	ask := func(role string) string {
		status, body := query(t, s, "SimulatePrincipalPolicy", "PolicySourceArn", role,
			"ActionNames.member.1", "s3:GetObject", "ActionNames.member.2", "s3:PutObject",
			"ResourceArns.member.1", "arn:aws:s3:::b/1", "ResourceArns.member.2", "arn:aws:s3:::b/2")
		if status != 200 {
			return body
		}
		var decisions []string
		for part := range strings.SplitSeq(body, "<EvalDecision>") {
			if decision, _, ok := strings.Cut(part, "</EvalDecision>"); ok {
				decisions = append(decisions, decision)
			}
		}
		return strings.Join(decisions, " ")
	}
	caller := roleARN(CallerRole)
	if got := ask(caller); got != "allowed allowed" {
		t.Errorf("without a policy: got %q", got)
	}
	if err := s.SetRolePolicy(CallerRole, `{"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"},
		{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::b/1"}]}`); err != nil {
		t.Fatal(err)
	}
	if got := ask(caller); got != "allowed implicitDeny" {
		t.Errorf("with one: got %q, want the stricter of both resources", got)
	}
	if got := ask(roleARN("nobody")); !strings.Contains(got, "NoSuchEntity") {
		t.Errorf("got %q", got)
	}
	if got := ask(callerARN); !strings.Contains(got, "InvalidInput") {
		t.Errorf("a session's ARN: got %q, want it refused, as IAM does", got)
	}
}
