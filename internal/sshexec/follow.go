package sshexec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

const (
	// readSize is what is read at once: two of the largest frames, so that one
	// read mostly brings whole ones. Pages of it are touched as output comes.
	readSize = 2 * wire.MaxFrame
	// ackEvery is how much output may be written without telling the agent. It
	// keeps that much of its spool longer; each acknowledgement costs a packet.
	ackEvery = 128 << 10
	// ackAfter is how long output may stay unacknowledged.
	ackAfter = time.Second
)

// follower is one connection's part of a run.
type follower struct {
	*run
	channel ssh.Channel
	ctx     context.Context

	mu    sync.Mutex // guards writes to channel, acked and timer
	acked int64
	timer *time.Timer
	state wire.StateMessage

	stopCancel func() bool
}

// follow opens the run channel, sends the script if the agent has not got it,
// and copies the log until it ends.
func (r *run) follow(ctx, work context.Context, client *Client, outage *outage) (code int, ended bool, err error) {
	channel, requests, err := client.ssh.OpenChannel(wire.ChannelRun, r.request().Marshal())
	if err != nil {
		var refusal *ssh.OpenChannelError
		if errors.As(err, &refusal) {
			return 0, false, fmt.Errorf("%w: the agent does not take the script: %s", ErrProtocol, refusal.Message)
		}
		return 0, false, r.broken(client, err)
	}
	go ssh.DiscardRequests(requests)
	f := &follower{run: r, channel: channel, ctx: ctx}
	defer f.stopTimers()
	stop := context.AfterFunc(work, func() { client.conn.Close() })
	defer stop()

	err = f.copy(outage)
	var exit *exitFrame
	if errors.As(err, &exit) {
		f.ack(true)
		f.part(client)
		code, err := r.verdict(ctx, exit.ExitMessage)
		return code, true, err
	}
	if errors.Is(err, errBroken) {
		err = r.broken(client, err)
	}
	return 0, false, err
}

// partLimit is how long the agent may take to hear that all is received. When it
// does not, it only keeps the end of the output for a while.
const partLimit = time.Second

// part closes the channel and waits for the other side to do so: a connection
// that is closed at once may take the last acknowledgement with it.
func (f *follower) part(client *Client) {
	f.channel.Close()
	over := time.AfterFunc(partLimit, func() { client.conn.Close() })
	defer over.Stop()
	io.Copy(io.Discard, f.channel)
}

func (r *run) request() wire.Request {
	return wire.Request{
		Protocol:    wire.Version,
		ID:          r.script.ID,
		Client:      r.client,
		Instance:    r.sentTo,
		Size:        r.script.Size,
		Offset:      r.offset,
		ResumeLimit: r.options.ResumeLimit,
		Grace:       r.options.Grace,
		Silence:     r.options.KeepAlive,
	}
}

// errBroken marks what the connection, not the agent, did.
var errBroken = errors.New("the connection broke")

// broken prefers what the silence watch says to what the closed connection says.
func (r *run) broken(client *Client, err error) error {
	if lost := client.silence.Stop(); lost != nil {
		return lost
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the other end closed it")
	}
	return err
}

// exitFrame carries the end of the log out of copy.
type exitFrame struct{ wire.ExitMessage }

func (*exitFrame) Error() string { return "the script ended" }

// copy reads frames until the log ends, which is an *exitFrame, or something fails.
func (f *follower) copy(outage *outage) error {
	buffer := make([]byte, readSize)
	have := 0
	for {
		n, err := f.channel.Read(buffer[have:])
		have += n
		rest := buffer[:have]
		for len(rest) >= wire.HeaderSize {
			kind, size, err := wire.ParseHeader(rest)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrProtocol, err)
			}
			if len(rest) < wire.HeaderSize+size {
				break
			}
			if err := f.frame(kind, rest[wire.HeaderSize:wire.HeaderSize+size], outage); err != nil {
				return err
			}
			rest = rest[wire.HeaderSize+size:]
		}
		have = copy(buffer, rest)
		if err != nil {
			return fmt.Errorf("%w: %w", errBroken, err)
		}
	}
}

func (f *follower) frame(kind wire.Kind, payload []byte, outage *outage) error {
	if (f.state.Status == "") != (kind == wire.State) && kind != wire.Refused {
		return fmt.Errorf("%w: a frame of kind %q is out of place", ErrProtocol, kind)
	}
	if kind.InLog() {
		defer f.advance(int64(wire.HeaderSize + len(payload)))
	}
	switch kind {
	case wire.Stdout:
		f.write(f.script.Stdout, payload)
	case wire.Stderr:
		f.write(f.script.Stderr, payload)
	case wire.State:
		return f.begin(payload, outage)
	case wire.Notice:
		notice, err := wire.ParseNotice(payload)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		f.notice(notice)
	case wire.Refused:
		refusal, err := wire.ParseRefused(payload)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		return refusedError(refusal)
	case wire.Exit:
		exit, err := wire.ParseExit(payload)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		return &exitFrame{exit}
	}
	return nil
}

// write hands output on. When nobody takes it the script has no purpose any
// more: it is cancelled, and the rest of its output read and dropped.
func (f *follower) write(to io.Writer, b []byte) {
	if f.mute {
		return
	}
	if _, err := to.Write(b); err != nil {
		f.mute = true
		f.giveUp(fmt.Errorf("%w: %w", ErrOutput, err))
	}
}

// begin takes the agent's first frame and sends the script if it wants it.
func (f *follower) begin(payload []byte, outage *outage) error {
	state, err := wire.ParseState(payload)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if f.offset >= 0 && state.Offset != f.offset {
		return fmt.Errorf("%w: the agent goes on at %d, not at %d", ErrProtocol, state.Offset, f.offset)
	}
	f.mu.Lock()
	f.state, f.offset, f.acked = state, state.Offset, state.Offset
	f.mu.Unlock()
	if state.Status == wire.StatusNew {
		// The same agent did not get all of it before the connection broke.
		if f.sentTo != "" && f.sentTo != state.Instance {
			return ErrRestarted
		}
		f.mu.Lock()
		sent, err := f.script.sendTo(f.channel)
		f.mu.Unlock()
		if err != nil {
			return err
		}
		if !sent {
			return nil // the connection broke, or the agent says why it takes no more: read on
		}
	}
	f.sentTo = state.Instance
	f.over(outage)
	// From here on the end of ctx is a frame; a connection that breaks just then
	// makes the next one send it.
	f.stopCancel = context.AfterFunc(f.ctx, func() {
		f.send(wire.AppendFrame(nil, wire.Cancel, wire.CancelMessage{Grace: f.options.Grace}.Marshal()))
	})
	return nil
}

func (r *run) notice(n wire.NoticeMessage) {
	event := Event{Kind: Other, Left: n.Left, Count: n.Count, Text: n.Text}
	switch n.Kind {
	case wire.NoticeStopping:
		event.Kind, r.stop, r.goneBy = TaskStopping, event, time.Now().Add(n.Left)
	case wire.NoticeMemory:
		event.Kind = OutOfMemory
	}
	r.options.Notify(event)
}

// verdict turns the end of the log into what Run returns.
func (r *run) verdict(ctx context.Context, exit wire.ExitMessage) (int, error) {
	switch exit.Cause {
	case wire.CauseScript:
		return exit.Code, nil
	case wire.CauseCancel:
		if ctx.Err() != nil {
			return 0, fmt.Errorf("the script was cancelled and has ended: %w", context.Cause(ctx))
		}
		return 0, fmt.Errorf("%w: the script was cancelled by an earlier follower", ErrSuperseded)
	case wire.CauseStop:
		if r.stop.Text != "" {
			return 0, fmt.Errorf("%w: %s", ErrStopping, r.stop.Text)
		}
		return 0, ErrStopping
	case wire.CauseLost:
		return 0, fmt.Errorf("%w for longer than the agent waits, so it ended the script", ErrLost)
	}
	return 0, fmt.Errorf("%w: the script ended for a reason that this driver does not know: %q", ErrProtocol, exit.Cause)
}

func refusedError(m wire.RefusedMessage) error {
	named := map[string]error{
		wire.ReasonUnknown:    ErrRestarted,
		wire.ReasonSuperseded: ErrSuperseded,
		wire.ReasonStart:      ErrStart,
		wire.ReasonStopping:   ErrStopping,
	}[m.Reason]
	if named == nil {
		named = ErrProtocol
	}
	return fmt.Errorf("%w: %s", named, m.Text)
}

// advance notes that the log is written up to here, and tells the agent now
// and then.
func (f *follower) advance(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offset += n
	if f.offset-f.acked >= ackEvery {
		f.ackLocked()
	} else if f.timer == nil {
		f.timer = time.AfterFunc(ackAfter, func() { f.ack(false) })
	}
}

func (f *follower) ack(last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.offset > f.acked || last {
		f.ackLocked()
	}
}

// ackLocked writes under the lock; the agent always reads, so it does not wait long.
func (f *follower) ackLocked() {
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	f.acked = f.offset
	f.channel.Write(wire.AppendAck(nil, f.offset)) // a broken connection shows when reading
}

// stopTimers keeps what was arranged for this connection from using it later.
func (f *follower) stopTimers() {
	if f.stopCancel != nil {
		f.stopCancel()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer != nil {
		f.timer.Stop()
	}
}

func (f *follower) send(frame []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.channel.Write(frame)
}
