package wire

import (
	"math"
	"time"
)

// FromOldest as a Request's Offset asks for the oldest output that is kept.
const FromOldest = -1

// MaxScript is the largest script that an agent takes, in bytes. GitLab's carry
// every variable of the job and stay below 1 MiB by far; this only keeps a
// mistake from filling the task's disk.
const MaxScript = 256 << 20

// maxID bounds an execution's name. It is never a file name.
const maxID = 200

// A Request opens a ChannelRun: run this script, or follow the one that already
// runs under this name.
type Request struct {
	// Protocol is what the driver will speak, at most what the banner offers.
	Protocol int
	// ID names the execution. Whatever happens, the agent runs a script under
	// one name once.
	ID string
	// Client is random for each follower, so that of two with the same ID the
	// one that came first, and lost, is told so instead of coming back.
	Client string
	// Instance is set when the script was sent before, to the agent that called
	// itself so: another one must not start it again.
	Instance string
	// Size is the length of the script in bytes.
	Size int64
	// Offset is the position in the log from which to go on, or FromOldest.
	Offset int64
	// ResumeLimit is how long the script may run without a follower; zero
	// leaves it to the agent's own setting.
	ResumeLimit time.Duration
	// Grace is the time between TERM and KILL when nobody can be asked.
	Grace time.Duration
	// Silence is after how long without a byte the agent may give up this
	// connection; zero leaves it to the agent.
	Silence time.Duration
}

// Marshal gives the text form of r.
func (r Request) Marshal() []byte {
	var f fields
	f.number("protocol", int64(r.Protocol))
	f.text("id", r.ID)
	f.text("client", r.Client)
	f.text("instance", r.Instance)
	f.number("size", r.Size)
	f.number("offset", r.Offset)
	f.duration("resume-limit", r.ResumeLimit)
	f.duration("grace", r.Grace)
	f.duration("silence", r.Silence)
	return f.bytes()
}

// ParseRequest reads a Request and checks each field by itself.
func ParseRequest(b []byte) (Request, error) {
	p := parse("request", b)
	r := Request{
		Protocol:    int(p.number("protocol", 1, 0, 1000)),
		ID:          p.text("id"),
		Client:      p.text("client"),
		Instance:    p.text("instance"),
		Size:        p.number("size", 0, 0, MaxScript),
		Offset:      p.number("offset", FromOldest, FromOldest, math.MaxInt64),
		ResumeLimit: p.duration("resume-limit"),
		Grace:       p.duration("grace"),
		Silence:     p.duration("silence"),
	}
	if r.ID == "" || len(r.ID) > maxID {
		p.fail("id=%q has not 1 to %d bytes", r.ID, maxID)
	}
	return r, p.err
}

// What an execution is doing when a follower comes.
const (
	StatusNew     = "new"     // unknown here: send the script
	StatusRunning = "running" // started, perhaps by an earlier connection
	StatusEnded   = "ended"   // over: the rest of the log follows
)

// A StateMessage is the agent's first frame on a channel.
type StateMessage struct {
	// Instance is random for each start of an agent.
	Instance string
	// Status is one of the Status constants.
	Status string
	// Offset is the position in the log of the first record that will follow.
	Offset int64
}

// Marshal gives the text form of m.
func (m StateMessage) Marshal() []byte {
	var f fields
	f.text("instance", m.Instance)
	f.text("status", m.Status)
	f.number("offset", m.Offset)
	return f.bytes()
}

// ParseState reads a StateMessage.
func ParseState(b []byte) (StateMessage, error) {
	p := parse("state", b)
	m := StateMessage{Instance: p.text("instance"), Status: p.text("status"), Offset: p.number("offset", 0, 0, math.MaxInt64)}
	switch m.Status {
	case StatusNew, StatusRunning, StatusEnded:
	default:
		p.fail("status=%q is unknown", m.Status)
	}
	return m, p.err
}

// Why a follower is turned away, in RefusedMessage.Reason.
const (
	ReasonUnknown    = "unknown"    // sent to another agent: this one must not start it
	ReasonSuperseded = "superseded" // a newer follower of this execution came
	ReasonOffset     = "offset"     // that part of the log is not kept any more
	ReasonStart      = "start"      // the script could not be started
	ReasonStopping   = "stopping"   // the task is being stopped: nothing new starts
)

// A RefusedMessage ends a channel without an exit code.
type RefusedMessage struct {
	// Reason is one of the Reason constants, Text the same for people.
	Reason, Text string
}

// Marshal gives the text form of m.
func (m RefusedMessage) Marshal() []byte {
	var f fields
	f.text("reason", m.Reason)
	f.text("text", m.Text)
	return f.bytes()
}

// ParseRefused reads a RefusedMessage.
func ParseRefused(b []byte) (RefusedMessage, error) {
	p := parse("refusal", b)
	return RefusedMessage{Reason: p.text("reason"), Text: p.text("text")}, p.err
}

// What a NoticeMessage tells.
const (
	NoticeStopping = "stopping" // the task is being stopped
	NoticeMemory   = "memory"   // processes were killed for lack of memory
)

// A NoticeMessage is something that the reader of the job log should know. It
// keeps its place in the order of the output.
type NoticeMessage struct {
	// Kind is one of the Notice constants; others may come from newer agents.
	Kind string
	// Left is the time until the task is killed, of NoticeStopping.
	Left time.Duration
	// Count is how many processes were killed, of NoticeMemory.
	Count int64
	// Text says it for people.
	Text string
}

// Marshal gives the text form of m.
func (m NoticeMessage) Marshal() []byte {
	var f fields
	f.text("kind", m.Kind)
	f.duration("left", m.Left)
	f.number("count", m.Count)
	f.text("text", m.Text)
	return f.bytes()
}

// ParseNotice reads a NoticeMessage.
func ParseNotice(b []byte) (NoticeMessage, error) {
	p := parse("notice", b)
	m := NoticeMessage{Kind: p.text("kind"), Left: p.duration("left"), Count: p.number("count", 0, 0, math.MaxInt64), Text: p.text("text")}
	return m, p.err
}

// Why a script ended, in ExitMessage.Cause. Only CauseScript is its own doing.
const (
	CauseScript = "script" // it came to its end, or a signal from elsewhere hit it
	CauseCancel = "cancel" // the driver asked for it
	CauseLost   = "lost"   // its driver stayed away for too long
	CauseStop   = "stop"   // the task is being stopped
)

// An ExitMessage is the last record of a log.
type ExitMessage struct {
	// Code is the exit code, 128 and the signal's number for a script that a
	// signal ended, as shells have it.
	Code int
	// Signal is the signal's number, or zero.
	Signal int
	// Cause is one of the Cause constants.
	Cause string
}

// Marshal gives the text form of m.
func (m ExitMessage) Marshal() []byte {
	var f fields
	f.number("code", int64(m.Code))
	f.number("signal", int64(m.Signal))
	f.text("cause", m.Cause)
	return f.bytes()
}

// ParseExit reads an ExitMessage.
func ParseExit(b []byte) (ExitMessage, error) {
	p := parse("exit status", b)
	m := ExitMessage{
		Code:   int(p.number("code", -1, 0, 255)),
		Signal: int(p.number("signal", 0, 0, 127)),
		Cause:  p.text("cause"),
	}
	if m.Code < 0 {
		p.fail("it has no code")
	}
	return m, p.err
}

// A CancelMessage asks the agent to end the script: TERM now, KILL after the
// grace period.
type CancelMessage struct {
	Grace time.Duration
}

// Marshal gives the text form of m.
func (m CancelMessage) Marshal() []byte {
	var f fields
	f.duration("grace", m.Grace)
	return f.bytes()
}

// ParseCancel reads a CancelMessage.
func ParseCancel(b []byte) (CancelMessage, error) {
	p := parse("cancellation", b)
	return CancelMessage{Grace: p.duration("grace")}, p.err
}
