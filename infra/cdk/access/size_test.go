package access

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// The longest manager's role that settings can make is one that IAM takes:
// 20 task definitions (package settings allows no more) with the longest names.
func TestManagerRoleFits(t *testing.T) {
	t.Parallel()
	place := Place{"aws", "ap-southeast-1", "123456789012"}
	name := strings.Repeat("n", 12)
	bucket := "arn:aws:s3:::" + strings.Repeat("b", 63)
	key := place.ARN("kms", "key/00000000-0000-0000-0000-000000000000")
	s := RunnersScope{
		Place: place, Name: name, Cluster: name + "-jobs", ImageFamily: name + "-image", ExecutionRole: place.global("iam", "role/"+name+"-execution"),
		CacheBucket: bucket, Key: key, TokenSecret: place.ARN("secretsmanager", "secret:"+name+"/runner-token-XXXXXX"),
		Parameters: []string{place.ARN("ssm", "parameter/"+name+"/manager/fargate.toml"), place.ARN("ssm", "parameter/"+name+"/manager/config.toml")},
		Programs:   []string{bucket + "/" + strings.Repeat("0", 64) + ".zip", bucket + "/" + strings.Repeat("1", 64) + ".zip"}, RunnerMirror: bucket + "/*",
		LogGroups: []string{place.ARN("logs", "log-group:/"+name+"/manager")}, AutoScaling: name + "-manager", Exec: true,
	}
	for i := range 20 {
		task := fmt.Sprintf("job-%s%02d", strings.Repeat("t", 29), i)
		s.Families = append(s.Families, name+"-"+task)
		s.JobRoles = append(s.JobRoles, place.global("iam", "role/"+name+"-"+task))
	}
	var statements []any
	for _, statement := range ManagerRole(s).Statements {
		conditions := map[string]any{}
		for _, c := range statement.Conditions {
			conditions[c.Operator] = map[string]any{c.Key: c.Values}
		}
		statements = append(statements, map[string]any{
			"Sid": statement.Sid, "Effect": "Allow", "Action": statement.Actions, "Resource": statement.Resources, "Condition": conditions,
		})
	}
	policy, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	if len(policy) > 10240 {
		t.Errorf("the policy has %d characters, IAM takes 10,240", len(policy))
	}
	t.Logf("%d characters", len(policy))
}
