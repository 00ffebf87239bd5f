package render

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/fargate-driver/fargate-driver/internal/config"

	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
)

func profile(t *testing.T, name string) settings.Settings {
	t.Helper()
	s, err := settings.Load("../profiles/" + name + ".toml")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sampleManager() Manager {
	return Manager{
		GitLabURL: "https://gitlab.example.com", Cluster: "ci-jobs", Subnets: []string{"subnet-0a1b2c3d", "subnet-1a1b2c3d"},
		SecurityGroup: "sg-0a1b2c3d", TaskFamilies: []string{"ci-job-default", "ci-job-large"}, CacheBucket: "ci-cache", CacheKey: "arn:aws:kms:x:1:key/k",
	}
}

// TestFargateTOML reads the file back with the driver's own loader.
func TestFargateTOML(t *testing.T) {
	t.Parallel()
	for name, providers := range map[string]config.Strings{"small": {"FARGATE_SPOT", "FARGATE"}, "team": {"FARGATE_SPOT", "FARGATE"}, "closed": {"FARGATE"}} {
		text := FargateTOML(profile(t, name), sampleManager())
		c, warnings, err := config.Parse("fargate.toml", text)
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%s: %v %v\n%s", name, err, warnings, text)
		}
		if c.Fargate.Cluster != "ci-jobs" || c.Fargate.TaskDefinition != "ci-job-default" || !reflect.DeepEqual(c.Jobs.TaskDefinitions, config.Strings{"ci-job-default", "ci-job-large"}) {
			t.Errorf("%s: got %+v", name, c)
		}
		if !reflect.DeepEqual(c.Launch.CapacityProviders, providers) {
			t.Errorf("%s: capacity providers %v", name, c.Launch.CapacityProviders)
		}
		if c.Fargate.EnablePublicIP || c.Fargate.UsePublicIP {
			t.Errorf("%s: tasks have public addresses", name)
		}
	}
}

func TestConfigTOML(t *testing.T) {
	t.Parallel()
	s := profile(t, "team")
	s.Runners.CloneURL, s.Runners.MetricsCIDR = "https://inside.example.com", "10.0.0.0/8"
	var c runnerConfig
	meta, err := toml.Decode(ConfigTOML(s, sampleManager()), &c)
	if err != nil || len(meta.Undecoded()) > 0 {
		t.Fatalf("%v %v", err, meta.Undecoded())
	}
	r := c.Runners[0]
	if c.Concurrent != 50 || r.Executor != "custom" || r.Token != TokenMark || r.CloneURL != "https://inside.example.com" || c.ListenAddress != ":9252" {
		t.Errorf("got %+v", c)
	}
	// A script that is cancelled must have ended before gitlab-runner kills
	// the driver that ends it.
	if r.Custom.GracefulEnd <= int(killGrace.Seconds()) {
		t.Errorf("graceful_kill_timeout %d is not longer than the driver's KillGrace", r.Custom.GracefulEnd)
	}
	for stage, args := range map[string][]string{"config": r.Custom.ConfigArgs, "prepare": r.Custom.PrepareArgs, "run": r.Custom.RunArgs, "cleanup": r.Custom.CleanupArgs} {
		if want := []string{"--config", fargateTOMLPath, "custom", stage}; !reflect.DeepEqual(args, want) {
			t.Errorf("%s: %v", stage, args)
		}
	}
	if r.Cache.S3.ServerSideEncryption != "KMS" || r.Cache.S3.KeyID == "" || r.Cache.S3.AuthenticationType != "iam" {
		t.Errorf("cache: %+v", r.Cache)
	}
}

// full is GitLab with everything outside itself.
func full() GitLab {
	g := GitLab{URL: "https://gitlab.example.com", SSHHost: "ssh.example.com", DatabaseHost: "db.example.com", RedisHost: "redis.example.com", Key: "arn:key"}
	for _, kind := range BucketKinds() {
		g.Buckets = append(g.Buckets, Bucket{kind, "bucket-" + kind})
	}
	return g
}

func TestOmnibusConfig(t *testing.T) {
	t.Parallel()
	team := profile(t, "team")
	text := OmnibusConfig(team, full())
	for _, want := range []string{
		"external_url 'https://gitlab.example.com'", "gitlab_rails['nginx']['listen_https'] = false", "letsencrypt['enable'] = false",
		"gitlab_rails['monitoring_whitelist'] = ['127.0.0.0/8', '::1/128', '10.60.0.0/16']", "gitlab_rails['gitlab_signup_enabled'] = false",
		"gitlab_rails['db_password'] = ENV['GITLAB_DB_PASSWORD']", "gitlab_rails['redis_password'] = ENV['GITLAB_REDIS_PASSWORD']",
		"['objects']['dependency_proxy']['bucket'] = 'bucket-dependency_proxy'", "gitlab_rails['amazon_ses_mailer_enabled'] = true", "'use_iam_profile' => true",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %s in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "prometheus_monitoring") {
		t.Error("Prometheus is off on EC2, which has room for it")
	}
	old := team
	old.GitLab.Version = "18.11.4"
	if text := OmnibusConfig(old, full()); !strings.Contains(text, "\nnginx['listen_https'] = false") || strings.Contains(text, "gitlab_rails['nginx']") {
		t.Errorf("GitLab before 19.2 does not know the new nginx keys:\n%s", text)
	}
	small := OmnibusConfig(profile(t, "small"), GitLab{URL: "http://lb"})
	if !strings.Contains(small, "prometheus_monitoring['enable'] = false") || strings.Contains(small, "X-Forwarded-Proto") {
		t.Errorf("small: %s", small)
	}
}

// TestOmnibusConfigIsRuby has the interpreter read every form of it.
func TestOmnibusConfigIsRuby(t *testing.T) {
	t.Parallel()
	ruby, err := exec.LookPath("ruby")
	if err != nil {
		t.Skip("ruby is not installed: the Ruby of gitlab.rb was not checked")
	}
	smtp := profile(t, "team")
	smtp.GitLab.Mail, smtp.GitLab.SMTPHost, smtp.GitLab.ExtraConfig = "smtp", "smtp.example.com", "gitlab_rails['time_zone'] = 'Tokyo'"
	smtp.GitLab.Version = "18.11.4"
	for _, text := range []string{OmnibusConfig(profile(t, "team"), full()), OmnibusConfig(profile(t, "small"), GitLab{URL: "http://lb"}), OmnibusConfig(smtp, full())} {
		check := exec.Command(ruby, "-c", "-")
		check.Stdin = strings.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, out, text)
		}
	}
}

func TestTaskCommandIsShell(t *testing.T) {
	t.Parallel()
	check := exec.Command("bash", "-n", "-c", TaskCommand())
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestTaskCommandLock runs two of them on one disk: the second must not start
// GitLab.
func TestTaskCommandLock(t *testing.T) {
	t.Parallel()
	flock, err := exec.LookPath("flock")
	if err != nil {
		t.Skip("flock is not installed: the lock was not tried")
	}
	dir := t.TempDir()
	command := strings.NewReplacer("/var/opt/gitlab", dir, "/assets/init-container", "echo started", "-w 600", "-w 0").Replace(TaskCommand())
	first := exec.Command("bash", "-c", command)
	if out, err := first.CombinedOutput(); err != nil || string(out) != "started\n" {
		t.Fatalf("alone: %v: %s", err, out)
	}
	held := exec.Command(flock, filepath.Join(dir, ".one-gitlab-only"), "cat")
	in, err := held.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := held.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := held.Start(); err != nil {
		t.Fatal(err)
	}
	// What cat gives back proves that it has the lock.
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	second := exec.Command("bash", "-c", command)
	said, err := second.CombinedOutput()
	if second.ProcessState.ExitCode() != 75 || strings.Contains(string(said), "started") {
		t.Errorf("beside another: %v: %s", err, said)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := held.Wait(); err != nil {
		t.Error(err)
	}
}

func TestIsARM(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"t4g.micro": true, "m7g.large": true, "m7gd.xlarge": true, "c8gn.large": true, "a1.medium": true, "x2gd.large": true, "im4gn.large": true,
		"t3.micro": false, "m7i.xlarge": false, "m7i-flex.large": false, "g5.xlarge": false, "c7a.large": false, "r6id.large": false,
	} {
		if got := IsARM(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAgentConfigIsJSON(t *testing.T) {
	t.Parallel()
	text := agentConfig("n", "g", []string{"/"}, []logFile{{"/f", "group", "{instance_id}/x"}})
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "aws:") {
		t.Error("a placeholder of the agent needs ec2:DescribeTags, which no role has")
	}
}
