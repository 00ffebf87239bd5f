package main

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// proxy stands between the manager and the tasks of one definition, as the
// network that can fail.
type proxy struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu        sync.Mutex
	listeners map[string]net.Listener // by the task's address
	conns     map[net.Conn]bool
	down      time.Time // until when nothing gets through
}

// newProxy listens on the SSH port of every task of the definition that comes.
func newProxy(ctx context.Context, s *localaws.Server) *proxy {
	ctx, stop := context.WithCancel(ctx)
	p := &proxy{stop: stop, listeners: map[string]net.Listener{}, conns: map[net.Conn]bool{}}
	p.done.Add(1)
	go func() {
		defer p.done.Done()
		s.Wait(ctx, func() bool {
			for _, t := range s.Tasks() {
				if t.Address != "" && strings.Contains(t.TaskDefinition, "/"+proxiedFamily+":") {
					p.follow(t.Address, t.Status == "STOPPED")
				}
			}
			return false // until the context ends
		})
	}()
	return p
}

// follow opens or closes the listener of a task's address.
func (p *proxy) follow(address string, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ln := p.listeners[address]
	if over && ln != nil {
		ln.Close()
	}
	if over || ln != nil {
		return
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(address, sshPort))
	if err != nil {
		return // the driver then finds nobody there, and says so
	}
	p.listeners[address] = ln
	p.done.Add(1)
	go func() {
		defer p.done.Done()
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			p.done.Add(1)
			go func() {
				defer p.done.Done()
				p.carry(conn, net.JoinHostPort(address, agentPort))
			}()
		}
	}()
}

// carry connects the two sides until one ends or the line is cut.
func (p *proxy) carry(from net.Conn, address string) {
	defer p.forget(from)
	to, err := net.Dial("tcp", address)
	if err != nil || !p.remember(from, to) {
		return
	}
	defer p.forget(to)
	ended := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			io.Copy(pair[0], pair[1])
			pair[0].(*net.TCPConn).CloseWrite()
			ended <- struct{}{}
		}()
	}
	<-ended
	<-ended
}

// remember keeps connections for the cut, or refuses them while all is down.
func (p *proxy) remember(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().Before(p.down) {
		for _, c := range conns {
			c.Close()
		}
		return false
	}
	for _, c := range conns {
		p.conns[c] = true
	}
	return true
}

func (p *proxy) forget(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// cut breaks all connections, with a reset as a failing network device does,
// and lets nobody through for d.
func (p *proxy) cut(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = time.Now().Add(d)
	for c := range p.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

func (p *proxy) close() {
	p.stop()
	p.cut(time.Hour)
	p.mu.Lock()
	for _, ln := range p.listeners {
		ln.Close()
	}
	p.mu.Unlock()
	p.done.Wait()
}
