package keepalive

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// limit is short for a test, and long beside what a busy machine is late by.
const limit = 400 * time.Millisecond

// peer is the other end of a connection: it answers a question by a byte, after
// delay, or never.
type peer struct {
	far    net.Conn
	delay  time.Duration
	silent atomic.Bool
	asked  atomic.Int64
}

func (p *peer) SendRequest(string, bool, []byte) (bool, []byte, error) {
	p.asked.Add(1)
	if !p.silent.Load() {
		time.AfterFunc(p.delay, func() { p.far.Write([]byte{1}) })
	}
	return true, nil, nil
}

// connected returns a watched connection whose bytes are read, and its peer.
func connected(t *testing.T, delay time.Duration) (*Conn, *peer, <-chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn := NewConn(near)
	closed := make(chan struct{})
	go func() { io.Copy(io.Discard, conn); close(closed) }()
	t.Cleanup(func() { near.Close(); far.Close() })
	return conn, &peer{far: far, delay: delay}, closed
}

// A healthy connection on which nothing is said lives as long as it is wanted,
// however soon or late the answers come within the limit.
func TestSilentConnectionsLive(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 50 {
		conn, peer, closed := connected(t, time.Duration(i%5)*limit/40)
		wg.Go(func() {
			w := Start(conn, peer, limit)
			select {
			case <-closed:
				t.Errorf("closed: %v", w.Stop())
				return
			case <-time.After(10 * limit):
			}
			if err := w.Stop(); err != nil {
				t.Error(err)
			}
			if peer.asked.Load() < 3 {
				t.Errorf("asked %d times in ten limits", peer.asked.Load())
			}
		})
	}
	wg.Wait()
}

func TestDeadConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	conn, peer, closed := connected(t, 0)
	peer.silent.Store(true)
	w := Start(conn, peer, limit)
	select {
	case <-closed:
	case <-time.After(100 * limit):
		t.Fatal("a dead connection stays open")
	}
	if err := w.Stop(); err == nil {
		t.Error("nobody says why")
	}
}

func TestLimitMayChange(t *testing.T) {
	t.Parallel()
	conn, peer, closed := connected(t, 0)
	peer.silent.Store(true)
	w := Start(conn, peer, time.Hour)
	w.SetLimit(limit)
	select {
	case <-closed:
	case <-time.After(100 * limit):
		t.Fatal("the new limit is not kept")
	}
	w.Stop()
}
