package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fargate-driver/fargate-driver/internal/record"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
	"github.com/fargate-driver/fargate-driver/internal/task"
)

func (p *program) attach() *cobra.Command {
	return &cobra.Command{
		Use: "attach JOB", Short: "Open a shell in a running job's task", Args: exactArgs("a job's id, or the id of its task", 1),
		Long: "Open a shell in the task of a running job of this manager: in the job's directory and environment where the image has the agent.\n" +
			"The shell does not keep the task alive. JOB is the id that GitLab shows, or a task's id.",
		RunE: func(c *cobra.Command, args []string) error {
			_, records, err := p.open()
			if err != nil {
				return err
			}
			all, bad := records.All()
			r, err := findJob(all, args[0])
			if err != nil {
				return errors.Join(err, bad)
			}
			return p.shell(c.Context(), r)
		},
	}
}

// findJob finds the record of a job by its id or its task's.
func findJob(all []record.Record, name string) (record.Record, error) {
	var running []string
	for _, r := range all {
		if !r.Ready || !r.Abandoned.IsZero() {
			continue
		}
		id := strconv.FormatInt(r.JobID, 10)
		if name == id || name == task.IDOf(r.TaskARN) {
			return r, nil
		}
		running = append(running, id)
	}
	if len(running) == 0 {
		return record.Record{}, fmt.Errorf("attaching to job %s: no job of this manager runs", name)
	}
	return record.Record{}, fmt.Errorf("attaching to job %s: no such job runs here; running are %s", name, strings.Join(running, ", "))
}

func (p *program) shell(ctx context.Context, r record.Record) error {
	terminal := sshexec.Terminal{Name: firstOf(p.getenv("TERM"), "dumb"), Size: sshexec.WindowSize{Columns: 80, Rows: 24}, Input: p.stdin, Output: p.stdout}
	if screen, ok := p.stdout.(*os.File); ok && isTerminal(screen) {
		sizes, stop := watchSize(ctx, screen)
		defer stop()
		terminal.Resized = sizes
		if columns, rows, err := term.GetSize(int(screen.Fd())); err == nil {
			terminal.Size = sshexec.WindowSize{Columns: columns, Rows: rows}
		}
	}
	if keyboard, ok := p.stdin.(*os.File); ok && isTerminal(keyboard) {
		before, err := term.MakeRaw(int(keyboard.Fd()))
		if err != nil {
			return fmt.Errorf("attaching to job %d: %w", r.JobID, err)
		}
		defer term.Restore(int(keyboard.Fd()), before)
	}
	code, err := sshexec.Attach(ctx, sshexec.Target{Address: firstOf(r.JobAddress, r.Address), User: r.Username, PrivateKey: []byte(r.PrivateKey), HostKey: r.HostKey}, terminal,
		sshexec.Options{ConnectTimeout: r.Run.ConnectTimeout, KeepAlive: r.Run.KeepAlive})
	if err == nil && code != 0 {
		return &shellEnd{code}
	}
	return err
}

// isTerminal says whether somebody sits in front of a stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// shellEnd is the end of a shell that somebody has used; its exit code is ours.
type shellEnd struct{ code int }

func (s *shellEnd) Error() string { return fmt.Sprintf("the shell ended with exit code %d", s.code) }

// sizeSettles is how long a window's size is left alone while it is dragged.
const sizeSettles = 50 * time.Millisecond

// watchSize tells each new size of a terminal's window.
func watchSize(ctx context.Context, screen *os.File) (<-chan sshexec.WindowSize, func()) {
	ctx, cancel := context.WithCancel(ctx)
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	sizes := make(chan sshexec.WindowSize)
	go func() {
		for {
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
			select {
			case <-time.After(sizeSettles):
			case <-ctx.Done():
				return
			}
			columns, rows, err := term.GetSize(int(screen.Fd()))
			if err != nil {
				continue // the window is gone; so will the shell be
			}
			select {
			case sizes <- sshexec.WindowSize{Columns: columns, Rows: rows}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return sizes, func() { signal.Stop(changed); cancel() }
}
