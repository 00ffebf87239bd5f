package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

func TestCheckFindsNothingWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	must(t, os.WriteFile(filepath.Join(w.dir, "driver.log"), nil, 0o600))
	r := w.command("check", "--aws")
	r.want(t, succeeded, "ok       configuration", "ok       task records", "ok       run program", "ok       cluster ci: ACTIVE",
		"ok       task definition ci-job", "container ci-coordinator", "ok       subnet "+localaws.SubnetA, "ok       security group", "ok       finding tasks")
	if strings.Contains(r.stdout, "FAILED") {
		t.Errorf("got:\n%s", r.stdout)
	}
}

func TestCheckSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(w *world)
		extra  string
		want   []string
	}{
		"unknown key of the official sections": {change: func(w *world) { w.edit("Region =", "Regoin =") },
			want: []string{"fargate.toml:", "[Fargate] Regoin: unknown key; did you mean Region?", "jobs run in spite of it"}},
		"unknown key of our own": {extra: "[Launch]\nDeadlin = \"1m\"", want: []string{"[Launch] Deadlin", "did you mean Deadline?", "no job runs until then"}},
		"file that others may write": {change: func(w *world) { must(w.t, os.Chmod(w.config, 0o666)) },
			want: []string{"may be written by others", "chmod go-w"}},
		"no directory": {change: func(w *world) { must(w.t, os.Remove(filepath.Join(w.dir, "records"))) },
			want: []string{"FAILED   task records", "install -d -m 0700"}},
		"no cluster":           {change: func(w *world) { w.edit(`Cluster = "ci"`, `Cluster = "ic"`) }, want: []string{"FAILED   cluster ic", "[Fargate] Cluster"}},
		"no task definition":   {change: func(w *world) { w.edit(`"ci-job"`, `"ic-job"`) }, want: []string{"FAILED   task definition ic-job", "there is no such task definition"}},
		"no container":         {change: func(w *world) { _, err := w.aws.AddTaskDefinition("ci-job", "app", "true"); must(w.t, err) }, want: []string{"no container ci-coordinator, but app"}},
		"no subnet":            {change: func(w *world) { w.edit(localaws.SubnetB, "subnet-00000000") }, want: []string{"FAILED   network", "subnet-00000000"}},
		"no security group":    {change: func(w *world) { w.edit(localaws.SecurityGroup, "sg-00000000") }, want: []string{"FAILED   network", "sg-00000000"}},
		"no capacity provider": {extra: "[Launch]\nCapacityProviders = [\"MINE\"]", want: []string{"FAILED   capacity provider MINE", "put-cluster-capacity-providers"}},
		"may not list": {change: func(w *world) {
			w.aws.Fault(localaws.Fault{Operation: "ListTasks", Kind: localaws.Refused, Code: "AccessDeniedException"})
		}, want: []string{"FAILED   finding tasks", "allow ecs:ListTasks"}},
		"may not look at the network": {change: func(w *world) {
			w.aws.Fault(localaws.Fault{Operation: "DescribeSubnets", Kind: localaws.Refused, Code: "UnauthorizedOperation"})
			w.edit(`"ci-job"`, `"none"`)
		}, want: []string{"warning  network", "ec2:DescribeSubnets"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, localaws.Options{}, test.extra)
			if test.change != nil {
				test.change(w)
			}
			w.command("check", "--aws").want(t, 1, test.want...)
		})
	}
}

// The stages, too, report each mistake of the file with its place.
func TestStagesWithABadFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "[Launch]\nDeadlin = \"1m\"\nCPU = 256\nMemory = 4096")
	j := w.job()
	for _, stage := range []string{"config", "prepare", "cleanup"} {
		r := j.stage(stage)
		r.want(t, systemFailure, "2 mistakes", "[Launch] Deadlin", "did you mean Deadline?", "256 CPU units with 4096 MiB")
		if stage == "config" && r.stdout != "" {
			t.Errorf("config's stdout is for JSON alone: %q", r.stdout)
		}
	}
	must(t, os.Remove(w.config))
	j.stage("prepare").want(t, systemFailure, "reading the configuration "+w.config, "no such file or directory", "--config")
	must(t, os.Mkdir(w.config, 0o700))
	j.stage("prepare").want(t, systemFailure, "is a directory")
}

// A file of another version must not stop a fleet.
func TestUnknownKeysOfTheOfficialSectionsGoToTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	w.edit("[SSH]", "[SSH]\nCiphers = \"x\"")
	j := w.job()
	r := j.stage("config")
	r.want(t, succeeded)
	if strings.Contains(r.log(), "Ciphers") || !strings.Contains(w.log(), "[SSH] Ciphers: unknown key") {
		t.Errorf("job log:\n%s\ndriver's log:\n%s", r.log(), w.log())
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	w.command("--no-such-flag").want(t, 2, "unknown flag: --no-such-flag", "fargate-driver --help")
	w.command("prepare").want(t, 2, "BUILD_FAILURE_EXIT_CODE", "started by hand")
	w.command("custom", "clenaup").want(t, 2, "config, prepare, run or cleanup", "clenaup")
	w.command("custom").want(t, 2, "wants a stage")
	w.command("clenaup").want(t, 1, "unknown command")
	w.command("--log-format", "xyz", "ps").want(t, 2, "text-simple")
	w.command("reap", "extra").want(t, 2, "takes no arguments")
	w.command("version").want(t, succeeded, "fargate-driver dev (go1.")
	w.command("--version").want(t, succeeded, "fargate-driver dev")
	w.command("attach", "1").want(t, 1, "no job of this manager runs")
	w.command("completion", "bash").want(t, succeeded, "bash completion")
	j := w.job()
	j.stage("run", "only-one").want(t, 2, "the script's path and the sub-stage's name")
	w.command("--log-level", "loud", "check").want(t, succeeded) // check says what it finds; the log is not opened
}

// The official driver's aliases and its one-dash flags.
func TestOfficialDriversCommandLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "[Jobs]\nTaskDefinitions = [\"none\"]")
	w.definition("other", "exec "+programs+"/coordinator serve --listen $LOCALAWS_TASK_ADDRESS:2222")
	j := w.job("FARGATE_TASK_DEFINITION=ignored-because-the-flag-decides")
	args := []string{"-config", w.config, "-task-def", "other", "-platform-version", "1.4.0", "-log-level", "debug", "c"}
	call := func(more ...string) result { return w.finish(w.start(j.tempDir, j.env, append(args, more...)...)) }
	call("co").want(t, succeeded, `"name":"fargate-driver"`)
	call("p").want(t, succeeded, "of other is starting")
	call("r", j.script("echo ran\n"), "build_script").want(t, succeeded, "ran")
	call("cl").want(t, succeeded)
}

func TestAttach(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	j := w.job()
	j.stage("prepare").want(t, succeeded)
	j.run("cd /tmp\nexport COLOUR=green\n").want(t, succeeded)
	s := w.startWith(w.dir, w.aws.Env(), strings.NewReader("echo shell is $((40+2))\nexit 3\n"), "--config", w.config, "attach", "4712")
	w.finish(s).want(t, 3, "shell is 42")
	w.command("attach", "99").want(t, 1, "no such job runs here; running are 4712")
	j.stage("cleanup").want(t, succeeded)
}

func TestSmoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	// A path as a person types it; the stages start elsewhere.
	w.finish(w.start(w.dir, w.aws.Env(), "--config", "fargate.toml", "smoke")).want(t, succeeded, "Preparing the \"custom\" executor", "git: git version", "task role:", "after_script runs", "STAGE", "prepare", "cleanup")
	if left := w.records(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	w.definition("ci-job", "exit 1")
	w.edit("[SSH]", "[SSH]\n")
	w.command("smoke", "--limit", "15s").want(t, 1, "container ci-coordinator exited with code 1")
}

// The annotated config.toml calls what this program has.
func TestConfigTomlSample(t *testing.T) {
	t.Parallel()
	var file struct {
		Runners []struct {
			Custom map[string]any
		}
	}
	if _, err := toml.DecodeFile("../../configs/config.toml", &file); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, localaws.Options{}, "")
	for _, stage := range []string{"config", "prepare", "run", "cleanup"} {
		if got := file.Runners[0].Custom[stage+"_exec"]; got != "/opt/fargate-driver/fargate-driver" {
			t.Errorf("%s_exec is %v", stage, got)
		}
		var args []string
		for _, arg := range file.Runners[0].Custom[stage+"_args"].([]any) {
			args = append(args, arg.(string))
		}
		w.command(append(args[2:], "--help")...).want(t, succeeded, "fargate-driver custom "+stage)
	}
}

// A job's author chooses names; an operator's terminal shows them.
func TestNamesDoNotReachTheTerminalRaw(t *testing.T) {
	t.Parallel()
	if got := printable("evil\x1b]0;pwned\x07\nFAKE 日本"); got != "evil?]0;pwned??FAKE 日本" {
		t.Errorf("got %q", got)
	}
}
