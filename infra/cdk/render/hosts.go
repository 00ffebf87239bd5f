package render

import (
	"encoding/json"

	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
)

// Program is one of our static binaries, in the bucket of the deployment's
// assets.
type Program struct{ Name, Address, SHA256 string }

// ManagerHost is what the manager's first boot needs.
type ManagerHost struct {
	Root             string // prefix of every path: empty, but for tests
	Programs         []Program
	FargateParameter string // names of SSM parameters
	ConfigParameter  string
	TokenSecret      string
	Group, Hook      string // of Auto Scaling
	LogGroup         string
	Report           Report
}

// Report is where a host reports how its first boot went: its Auto Scaling
// group, as CloudFormation knows it.
type Report struct{ Stack, Resource string }

// UserDataLimit is how many bytes of user data EC2 takes.
const UserDataLimit = 16384

// ManagerUserData is the script of the manager's first boot.
func ManagerUserData(s settings.Settings, h ManagerHost) string {
	return script("manager.sh", struct {
		ManagerHost
		Region, Arch, RunnerSource, RunnerVersion, RunnerSHA256, TokenMark, Agent string
		Namespace, RunnerMetric, Dimension                                        string
		DrainSeconds                                                              int
	}{
		ManagerHost: h, Region: s.Region, Arch: Architecture(s),
		RunnerSource: s.Runners.Source, RunnerVersion: s.Runners.Version, RunnerSHA256: s.Runners.SHA256,
		Namespace: s.Name + "/manager", RunnerMetric: RunnerMetric, Dimension: GroupDimension,
		TokenMark: TokenMark, DrainSeconds: s.Runners.DrainMinutes * 60,
		Agent: agentConfig(s.Name+"/manager", s.Name+"-manager", []string{"/"}, []logFile{
			{"/var/log/ci/gitlab-runner.log", h.LogGroup, "{instance_id}/gitlab-runner"},
			{driverLog, h.LogGroup, "{instance_id}/fargate-driver"},
			{"/var/log/ci/reap.log", h.LogGroup, "{instance_id}/reap"},
			{"/var/log/cloud-init-output.log", h.LogGroup, "{instance_id}/boot"},
		}),
	})
}

// NATUserData is the script of the NAT instance's first boot. root is a prefix
// of every path: empty, but for tests.
func NATUserData(s settings.Settings, root string) string {
	return script("nat.sh", struct{ Root, CIDR string }{root, s.Network.CIDR})
}

// Secret is a secret and the variables that its JSON fills.
type Secret struct {
	ARN    string
	Fields []SecretField
}

// SecretField takes one value out of a secret: Path is jq's.
type SecretField struct{ Variable, Path string }

// GitLabHost is what the first boot of GitLab's instance needs.
type GitLabHost struct {
	Root     string // prefix of every path: empty, but for tests
	Volume   string
	Omnibus  string
	Image    string
	Login    string // ECR registry to log in to, or ""
	Secrets  []Secret
	LogGroup string
	Report   Report
}

// GitLabUserData is the script of the first boot of GitLab's instance.
func GitLabUserData(s settings.Settings, h GitLabHost) string {
	return script("gitlab.sh", struct {
		GitLabHost
		Region, Agent string
	}{h, s.Region, agentConfig(s.Name+"/gitlab", s.Name+"-gitlab", []string{"/", "/srv/gitlab"}, []logFile{
		{"/var/log/cloud-init-output.log", h.LogGroup, "{instance_id}/boot"},
		{"/srv/gitlab/logs/gitlab-rails/production_json.log", h.LogGroup, "{instance_id}/rails"},
		{"/srv/gitlab/logs/gitlab-rails/audit_json.log", h.LogGroup, "{instance_id}/audit"},
		{"/srv/gitlab/logs/reconfigure/*.log", h.LogGroup, "{instance_id}/reconfigure"},
	})})
}

type logFile struct {
	Path   string `json:"file_path"`
	Group  string `json:"log_group_name"`
	Stream string `json:"log_stream_name"`
}

// GroupDimension is the dimension of the figures that a host reports: the name
// of its Auto Scaling group, because hosts come and go.
const GroupDimension = "Group"

// RunnerMetric is 1 each minute in which gitlab-runner runs on the manager, and
// 0 when it does not.
const RunnerMetric = "runner_running"

// agentConfig configures the CloudWatch agent: log files, and the figures that
// alarms watch. The agent's own ${aws:AutoScalingGroupName} would need a
// permission to read every tag in the account; a plain dimension needs none.
func agentConfig(namespace, group string, disks []string, logs []logFile) string {
	type object = map[string]any
	dimension := object{GroupDimension: group}
	config := object{
		"agent": object{"metrics_collection_interval": 60, "run_as_user": "root", "omit_hostname": true},
		"logs":  object{"logs_collected": object{"files": object{"collect_list": logs}}},
		"metrics": object{
			"namespace":              namespace,
			"aggregation_dimensions": [][]string{{GroupDimension}, {GroupDimension, "path"}},
			"metrics_collected": object{
				"mem":  object{"measurement": []string{"mem_used_percent"}, "append_dimensions": dimension},
				"disk": object{"measurement": []string{"used_percent"}, "resources": disks, "drop_device": true, "append_dimensions": dimension},
			},
		},
	}
	text, err := json.Marshal(config) // sorts the keys of a map
	if err != nil {
		panic("render: encoding the CloudWatch agent's configuration: " + err.Error()) // plain data; every test would see it
	}
	return string(text)
}

// IsARM says that an instance type is of a Graviton family: the letter behind
// the generation's number is a g, as in t4g, m7gd or c8gn; a1 was the first.
func IsARM(instanceType string) bool {
	seen := false
	for i, r := range instanceType {
		switch {
		case r == '.':
			return instanceType[:i] == "a1"
		case r >= '0' && r <= '9':
			seen = true
		case seen:
			return r == 'g'
		}
	}
	return false
}

// Architecture is the Go name of the manager's architecture.
func Architecture(s settings.Settings) string {
	if IsARM(s.Runners.InstanceType) {
		return "arm64"
	}
	return "amd64"
}
