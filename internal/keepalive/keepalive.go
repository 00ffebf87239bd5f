// Package keepalive notices that the other end of an SSH connection is gone
// although nothing says so: a stalled network, a half-open connection, a host
// that vanished. Both ends of a connection use it.
package keepalive

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Conn remembers when a byte last came in, and how the first ones were.
type Conn struct {
	net.Conn
	since time.Time    // what last counts from: monotonic, so that a clock that is set kills nothing
	last  atomic.Int64 // nanoseconds
	first atomic.Pointer[[]byte]
}

// NewConn starts to watch what conn reads.
func NewConn(conn net.Conn) *Conn { return &Conn{Conn: conn, since: time.Now()} }

// Read notes the time of whatever comes in.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.last.Store(int64(time.Since(c.since)))
		if c.first.Load() == nil {
			first := append([]byte(nil), b[:min(n, 64)]...)
			c.first.Store(&first)
		}
	}
	return n, err
}

// Greeting is how the first bytes that came in began, 64 of them at most.
func (c *Conn) Greeting() []byte {
	if first := c.first.Load(); first != nil {
		return *first
	}
	return nil
}

// quiet is how long nothing has come in.
func (c *Conn) quiet() time.Duration {
	return time.Since(c.since) - time.Duration(c.last.Load())
}

// A Peer answers global requests, as ssh.Conn does: every implementation must
// answer one that it does not know.
type Peer interface {
	SendRequest(name string, wantReply bool, payload []byte) (bool, []byte, error)
}

// A Watch closes a connection on which nothing came for too long. It is a
// timer, not a goroutine: hundreds of processes wait like this at once.
type Watch struct {
	conn  *Conn
	peer  Peer
	limit time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	asked   time.Time // zero when no question is open
	ticked  time.Time // when tick ran last
	stopped bool
	lost    error
}

// Start watches conn, over which peer speaks, until Stop.
func Start(conn *Conn, peer Peer, limit time.Duration) *Watch {
	w := &Watch{conn: conn, peer: peer, limit: limit}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(limit/4, w.tick)
	return w
}

// SetLimit changes the silence that is allowed from now on.
func (w *Watch) SetLimit(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	w.limit = limit
	w.timer.Reset(limit / 4)
}

// tick asks for a sign of life when nothing came for a quarter of the limit, and
// gives up when half of it later still nothing has: a silence of three quarters
// of the limit to the whole of it. Whatever comes in answers the question.
func (w *Watch) tick() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	quiet := w.conn.quiet()
	// A process that was stopped for a while asks anew: the answer may wait in a
	// buffer of the kernel's, and the connection is not dead for it.
	slept := !w.ticked.IsZero() && time.Since(w.ticked) > w.limit/2
	w.ticked = time.Now()
	if !w.asked.IsZero() && (slept || quiet < time.Since(w.asked)) {
		w.asked = time.Time{}
	}
	switch {
	case w.asked.IsZero() && (slept || quiet >= w.limit/4):
		w.asked = time.Now()
		go w.peer.SendRequest("keepalive@openssh.com", true, nil)
	case !w.asked.IsZero() && time.Since(w.asked) >= w.limit/2:
		w.lost = fmt.Errorf("nothing was heard for %s", quiet.Round(100*time.Millisecond))
		w.stopped = true
		w.conn.Close()
		return
	}
	w.timer.Reset(w.limit / 4)
}

// Stop ends the watch. It returns what the watch closed the connection for, or nil.
func (w *Watch) Stop() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
	return w.lost
}
