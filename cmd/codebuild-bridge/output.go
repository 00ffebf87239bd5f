package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
)

// output is standard output. When nobody reads it any more, as after a lost
// SSH session, the build is stopped: nobody would learn how it ended.
type output struct {
	file   *os.File
	cancel context.CancelCauseFunc
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.file.Write(p)
	if err != nil {
		o.closed()
	}
	return n, err
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
