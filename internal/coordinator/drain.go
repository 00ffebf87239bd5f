package coordinator

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// quietAfterEnd is how long the output of a script that has ended may pause
	// before it counts as complete. It is at its end at once but for children
	// that keep it open: a `tee` that still writes, or a daemon that stays.
	quietAfterEnd = 500 * time.Millisecond
	// drainAfterEnd bounds it for a daemon that prints without a pause.
	drainAfterEnd = 5 * time.Second
)

// drainer copies the output of a process until it is complete, whoever else
// still holds the other end of it.
type drainer struct {
	from  *os.File
	write func([]byte) error
	// ended is closed when the process has ended, after kick.
	ended <-chan struct{}
}

// kick makes a copy that waits for output look at ended, which is closed next:
// in this order, or the kick could end what comes after.
func (d drainer) kick() { d.from.SetReadDeadline(time.Now()) }

// copy returns true at the end of the output, false when only others hold it
// open or nobody takes it. However slow the reader is: what was in the pipe
// when the process ended is never left there.
func (d drainer) copy(buffer []byte) (atEnd bool) {
	for !closed(d.ended) {
		if _, err := d.piece(buffer); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.Is(err, errEnd)
		}
	}
	if err := d.sweep(buffer); err != nil {
		return errors.Is(err, errEnd)
	}
	last := time.Now().Add(drainAfterEnd)
	for time.Now().Before(last) {
		d.from.SetReadDeadline(time.Now().Add(quietAfterEnd))
		_, err := d.piece(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false
		}
		if err != nil {
			return errors.Is(err, errEnd)
		}
	}
	return errors.Is(d.sweep(buffer), errEnd)
}

// errEnd is the end of the output, which a terminal tells by EIO.
var errEnd = errors.New("end of the output")

// piece copies what one read brings.
func (d drainer) piece(buffer []byte) (int, error) {
	n, err := d.from.Read(buffer)
	if n > 0 {
		if err := d.write(buffer[:n]); err != nil {
			return n, err
		}
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, errEnd
	}
	return n, err
}

// sweep copies what is in the pipe now, without waiting for more.
func (d drainer) sweep(buffer []byte) error {
	d.from.SetReadDeadline(time.Time{})
	for left := waiting(d.from); left > 0; {
		n, err := d.piece(buffer[:min(left, len(buffer))])
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// waiting is how much can be read at once.
func waiting(file *os.File) (n int) {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Control(func(fd uintptr) {
		n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) // FIONREAD, for pipes too
	})
	if err != nil {
		return 0
	}
	return n
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
