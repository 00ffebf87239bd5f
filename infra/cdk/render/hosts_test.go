package render

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// manager is a manager's script on a machine.
func manager(t *testing.T, m *machine) string {
	t.Helper()
	host := ManagerHost{
		Root: m.root, FargateParameter: "/ci/manager/fargate.toml", ConfigParameter: "/ci/manager/config.toml",
		TokenSecret: "ci/runner-token", Group: "ci-manager", Hook: "drain", LogGroup: "/ci/manager",
		Report: Report{"ci-runners", "ManagerGroup"},
	}
	for _, name := range []string{"fargate-driver", "fargate-driver-run"} {
		host.Programs = append(host.Programs, Program{name, "s3://assets/" + name, m.file(t, name, "this is "+name)})
	}
	sum := m.file(t, "gitlab-runner-linux-arm64", "this is gitlab-runner")
	m.file(t, "release.sha256", "00  ./binaries/gitlab-runner-linux-amd64\n"+sum+"  ./binaries/gitlab-runner-linux-arm64\n")
	m.file(t, "fargate.toml", "[Fargate]\nCluster = \"ci-jobs\"")
	m.file(t, "config.toml", "token = \""+TokenMark+"\"")
	return ManagerUserData(profile(t, "team"), host)
}

func TestManagerBoots(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if out, ok := m.run(t, manager(t, m)); !ok {
		t.Fatal(out)
	}
	for _, name := range []string{"fargate-driver", "fargate-driver-run"} {
		if got := m.read(t, "usr/local/bin/"+name); got != "this is "+name {
			t.Errorf("%s is %q", name, got)
		}
	}
	if got := m.read(t, "usr/local/bin/gitlab-runner"); got != "this is gitlab-runner" {
		t.Errorf("gitlab-runner is %q", got)
	}
	if m.has("etc/gitlab-runner/config.toml") {
		t.Error("there is a config.toml without a token")
	}
	calls := m.calls(t)
	if !strings.Contains(calls, "systemctl enable --now ci-refresh.timer ci-drain.timer fargate-driver-reap.timer") || strings.Contains(calls, "systemctl start gitlab-runner") {
		t.Errorf("got:\n%s", calls)
	}
	unit := m.read(t, "etc/systemd/system/gitlab-runner.service")
	if !strings.Contains(unit, "KillSignal=SIGQUIT") || !strings.Contains(unit, "TimeoutStopSec=7200") || !strings.Contains(unit, "User=gitlab-runner") {
		t.Errorf("gitlab-runner would not drain:\n%s", unit)
	}
}

// TestHostsReport sees that a first boot tells CloudFormation its end, the good
// one and each bad one, once and last.
func TestHostsReport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		script func(*testing.T, *machine) string
		orders string
		want   string
	}{
		{"manager", manager, "", "ci-runners --logical-resource-id ManagerGroup --unique-id i-0123456789 --status SUCCESS"},
		{"manager without its configuration", manager, "STUB_SSM_FAILS=1", "ci-runners --logical-resource-id ManagerGroup --unique-id i-0123456789 --status FAILURE"},
		{"manager without a network for a while", manager, "STUB_DNF_FAILS=3", "ci-runners --logical-resource-id ManagerGroup --unique-id i-0123456789 --status SUCCESS"},
		{"manager without a network", manager, "STUB_DNF_FAILS=99", "ci-runners --logical-resource-id ManagerGroup --unique-id i-0123456789 --status FAILURE"},
		{"GitLab", gitlab, "", "ci-gitlab --logical-resource-id InstanceGroup --unique-id i-0123456789 --status SUCCESS"},
		{"GitLab whose disk cannot be read", gitlab, "STUB_BLKID=8", "ci-gitlab --logical-resource-id InstanceGroup --unique-id i-0123456789 --status FAILURE"},
	} {
		m := newMachine(t)
		out, ok := m.run(t, c.script(t, m), c.orders)
		calls := m.calls(t)
		if ok != strings.HasSuffix(c.want, "SUCCESS") || strings.Count(calls, "signal-resource") != 1 || !strings.HasSuffix(calls, "aws cloudformation signal-resource --stack-name "+c.want+"\n") {
			t.Errorf("%s: %v %s\n%s", c.name, ok, out, calls)
		}
		agent := strings.Index(calls, "amazon-cloudwatch-agent-ctl")
		if shipped := strings.Index(calls, "ec2 wait"); c.orders != "STUB_DNF_FAILS=99" && (agent < 0 || shipped >= 0 && shipped < agent) {
			t.Errorf("%s: its log is not shipped from the start:\n%s", c.name, calls)
		}
	}
}

// TestHostsThatNobodyWaitsFor boot all the same: Auto Scaling put them in the
// place of others, and CloudFormation refuses their report.
func TestHostsThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]func(*testing.T, *machine) string{"manager": manager, "GitLab": gitlab} {
		m := newMachine(t)
		out, ok := m.run(t, script(t, m), "STUB_NOBODY_WAITS=1")
		if calls := m.calls(t); !ok || strings.Count(calls, "--status SUCCESS") != 3 {
			t.Errorf("%s: %v %s\n%s", name, ok, out, calls)
		}
	}
}

// TestManagerTellsWhetherTheRunnerRuns has the figure that an alarm watches,
// also when the rest of the script fails.
func TestManagerTellsWhetherTheRunnerRuns(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if out, ok := m.run(t, manager(t, m)); !ok {
		t.Fatal(out)
	}
	refresh := filepath.Join(m.root, "usr/local/bin/ci-refresh")
	for orders, value := range map[string]string{"STUB_SECRET=glrt-secret": "1", "STUB_RUNNER_DOWN=1": "0", "STUB_SSM_FAILS=1": "1"} {
		out, ok := m.run(t, refresh, orders)
		if want := "aws cloudwatch put-metric-data --namespace team/manager --metric-name runner_running --dimensions Group=ci-manager --value " + value + "\n"; !strings.HasSuffix(m.calls(t), want) || ok == strings.Contains(orders, "FAILS") {
			t.Errorf("%s: %v %s\n%s", orders, ok, out, m.calls(t))
		}
	}
}

func TestManagerRefusesAnotherBinary(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fargate-driver", "gitlab-runner-linux-arm64"} {
		m := newMachine(t)
		script := manager(t, m)
		m.file(t, name, "this is something else")
		if out, ok := m.run(t, script); ok || !strings.Contains(out, "the checksum is not") {
			t.Errorf("%s: %v %s", name, ok, out)
		}
		if installed := strings.TrimSuffix(name, "-linux-arm64"); m.has("usr/local/bin/" + installed) {
			t.Errorf("%s is installed", installed)
		}
	}
}

func TestManagerTakesTheToken(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if out, ok := m.run(t, manager(t, m)); !ok {
		t.Fatal(out)
	}
	refresh := filepath.Join(m.root, "usr/local/bin/ci-refresh")
	const token = "STUB_SECRET=glrt-secret"
	if out, ok := m.run(t, refresh, "STUB_SECRET=not-a-token"); !ok || m.has("etc/gitlab-runner/config.toml") {
		t.Fatalf("took a token of another kind: %s", out)
	}
	if out, ok := m.run(t, refresh, token); !ok {
		t.Fatal(out)
	}
	file := filepath.Join(m.root, "etc/gitlab-runner/config.toml")
	if got := m.read(t, file); got != "token = \"glrt-secret\"\n" {
		t.Errorf("config.toml is %q", got)
	}
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if before.Mode().Perm() != 0o600 {
		t.Errorf("config.toml has mode %o", before.Mode().Perm())
	}
	if calls := m.calls(t); strings.Contains(calls, "glrt-") || !strings.Contains(calls, "systemctl start gitlab-runner") {
		t.Errorf("the token is in a command line, or the runner was not started:\n%s", calls)
	}

	if out, ok := m.run(t, refresh, token); !ok {
		t.Fatal(out)
	}
	if after, err := os.Stat(file); err != nil || !os.SameFile(before, after) {
		t.Error("an unchanged config.toml was replaced")
	}
	if _, ok := m.run(t, refresh, token, "STUB_SSM_FAILS=1"); ok {
		t.Error("a failed read was not noticed")
	}
	if got := m.read(t, file); got != "token = \"glrt-secret\"\n" {
		t.Errorf("a failed read left config.toml as %q", got)
	}
	m.file(t, "config.toml", "concurrent = 2\ntoken = \""+TokenMark+"\"")
	if out, ok := m.run(t, refresh, token); !ok || !strings.HasPrefix(m.read(t, file), "concurrent = 2") {
		t.Errorf("a new configuration was not taken: %s", out)
	}
}

func TestManagerDrains(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if out, ok := m.run(t, manager(t, m)); !ok {
		t.Fatal(out)
	}
	drain := filepath.Join(m.root, "usr/local/bin/ci-drain")
	if out, ok := m.run(t, drain, "STUB_STATE=InService"); !ok || strings.Contains(m.calls(t), "systemctl") {
		t.Errorf("in service, it stops something: %s%s", out, m.calls(t))
	}
	if out, ok := m.run(t, drain, "STUB_STATE=Terminated"); !ok {
		t.Fatal(out)
	}
	calls := m.calls(t)
	stop := strings.Index(calls, "systemctl stop gitlab-runner")
	end := strings.Index(calls, "aws autoscaling complete-lifecycle-action --lifecycle-action-result CONTINUE --auto-scaling-group-name ci-manager --lifecycle-hook-name drain --instance-id i-0123456789")
	if stop < 0 || end < stop {
		t.Errorf("the host goes before its jobs:\n%s", calls)
	}
}

// TestNATWaitsForItsAddress has the package repository out of reach twice.
func TestNATWaitsForItsAddress(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if out, ok := m.run(t, NATUserData(profile(t, "small"), m.root), "STUB_DNF_FAILS=2"); !ok {
		t.Fatal(out)
	}
	calls := m.calls(t)
	if strings.Count(calls, "dnf install") != 3 || !strings.Contains(calls, "systemctl enable --now nftables") {
		t.Errorf("got:\n%s", calls)
	}
	if rules := m.read(t, "etc/sysconfig/nftables.conf"); !strings.Contains(rules, "ip saddr 10.60.0.0/16 masquerade") {
		t.Errorf("got:\n%s", rules)
	}
}

// gitlab is the script of GitLab's instance on a machine whose disk is there.
func gitlab(t *testing.T, m *machine) string {
	t.Helper()
	device := filepath.Join(m.root, "dev/disk/by-id")
	if err := os.MkdirAll(device, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(device, "nvme-Amazon_Elastic_Block_Store_vol0abc"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s := profile(t, "team")
	return GitLabUserData(s, GitLabHost{
		Root: m.root, Volume: "vol-0abc", Omnibus: OmnibusConfig(s, full()), Image: "registry/gitlab:19.3.0-ee.0", Login: "registry", LogGroup: "/ci/gitlab",
		Report:  Report{"ci-gitlab", "InstanceGroup"},
		Secrets: []Secret{{ARN: "arn:secret", Fields: []SecretField{{"GITLAB_ROOT_EMAIL", ".email"}, {"GITLAB_ROOT_PASSWORD", ".password"}}}},
	})
}

func TestGitLabTakesOverItsDisk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, blkid string
		ok, format  bool
	}{{"a new disk", "2", true, true}, {"a disk with data", "0", true, false}, {"a disk that cannot be read", "8", false, false}} {
		m := newMachine(t)
		out, ok := m.run(t, gitlab(t, m), "STUB_BLKID="+c.blkid)
		calls := m.calls(t)
		if ok != c.ok || strings.Contains(calls, "mkfs") != c.format {
			t.Errorf("%s: %v %s\n%s", c.name, ok, out, calls)
		}
		if free, attach := strings.Index(calls, "ec2 wait volume-available"), strings.Index(calls, "ec2 attach-volume"); free < 0 || attach < free {
			t.Errorf("%s: it does not wait for the old host:\n%s", c.name, calls)
		}
		if started := strings.Contains(calls, "systemctl enable --now docker gitlab"); started != c.ok {
			t.Errorf("%s: GitLab is started: %v", c.name, started)
		}
	}
}

func TestGitLabStarts(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if out, ok := m.run(t, gitlab(t, m)); !ok {
		t.Fatal(out)
	}
	start := filepath.Join(m.root, "usr/local/bin/gitlab-start")
	out, ok := m.run(t, start, `STUB_SECRET={"email":"a@example.com","password":"hidden-value"}`)
	calls := m.calls(t)
	if !ok || !strings.Contains(calls, "docker run --rm --name gitlab") || !strings.HasSuffix(calls, "GITLAB_OMNIBUS_CONFIG\nGITLAB_ROOT_EMAIL\nGITLAB_ROOT_PASSWORD\n") {
		t.Errorf("%s\n%s", out, calls)
	}
	if strings.Contains(calls, "hidden-value") || strings.Contains(calls, "registry-password") {
		t.Errorf("a secret is in a command line:\n%s", calls)
	}
	if out, ok := m.run(t, start, `STUB_SECRET={"email":"a@example.com"}`); ok || strings.Contains(m.calls(t), "docker run") {
		t.Errorf("GitLab starts without its password: %s", out)
	}
}

// TestScriptsAreClean has shellcheck read what hosts run, and sees that EC2
// takes it.
func TestScriptsAreClean(t *testing.T) {
	t.Parallel()
	m := &machine{root: "", files: t.TempDir()}
	scripts := map[string]string{"manager": manager(t, m)}
	s := profile(t, "team")
	scripts["gitlab"] = GitLabUserData(s, GitLabHost{
		Volume: "vol-0abc", Omnibus: OmnibusConfig(s, full()), Image: "registry/gitlab:1", Login: "registry", LogGroup: "/ci/gitlab", Report: Report{"ci-gitlab", "InstanceGroup"},
		Secrets: []Secret{{"arn:secret", []SecretField{{"GITLAB_ROOT_PASSWORD", ".password"}}}, {"arn:other", []SecretField{{"GITLAB_DB_PASSWORD", ".password"}}}},
	})
	scripts["nat"] = NATUserData(s, "")
	shellcheck, err := exec.LookPath("shellcheck")
	for name, script := range scripts {
		// References are short here; CloudFormation's values add a few hundred
		// bytes, for which a kilobyte is kept.
		if len(script) > UserDataLimit-1024 {
			t.Errorf("%s: %d bytes of user data; EC2 takes %d", name, len(script), UserDataLimit)
		}
		if err != nil {
			continue
		}
		for part, text := range withInner(script) {
			check := exec.Command(shellcheck, "-s", "bash", "-")
			check.Stdin = strings.NewReader(text)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s/%s: %s", name, part, out)
			}
		}
	}
	if err != nil {
		t.Skip("shellcheck is not installed: only the size was checked")
	}
}

// withInner is a script and the scripts that it writes.
func withInner(script string) map[string]string {
	all := map[string]string{"itself": script}
	for _, piece := range strings.Split(script, "<<'EOF'\n")[1:] {
		inner, _, _ := strings.Cut(piece, "\nEOF\n")
		if strings.HasPrefix(inner, "#!/bin/bash") {
			lines := strings.SplitN(inner, "\n", 3)
			all[lines[1]] = inner + "\n"
		}
	}
	return all
}
