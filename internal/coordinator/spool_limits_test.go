package coordinator_test

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/faultproxy"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// away runs a script that prints 20 MB while its driver is away, and lets the
// driver come back when the script makes no progress any more. It gives the
// progress at that time, in pieces of 64 KiB.
func away(t *testing.T, agent *agenttest.Agent) int {
	t.Helper()
	proxy, err := faultproxy.New(agent.Target.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	target := agent.Target
	target.Address = proxy.Address()
	progress := t.TempDir() + "/progress"
	read := func() int {
		text, _ := os.ReadFile(progress)
		n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return n
	}
	text := "echo begin; for i in $(seq 320); do head -c 65536 /dev/zero; echo $i > " + progress + "; done; echo end"
	stopped := make(chan int, 1)
	stdout := &agenttest.Output{At: "\n", Reached: func() {
		proxy.Refuse(true)
		proxy.Cut()
		go func() {
			last, since := -1, time.Now()
			for end := time.Now().Add(time.Minute); time.Since(since) < 3*time.Second && time.Now().Before(end); {
				if now := read(); now != last {
					last, since = now, time.Now()
				}
				<-time.After(20 * time.Millisecond)
			}
			stopped <- last
			proxy.Refuse(false)
		}()
	}}
	code, err := sshexec.Run(t.Context(), target, script("away", text, stdout), sshexec.Options{})
	if err != nil || code != 0 {
		t.Errorf("got %d, %v", code, err)
	}
	if got, want := len(stdout.String()), len("begin\nend\n")+320*65536; got != want {
		t.Errorf("%d bytes came, want %d", got, want)
	}
	return <-stopped
}

func TestSpoolIsBounded(t *testing.T) {
	t.Parallel()
	// 4 MiB are 64 pieces; pipes and what was under way add some, not many.
	if got := away(t, agenttest.Start(t, wire.EnvSpoolLimit+"="+strconv.Itoa(4<<20))); got < 60 || got > 120 {
		t.Errorf("the script stopped after %d pieces of 64 KiB, want about 64", got)
	}
}

func TestSpoolHoldsAnOutage(t *testing.T) {
	t.Parallel()
	if got := away(t, agenttest.Start(t)); got != 320 {
		t.Errorf("the script stopped after %d of 320 pieces", got)
	}
}

// The disk is full: the script waits as for a slow reader, and nothing is lost.
func TestSpoolOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small disk can be mounted here: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	agent := agenttest.Start(t, "TMPDIR="+dir)
	if got := away(t, agent); got < 40 || got > 110 {
		t.Errorf("the script stopped after %d pieces of 64 KiB, want some 50", got)
	}
}

// A full disk leaves no room for the script itself: the driver hears that.
func TestScriptOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no small disk can be mounted here: %s", out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	agent := agenttest.Start(t, "TMPDIR="+dir)
	_, err := sshexec.Run(t.Context(), agent.Target, script("full", "echo never\n#"+strings.Repeat("x", 1<<20), io.Discard), sshexec.Options{})
	if err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("got %v", err)
	}
	if got := run(t, agent, "echo small"); got != "small\n" {
		t.Errorf("afterwards a small one printed %q", got)
	}
}
