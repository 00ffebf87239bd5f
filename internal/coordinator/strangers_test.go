package coordinator_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

// Strangers who say nothing are sent away after the handshake limit, and cannot
// keep the driver out for longer.
func TestStrangersAreSentAway(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	first, err := net.Dial("tcp", agent.Target.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for range 100 {
		conn, err := net.Dial("tcp", agent.Target.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	var stdout bytes.Buffer
	code, err := sshexec.Run(t.Context(), agent.Target, script("driver", "echo in", &stdout), sshexec.Options{ResumeLimit: time.Minute})
	if err != nil || code != 0 || stdout.String() != "in\n" {
		t.Errorf("the driver got %d, %v, %q", code, err, stdout.String())
	}
	first.SetReadDeadline(time.Now().Add(time.Minute))
	if said, err := io.ReadAll(first); err != nil || !bytes.HasPrefix(said, []byte("SSH-2.0-FargateCoordinator_")) {
		t.Errorf("the first stranger was told %q, %v", said, err)
	}
}
