package coordinator_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

func TestMain(m *testing.M) { os.Exit(agenttest.Main(m)) }

func script(id, text string, stdout io.Writer) sshexec.Script {
	return sshexec.Script{ID: id, Content: strings.NewReader(text), Size: int64(len(text)), Stdout: stdout, Stderr: io.Discard}
}

// run runs a script to its end and gives its output.
func run(t *testing.T, agent *agenttest.Agent, text string) string {
	t.Helper()
	var stdout bytes.Buffer
	if code, err := sshexec.Run(t.Context(), agent.Target, script(t.Name()+text, text, &stdout), sshexec.Options{}); err != nil || code != 0 {
		t.Fatalf("running %q: %d, %v", text, code, err)
	}
	return stdout.String()
}

// output keeps what a script prints, and calls then when it has printed a line.
type output struct {
	then func()

	mu  sync.Mutex
	buf bytes.Buffer
	hit bool
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(b)
	if !o.hit && o.then != nil && bytes.ContainsRune(b, '\n') {
		o.hit = true
		o.then()
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
