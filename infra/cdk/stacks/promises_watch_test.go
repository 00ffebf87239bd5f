package stacks_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/infra/cdk/template"
)

// alarmsReachSomebody follows each alarm to a topic that CloudWatch may
// publish to, which takes the topic's policy and its key's. Without either,
// nothing shows it but a mail that never comes.
func alarmsReachSomebody(t *testing.T, v made) {
	topic := v.d.Of("AWS::SNS::Topic")[0]
	for _, a := range v.d.Of("AWS::CloudWatch::Alarm") {
		for _, actions := range []string{"AlarmActions", "OKActions"} {
			if text := asJSON(a.Properties[actions]); !strings.Contains(text, topic.ID) || len(template.Many(a.Properties[actions])) != 1 {
				t.Errorf("%s: its %s are %s", a, actions, text)
			}
		}
	}
	if policy := v.d.Of("AWS::SNS::TopicPolicy"); !letsAlarms(policy[0].Properties["PolicyDocument"], "sns:Publish") {
		t.Errorf("CloudWatch may not publish to the topic: %s", asJSON(policy[0].Properties))
	}
	if topic.Properties["KmsMasterKeyId"] == nil {
		return
	}
	if key := v.d.Of("AWS::KMS::Key"); !letsAlarms(key[0].Properties["KeyPolicy"], "kms:GenerateDataKey") || !letsAlarms(key[0].Properties["KeyPolicy"], "kms:Decrypt") {
		t.Errorf("CloudWatch may not use the topic's key: %s", asJSON(key[0].Properties))
	}
}

// letsAlarms says that a policy lets CloudWatch do something for alarms of this
// account, and of no other.
func letsAlarms(policy any, action string) bool {
	return slices.ContainsFunc(template.Many(template.At(policy, "Statement")), func(s any) bool {
		return template.At(s, "Effect") == "Allow" && template.At(s, "Principal", "Service") == "cloudwatch.amazonaws.com" &&
			slices.Contains(template.Many(template.At(s, "Action")), any(action)) && asJSON(template.At(s, "Condition", "StringEquals", "aws:SourceAccount")) == `{"Ref":"AWS::AccountId"}`
	})
}

// everythingIsWatched has the alarms that these settings want, and no others.
func everythingIsWatched(t *testing.T, v made) {
	want := []string{"manager-down", "manager-disk", "launch-failures", "launches-refused"}
	if v.s.Builds.Enabled {
		want = append(want, "builds-failing")
	}
	if v.s.GitLab.Compute != "none" {
		want = append(want, "gitlab-unhealthy", "gitlab-disk")
		if v.s.GitLab.BackupDays > 0 {
			want = append(want, "gitlab-backup")
		}
	}
	var got []string
	for _, a := range v.d.Of("AWS::CloudWatch::Alarm") {
		name := strings.TrimPrefix(a.Properties["AlarmName"].(string), v.s.Name+"-")
		got = append(got, name)
		metric := map[string]string{"ec2": "disk_used_percent", "fargate": "PercentIOLimit"}[v.s.GitLab.Compute]
		if name == "gitlab-disk" && a.Properties["MetricName"] != metric {
			t.Errorf("%s watches %v with compute = %q", a, a.Properties["MetricName"], v.s.GitLab.Compute)
		}
		asleep := name == "manager-down" && v.s.Runners.ScheduleOn != ""
		if down := strings.HasSuffix(name, "down") || strings.HasSuffix(name, "unhealthy") || strings.HasSuffix(name, "backup"); down && (a.Properties["TreatMissingData"] == "breaching") == asleep {
			t.Errorf("%s treats a silence as %v", a, a.Properties["TreatMissingData"])
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the alarms are %q, want %q", got, want)
	}
	if len(v.d.Of("AWS::CloudWatch::Dashboard")) != 1 {
		t.Error("there is no dashboard")
	}
}

// hostsReport has a deployment wait for the first boot of each host, and each
// host know where to report.
func hostsReport(t *testing.T, v made) {
	for _, r := range v.d.Of("AWS::AutoScaling::AutoScalingGroup") {
		signal := r.CreationPolicy["ResourceSignal"]
		update := r.UpdatePolicy["AutoScalingRollingUpdate"]
		if template.At(signal, "Count") != 1.0 || template.At(update, "WaitOnResourceSignals") != true || template.At(signal, "Timeout") == nil || template.At(signal, "Timeout") != template.At(update, "PauseTime") {
			t.Errorf("%s: a deployment does not wait for its host: %s %s", r, asJSON(signal), asJSON(update))
		}
		where := "--stack-name " + v.s.Name + "-" + strings.ToLower(r.Stack) + " --logical-resource-id " + r.ID + " "
		if !slices.ContainsFunc(v.d.Of("AWS::EC2::LaunchTemplate"), func(l template.Resource) bool {
			return l.Stack == r.Stack && strings.Contains(asJSON(l.Properties), where)
		}) {
			t.Errorf("%s: no host reports with %s", r, where)
		}
		// It reads these by name, which CloudFormation does not see.
		needed := 0
		for _, first := range append(v.d.Of("AWS::SSM::Parameter"), v.d.Of("AWS::Logs::LogGroup")...) {
			name := first.Properties["Name"]
			if name == nil {
				name = first.Properties["LogGroupName"]
			}
			if first.Stack != r.Stack || !strings.Contains(asJSON(v.d.Of("AWS::EC2::LaunchTemplate")), name.(string)) {
				continue
			}
			needed++
			if !slices.Contains(template.Many(r.DependsOn), any(first.ID)) {
				t.Errorf("%s may boot before %s is there", r, first)
			}
		}
		if needed == 0 {
			t.Errorf("%s reads nothing by name", r)
		}
	}
	if v.s.Network.Egress == "none" && !strings.Contains(asJSON(v.d.Of("AWS::EC2::VPCEndpoint")), ".cloudformation\"") {
		t.Error("without a way out, hosts cannot reach CloudFormation to report")
	}
}

// TestRefusedLaunchesAreLogged holds the metric filter to the driver's words.
func TestRefusedLaunchesAreLogged(t *testing.T) {
	t.Parallel()
	code, err := os.ReadFile("../../../internal/executor/launch.go")
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("testdata/golden/team-Runners.json")
	if err != nil {
		t.Fatal(err)
	}
	const words = "launching a task"
	if !strings.Contains(string(code), `Warn("`+words+`")`) || !strings.Contains(string(golden), `{ $.msg = \"`+words+`\" }`) {
		t.Errorf("the driver does not log %q, or the metric filter does not look for it", words)
	}
}
