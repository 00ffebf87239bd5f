package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// sshd registers a definition with Debian's OpenSSH server, set up the way of
// the images made for the official driver.
func (w *world) sshd() {
	w.t.Helper()
	server, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil {
		w.t.Skip("no OpenSSH server here: install openssh-server")
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		w.t.Skipf("OpenSSH's server needs /run/sshd: %v", err)
	}
	w.definition("ci-job", `mkdir -p .ssh && chmod 700 . .ssh && echo "$SSH_PUBLIC_KEY" > .ssh/keys && unset SSH_PUBLIC_KEY &&
ssh-keygen -q -t ed25519 -N '' -f host_key && exec `+server+` -D -e -f /dev/null -h $PWD/host_key \
 -o ListenAddress=$LOCALAWS_TASK_ADDRESS:2222 -o AuthorizedKeysFile=$PWD/.ssh/keys -o StrictModes=no -o UsePAM=no -o PidFile=none`)
}

func TestOpenSSHImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	w.sshd()
	j := w.job()
	j.stage("prepare").want(t, succeeded, "is ready after")
	if !strings.Contains(w.log(), "trusting its host key for this job") {
		t.Error("trust on first use is not in the log")
	}
	j.run("echo hello from OpenSSH; exit 7\n").want(t, buildFailure, "hello from OpenSSH")
	if got := j.exitCodeFile(); got != "7" {
		t.Errorf("exit code %q", got)
	}
	j.stage("cleanup").want(t, succeeded)
}

// Another server behind the address, later in the job: nothing is sent to it.
func TestOpenSSHHostKeyIsPinned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	w.sshd()
	j := w.job()
	j.stage("prepare").want(t, succeeded)
	names, err := filepath.Glob(filepath.Join(w.dir, "records", "*.json"))
	must(t, err)
	name := names[0]
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	// The key of another host, as if this one had been exchanged.
	other := `"HostKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJb9Ft3YIRAUxTiXFoBSBDSSeSmqz1qNN6BBq1z7VQ5S"`
	at := strings.Index(string(data), `"HostKey": "`)
	end := at + len(`"HostKey": "`) + strings.Index(string(data)[at+len(`"HostKey": "`):], `"`) + 1
	if err := os.WriteFile(name, []byte(string(data)[:at]+other+string(data)[end:]), 0o600); err != nil {
		t.Fatal(err)
	}
	r := j.run("touch " + w.dir + "/ran\n")
	r.want(t, systemFailure, "the host key is SHA256:", "somebody is in between")
	if _, err := os.Stat(filepath.Join(w.dir, "ran")); err == nil {
		t.Error("the script was sent to a stranger")
	}
	j.stage("cleanup").want(t, succeeded)
}

func TestAgentWithAnotherHostKeyIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	w.definition("ci-job", "export "+wire.EnvHostKeySeed+"=$(printf %064d 7); exec "+programs+"/coordinator serve --listen $LOCALAWS_TASK_ADDRESS:2222")
	j := w.job()
	j.stage("prepare").want(t, systemFailure, "the host key is SHA256:", "not the expected SHA256:")
	j.stage("cleanup").want(t, succeeded)
}

func TestOpenSSHIsRefusedWhereTheAgentIsRequired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "[Agent]\nRequired = true")
	w.sshd()
	j := w.job()
	j.stage("prepare").want(t, systemFailure, "the host key is", "[Agent] Required = false")
	j.stage("cleanup").want(t, succeeded)
}

func TestServerRefusesTheKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	w.definition("ci-job", wire.EnvPublicKey+"='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJb9Ft3YIRAUxTiXFoBSBDSSeSmqz1qNN6BBq1z7VQ5S' exec "+programs+"/coordinator serve --listen $LOCALAWS_TASK_ADDRESS:2222")
	j := w.job()
	j.stage("prepare").want(t, systemFailure, "the server refuses our key", "authorized_keys")
	j.stage("cleanup").want(t, succeeded)
}

// What happens to a task while a script runs in it. Each ends the job as a
// system failure with the reason that ECS has, and the sub-stages that
// gitlab-runner still calls fail at once with the same one.
func TestTaskEndsWhileAScriptRuns(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(w *world, arn string) error
		want []string
	}{
		"Spot reclaim":  {func(w *world, arn string) error { return w.aws.Interrupt(arn) }, []string{"took the Spot capacity back", "launched on demand"}},
		"out of memory": {func(w *world, arn string) error { return w.aws.KillForMemory(arn) }, []string{"ran out of memory", "512 MiB", "FARGATE_MEMORY"}},
		"by hand":       {func(w *world, arn string) error { return w.aws.StopByHand(arn) }, []string{"was stopped by somebody"}},
	} {
		for _, server := range []string{"agent", "OpenSSH"} {
			t.Run(name+" with "+server, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, localaws.Options{StopTimeout: 2 * time.Second}, "[Launch]\nCapacityProviders = [\"FARGATE_SPOT\", \"FARGATE\"]")
				if server == "OpenSSH" {
					w.sshd()
				}
				j := w.job()
				j.stage("prepare").want(t, succeeded, "(FARGATE_SPOT)")
				s := j.begin("run", j.script("echo begun\nsleep 60\necho never\n"), "build_script")
				s.stdout.await(t, "begun")
				if err := test.end(w, w.aws.RunningTasks()[0]); err != nil {
					t.Fatal(err)
				}
				r := w.finish(s)
				r.want(t, systemFailure, test.want...)
				if name == "Spot reclaim" && server == "agent" && !strings.Contains(r.log(), "ECS says: task") {
					t.Errorf("nobody says who stops the task:\n%s", r.log())
				}
				if j.exitCodeFile() != "" {
					t.Error("an exit code was reported for a script that never ended")
				}
				asked := len(w.aws.Calls())
				j.stage("run", j.script("echo late\n"), "cleanup_file_variables").want(t, systemFailure, test.want...)
				if n := len(w.aws.Calls()) - asked; n != 0 {
					t.Errorf("the next sub-stage asked ECS %d times about a task that is known to be dead", n)
				}
				j.stage("cleanup").want(t, succeeded)
				if name == "Spot reclaim" {
					retry := w.job()
					retry.stage("prepare").want(t, succeeded, "launched on demand", "(FARGATE)")
					retry.stage("cleanup").want(t, succeeded)
				}
			})
		}
	}
}

// The SSH server itself dies in the middle of a script.
func TestServerDiesWhileAScriptRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	w.sshd()
	j := w.job()
	j.stage("prepare").want(t, succeeded)
	// Its parent is the process of this connection; the task goes on.
	j.run("echo begun; sleep 1; kill -9 $PPID; sleep 60\n").want(t, systemFailure, "begun", "the connection was lost")
	j.run("echo the task goes on\n").want(t, succeeded, "the task goes on")
	j.stage("cleanup").want(t, succeeded)

	w = newWorld(t, localaws.Options{}, "")
	j = w.job()
	j.stage("prepare").want(t, succeeded)
	// The agent is the container's first process, so that the task ends.
	j.run("echo begun; sleep 1; kill -9 $PPID; sleep 60\n").want(t, systemFailure, "begun", "container ci-coordinator exited with code 137")
	j.stage("cleanup").want(t, succeeded)
}

// The manager's driver is told to end: the script and all that it started end
// with it, the task stays for after_script.
func TestCancelEndsTheScriptAndKeepsTheTask(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"agent", "OpenSSH"} {
		for name, script := range map[string]string{
			"ordinary":      "echo begun\nsleep 300\n",
			"ignores TERM":  "trap '' TERM\necho begun\nwhile :; do sleep 1; done\n",
			"left children": "sleep 300 &\nsleep 300 &\necho begun\nwait\n",
		} {
			t.Run(name+" with "+server, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, localaws.Options{}, "[Run]\nKillGrace = \"1s\"")
				if server == "OpenSSH" {
					w.sshd()
				}
				j := w.job()
				j.stage("prepare").want(t, succeeded)
				marker := filepath.Join(w.dir, "marker")
				s := j.begin("run", j.script("export MARKER="+marker+"\n"+script), "build_script")
				s.stdout.await(t, "begun")
				s.signal(t, syscall.SIGTERM)
				r := w.finish(s)
				if r.code == succeeded || r.took > 20*time.Second {
					t.Errorf("exit code %d after %v:\n%s", r.code, r.took, r.log())
				}
				awaitNoProcess(t, marker)
				j.stage("run", j.script("echo after_script runs\n"), "after_script").want(t, succeeded, "after_script runs")
				j.stage("cleanup").want(t, succeeded)
			})
		}
	}
}

// awaitNoProcess waits until no process has the marker in its environment.
func awaitNoProcess(t *testing.T, marker string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		found := ""
		names, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, name := range names {
			if data, err := os.ReadFile(name); err == nil && strings.Contains(string(data), "MARKER="+marker) {
				command, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
				found = filepath.Dir(name) + " " + strings.ReplaceAll(string(command), "\x00", " ")
			}
		}
		if found == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the cancelled script left a process: %s", found)
		}
		time.Sleep(20 * time.Millisecond) // /proc tells no changes
	}
}
