package stacks_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
	rules "github.com/fargate-driver/fargate-driver/infra/cdk/promises"
	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
	"github.com/fargate-driver/fargate-driver/infra/cdk/template"
)

// variant is a deployment that the promises must hold for.
type variant struct {
	name string
	s    settings.Settings
}

// made is a variant and what its synth wrote.
type made struct {
	variant
	d   template.Deployment
	dir string
}

// variants are the profiles, and what they leave out.
func variants(t *testing.T) []variant {
	t.Helper()
	var all []variant
	add := func(name, profile string, change func(*settings.Settings)) {
		s := load(t, profile)
		if change != nil {
			change(&s)
		}
		all = append(all, variant{name, s})
	}
	for _, p := range profiles() {
		add(p, p, nil)
	}
	add("existing VPC, builds inside", "team", func(s *settings.Settings) {
		s.Network = settings.Network{
			VPC: "vpc-0a1b2c3d", CIDR: "10.1.0.0/16", Egress: "nat-gateway", OutPorts: []int{443},
			AvailabilityZones: []string{"ap-northeast-1a", "ap-northeast-1c"},
			PrivateSubnets:    []string{"subnet-0a1b2c3d", "subnet-1a1b2c3d"}, PublicSubnets: []string{"subnet-2a1b2c3d", "subnet-3a1b2c3d"},
		}
		s.Builds.InVPC, s.Builds.DockerServer = true, true
		s.Builds.PushFrom = []string{"210987654321"}
		s.PermissionsBoundary = "boundary"
		s.Runners.ExecIntoTask = true
		// As examples/images.gitlab-ci.yml makes it.
		s.Builds.Repositories = []string{"runner-coordinator", "runner-build"}
		s.Tasks[0].Image = "123456789012.dkr.ecr.ap-northeast-1.amazonaws.com/team-runner-build:1a2b3c"
	})
	add("Aurora, pull-through, mail by SMTP, schedule, private entry too", "team", func(s *settings.Settings) {
		s.GitLab.Database, s.GitLab.Aurora, s.GitLab.DatabaseType = "aurora", true, "r7g.large"
		s.GitLab.ImageSource, s.GitLab.PullSecret = "pull-through", "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:ecr-pullthroughcache/x-AbCdEf"
		s.GitLab.Mail, s.GitLab.SMTPHost, s.GitLab.SMTPSecret = "smtp", "smtp.example.com", "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:smtp-AbCdEf"
		s.Runners.ScheduleOn, s.Runners.ScheduleOff = "0 8 * * 1-5", "0 20 * * 1-5"
		s.Runners.MetricsCIDR = "10.60.0.0/16"
		s.Entry.Private, s.Entry.WebACL = true, "arn:aws:wafv2:ap-northeast-1:123456789012:regional/webacl/gitlab/0a1b2c3d"
	})
	add("Fargate with Git over SSH and backups", "small", func(s *settings.Settings) {
		s.Entry.SSH, s.GitLab.BackupDays, s.GitLab.ExecIntoTask, s.CustomerKey = "nlb", 7, true, true
		s.GitLab.ObjectBucket, s.PermissionsBoundary, s.Builds.Cache = true, "boundary", "local"
		s.Name = "longest-name"
	})
	add("open to the world", "team", func(s *settings.Settings) {
		s.Entry.AllowedCIDRs, s.Entry.OpenToWorld = []string{access.World}, true
		s.Network.AvailabilityZones = []string{"ap-northeast-1c", "ap-northeast-1d"}
	})
	add("GitLab elsewhere, no builds", "team", func(s *settings.Settings) {
		s.GitLab = settings.GitLab{Compute: "none", URL: "https://gitlab.example.org"}
		s.Builds.Enabled = false
	})
	return all
}

// TestPromises checks what docs/security-infra.md promises, for every variant,
// and that no gate says anything that is not accepted with its reason. It is
// one test, so that each variant is made once.
func TestPromises(t *testing.T) {
	promises := []struct {
		name  string
		check func(*testing.T, made)
	}{
		{"every wildcard has a reason", everyWildcardHasAReason},
		{"nobody lets the world in", nobodyLetsTheWorldIn},
		{"EC2 takes each description", descriptionsAreTaken},
		{"services take each name and text", namesAndTextsAreTaken},
		{"builds reach their Docker server", buildsReachTheirDockerServer},
		{"addresses follow their gateway", addressesFollowTheirGateway},
		{"the disk is where its host is", diskIsWhereItsHostIs},
		{"only the manager reaches a job", onlyTheManagerReachesAJob},
		{"roles are apart", rolesAreApart},
		{"images can be pulled", imagesCanBePulled},
		{"services act for this account", servicesActForThisAccount},
		{"hosts are closed", hostsAreClosed},
		{"data is encrypted and kept", dataIsEncryptedAndKept},
		{"one GitLab at a time", oneGitLabAtATime},
		{"no secret is readable", noSecretIsReadable},
		{"nothing has a public address", nothingHasAPublicAddress},
		{"logs end", logsEnd},
		{"alarms reach somebody", alarmsReachSomebody},
		{"everything is watched", everythingIsWatched},
		{"settings take effect", settingsTakeEffect},
		{"outputs say what to type", outputsSayWhatToType},
		{"hosts report", hostsReport},
		{"Guard finds nothing", guardFindsNothing},
	}
	needed := map[accepted]bool{}
	plugins := map[bool]awscdk.IPolicyValidationPlugin{false: rules.Plugin(false), true: rules.Plugin(true)}
	for _, variant := range variants(t) {
		d, dir, found := judge(t, variant.s, plugins[variant.s.Entry.OpenToWorld])
		for _, f := range found {
			a, ok := acceptedBy(f)
			if !ok {
				t.Errorf("%s: %s: %s", variant.name, f.Path, f.Text)
			}
			needed[a] = true
		}
		v := made{variant, d, dir}
		for _, p := range promises {
			t.Run(variant.name+"/"+p.name, func(t *testing.T) { p.check(t, v) })
		}
	}
	for _, a := range acceptedFindings() {
		if !needed[a] {
			t.Errorf("%s at %q is accepted, and nothing breaks it: take it out", a.rule, a.path)
		}
	}
}

func everyWildcardHasAReason(t *testing.T, v made) {
	reasons := map[string]bool{}
	for _, role := range access.Everything() {
		for _, s := range role.Statements {
			if s.Any != "" {
				reasons[s.Sid] = true
			}
		}
	}
	statements := v.d.Statements()
	for _, s := range statements {
		sid := fmt.Sprint(s.Body["Sid"])
		for _, a := range template.Many(s.Body["Action"]) {
			if strings.Contains(a.(string), "*") {
				t.Errorf("%s: %s allows %v: name the actions", s.Role, sid, a)
			}
		}
		if slices.Contains(template.Many(s.Body["Resource"]), any("*")) && !reasons[sid] {
			t.Errorf("%s: %s is for every resource, without a reason in package access", s.Role, sid)
		}
	}
	if len(statements) < 10 {
		t.Errorf("only %d statements were seen", len(statements))
	}
}

// ingress is one rule by which a security group lets connections in.
type ingress struct{ to, from, port string }

func ingresses(d template.Deployment) []ingress {
	var all []ingress
	for _, i := range d.Ingress() {
		from := template.At(i.Rule, "CidrIp")
		if from == nil {
			from = template.At(i.Rule, "SourceSecurityGroupId")
		}
		all = append(all, ingress{asJSON(i.To), asJSON(from), fmt.Sprint(template.At(i.Rule, "FromPort"))})
	}
	return all
}

func nobodyLetsTheWorldIn(t *testing.T, v made) {
	rules := ingresses(v.d)
	if len(rules) == 0 {
		t.Fatal("no rule was seen")
	}
	for _, r := range rules {
		if !strings.Contains(r.from, "0.0.0.0/0") {
			continue
		}
		meant := v.s.Entry.OpenToWorld && (strings.Contains(r.to, "entry") && (r.port == "443" || r.port == "80" || r.port == "22"))
		if !meant {
			t.Errorf("%s is open to the world on port %s", r.to, r.port)
		}
	}
}

func onlyTheManagerReachesAJob(t *testing.T, v made) {
	want := []string{"22"}
	if v.s.Runners.NamesImages() {
		want = []string{"22", "2222"}
	}
	var ports []string
	for _, r := range ingresses(v.d) {
		if !strings.Contains(r.to, "coordinator") {
			continue
		}
		ports = append(ports, r.port)
		if !strings.Contains(r.from, "manager") {
			t.Errorf("%s reaches a job", r.from)
		}
	}
	if slices.Sort(ports); !slices.Equal(ports, want) {
		t.Errorf("the manager reaches a job on ports %v, want %v", ports, want)
	}
}

func rolesAreApart(t *testing.T, v made) {
	for _, r := range v.d.Of("AWS::ECS::TaskDefinition") {
		if asJSON(r.Properties["TaskRoleArn"]) == asJSON(r.Properties["ExecutionRoleArn"]) {
			t.Errorf("%s: the task has the execution role", r)
		}
	}
	for _, s := range v.d.Statements() {
		for _, a := range template.Many(s.Body["Action"]) {
			switch a {
			case "iam:PassRole":
				if template.At(s.Body, "Condition", "StringEquals", "iam:PassedToService") != "ecs-tasks.amazonaws.com" || strings.Contains(asJSON(s.Body["Resource"]), "*") {
					t.Errorf("%s: passes roles too freely: %s", s.Role, asJSON(s.Body))
				}
			case "ecs:RunTask":
				if template.At(s.Body, "Condition", "ArnEquals", "ecs:cluster") == nil {
					t.Errorf("%s: runs tasks on any cluster", s.Role)
				}
			case "codebuild:StartBuild":
				if template.At(s.Body, "Condition", "Null", "codebuild:serviceRole") != "true" {
					t.Errorf("%s: may start builds with another role", s.Role)
				}
			}
		}
	}
	if v.s.PermissionsBoundary == "" {
		return
	}
	for _, r := range v.d.Of("AWS::IAM::Role") {
		if text := asJSON(r.Properties["PermissionsBoundary"]); !strings.HasSuffix(text, `":policy/boundary"]]}`) {
			t.Errorf("%s: its permissions boundary is %s", r, text)
		}
	}
}

// imagesCanBePulled has the role that starts tasks reach the repository of each
// task's image, wherever in ECR that is.
func imagesCanBePulled(t *testing.T, v made) {
	var may string
	for _, s := range v.d.Statements() {
		if s.Role.ID == "ExecutionRole" && s.Role.Stack == "Runners" && s.Body["Sid"] == "Pull" {
			may = asJSON(s.Body["Resource"])
		}
	}
	for _, task := range v.s.Tasks {
		repository := v.s.Name + "-job"
		if _, rest, found := strings.Cut(task.Image, "/"); found {
			repository, _, _ = strings.Cut(rest, ":")
		}
		if !strings.Contains(may, ":repository/"+repository+`"`) {
			t.Errorf("task %s: its image %s is not among %s", task.Name, task.Image, may)
		}
	}
}

// servicesActForThisAccount keeps AWS's services from being talked into using a
// role or a bucket on behalf of another account.
func servicesActForThisAccount(t *testing.T, v made) {
	const account = `{"Ref":"AWS::AccountId"}`
	for _, r := range v.d.Of("AWS::IAM::Role") {
		for _, s := range template.Many(template.At(r.Properties, "AssumeRolePolicyDocument", "Statement")) {
			// EC2 does not send the key, and AWS Backup is not known to.
			if service := template.At(s, "Principal", "Service"); service == "ec2.amazonaws.com" || service == "backup.amazonaws.com" {
				if template.At(s, "Condition") != nil {
					t.Errorf("%s: %v could not take it: %s", r, service, asJSON(s))
				}
				continue
			}
			if asJSON(template.At(s, "Condition", "StringEquals", "aws:SourceAccount")) != account {
				t.Errorf("%s: any account's service may take it: %s", r, asJSON(s))
			}
		}
	}
	for _, r := range v.d.Of("AWS::S3::BucketPolicy") {
		for _, s := range template.Many(template.At(r.Properties, "PolicyDocument", "Statement")) {
			bounded := strings.Contains(asJSON(template.At(s, "Resource")), account) || asJSON(template.At(s, "Condition", "StringEquals", "aws:SourceAccount")) == account
			if template.At(s, "Principal", "Service") != nil && template.At(s, "Action") == "s3:PutObject" && !bounded {
				t.Errorf("%s: any account's service may write: %s", r, asJSON(s))
			}
		}
	}
}

func hostsAreClosed(t *testing.T, v made) {
	templates := v.d.Of("AWS::EC2::LaunchTemplate")
	if len(templates) == 0 {
		t.Fatal("no host was seen")
	}
	for _, r := range templates {
		data := r.Properties["LaunchTemplateData"]
		if template.At(data, "MetadataOptions", "HttpTokens") != "required" || template.At(data, "MetadataOptions", "HttpPutResponseHopLimit") != 1.0 {
			t.Errorf("%s: IMDSv2 with one hop is not required", r)
		}
		if template.At(data, "KeyName") != nil {
			t.Errorf("%s has a key pair", r)
		}
		if template.At(data, "BlockDeviceMappings", 0, "Ebs", "Encrypted") != true {
			t.Errorf("%s: its disk is not encrypted", r)
		}
	}
	for _, r := range v.d.Of("AWS::EC2::Instance") {
		if template.At(r.Properties, "MetadataOptions", "HttpTokens") != "required" || template.At(r.Properties, "BlockDeviceMappings", 0, "Ebs", "Encrypted") != true {
			t.Errorf("%s: IMDSv2 is not required, or its disk is not encrypted", r)
		}
	}
}

func noSecretIsReadable(t *testing.T, v made) {
	for _, r := range v.d.Of("AWS::ECS::TaskDefinition") {
		for i := range template.Many(r.Properties["ContainerDefinitions"]) {
			text := asJSON(template.At(r.Properties, "ContainerDefinitions", i, "Environment"))
			if strings.Contains(text, "resolve:") || strings.Contains(strings.ToLower(text), "secretstring") {
				t.Errorf("%s: a secret in a plain variable: %s", r, text)
			}
		}
	}
	for _, r := range append(v.d.Of("AWS::EC2::LaunchTemplate"), v.d.Of("AWS::SSM::Parameter")...) {
		if strings.Contains(asJSON(r.Properties), "resolve:secretsmanager") {
			t.Errorf("%s: a secret in user data or in a parameter", r)
		}
	}
	for _, r := range v.d.Of("AWS::SecretsManager::Secret") {
		if r.Properties["SecretString"] != nil {
			t.Errorf("%s: its value is in the template", r)
		}
	}
}

func nothingHasAPublicAddress(t *testing.T, v made) {
	for _, r := range v.d.Of("AWS::ECS::Service") {
		if got := template.At(r.Properties, "NetworkConfiguration", "AwsvpcConfiguration", "AssignPublicIp"); got != "DISABLED" {
			t.Errorf("%s: AssignPublicIp is %v", r, got)
		}
	}
	for _, r := range v.d.Of("AWS::EC2::Subnet") {
		if r.Properties["MapPublicIpOnLaunch"] == true {
			t.Errorf("%s gives public addresses", r)
		}
	}
	for _, r := range v.d.Of("AWS::AutoScaling::AutoScalingGroup") {
		if text := asJSON(r.Properties["VPCZoneIdentifier"]); strings.Contains(text, "Public") || strings.Contains(text, "subnet-2a1b2c3d") {
			t.Errorf("%s: is in a public subnet: %s", r, text)
		}
	}
	if v.s.Entry.Scheme == "internal" {
		for _, r := range v.d.Of("AWS::ElasticLoadBalancingV2::LoadBalancer") {
			if r.Properties["Scheme"] != "internal" {
				t.Errorf("%s is on the internet", r)
			}
		}
	}
}
