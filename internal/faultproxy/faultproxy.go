// Package faultproxy stands between a client and a server and does to their
// connections what networks do: resets, stalls, delays, peers that vanish. It
// never changes or reorders a byte. It is for tests, soaks and the demo.
package faultproxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// A Proxy forwards TCP connections to one address.
type Proxy struct {
	listener net.Listener

	mu      sync.Mutex
	target  string
	changed sync.Cond
	links   map[*link]bool
	stalled bool
	refuse  bool
	delay   time.Duration
	rate    int64 // bytes per second, 0 without limit
	made    int
	closed  bool
}

// link is one connection through the proxy.
type link struct {
	client, server *net.TCPConn
	gone           bool // vanished: nothing is forwarded any more
}

// New starts a proxy on a free port of 127.0.0.1.
func New(target string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the proxy: %w", err)
	}
	p := &Proxy{target: target, listener: listener, links: map[*link]bool{}}
	p.changed.L = &p.mu
	go p.accept()
	return p, nil
}

// Address is where clients connect.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// SetTarget sends new connections elsewhere.
func (p *Proxy) SetTarget(address string) { p.set(func() { p.target = address }) }

// Connections is how many were made so far.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

// Close cuts everything and stops.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.changed.Broadcast()
	p.mu.Unlock()
	p.listener.Close()
	p.Cut()
}

// Cut resets every connection, towards both sides.
func (p *Proxy) Cut() {
	p.each(func(l *link) {
		reset(l.client)
		reset(l.server)
	})
}

// Vanish makes every connection half-open: the server sees a reset, the client
// nothing at all, as when a host or a NAT entry is gone.
func (p *Proxy) Vanish() {
	p.each(func(l *link) {
		l.gone = true
		reset(l.server)
	})
}

// VanishForServer is the other half: the client sees a reset, the server nothing.
func (p *Proxy) VanishForServer() {
	p.each(func(l *link) {
		l.gone = true
		reset(l.client)
	})
}

// Stall stops all bytes, in both directions, until it is called with false.
func (p *Proxy) Stall(on bool) { p.set(func() { p.stalled = on }) }

// Refuse makes new connections be reset at once, until it is called with false.
func (p *Proxy) Refuse(on bool) { p.set(func() { p.refuse = on }) }

// Delay keeps each piece back for so long before it is forwarded.
func (p *Proxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// Rate limits each direction of each connection, in bytes per second; 0 is no limit.
func (p *Proxy) Rate(n int64) { p.set(func() { p.rate = n }) }

// Flap does one of the faults after another, with a pause between least and
// most in between, until ctx ends. It leaves the network whole.
func (p *Proxy) Flap(ctx context.Context, random *rand.Rand, least, most time.Duration) {
	defer p.Stall(false)
	defer p.Refuse(false)
	pause := func(d time.Duration) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for pause(least + time.Duration(random.Int64N(int64(most-least)+1))) {
		switch random.IntN(6) {
		case 0, 1:
			p.Cut()
		case 2:
			p.Vanish()
		case 3:
			p.VanishForServer()
		case 4:
			p.Stall(true)
			pause(least)
			p.Stall(false)
		case 5:
			p.Refuse(true)
			p.Cut()
			pause(least)
			p.Refuse(false)
		}
	}
}

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

func (p *Proxy) each(do func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		do(l)
	}
	p.changed.Broadcast()
}

// reset closes a connection with RST instead of FIN.
func reset(conn *net.TCPConn) {
	conn.SetLinger(0)
	conn.Close()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		go p.connect(client.(*net.TCPConn))
	}
}

func (p *Proxy) connect(client *net.TCPConn) {
	p.mu.Lock()
	refuse, target := p.refuse || p.closed, p.target
	p.mu.Unlock()
	if refuse {
		reset(client)
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		reset(client)
		return
	}
	l := &link{client: client, server: server.(*net.TCPConn)}
	p.mu.Lock()
	p.links[l] = true
	p.made++
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.forward(l, l.client, l.server) })
	both.Go(func() { p.forward(l, l.server, l.client) })
	both.Wait()
	client.Close()
	server.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// forward copies one direction.
func (p *Proxy) forward(l *link, from, to *net.TCPConn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if gone := p.gate(l, n); gone {
				continue // swallow
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				if p.isGone(l) {
					continue
				}
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				to.CloseWrite()
			} else if !p.isGone(l) {
				reset(to)
			}
			return
		}
	}
}

// gate waits while the network stalls, and for as long as a delay or a rate asks.
func (p *Proxy) gate(l *link, n int) (gone bool) {
	p.mu.Lock()
	for p.stalled && !l.gone && !p.closed {
		p.changed.Wait()
	}
	wait := p.delay
	if p.rate > 0 {
		wait += time.Duration(int64(n) * int64(time.Second) / p.rate)
	}
	gone = l.gone
	p.mu.Unlock()
	if wait > 0 {
		time.Sleep(wait)
	}
	return gone
}

func (p *Proxy) isGone(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return l.gone
}
