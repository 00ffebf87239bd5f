package sshexec

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/cpu"

	"github.com/fargate-driver/fargate-driver/internal/keepalive"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// A Client is one live connection to a task.
type Client struct {
	conn    *keepalive.Conn
	ssh     ssh.Conn
	hostKey ssh.PublicKey
	silence *keepalive.Watch
}

// Dial makes one attempt to connect and log in. Its errors are those of this
// package where they have a name; Transient tells whether to try again.
func Dial(ctx context.Context, target Target, options Options) (*Client, error) {
	options = options.withDefaults()
	client, err := dial(ctx, target, options)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s by SSH: %w", target.Address, err)
	}
	return client, nil
}

func dial(ctx context.Context, target Target, options Options) (*Client, error) {
	signer, err := ssh.ParsePrivateKey(target.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	client := &Client{}
	config, err := clientConfig(target, signer, &client.hostKey)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, options.ConnectTimeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", target.Address)
	if err != nil {
		return nil, dialError(err)
	}
	client.conn = keepalive.NewConn(raw)
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	connection, channels, requests, err := ssh.NewClientConn(client.conn, target.Address, config)
	if !stop() && err == nil {
		err = ctx.Err()
		connection.Close()
	}
	if err != nil {
		raw.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, handshakeError(err, client.conn.Greeting(), client.hostKey != nil)
	}
	client.ssh = connection
	go ssh.DiscardRequests(requests)
	go rejectChannels(channels)
	client.silence = keepalive.Start(client.conn, connection, options.KeepAlive)
	return client, nil
}

// HostKey is the server's key in the form of Target.HostKey.
func (c *Client) HostKey() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(c.hostKey)))
}

// Agent gives the version of the agent at the other end; ok is false where
// there is another SSH server, or an agent that is too old to run scripts for
// this driver other than as any SSH server does.
func (c *Client) Agent() (version string, ok bool) {
	protocol, build, ok := wire.ParseBanner(string(c.ssh.ServerVersion()))
	return build, ok && protocol >= 1
}

// Close ends the connection. A script that our agent runs goes on, until the
// agent's patience ends.
func (c *Client) Close() error {
	c.silence.Stop()
	return c.ssh.Close()
}

// clientConfig allows what is quick and sound on both ends, and nothing else:
// one key exchange, ciphers that the CPU computes by itself first. seen gets
// the host key once it is accepted.
func clientConfig(target Target, signer ssh.Signer, seen *ssh.PublicKey) (*ssh.ClientConfig, error) {
	config := &ssh.ClientConfig{
		Config: ssh.Config{
			KeyExchanges: []string{ssh.KeyExchangeCurve25519},
			Ciphers:      ciphers(),
			MACs:         []string{ssh.HMACSHA256ETM},
		},
		User:          target.User,
		Auth:          []ssh.AuthMethod{ssh.PublicKeys(signer)},
		ClientVersion: "SSH-2.0-FargateDriver",
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			*seen = key
			return nil
		},
		// OpenSSH images have whatever their distribution makes; ed25519 is
		// among it everywhere, and the others are for those who removed it.
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSASHA256},
	}
	if target.HostKey == "" {
		return config, nil
	}
	want, _, _, _, err := ssh.ParseAuthorizedKey([]byte(target.HostKey))
	if err != nil {
		return nil, fmt.Errorf("reading the expected host key: %w", err)
	}
	if want.Type() != ssh.KeyAlgoRSA {
		config.HostKeyAlgorithms = []string{want.Type()}
	} else {
		config.HostKeyAlgorithms = []string{ssh.KeyAlgoRSASHA256}
	}
	config.HostKeyCallback = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if string(key.Marshal()) != string(want.Marshal()) {
			return &HostKeyError{Want: ssh.FingerprintSHA256(want), Got: ssh.FingerprintSHA256(key)}
		}
		*seen = key
		return nil
	}
	return config, nil
}

// ciphers puts first what this CPU does quickest. With AES instructions that is
// AES-GCM by a factor of two to three.
func ciphers() []string {
	all := []string{ssh.CipherAES128GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES256GCM, ssh.CipherAES128CTR}
	if cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ || cpu.ARM64.HasAES && cpu.ARM64.HasPMULL {
		return all
	}
	all[0], all[1] = all[1], all[0]
	return all
}

// rejectChannels refuses what a server has no reason to ask of us.
func rejectChannels(channels <-chan ssh.NewChannel) {
	for channel := range channels {
		channel.Reject(ssh.Prohibited, "this client opens channels, it takes none")
	}
}
