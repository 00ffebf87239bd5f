package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
)

// output is standard output. When nobody reads it any more, as after a lost
// SSH session, the build is stopped: nobody would learn how it ended.
type output struct {
	file   *os.File
	cancel context.CancelCauseFunc
	done   <-chan struct{} // closed when we are told to stop

	mu    sync.Mutex
	stuck bool
}

// stuckLimit is how long a reader that does not read may keep us from stopping
// the build: its steps together have 9 s, and all of it 10.
const stuckLimit = time.Second

var errStuck = errors.New("nobody reads the output")

// Write waits for the reader as long as it takes, until we are told to stop.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stuck {
		return 0, errStuck
	}
	written := make(chan error, 1)
	text := bytes.Clone(p) // a write that is given up may still read it
	go func() {
		_, err := o.file.Write(text)
		written <- err
	}()
	var err error
	select {
	case err = <-written:
	case <-o.done:
		select {
		case err = <-written:
		case <-time.After(stuckLimit):
			o.stuck, err = true, errStuck
		}
	}
	if err != nil {
		o.closed()
		return 0, err
	}
	return len(p), nil
}

func (o *output) closed() {
	o.cancel(fmt.Errorf("%w: standard output is closed", codebuild.ErrStop))
}

// watch returns when the other end of standard output is closed. It waits in
// the kernel, so that a silent build is stopped as soon as a talkative one.
func (o *output) watch() {
	fds := []unix.PollFd{{Fd: int32(o.file.Fd())}}
	for {
		n, err := unix.Poll(fds, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 || fds[0].Revents&unix.POLLNVAL != 0 {
			return // a kind of file that cannot be watched
		}
		if fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
			o.closed()
			return
		}
	}
}
