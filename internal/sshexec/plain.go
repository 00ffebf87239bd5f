package sshexec

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// shells is the order in which gitlab-runner's docker executor looks for one
// (shells/bash.go); the agent has the same.
const shells = "/usr/local/bin/bash /usr/bin/bash /bin/bash /usr/local/bin/sh /usr/bin/sh /bin/sh /busybox/sh"

// startPlain takes the script from standard input into a file that only its
// owner can read, checks that all of it came (a broken connection looks like
// the end of it), deletes the name while a descriptor keeps the content, and
// becomes the shell that runs it. sshd has made it the leader of a session.
// Arguments: a random mark, and the script's size. It prints one line, "mark
// session shell", to both outputs before the script starts: what comes earlier
// is noise from the image's login shell. It is one line of POSIX shell without single quotes,
// so that any login shell hands it on unchanged.
const startPlain = `m=$1; f=${TMPDIR:-/tmp}/fargate-driver-$m; ` +
	`(umask 077; set -C; exec cat >"$f") || exit 1; ` +
	`if [ "$(wc -c <"$f")" -ne "$2" ]; then rm -f "$f"; echo "the upload broke off" >&2; exit 1; fi; ` +
	`exec 3<"$f"; rm -f "$f"; ` +
	`read -r s </proc/self/stat; s=${s##*\) }; set -- $s; ` +
	`for sh in ` + shells + `; do if [ -x "$sh" ]; then printf "%s %s %s\n" "$m" "$4" "$sh"; echo "$m $4 $sh" >&2; ` +
	`exec "$sh" /proc/self/fd/3 </dev/null; fi; done; echo "the image has no shell" >&2; exit 1`

// killPlain ends a session and waits for it: TERM, and KILL after a grace
// period. A session, not a group, because timeout(1) and shells with job control
// make groups of their own. Arguments: the session, and the grace in seconds.
const killPlain = `sid=$1; grace=$2; ` +
	`list() { r=; for p in /proc/[0-9]*; do { read -r s <$p/stat; } 2>/dev/null || continue; s=${s##*\) }; set -- $s; ` +
	`if [ "$4" = "$sid" ] && [ "$1" != Z ]; then r="$r ${p#/proc/}"; fi; done; }; ` +
	`list; kill -TERM $r 2>/dev/null; i=0; ` +
	`while [ $i -lt $grace ]; do for t in 1 2 3 4 5; do list; [ -z "$r" ] && exit 0; sleep 0.2 2>/dev/null || sleep 1; done; i=$((i+1)); done; ` +
	`list; [ -n "$r" ] && kill -KILL $r 2>/dev/null; exit 0`

// quietAfterExit is how long output may pause after the exit status came before
// it counts as complete: children that the script left behind keep its end open.
const quietAfterExit = 2 * time.Second

// drainLimit bounds that for children that print without a pause. What the
// script itself left in the pipe has come by then unless our reader is very slow.
const drainLimit = 30 * time.Second

// noiseLimit is how much of what came before the script is kept for an error.
const noiseLimit = 1024

// plainSession is a script running over plain SSH.
type plainSession struct {
	*run
	client  *Client
	channel ssh.Channel
	mark    string
	started chan struct{} // closed when the script began
	sid     string        // its session, set before started is closed
	ended   chan struct{} // closed when both outputs are at their end
	exit    chan plainExit
	active  chan struct{} // one for output that came lately

	mu     sync.Mutex // guards what follows, and makes one writer of two
	out    plainStream
	err    plainStream
	failed error
}

// plainStream is one of the script's outputs.
type plainStream struct {
	to    io.Writer
	begun bool         // the mark has come
	noise bytes.Buffer // what came before it
}

// runPlain runs the script on any SSH server. There is no second try once the
// request was sent: nobody could tell how far the first one came.
func (r *run) runPlain(ctx, work context.Context, client *Client) (int, error) {
	channel, requests, err := client.ssh.OpenChannel("session", nil)
	if err != nil {
		return 0, r.broken(client, err)
	}
	defer channel.Close()
	s := &plainSession{
		run: r, client: client, channel: channel, mark: rand.Text(),
		started: make(chan struct{}), ended: make(chan struct{}),
		exit: make(chan plainExit, 1), active: make(chan struct{}, 1),
		out: plainStream{to: r.script.Stdout}, err: plainStream{to: r.script.Stderr},
	}
	stop := context.AfterFunc(work, func() { client.conn.Close() })
	defer stop()
	go watchExit(requests, s.exit)

	r.plain = true
	command := fmt.Sprintf("exec /bin/sh -c '%s' sh %s %d", startPlain, s.mark, r.script.Size)
	ok, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrLost, r.broken(client, err))
	}
	if !ok {
		return 0, fmt.Errorf("%w: the SSH server does not execute commands", ErrStart)
	}
	var readers sync.WaitGroup
	readers.Go(func() { s.copy(channel, &s.out) })
	readers.Go(func() { s.copy(channel.Stderr(), &s.err) })
	go func() { readers.Wait(); close(s.ended) }()
	sent, err := r.script.sendTo(channel)
	if err != nil {
		return 0, err
	}
	if sent {
		channel.CloseWrite()
	} // else the session ended early, and says why

	return s.wait(ctx)
}

// wait follows the session to its end, and cancels it when ctx ends.
func (s *plainSession) wait(ctx context.Context) (int, error) {
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(cancelled); s.cancel() })
	exit := <-s.exit // empty when the channel was closed without
	s.drain()
	if !stop() {
		<-cancelled
		return 0, fmt.Errorf("the script was cancelled: %w", context.Cause(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return 0, s.failed
	case !exit.ok:
		return 0, fmt.Errorf("%w, and this image's SSH server cannot resume: %w", ErrLost, s.broken(s.client, io.EOF))
	case !s.out.begun:
		said := strings.TrimSpace(s.out.noise.String() + s.err.noise.String())
		return 0, fmt.Errorf("%w: the session ended with status %d before it; it said %q", ErrStart, exit.code, said)
	case exit.signal == "KILL":
		s.options.Notify(Event{Kind: OutOfMemory})
	}
	return exit.code, nil
}

// drain waits until all output is there.
func (s *plainSession) drain() {
	quiet := time.NewTimer(quietAfterExit)
	defer quiet.Stop()
	limit := time.NewTimer(drainLimit)
	defer limit.Stop()
	for {
		select {
		case <-s.ended:
			return
		case <-limit.C:
			return
		case <-s.active:
			quiet.Reset(quietAfterExit)
		case <-quiet.C:
			return
		}
	}
}

// copy hands on one stream.
func (s *plainSession) copy(from io.Reader, stream *plainStream) {
	buffer := make([]byte, readSize/2)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			select {
			case s.active <- struct{}{}:
			default:
			}
			s.write(stream, buffer[:n])
		}
		if err != nil {
			return
		}
	}
}

func (s *plainSession) write(stream *plainStream, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !stream.begun {
		var session string
		if b, session = stream.findMark(s.mark, b); !stream.begun {
			return
		}
		if stream == &s.out {
			s.sid = session
			close(s.started)
		}
	}
	if s.failed != nil || len(b) == 0 {
		return // read on, so that the session can end
	}
	if _, err := stream.to.Write(b); err != nil {
		s.failed = fmt.Errorf("%w: %w", ErrOutput, err)
		s.giveUp(s.failed)
	}
}

// findMark looks for the line that startPlain prints, and gives what follows it
// and the session that it names.
func (p *plainStream) findMark(mark string, b []byte) (rest []byte, session string) {
	p.noise.Write(b)
	all := p.noise.Bytes()
	at := bytes.Index(all, []byte(mark+" "))
	if at < 0 {
		if keep := noiseLimit + len(mark); len(all) > keep {
			p.noise.Next(len(all) - keep)
		}
		return nil, ""
	}
	line, rest, complete := bytes.Cut(all[at:], []byte("\n"))
	words := bytes.Fields(line)
	if !complete || len(words) < 2 {
		return nil, ""
	}
	p.begun = true
	return rest, string(words[1])
}

// cancel ends the script's whole session from a second one, and waits for it.
func (s *plainSession) cancel() {
	select {
	case <-s.started:
	case <-s.ended:
		return
	}
	grace := max(1, int(s.options.Grace.Round(time.Second)/time.Second))
	command := fmt.Sprintf("exec /bin/sh -c '%s' sh %s %d", killPlain, s.sid, grace)
	if s.client.execute(command) == nil {
		return
	}
	// A server with MaxSessions 1 takes it on another connection. It will not
	// outlive the one that the script runs on.
	ctx, stop := context.WithTimeout(context.Background(), s.options.ConnectTimeout)
	defer stop()
	if other, err := dial(ctx, s.target, s.options); err == nil {
		defer other.Close()
		if other.execute(command) == nil {
			return
		}
	}
	s.signal("TERM")
	select {
	case <-s.ended:
	case <-time.After(s.options.Grace):
		s.signal("KILL")
	}
}

// signal asks the server to signal the script's group. Those that do not
// separate privileges refuse it, root's sessions in OpenSSH among them.
func (s *plainSession) signal(name string) {
	s.channel.SendRequest("signal", false, ssh.Marshal(struct{ Signal string }{name}))
}

// execute runs a command in a session of its own and waits for its end.
func (c *Client) execute(command string) error {
	channel, requests, err := c.ssh.OpenChannel("session", nil)
	if err != nil {
		return err
	}
	defer channel.Close()
	go ssh.DiscardRequests(requests)
	ok, err := channel.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{command}))
	if err != nil {
		return err
	}
	if !ok {
		return errors.New("the server refuses the command")
	}
	_, err = io.Copy(io.Discard, channel)
	return err
}
