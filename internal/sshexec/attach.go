package sshexec

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// A WindowSize is that of a terminal, in characters.
type WindowSize struct {
	Columns, Rows int
}

// A Terminal is the one in front of which somebody sits.
type Terminal struct {
	// Name is its kind, $TERM.
	Name string
	// Size is its size now; Resized, which may be nil, tells a new one.
	Size    WindowSize
	Resized <-chan WindowSize
	// Input and Output are the terminal itself, in raw mode. A read of Input
	// that goes on when Attach returns is left behind.
	Input  io.Reader
	Output io.Writer
}

// Attach opens an interactive shell in the task and returns its exit code when
// it ends. In a task with our agent the shell starts in the directory and with
// the environment of the job's script, and does not keep the task alive.
func Attach(ctx context.Context, target Target, terminal Terminal, options Options) (exitCode int, err error) {
	options = options.withDefaults()
	client, err := Dial(ctx, target, options)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	stop := context.AfterFunc(ctx, func() { client.conn.Close() })
	defer stop()
	code, err := attach(client, terminal)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return 0, fmt.Errorf("attaching to %s: %w", target.Address, err)
	}
	return code, nil
}

func attach(client *Client, terminal Terminal) (int, error) {
	channel, requests, err := client.ssh.OpenChannel("session", nil)
	if err != nil {
		return 0, err
	}
	defer channel.Close()
	exit := make(chan plainExit, 1)
	go watchExit(requests, exit)
	size := terminal.Size
	for _, request := range []struct {
		name    string
		payload []byte
	}{
		{"pty-req", ssh.Marshal(struct {
			Term                         string
			Columns, Rows, Width, Height uint32
			Modes                        string
		}{terminal.Name, uint32(size.Columns), uint32(size.Rows), 0, 0, "\x00"})},
		{"shell", nil},
	} {
		ok, err := channel.SendRequest(request.name, true, request.payload)
		if err != nil {
			return 0, err
		}
		if !ok {
			return 0, fmt.Errorf("the server refuses %q: it gives no interactive shells", request.name)
		}
	}
	go func() {
		io.Copy(channel, terminal.Input)
		channel.CloseWrite()
	}()
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			select {
			case size, ok := <-terminal.Resized:
				if !ok {
					return
				}
				channel.SendRequest("window-change", false, ssh.Marshal(struct{ Columns, Rows, Width, Height uint32 }{uint32(size.Columns), uint32(size.Rows), 0, 0}))
			case <-over:
				return
			}
		}
	}()
	if _, err := io.Copy(terminal.Output, channel); err != nil {
		return 0, err
	}
	// The status precedes the end of the channel; the end of the connection has none.
	if status, ok := <-exit; ok && status.ok {
		return status.code, nil
	}
	if lost := client.silence.Stop(); lost != nil {
		return 0, fmt.Errorf("%w: %w", ErrLost, lost)
	}
	return 0, fmt.Errorf("%w: %w", ErrLost, errors.New("the other end closed it"))
}

// plainExit is how a session ended: a status, or a signal.
type plainExit struct {
	code   int
	signal string
	ok     bool
}

// watchExit takes a session's requests until its channel is closed, then closes exit.
func watchExit(requests <-chan *ssh.Request, exit chan<- plainExit) {
	defer close(exit)
	told := false
	tell := func(e plainExit) {
		if !told {
			told = true
			exit <- e
		}
	}
	for request := range requests {
		switch request.Type {
		case "exit-status":
			var status struct{ Code uint32 }
			if ssh.Unmarshal(request.Payload, &status) == nil {
				tell(plainExit{code: int(status.Code & 0xff), ok: true})
			}
		case "exit-signal":
			var status struct {
				Signal     string
				CoreDumped bool
				Message    string
				Language   string
			}
			if ssh.Unmarshal(request.Payload, &status) == nil {
				tell(plainExit{code: 128 + wire.SignalNumber(status.Signal), signal: status.Signal, ok: true})
			}
		}
		if request.WantReply {
			request.Reply(false, nil)
		}
	}
}
