// Package sshexec is the driver's end of a connection to a task: it runs a
// script there, copies what it prints, and tells the script's own exit code
// from everything else that can happen. It speaks to our agent, where a lost
// connection loses nothing, and to any OpenSSH image made for GitLab's official
// driver, with less: no resume, and a host key that is trusted on first use.
//
// It knows nothing of AWS, of jobs and of stages.
package sshexec

import (
	"context"
	"fmt"
	"io"
	"time"
)

// A Target is one task to connect to.
type Target struct {
	// Address is host:port.
	Address string
	// User is the name to log in with; our agent takes any.
	User string
	// PrivateKey is the key that the task lets in, in OpenSSH's PEM form.
	PrivateKey []byte
	// HostKey is the only host key to accept, in authorized_keys form. When it
	// is empty the first key seen is trusted: take it from Client.HostKey and
	// set it from then on.
	HostKey string
}

// A Script is what Run executes.
type Script struct {
	// ID names this execution, in at most 200 bytes. The agent runs a script
	// under one name once: another Run with the same ID follows the one that
	// runs, or gets the exit code of the one that ended.
	ID string
	// Content is the script, Size bytes of it. It is read again when the
	// connection breaks during the upload.
	Content io.ReaderAt
	Size    int64
	// Stdout and Stderr get the script's output as it comes. Their Write is
	// called by one goroutine at a time.
	Stdout, Stderr io.Writer
}

// sendTo writes the whole script. It reports false where w takes no more, which
// the other end explains better; the error is about our own reading.
func (s Script) sendTo(w io.Writer) (sent bool, err error) {
	content := &noted{Reader: io.NewSectionReader(s.Content, 0, s.Size)}
	n, err := io.Copy(w, content)
	switch {
	case content.err != nil:
		return false, fmt.Errorf("%w: %w", ErrScript, content.err)
	case err != nil:
		return false, nil
	case n != s.Size:
		return false, fmt.Errorf("%w: it has %d bytes, and had %d", ErrScript, n, s.Size)
	}
	return true, nil
}

// noted remembers how reading went wrong, which io.Copy does not tell from
// writing.
type noted struct {
	io.Reader
	err error
}

func (r *noted) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

// Options are the limits of a connection. A zero field takes its default.
type Options struct {
	// ConnectTimeout bounds one attempt: TCP, key exchange and login. Default 10 s.
	ConnectTimeout time.Duration
	// KeepAlive is the silence after which a connection counts as lost. It is
	// asked for a sign of life after a quarter of it. Default 30 s.
	KeepAlive time.Duration
	// ResumeLimit is how long Run tries to get a lost connection back, and how
	// long the agent lets the script run alone. Default 10 min.
	ResumeLimit time.Duration
	// Grace is the time between TERM and KILL when a script is cancelled. Default 30 s.
	Grace time.Duration
	// Notify, if set, is told what a reader of the job log should know. It is
	// called by one goroutine at a time and never after Run returned.
	Notify func(Event)
	// Alive, if set, is asked while the connection is lost, at most every three
	// seconds. An error says that the task is known to be gone: it ends the
	// attempts at once, and Run returns it, wrapped.
	Alive func(context.Context) error
}

const (
	// defaultConnectTimeout leaves room for a task on a quarter of a CPU, whose
	// key exchange takes a second while something else starts.
	defaultConnectTimeout = 10 * time.Second
	// defaultKeepAlive is below the 350 s after which AWS forgets idle flows,
	// and short enough that a job does not stand still for long.
	defaultKeepAlive = 30 * time.Second
	// defaultResumeLimit outlasts a manager's reboot and a route change.
	defaultResumeLimit = 10 * time.Minute
	// defaultGrace is docker stop's and ECS's own, 30 s.
	defaultGrace = 30 * time.Second
)

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	set(&o.ConnectTimeout, defaultConnectTimeout)
	set(&o.KeepAlive, defaultKeepAlive)
	set(&o.ResumeLimit, defaultResumeLimit)
	set(&o.Grace, defaultGrace)
	if o.Notify == nil {
		o.Notify = func(Event) {}
	}
	return o
}
