package archive

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// readWhole reads the file of an entry of known size into buf, which it grows
// as needed, with three system calls: os.Open makes twice as many, which is
// what small files cost. A file of another size has changed.
func (e *Entry) readWhole(buf []byte) ([]byte, error) {
	fd, err := retry(func() (int, error) { return unix.Open(e.source, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return buf, &fs.PathError{Op: "open", Path: e.source, Err: err}
	}
	defer unix.Close(fd)
	// One more than its size: a full read then shows that it has grown.
	want := int(e.Size) + 1
	if cap(buf) < want {
		buf = make([]byte, want)
	}
	buf = buf[:want]
	got := 0
	for got < want {
		n, err := retry(func() (int, error) { return unix.Read(fd, buf[got:]) })
		if err != nil {
			return buf, &fs.PathError{Op: "read", Path: e.source, Err: err}
		}
		if got += n; n == 0 || got == int(e.Size) {
			break
		}
	}
	if got != int(e.Size) {
		return buf, e.changed()
	}
	return buf[:got], nil
}

// retry repeats a system call that a signal has interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
