package coordinator

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
)

// tcp gives both ends of a connection.
func tcp(t *testing.T) (here, there net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	here, err = net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close() })
	there, err = listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { there.Close() })
	return here, there
}

// Everything arrives, in order, also what was written just before the close.
func TestOutboxKeepsOrder(t *testing.T) {
	t.Parallel()
	here, there := tcp(t)
	want := make([]byte, 20<<20)
	rand.NewChaCha8([32]byte{}).Read(want)
	go func() {
		o := newOutbox(here)
		for rest := want; len(rest) > 0; {
			n := min(1+rand.IntN(3*outboxSize/2), len(rest))
			o.Write(rest[:n])
			rest = rest[n:]
		}
		o.Close()
	}()
	got, err := io.ReadAll(there)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came that are not the %d written, %v", len(got), len(want), err)
	}
}

// A peer that reads nothing holds neither a writer up for ever nor the close.
func TestOutboxOfAPeerThatIsAway(t *testing.T) {
	t.Parallel()
	here, _ := tcp(t)
	o := newOutbox(here)
	wrote := make(chan error)
	go func() {
		for {
			if _, err := o.Write(make([]byte, outboxSize)); err != nil {
				wrote <- err
				return
			}
		}
	}()
	if err := o.Close(); err != nil {
		t.Error(err)
	}
	if err := <-wrote; !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the writer was told: %v", err)
	}
}
