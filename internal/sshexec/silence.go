package sshexec

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// watchedConn remembers when a byte last came in, and how the first ones were.
type watchedConn struct {
	net.Conn
	since time.Time    // what last counts from: monotonic, so that a clock that is set kills nothing
	last  atomic.Int64 // nanoseconds
	first atomic.Pointer[[]byte]
}

func watch(conn net.Conn) *watchedConn { return &watchedConn{Conn: conn, since: time.Now()} }

func (c *watchedConn) quietFor() time.Duration {
	return time.Since(c.since) - time.Duration(c.last.Load())
}

// Read notes the time of whatever comes in.
func (c *watchedConn) Read(b []byte) (int, error) {
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

// greeting is the beginning of what the server said first.
func (c *watchedConn) greeting() []byte {
	if first := c.first.Load(); first != nil {
		return *first
	}
	return nil
}

// silence closes a connection on which nothing came for too long. It uses a
// timer, not a goroutine: hundreds of processes wait like this at once.
type silence struct {
	client *Client
	limit  time.Duration

	mu      sync.Mutex
	timer   *time.Timer
	asked   time.Time // zero when no question is open
	stopped bool
	lost    error
}

func watchSilence(client *Client, limit time.Duration) *silence {
	s := &silence{client: client, limit: limit}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(limit/4, s.tick)
	return s
}

// tick asks for a sign of life after a quarter of the limit, and gives up when
// the rest of it brought none. The question is what is timed, so a process that
// was stopped for a while does not find its connections dead.
func (s *silence) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	quiet := s.client.conn.quietFor()
	switch {
	case quiet < s.limit/4:
		s.asked = time.Time{}
	case s.asked.IsZero():
		s.asked = time.Now()
		go s.client.ssh.SendRequest("keepalive@openssh.com", true, nil)
	case time.Since(s.asked) >= s.limit*3/4 && quiet >= s.limit*3/4:
		s.lost = fmt.Errorf("nothing was heard for %s", quiet.Round(100*time.Millisecond))
		s.stopped = true
		s.client.conn.Close()
		return
	}
	s.timer.Reset(s.limit / 4)
}

// stop ends the watch. It returns what the watch closed the connection for, if it did.
func (s *silence) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.timer.Stop()
	return s.lost
}
