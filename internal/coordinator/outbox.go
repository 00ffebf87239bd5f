package coordinator

import (
	"net"
	"sync"
	"time"
)

const (
	// outboxSize is what may wait for the network: two packets of output, so
	// that one is encrypted while the other is on its way.
	outboxSize = 64 << 10
	// outboxLimit is how long Close waits for what was written before it.
	outboxLimit = time.Second
)

// outbox is a connection that gathers what is written while the network is
// busy. The SSH library writes each packet in two pieces; a call of the kernel
// for several of them costs both ends less.
//
// As with a socket, Write has not sent anything yet when it returns, and an
// error of the network is told by a later one.
type outbox struct {
	net.Conn

	mu      sync.Mutex
	changed sync.Cond
	waiting []byte
	spare   []byte // becomes waiting while that is sent
	sending bool
	err     error
}

func newOutbox(conn net.Conn) *outbox {
	o := &outbox{Conn: conn}
	o.changed.L = &o.mu
	return o
}

// Write takes b over, and waits while the outbox is full.
func (o *outbox) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.err == nil && len(o.waiting) > 0 && len(o.waiting)+len(b) > outboxSize {
		o.changed.Wait()
	}
	if o.err != nil {
		return 0, o.err
	}
	o.waiting = append(o.waiting, b...)
	if !o.sending {
		o.sending = true
		go o.send()
	}
	return len(b), nil
}

// send empties the outbox. It ends with nothing to do: an idle connection costs
// no goroutine.
func (o *outbox) send() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) > 0 && o.err == nil {
		out := o.waiting
		o.waiting = o.spare[:0]
		o.mu.Unlock()
		_, err := o.Conn.Write(out)
		o.mu.Lock()
		o.spare = out
		if o.err == nil {
			o.err = err
		}
		o.changed.Broadcast()
	}
	o.sending = false
	o.changed.Broadcast()
}

// Close closes the connection when what was written is in the kernel's hands,
// which sends it after the close, or after outboxLimit.
func (o *outbox) Close() error {
	o.Conn.SetWriteDeadline(time.Now().Add(outboxLimit))
	o.mu.Lock()
	for o.sending {
		o.changed.Wait()
	}
	o.err = net.ErrClosed
	o.changed.Broadcast()
	o.mu.Unlock()
	return o.Conn.Close()
}
