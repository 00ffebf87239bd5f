package sshexec_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

// builtAgent starts the agent as it is shipped: static, stripped, no race detector.
func builtAgent(t testing.TB, environ ...string) *agenttest.Agent {
	t.Helper()
	program := filepath.Join(t.TempDir(), "coordinator")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "../../cmd/coordinator")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return agenttest.StartBinary(t, program, environ...)
}

// memoryOf gives a field of /proc/PID/status, in KiB.
func memoryOf(t testing.TB, pid int, field string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(field + `:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no %s in %s", field, status)
	}
	kib, _ := strconv.Atoi(string(m[1]))
	return kib
}

// The agent shares the task's memory with the job: what a job prints must not
// make it grow.
func TestAgentMemoryStaysFlat(t *testing.T) {
	t.Parallel()
	agent := builtAgent(t)
	const mib = 256
	code, err := sshexec.Run(t.Context(), agent.Target, script("much", fmt.Sprintf("head -c %d /dev/zero", mib<<20), io.Discard, io.Discard), sshexec.Options{})
	if err != nil || code != 0 {
		t.Fatalf("got %d, %v", code, err)
	}
	// Nor must how many scripts it has run.
	const scripts = 200
	for i := range scripts {
		if code, err := sshexec.Run(t.Context(), agent.Target, script(fmt.Sprint(i), "true", io.Discard, io.Discard), sshexec.Options{}); err != nil || code != 0 {
			t.Fatalf("got %d, %v", code, err)
		}
	}
	peak := memoryOf(t, agent.PID, "VmHWM")
	t.Logf("peak of the agent over %d MiB of output and %d scripts: %d KiB", mib, scripts, peak)
	if peak > 10<<10 {
		t.Errorf("the agent took %d KiB, more than 10 MiB", peak)
	}
}

func BenchmarkTrivialScript(b *testing.B) {
	for name, target := range map[string]sshexec.Target{"agent": builtAgent(b).Target, "OpenSSH": agenttest.StartSSHD(b)} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				code, err := sshexec.Run(b.Context(), target, script(fmt.Sprintf("%s-%d-%d", b.Name(), b.N, i), "true", io.Discard, io.Discard), sshexec.Options{})
				if err != nil || code != 0 {
					b.Fatalf("got %d, %v", code, err)
				}
			}
		})
	}
}

func BenchmarkOutput(b *testing.B) {
	for name, target := range map[string]sshexec.Target{"agent": builtAgent(b).Target, "OpenSSH": agenttest.StartSSHD(b)} {
		b.Run(name, func(b *testing.B) {
			const size = 256 << 20
			b.SetBytes(size)
			for i := 0; b.Loop(); i++ {
				code, err := sshexec.Run(b.Context(), target, script(fmt.Sprintf("%s-%d-%d", b.Name(), b.N, i), fmt.Sprintf("head -c %d /dev/zero", size), io.Discard, io.Discard), sshexec.Options{})
				if err != nil || code != 0 {
					b.Fatalf("got %d, %v", code, err)
				}
			}
		})
	}
}
