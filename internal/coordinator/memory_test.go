package coordinator_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

// memoryGroup makes a cgroup with a limit, of whichever version this machine has.
func memoryGroup(t *testing.T, limit int) (dir string) {
	t.Helper()
	for parent, file := range map[string]string{"/sys/fs/cgroup/memory": "memory.limit_in_bytes", "/sys/fs/cgroup": "memory.max"} {
		dir = filepath.Join(parent, fmt.Sprintf("agenttest-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		// Only a file that the kernel put there limits anything.
		limits, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
		if err != nil {
			continue
		}
		defer limits.Close()
		if _, err := fmt.Fprint(limits, limit); err == nil {
			return dir
		}
	}
	t.Skip("no memory cgroup can be made here")
	return ""
}

// Out of memory: the script is killed rather than the agent, its exit code is
// its own, and the driver hears why.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	group := memoryGroup(t, 256<<20)
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	agent := agenttest.StartCommand(t, exec.Command("/bin/sh", "-c", "echo $$ > "+group+"/cgroup.procs && exec "+executable), "AGENTTEST_SERVE=1")
	for _, test := range []struct {
		name, text string
		code       int
	}{
		{"the script itself", "exec tail /dev/zero", 137},
		{"a child of it", "tail /dev/zero; echo it ended with $?; exit 3", 3},
	} {
		var told []sshexec.Event
		code, err := sshexec.Run(t.Context(), agent.Target, script(test.name, test.text, io.Discard), sshexec.Options{
			Notify: func(e sshexec.Event) { told = append(told, e) },
		})
		if err != nil || code != test.code {
			t.Errorf("%s: got %d, %v; want %d", test.name, code, err, test.code)
		}
		if len(told) != 1 || told[0].Kind != sshexec.OutOfMemory || told[0].Count != 1 || !strings.Contains(told[0].String(), "Out of memory") {
			t.Errorf("%s: events %v", test.name, told)
		}
	}
	// A KILL from elsewhere is not called so, where the kernel counts.
	code, err := sshexec.Run(t.Context(), agent.Target, script("killed", "kill -KILL $$", io.Discard), sshexec.Options{
		Notify: func(e sshexec.Event) { t.Errorf("event %v", e) },
	})
	if err != nil || code != 137 {
		t.Errorf("got %d, %v", code, err)
	}
}
