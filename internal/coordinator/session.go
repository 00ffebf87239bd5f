package coordinator

import (
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// hangupGrace is what a command or shell gets between HUP and KILL when its
// connection is gone. Nobody sees what it prints.
const hangupGrace = 5 * time.Second

// session is a command or a shell of plain SSH: for people, and for drivers
// that know no better. It lives as long as its channel.
type session struct {
	agent    *agent
	conn     *connection
	channel  ssh.Channel
	family   family
	term     string
	size     *unix.Winsize // not nil: a terminal was asked for
	terminal *os.File      // our end of it
	begun    bool
	over     chan struct{} // closed when the process has ended
}

// serveSession answers the opening of a "session" channel. Of the requests of
// RFC 4254, "env", agent and X11 forwarding, and subsystems are refused.
func (a *agent) serveSession(conn *connection, open ssh.NewChannel) {
	channel, requests, err := open.Accept()
	if err != nil {
		return
	}
	s := &session{agent: a, conn: conn, channel: channel, family: a.newFamily(), over: make(chan struct{})}
	var running sync.WaitGroup
	for request := range requests {
		ok := s.request(request, &running)
		if request.WantReply {
			request.Reply(ok, nil)
		}
	}
	// The channel is closed, by whichever side.
	s.hangUp()
	running.Wait()
}

func (s *session) request(request *ssh.Request, running *sync.WaitGroup) bool {
	switch request.Type {
	case "pty-req":
		var asked struct {
			Term                         string
			Columns, Rows, Width, Height uint32
			Modes                        string
		}
		if s.begun || ssh.Unmarshal(request.Payload, &asked) != nil {
			return false
		}
		s.term, s.size = asked.Term, windowSize(asked.Columns, asked.Rows)
		// A person at a terminal does not keep a task alive.
		s.conn.mu.Lock()
		s.conn.person = true
		s.conn.mu.Unlock()
		return true
	case "window-change":
		var asked struct{ Columns, Rows, Width, Height uint32 }
		if s.terminal == nil || ssh.Unmarshal(request.Payload, &asked) != nil {
			return false
		}
		return setSize(s.terminal, windowSize(asked.Columns, asked.Rows)) == nil
	case "signal":
		var asked struct{ Name string }
		if s.family.leader == 0 || ssh.Unmarshal(request.Payload, &asked) != nil {
			return false
		}
		number := wire.SignalNumber(asked.Name)
		return number != 0 && syscall.Kill(-s.family.leader, syscall.Signal(number)) == nil
	case "shell", "exec":
		var asked struct{ Command string }
		if s.begun || request.Type == "exec" && ssh.Unmarshal(request.Payload, &asked) != nil {
			return false
		}
		s.begun = true
		return s.begin(asked.Command, request.Type == "shell", running)
	}
	return false
}

// windowSize keeps to what the kernel's 16 bits hold.
func windowSize(columns, rows uint32) *unix.Winsize {
	return &unix.Winsize{Col: uint16(min(columns, 0xffff)), Row: uint16(min(rows, 0xffff))}
}

// setSize tells a terminal its size. (pty.Setsize is for files that nobody
// reads at the same time: it takes the descriptor out of the poller.)
func setSize(terminal *os.File, size *unix.Winsize) error {
	raw, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size)
	}); err != nil {
		return err
	}
	return failed
}

// begin starts the shell, or the command under it.
func (s *session) begin(text string, shell bool, running *sync.WaitGroup) bool {
	s.agent.mu.Lock()
	stopping := s.agent.stopping
	if !stopping {
		s.agent.sessions[s.family.mark] = true
	}
	s.agent.mu.Unlock()
	path, err := findShell()
	if err != nil || stopping {
		return false
	}
	cmd := command{argv: []string{path, "-c", text}}
	if shell {
		cmd.argv = []string{path}
	}
	end, err := s.start(cmd)
	if err != nil {
		s.agent.log.Printf("starting a session: %v", err)
		s.agent.forget(s.family.mark)
		return false
	}
	running.Go(func() {
		defer s.agent.forget(s.family.mark)
		end()
	})
	return true
}

func (a *agent) forget(mark string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.sessions, mark)
}

// start starts the process with a terminal or with pipes. The function that it
// returns carries data until the process has ended and reports how.
func (s *session) start(cmd command) (wait func(), err error) {
	if s.size != nil {
		return s.startTerminal(cmd)
	}
	cmd.env, cmd.dir = workplace{environ: s.agent.environ}.marked(s.family.mark), ""
	var ours, theirs [3]*os.File
	closeAll := func(files [3]*os.File) {
		for _, file := range files {
			if file != nil {
				file.Close()
			}
		}
	}
	defer func() { closeAll(theirs) }()
	for i := range ours {
		reader, writer, err := os.Pipe()
		if err != nil {
			closeAll(ours)
			return nil, err
		}
		if ours[i], theirs[i] = reader, writer; i == 0 {
			ours[i], theirs[i] = writer, reader
		}
	}
	cmd.stdin, cmd.stdout, cmd.stderr = theirs[0], theirs[1], theirs[2]
	pid, ended, err := s.agent.children.start(cmd)
	if err != nil {
		closeAll(ours)
		return nil, err
	}
	s.family.leader = pid
	go func() {
		io.Copy(ours[0], s.channel)
		ours[0].Close()
	}()
	return func() {
		defer closeAll([3]*os.File{nil, ours[1], ours[2]})
		s.carry(ended, map[*os.File]io.Writer{ours[1]: s.channel, ours[2]: s.channel.Stderr()})
	}, nil
}

// startTerminal starts the process on a terminal, in the job's place.
func (s *session) startTerminal(cmd command) (wait func(), err error) {
	terminal, inside, err := pty.Open()
	if err != nil {
		return nil, err
	}
	defer inside.Close()
	if err := setSize(terminal, s.size); err != nil {
		terminal.Close()
		return nil, err
	}
	place := s.agent.workplace()
	cmd.env, cmd.dir, cmd.terminal = place.marked(s.family.mark, "TERM="+s.term), place.dir, true
	cmd.stdin, cmd.stdout, cmd.stderr = inside, inside, inside
	pid, ended, err := s.agent.children.start(cmd)
	if err != nil {
		terminal.Close()
		return nil, err
	}
	s.terminal = terminal
	s.family.leader = pid
	go io.Copy(terminal, s.channel)
	return func() {
		defer terminal.Close()
		s.carry(ended, map[*os.File]io.Writer{terminal: s.channel})
	}, nil
}

// carry copies output until the process has ended, and reports that in the order
// that clients rely on: exit status, the rest of the output, end of file, close.
func (s *session) carry(ended <-chan syscall.WaitStatus, output map[*os.File]io.Writer) {
	var copying sync.WaitGroup
	for from, to := range output {
		stream := drainer{from, func(b []byte) error { _, err := to.Write(b); return err }, s.over}
		copying.Go(func() { stream.copy(make([]byte, wire.MaxPayload)) })
	}
	status := <-ended
	for from := range output {
		drainer{from: from}.kick()
	}
	close(s.over)
	if code, signal := exitCode(status); signal == 0 {
		s.channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)}))
	} else {
		s.channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal     string
			CoreDumped bool
			Message    string
			Language   string
		}{Signal: wire.SignalName(signal), CoreDumped: status.CoreDump()}))
	}
	copying.Wait()
	s.channel.CloseWrite()
	s.channel.Close()
}

// hangUp ends what runs when the channel is closed before it ended.
func (s *session) hangUp() {
	if s.family.leader == 0 {
		return
	}
	select {
	case <-s.over:
		return // what it left behind on purpose stays
	default:
	}
	members := func() []int {
		if !s.agent.children.any() {
			return nil
		}
		return s.family.members(os.Getpid(), descendants(os.Getpid()))
	}
	signalAll(members(), syscall.SIGHUP)
	end := time.Now().Add(hangupGrace)
	for len(members()) > 0 && time.Now().Before(end) {
		time.Sleep(20 * time.Millisecond)
	}
	kill(members, killLimit)
}
