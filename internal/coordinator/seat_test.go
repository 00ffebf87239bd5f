package coordinator_test

import (
	"io"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// login makes a connection of its own to an agent.
func login(t *testing.T, agent *agenttest.Agent) *ssh.Client {
	t.Helper()
	signer, err := ssh.ParsePrivateKey(agent.Target.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	hostKey, _, _, _, err := ssh.ParseAuthorizedKey([]byte(agent.Target.HostKey))
	if err != nil {
		t.Fatal(err)
	}
	client, err := ssh.Dial("tcp", agent.Target.Address, &ssh.ClientConfig{
		User: "x", Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(hostKey),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// followAs asks for a script as a driver's process does, and gives the kind of
// the first frame that the agent answers.
func followAs(t *testing.T, agent *agenttest.Agent, process, script string) wire.Kind {
	t.Helper()
	request := wire.Request{Protocol: wire.Version, ID: "script", Client: process, Size: int64(len(script)), Offset: wire.FromOldest}
	channel, requests, err := login(t, agent).OpenChannel(wire.ChannelRun, request.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(requests)
	header := make([]byte, wire.HeaderSize)
	if _, err := io.ReadFull(channel, header); err != nil {
		t.Fatal(err)
	}
	kind, size, err := wire.ParseHeader(header)
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, size)
	if _, err := io.ReadFull(channel, payload); err != nil {
		t.Fatal(err)
	}
	if kind != wire.State {
		return kind
	}
	if state, err := wire.ParseState(payload); err == nil && state.Status == wire.StatusNew {
		if _, err := io.WriteString(channel, script); err != nil {
			t.Fatal(err)
		}
		// It runs when its first output is there.
		if _, err := io.ReadFull(channel, header); err != nil {
			t.Fatal(err)
		}
	}
	return kind
}

// A process that comes back is seated again in whichever order its connections
// reach the agent; only another process takes its place for good.
func TestSeats(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	for _, step := range []struct {
		process string
		want    wire.Kind
		why     string
	}{
		{"first", wire.State, "it brings the script"},
		{"first", wire.State, "it comes back"},
		{"first", wire.State, "an older connection of it was late"},
		{"second", wire.State, "a newer process takes over"},
		{"first", wire.Refused, "the older one lost its place"},
		{"second", wire.State, "the newer one comes back"},
	} {
		if got := followAs(t, agent, step.process, "echo begun; exec sleep 300"); got != step.want {
			t.Errorf("%s, %s: answered by %q, want %q", step.process, step.why, got, step.want)
		}
	}
}
