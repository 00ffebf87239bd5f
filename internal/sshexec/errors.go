package sshexec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// What can go wrong, for errors.Is. None of them is the script's own doing.
var (
	// ErrRefused: the host answers, and nothing listens on that port.
	ErrRefused = errors.New("nothing listens there")
	// ErrNoAnswer: no connection, or no greeting, within the time allowed.
	ErrNoAnswer = errors.New("no answer in time")
	// ErrNotSSH: something listens that does not speak SSH.
	ErrNotSSH = errors.New("what answers is not an SSH server")
	// ErrKeyRefused: the server does not let our key in.
	ErrKeyRefused = errors.New("the server refuses our key")
	// ErrProtocol: the two ends do not understand each other.
	ErrProtocol = errors.New("protocol error")
	// ErrLost: the connection was lost and did not come back within the limit,
	// or could not be resumed.
	ErrLost = errors.New("the connection was lost")
	// ErrStopping: the task is being stopped (Spot reclaim, StopTask, its
	// deadline), and the script was ended for it.
	ErrStopping = errors.New("the task is being stopped")
	// ErrRestarted: the agent that had the script is gone and a new one is in
	// its place, so nobody knows how the script ended.
	ErrRestarted = errors.New("the agent was started anew")
	// ErrSuperseded: another process follows this execution now.
	ErrSuperseded = errors.New("another process took over this execution")
	// ErrStart: the task could not start the script.
	ErrStart = errors.New("the script could not be started")
	// ErrScript: our own side could not read the script.
	ErrScript = errors.New("reading the script")
	// ErrOutput: our own side could not write the output.
	ErrOutput = errors.New("writing the job's output")
)

// A HostKeyError says that the server is not the one that we expect. Nothing
// was sent to it.
type HostKeyError struct {
	// Want and Got are SHA-256 fingerprints as ssh-keygen prints them.
	Want, Got string
}

func (e *HostKeyError) Error() string {
	return fmt.Sprintf("the host key is %s, not the expected %s: this is another host, or somebody is in between", e.Got, e.Want)
}

// Transient reports whether err may go away by itself, so that another attempt
// makes sense: nobody listens yet, the network is away, the connection broke.
// A wrong host key or a refused key do not.
func Transient(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	for _, final := range []error{ErrNotSSH, ErrKeyRefused, ErrProtocol, ErrStopping, ErrRestarted, ErrSuperseded, ErrStart, ErrScript, ErrOutput} {
		if errors.Is(err, final) {
			return false
		}
	}
	var hostKey *HostKeyError
	return !errors.As(err, &hostKey)
}

// dialError puts a name to what the network said while a connection was made.
func dialError(err error) error {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w (%w)", ErrRefused, syscall.ECONNREFUSED)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return ErrNoAnswer
	}
	return err
}

// handshakeError does the same for what x/crypto/ssh says, which has types for
// little of it. greeting is how what we received began.
func handshakeError(err error, greeting []byte, hostKeyOK bool) error {
	if named := dialError(err); errors.Is(named, ErrNoAnswer) || errors.Is(named, context.Canceled) {
		return named
	}
	if !greetingIsSSH(greeting) && len(greeting) > 0 {
		return fmt.Errorf("%w: it begins with %q", ErrNotSSH, greeting)
	}
	var hostKey *HostKeyError
	switch {
	case errors.As(err, &hostKey):
		return hostKey
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return fmt.Errorf("the connection broke during the handshake: %w", err)
	case hostKeyOK && strings.Contains(err.Error(), "unable to authenticate"):
		return ErrKeyRefused
	}
	return fmt.Errorf("%w: %w", ErrProtocol, err)
}

// greetingIsSSH allows for a server that sends lines before its version, as RFC
// 4253 does; what we keep of it is short.
func greetingIsSSH(greeting []byte) bool {
	return strings.HasPrefix("SSH-", string(greeting)) || strings.Contains(string(greeting), "SSH-")
}
