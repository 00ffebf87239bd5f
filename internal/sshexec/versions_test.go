package sshexec_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/fargate-driver/fargate-driver/internal/sshexec"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// otherVersion is an agent of another version: an SSH server with its banner
// that lets one key in and serves channels as told.
func otherVersion(t *testing.T, banner string, serve func(ssh.NewChannel)) sshexec.Target {
	t.Helper()
	authorized, private, err := sshexec.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	allowed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(authorized))
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{ServerVersion: banner, PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(key.Marshal(), allowed.Marshal()) {
			return nil, io.EOF
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	address := listen(t, func(conn net.Conn) {
		_, channels, requests, err := ssh.NewServerConn(conn, config)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		for channel := range channels {
			go serve(channel)
		}
	})
	return sshexec.Target{Address: address, User: "root", PrivateKey: private}
}

// An agent from before the protocol is used as any SSH server.
func TestOlderAgent(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var commands []string
	target := otherVersion(t, "SSH-2.0-FargateCoordinator_0 v0.0.1", func(open ssh.NewChannel) {
		if open.ChannelType() != "session" {
			open.Reject(ssh.UnknownChannelType, "not yet")
			return
		}
		channel, requests, err := open.Accept()
		if err != nil {
			return
		}
		defer channel.Close()
		for request := range requests {
			var asked struct{ Command string }
			if request.Type != "exec" || ssh.Unmarshal(request.Payload, &asked) != nil {
				request.Reply(false, nil)
				continue
			}
			request.Reply(true, nil)
			mu.Lock()
			commands = append(commands, asked.Command)
			mu.Unlock()
			uploaded, _ := io.ReadAll(channel)
			// What the shell at the other end would do.
			mark := strings.Fields(asked.Command[strings.LastIndex(asked.Command, "' sh ")+5:])[0]
			io.WriteString(channel, mark+" 1 /bin/sh\n"+strings.ToUpper(string(uploaded)))
			channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{12}))
			return
		}
	})
	var stdout bytes.Buffer
	code, err := sshexec.Run(t.Context(), target, script("older", "hello", &stdout, io.Discard), sshexec.Options{})
	if err != nil || code != 12 || stdout.String() != "HELLO" {
		t.Errorf("got %d, %v, %q", code, err, stdout.String())
	}
	if len(commands) != 1 {
		t.Errorf("%d commands came", len(commands))
	}
	if strings.Contains(commands[0], "hello") {
		t.Error("the script is in the command line")
	}
}

// A newer agent may say things that this driver does not know.
func TestNewerAgent(t *testing.T) {
	t.Parallel()
	acked := make(chan int64, 10)
	target := otherVersion(t, "SSH-2.0-FargateCoordinator_7 v9.9", func(open ssh.NewChannel) {
		request, err := wire.ParseRequest(open.ExtraData())
		if err != nil || open.ChannelType() != wire.ChannelRun || request.Protocol != wire.Version {
			open.Reject(ssh.Prohibited, "unexpected")
			return
		}
		channel, requests, err := open.Accept()
		if err != nil {
			return
		}
		defer channel.Close()
		go ssh.DiscardRequests(requests)
		channel.Write(wire.AppendFrame(nil, wire.State, []byte("instance=x\nstatus=new\noffset=0\nweather=fine\n")))
		io.CopyN(io.Discard, channel, request.Size)
		var log []byte
		log = wire.AppendFrame(log, 'z', []byte("a record of a kind from the future"))
		log = wire.AppendFrame(log, wire.Stdout, []byte("out"))
		log = wire.AppendFrame(log, wire.Notice, []byte("kind=party\ntext=cake is served\n"))
		log = wire.AppendFrame(log, wire.Exit, []byte("code=8\nsignal=0\ncause=script\nmood=good\n"))
		channel.Write(wire.AppendFrame(nil, 'Q', []byte("of the connection alone")))
		channel.Write(log)
		header := make([]byte, wire.HeaderSize)
		for {
			if _, err := io.ReadFull(channel, header); err != nil {
				return
			}
			_, size, _ := wire.ParseHeader(header)
			payload := make([]byte, size)
			io.ReadFull(channel, payload)
			if offset, err := wire.ParseAck(payload); err == nil {
				acked <- offset - int64(len(log))
			}
		}
	})
	var stdout bytes.Buffer
	var told events
	code, err := sshexec.Run(t.Context(), target, script("newer", "x", &stdout, io.Discard), sshexec.Options{Notify: told.notify})
	if err != nil || code != 8 || stdout.String() != "out" {
		t.Errorf("got %d, %v, %q", code, err, stdout.String())
	}
	if off := <-acked; off != 0 {
		t.Errorf("the acknowledged position is off by %d", off)
	}
	if len(told.all) != 1 || told.all[0].String() != "cake is served" {
		t.Errorf("events: %v", told.all)
	}
}

// What a broken or hostile agent may send ends in an error, not in a hang, a
// panic, or a blamed user.
func TestNonsenseFromTheAgent(t *testing.T) {
	t.Parallel()
	state := wire.AppendFrame(nil, wire.State, []byte("instance=x\nstatus=running\noffset=0\n"))
	for name, says := range map[string][]byte{
		"no state":          wire.AppendFrame(nil, wire.Stdout, []byte("x")),
		"two states":        append(bytes.Clone(state), state...),
		"huge frame":        append(bytes.Clone(state), 'o', 0xff, 0xff, 0xff, 0xff),
		"status unknown":    wire.AppendFrame(nil, wire.State, []byte("status=confused\n")),
		"exit without code": append(bytes.Clone(state), wire.AppendFrame(nil, wire.Exit, []byte("cause=script\n"))...),
		"cause unknown":     append(bytes.Clone(state), wire.AppendFrame(nil, wire.Exit, []byte("code=0\ncause=magic\n"))...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := otherVersion(t, wire.Banner("broken"), func(open ssh.NewChannel) {
				channel, requests, err := open.Accept()
				if err != nil {
					return
				}
				go ssh.DiscardRequests(requests)
				channel.Write(says)
				io.Copy(io.Discard, channel)
				channel.Close()
			})
			code, err := sshexec.Run(t.Context(), target, script("nonsense", "x", io.Discard, io.Discard), sshexec.Options{})
			if err == nil || sshexec.Transient(err) {
				t.Errorf("got %d, %v", code, err)
			}
		})
	}
}
