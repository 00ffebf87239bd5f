package coordinator_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// Neither a script's environment nor the agent's own in /proc has the seed or
// the key; everything else of the container's environment reaches the script.
func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/x", wire.EnvIdleLimit+"=5m")
	scripts := run(t, agent, "env; tr '\\0' '\\n' </proc/$PPID/environ; ls -l /proc/$PPID/fd 2>/dev/null; cat /proc/$PPID/cmdline")
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", agent.PID))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"the script": scripts, "/proc": string(own)} {
		for _, secret := range []string{agent.Seed, agent.PublicKey, wire.EnvHostKeySeed, wire.EnvPublicKey, wire.EnvIdleLimit} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %q", name, secret)
			}
		}
	}
	if !strings.Contains(scripts, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/x\n") {
		t.Errorf("the container's environment does not reach the script:\n%s", scripts)
	}
	if !strings.Contains(scripts, wire.EnvExecution+"=") {
		t.Error("the script has no mark")
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", agent.PID))
	if err != nil || strings.Contains(string(status), "exe\n") {
		t.Errorf("the agent's name is not its own: %v", err)
	}
}

// A process with what root has in a container by default gets nothing out of
// the agent's memory and environment.
func TestAgentCannotBeRead(t *testing.T) {
	t.Parallel()
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Getuid() != 0 {
		t.Skip("this needs root, and setpriv(1) to drop capabilities")
	}
	// Docker's and ECS's default, without ptrace, perfmon and sys_admin.
	const caps = "-all,+chown,+dac_override,+fsetid,+fowner,+mknod,+net_raw,+setgid,+setuid,+setfcap,+setpcap,+net_bind_service,+sys_chroot,+kill,+audit_write"
	agent := agenttest.Start(t)
	for _, file := range []string{"environ", "mem", "maps"} {
		out, err := exec.Command(setpriv, "--bounding-set", caps, "--inh-caps", "-all", "head", "-c", "1", fmt.Sprintf("/proc/%d/%s", agent.PID, file)).CombinedOutput()
		if err == nil {
			t.Errorf("%s can be read: %q", file, out)
		}
	}
}

// As PID 1 of a PID namespace, as in a container: orphans are reaped, TERM is
// handled, and the agent's end is everybody's.
func TestAsPID1(t *testing.T) {
	t.Parallel()
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("unshare(1) is missing")
	}
	if out, err := exec.Command(unshare, "--pid", "--fork", "--mount-proc", "true").CombinedOutput(); err != nil {
		t.Skipf("no PID namespaces here: %s", out)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	agent := agenttest.StartCommand(t, exec.Command(unshare, "--pid", "--fork", "--kill-child", "--mount-proc", executable), "AGENTTEST_SERVE=1")
	if got := run(t, agent, "echo $PPID"); got != "1\n" {
		t.Errorf("the script's parent is %q, want 1", got)
	}
	if got := run(t, agent, "tr '\\0' '\\n' </proc/1/environ | grep -c COORDINATOR_HOST_KEY_SEED; true"); got != "0\n" {
		t.Errorf("/proc/1/environ has the seed: %q", got)
	}
	run(t, agent, "for i in $(seq 20); do (setsid true &); done")
	agenttest.Eventually(t, "orphans are reaped", func() bool {
		return run(t, agent, "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l") == "0\n"
	})
}
