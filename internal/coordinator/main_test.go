package coordinator_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

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
