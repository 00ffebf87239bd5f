package coordinator

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

const (
	// kickLimit is how long a follower that was replaced may take to hear it
	// before its connection is cut: it may be one of those that are dead.
	kickLimit = 250 * time.Millisecond
	// defaultGrace is for a driver that says nothing, the same as docker's stop.
	defaultGrace = 30 * time.Second
)

// follower is one channel over which a driver follows an execution.
type follower struct {
	client  string
	conn    *connection
	channel ssh.Channel
	cursor  *cursor       // nil while it uploads
	done    chan struct{} // closed when nothing of it is left
}

// slot is the place of an execution's name: taken for good once the script
// runs, and until then by whoever uploads it. One of both is nil.
type slot struct {
	execution *execution
	uploader  *follower
}

// serveRun answers the opening of a wire.ChannelRun.
func (a *agent) serveRun(conn *connection, open ssh.NewChannel) {
	request, err := wire.ParseRequest(open.ExtraData())
	if err != nil {
		open.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := open.Accept()
	if err != nil {
		return // the connection is gone
	}
	go ssh.DiscardRequests(requests)
	defer channel.Close()
	if request.Silence > 0 {
		conn.watch.SetLimit(request.Silence)
	}
	f := &follower{client: request.Client, conn: conn, channel: channel, done: make(chan struct{})}
	defer close(f.done)

	e, refusal := a.claim(request, f)
	fresh := refusal == nil && e == nil
	if fresh {
		e, refusal = a.upload(request, f)
	}
	if e != nil {
		refusal = e.follow(request, f, fresh)
	}
	if refusal != nil {
		channel.Write(wire.AppendFrame(nil, wire.Refused, refusal.Marshal()))
	}
}

func refuse(reason, format string, args ...any) *wire.RefusedMessage {
	return &wire.RefusedMessage{Reason: reason, Text: fmt.Sprintf(format, args...)}
}

// claim finds the execution, or takes its name for f to upload the script,
// which is nil without a refusal.
func (a *agent) claim(request wire.Request, f *follower) (*execution, *wire.RefusedMessage) {
	for {
		a.mu.Lock()
		taken := a.slots[request.ID]
		switch {
		case taken != nil && taken.execution != nil:
			a.mu.Unlock()
			return taken.execution, nil
		case taken != nil:
			// Half of the script came over a connection that is no more.
			a.mu.Unlock()
			taken.uploader.cut()
			continue
		}
		defer a.mu.Unlock()
		switch {
		case request.Instance != "" && request.Instance != a.instance:
			return nil, refuse(wire.ReasonUnknown, "this agent was started after the one that got the script")
		case a.stopping:
			return nil, refuse(wire.ReasonStopping, "%s", a.stopText)
		}
		a.slots[request.ID] = &slot{uploader: f}
		return nil, nil
	}
}

// upload takes the script and starts it. Both results are nil when the
// connection broke first.
func (a *agent) upload(request wire.Request, f *follower) (*execution, *wire.RefusedMessage) {
	started := false
	defer func() {
		if !started {
			a.mu.Lock()
			defer a.mu.Unlock()
			delete(a.slots, request.ID)
		}
	}()
	state := wire.StateMessage{Instance: a.instance, Status: wire.StatusNew}
	if _, err := f.channel.Write(wire.AppendFrame(nil, wire.State, state.Marshal())); err != nil {
		return nil, nil
	}
	path := filepath.Join(a.dir, "script-"+newMark())
	if err := receiveScript(path, f.channel, request.Size); err != nil {
		os.Remove(path)
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, refuse(wire.ReasonStart, "%v", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopping {
		os.Remove(path)
		return nil, refuse(wire.ReasonStopping, "%s", a.stopText)
	}
	e, err := a.start(request, path)
	if err != nil {
		os.Remove(path)
		return nil, refuse(wire.ReasonStart, "%v", err)
	}
	started = true
	// Not the uploader any more: its connection would be held as long.
	a.slots[request.ID] = &slot{execution: e}
	return e, nil
}

// receiveScript writes a script that only its owner can read, for it holds the
// job's secrets. io.EOF means that it did not come completely.
func receiveScript(path string, from io.Reader, size int64) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return fmt.Errorf("storing the script: %w", err)
	}
	defer file.Close()
	n, err := io.CopyN(file, from, size)
	if err == nil {
		err = file.Close()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("storing the script (%d of %d bytes): %w", n, size, err)
	}
	return err
}

// cut closes a follower's connection and waits until nothing of it is left.
func (f *follower) cut() {
	f.conn.cut()
	<-f.done
}

// replace makes room for a newer follower, politely if this one listens.
func (f *follower) replace() {
	f.cursor.detach(errTakenOver)
	select {
	case <-f.done:
	case <-time.After(kickLimit):
		f.cut()
	}
}

// follow sends the log to f until it has all of it or goes away. Fresh is
// whether f uploaded the script just now, and so has had its state.
func (e *execution) follow(request wire.Request, f *follower, fresh bool) *wire.RefusedMessage {
	if refusal := e.seat(request, f); refusal != nil {
		return refusal
	}
	defer e.unseat(f)
	if !fresh {
		state := wire.StateMessage{Instance: e.agent.instance, Status: wire.StatusRunning, Offset: f.cursor.next}
		if !e.running() {
			state.Status = wire.StatusEnded
		}
		if _, err := f.channel.Write(wire.AppendFrame(nil, wire.State, state.Marshal())); err != nil {
			return nil
		}
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		f.send()
	}()
	if err := e.listen(f); err != nil {
		e.agent.log.Printf("dropping a connection: %v", err)
	}
	f.cursor.detach(io.ErrClosedPipe)
	f.channel.Close()
	<-sent
	return nil
}

// seat makes f the follower of the execution, in the place of another.
func (e *execution) seat(request wire.Request, f *follower) *wire.RefusedMessage {
	for {
		e.mu.Lock()
		if e.beaten[f.client] {
			e.mu.Unlock()
			return refuse(wire.ReasonSuperseded, "another process follows this script now")
		}
		old := e.follower
		if old == nil {
			break
		}
		same := old.client == f.client
		e.beaten[old.client] = !same
		e.mu.Unlock()
		if same {
			old.cut() // it came back before its old connection was found dead
		} else {
			old.replace()
		}
	}
	defer e.mu.Unlock()
	cursor, err := e.spool.attach(request.Offset)
	if err != nil {
		return refuse(wire.ReasonOffset, "%v", err)
	}
	f.cursor, e.follower = cursor, f
	if e.alone != nil {
		e.alone.Stop()
	}
	if request.ResumeLimit > 0 {
		e.limit = request.ResumeLimit
	}
	if request.Grace > 0 {
		e.grace = request.Grace
	}
	return nil
}

// unseat notes that nobody follows. From now on the script runs alone, for so
// long; if it has ended, its output is kept for so long.
func (e *execution) unseat(f *follower) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f.cursor.detach(io.ErrClosedPipe)
	e.follower = nil
	limit, grace := e.limit, e.grace
	e.alone = time.AfterFunc(limit, func() {
		switch {
		case !e.orphaned():
		case e.running():
			e.agent.log.Printf("nobody has followed a script for %s", limit)
			e.end(wire.CauseLost, grace)
		default:
			e.spool.discard()
		}
	})
}

func (e *execution) orphaned() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.follower == nil
}

// send copies the log to the channel until it is at its end, or f is replaced.
func (f *follower) send() {
	for {
		piece, err := f.cursor.read()
		if errors.Is(err, errTakenOver) {
			message := refuse(wire.ReasonSuperseded, "another process follows this script now")
			f.channel.Write(wire.AppendFrame(nil, wire.Refused, message.Marshal()))
			f.channel.Close()
		}
		if err != nil {
			return
		}
		if _, err := f.channel.Write(piece); err != nil {
			return
		}
	}
}

// listen takes what the driver says until the channel ends.
func (e *execution) listen(f *follower) error {
	from := bufio.NewReaderSize(f.channel, 512) // an acknowledgement has 13 bytes
	var header [wire.HeaderSize]byte
	for {
		if _, err := io.ReadFull(from, header[:]); err != nil {
			return nil // however it ended
		}
		kind, size, err := wire.ParseHeader(header[:])
		if err != nil {
			return err
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(from, payload); err != nil {
			return nil
		}
		switch kind {
		case wire.Ack:
			offset, err := wire.ParseAck(payload)
			if err == nil {
				err = f.cursor.ack(offset)
			}
			if err != nil && !errors.Is(err, errTakenOver) {
				return err
			}
		case wire.Cancel:
			cancel, err := wire.ParseCancel(payload)
			if err != nil {
				return err
			}
			grace := cancel.Grace
			if grace == 0 {
				grace = defaultGrace
			}
			e.end(wire.CauseCancel, grace)
		}
	}
}
