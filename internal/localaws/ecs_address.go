package localaws

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"time"
)

// reservationPort is held on a task's address while the task lives, so that no
// other stand-in on this machine gives the same address away: the kernel keeps
// the book, and forgets a stand-in that was killed. It is above the ports that
// Linux picks by itself (32768 to 60999).
const reservationPort = 61077

// takeAddress reserves an address for the task, waiting for one if need be.
func (e *ecsService) takeAddress(t *task) (string, bool) {
	for {
		for range 256 {
			address := e.nextAddress()
			ln, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, reservationPort))
			if err != nil {
				continue // somebody else's
			}
			e.change(t, func() { t.reserved = ln })
			return address, true
		}
		// All are taken, as is usual where there is only one: ask again when a
		// task has ended, here or in another process.
		if !e.pause(t, 100*time.Millisecond) {
			return "", false
		}
	}
}

// nextAddress returns the next candidate. On Linux all of 127.0.0.0/8 is this
// machine; elsewhere there is 127.0.0.1 and therefore one task at a time.
func (e *ecsService) nextAddress() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lastAddress < 0 {
		var b [2]byte
		rand.Read(b[:]) // stand-ins that start together begin apart
		e.lastAddress = int(binary.BigEndian.Uint16(b[:]))
	}
	e.lastAddress = (e.lastAddress + 1) % (256 * 254)
	return fmt.Sprintf("127.77.%d.%d", e.lastAddress/254, e.lastAddress%254+1)
}

func (e *ecsService) releaseAddress(t *task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t.reserved != nil {
		t.reserved.Close()
		t.reserved = nil
	}
}
