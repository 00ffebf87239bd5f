// Package agenttest starts real agents and real OpenSSH servers for tests, as
// processes of their own on loopback: the agent takes over the children of its
// process, so it cannot share one with a test.
package agenttest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/coordinator"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// envServe makes a test binary an agent instead of running its tests.
const envServe = "AGENTTEST_SERVE"

// Main is for TestMain: it runs the tests, or in a process that Start made, the
// agent, race detector and all.
func Main(m *testing.M) int {
	if os.Getenv(envServe) == "" {
		return m.Run()
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "coordinator:", err)
		return 1
	}
	return 0
}

func serve() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	getenv, err := coordinator.Hide(os.Environ())
	if err != nil {
		return err
	}
	settings, err := coordinator.ReadSettings(getenv)
	if err != nil {
		return err
	}
	environ := coordinator.WithoutSecrets(os.Environ())
	return coordinator.Serve(ctx, coordinator.Config{
		Settings: settings, Listen: "127.0.0.1:0", Environ: environ, Version: "test", Log: os.Stderr,
	})
}

// An Agent is a running agent process.
type Agent struct {
	// Target is how to reach it.
	Target sshexec.Target
	// PID is its process.
	PID int
	// Seed and PublicKey are what it got by its environment.
	Seed, PublicKey string
	// Exited is closed when it has exited; Err is valid then.
	Exited chan struct{}
	Err    error

	mu  sync.Mutex
	log bytes.Buffer
}

// Log is what it has written so far.
func (a *Agent) Log() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.String()
}

// Write takes the agent's log.
func (a *Agent) Write(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.Write(b)
}

// Start starts an agent with more environment than a driver's, "NAME=value"
// each. It is killed at the end of the test.
func Start(t testing.TB, environ ...string) *Agent {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return StartCommand(t, exec.Command(executable), append(environ, envServe+"=1")...)
}

// StartBinary is Start for a built coordinator.
func StartBinary(t testing.TB, binary string, environ ...string) *Agent {
	t.Helper()
	return StartCommand(t, exec.Command(binary, "serve", "--listen", "127.0.0.1:0"), environ...)
}

// StartCommand starts an agent by any command; its environment is set here.
func StartCommand(t testing.TB, cmd *exec.Cmd, environ ...string) *Agent {
	t.Helper()
	authorized, private, err := sshexec.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := sshexec.NewHostKeySeed()
	if err != nil {
		t.Fatal(err)
	}
	hostKey, err := sshexec.HostKeyFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{Seed: seed, PublicKey: authorized, Exited: make(chan struct{})}
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(),
		wire.EnvPublicKey + "=" + authorized, wire.EnvHostKeySeed + "=" + seed,
	}, environ...)
	// Of its own group, so that signals meant for it do not hit the tests.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a.PID = cmd.Process.Pid
	address := make(chan string, 1)
	go func() {
		defer close(a.Exited)
		find := regexp.MustCompile(`listens on (\S+),`)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			fmt.Fprintln(a, lines.Text())
			if m := find.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
		a.Err = cmd.Wait()
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with whatever wraps it
		<-a.Exited
		if strings.Contains(a.Log(), "DATA RACE") || strings.Contains(a.Log(), "panic:") {
			t.Errorf("the agent's log:\n%s", a.Log())
		} else if t.Failed() {
			t.Logf("the agent's log:\n%s", a.Log())
		}
	})
	select {
	case at := <-address:
		a.Target = sshexec.Target{Address: at, User: "root", PrivateKey: private, HostKey: hostKey}
	case <-a.Exited:
		t.Fatalf("the agent exited at once: %v\n%s", a.Err, a.Log())
	case <-time.After(30 * time.Second):
		t.Fatalf("the agent did not start in time\n%s", a.Log())
	}
	return a
}

// StartSSHD starts Debian's OpenSSH server with its own configuration, and
// skips the test where there is none. More lines go to its sshd_config.
func StartSSHD(t testing.TB, more ...string) sshexec.Target {
	t.Helper()
	const sshd = "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil {
		t.Skipf("there is no OpenSSH server here: %v", err)
	}
	dir := t.TempDir()
	authorized, private, err := sshexec.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	_, hostKey, err := sshexec.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"authorized_keys": []byte(authorized + "\n"), "host_key": hostKey, "user_key": private}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	listener.Close()
	files["sshd_config"] = []byte(strings.Join(append([]string{
		"ListenAddress 127.0.0.1", "Port " + port, "HostKey " + dir + "/host_key",
		"AuthorizedKeysFile " + dir + "/authorized_keys", "StrictModes no", "UsePAM no",
		"PermitRootLogin yes", "PidFile none", "PrintMotd no", "MaxStartups 200",
	}, more...), "\n") + "\n")
	for name, content := range files {
		if err := os.WriteFile(dir+"/"+name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// What Debian's service makes; sshd does not start without it.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Skipf("sshd needs its directory, and we may not make it: %v", err)
	}
	cmd := exec.Command(sshd, "-D", "-e", "-f", dir+"/sshd_config")
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("sshd's log:\n%s", log.String())
		}
	})
	target := sshexec.Target{Address: address, User: currentUser(), PrivateKey: private}
	for end := time.Now().Add(30 * time.Second); ; {
		client, err := sshexec.Dial(t.Context(), target, sshexec.Options{})
		if err == nil {
			client.Close()
			return target
		}
		if time.Now().After(end) {
			t.Fatalf("sshd does not answer: %v", err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

func currentUser() string {
	out, err := exec.Command("id", "-un").Output()
	if err != nil {
		return "root"
	}
	return strings.TrimSpace(string(out))
}
