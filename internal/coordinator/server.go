package coordinator

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/fargate-driver/fargate-driver/internal/keepalive"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

const (
	// handshakeLimit is for a task on a quarter of a CPU that is busy.
	handshakeLimit = 20 * time.Second
	// maxHandshakes is how many strangers may stand at the door at once; who
	// comes then is turned away. The security group lets only the manager in.
	maxHandshakes = 64
	// maxConnections bounds those who are in: a driver needs one, and another
	// while it comes back or somebody attaches. Each costs some 50 KiB.
	maxConnections = 256
	// maxChannels bounds what runs over one connection, as sshd's MaxSessions.
	maxChannels = 10
	// defaultSilence is for drivers that do not say; see wire.Request.
	defaultSilence = 60 * time.Second
)

// connection is a driver, or a person, that is logged in.
type connection struct {
	conn  *keepalive.Conn
	ssh   *ssh.ServerConn
	watch *keepalive.Watch

	mu       sync.Mutex
	channels int
	// person is whether a terminal was opened: that keeps no task alive.
	person bool
}

// cut ends the connection, whatever is on its way.
func (c *connection) cut() { c.conn.Close() }

// serverConfig lets one key in, and offers what both ends compute quickly.
func (a *agent) serverConfig(hostKey ssh.Signer, version string) *ssh.ServerConfig {
	allowed := a.settings.PublicKey.Marshal()
	config := &ssh.ServerConfig{
		Config: ssh.Config{
			KeyExchanges: []string{ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519},
			Ciphers:      []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR},
			MACs:         []string{ssh.HMACSHA256ETM},
		},
		MaxAuthTries:  3,
		ServerVersion: wire.Banner(version),
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), allowed) {
				return nil, errors.New("not the key of this task's driver")
			}
			return nil, nil
		},
	}
	config.AddHostKey(hostKey)
	return config
}

// accept serves connections until the listener is closed.
func (a *agent) accept(listener net.Listener, config *ssh.ServerConfig) {
	door := make(chan struct{}, maxHandshakes)
	for {
		raw, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors, mostly: they come back.
			a.log.Printf("accepting a connection: %v", err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		select {
		case door <- struct{}{}:
			go a.serve(raw, config, func() { <-door })
		default:
			raw.Close()
		}
	}
}

// serve is one connection from its handshake to its end.
func (a *agent) serve(raw net.Conn, config *ssh.ServerConfig, in func()) {
	defer raw.Close()
	c := &connection{conn: keepalive.NewConn(raw)}
	raw.SetDeadline(time.Now().Add(handshakeLimit))
	server, channels, requests, err := ssh.NewServerConn(newOutbox(c.conn), config)
	in()
	if err != nil {
		var refused *ssh.ServerAuthError
		if errors.As(err, &refused) {
			a.log.Printf("%s was turned away: it has not the key of this task's driver", raw.RemoteAddr())
		}
		return
	}
	raw.SetDeadline(time.Time{})
	c.ssh = server
	if !a.enter(c) {
		a.log.Printf("%s was turned away: %d connections are enough", raw.RemoteAddr(), maxConnections)
		return
	}
	defer a.leave(c)
	c.watch = keepalive.Start(c.conn, server, defaultSilence)
	defer c.watch.Stop()
	go ssh.DiscardRequests(requests) // forwarding among them: refused
	for open := range channels {
		a.open(c, open)
	}
}

// open starts what a channel is for.
func (a *agent) open(c *connection, open ssh.NewChannel) {
	serve := map[string]func(*connection, ssh.NewChannel){
		wire.ChannelRun: a.serveRun,
		"session":       a.serveSession,
	}[open.ChannelType()]
	if serve == nil {
		open.Reject(ssh.Prohibited, "only commands and shells")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.channels >= maxChannels {
		open.Reject(ssh.ResourceShortage, "too many at once on one connection")
		return
	}
	c.channels++
	go func() {
		serve(c, open)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.channels--
	}()
}

func (a *agent) enter(c *connection) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.connections) >= maxConnections {
		return false
	}
	a.connections[c] = true
	return true
}

func (a *agent) leave(c *connection) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.connections, c)
	if !c.isPerson() {
		a.lastContact = time.Now()
	}
}

func (c *connection) isPerson() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.person
}

// closeConnections ends all of them. What was written still goes out.
func (a *agent) closeConnections() {
	a.mu.Lock()
	defer a.mu.Unlock()
	var closing sync.WaitGroup
	for c := range a.connections {
		closing.Go(func() { c.ssh.Close() })
	}
	closing.Wait()
}

// contact notes that somebody needed the agent just now.
func (a *agent) contact() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lastContact = time.Now()
}

// needed reports whether somebody needs the agent now, and if not, since when
// nobody has. A script without a driver needs it: its own limit is another.
func (a *agent) needed() (now bool, last time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for c := range a.connections {
		now = now || !c.isPerson()
	}
	for _, s := range a.slots {
		now = now || s.execution != nil && s.execution.running()
	}
	return now, a.lastContact
}
