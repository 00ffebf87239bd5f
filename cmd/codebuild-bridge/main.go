// Codebuild-bridge runs AWS CodeBuild from a GitLab job as if it ran in the
// job: it uploads the source, shows the build's log as it comes, and ends as
// the build ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/report"
)

// version is set by the linker.
var version = "dev"

func main() {
	// The SDK's upload writes about its own failures to the standard logger; we
	// tell them in our own words.
	log.SetOutput(io.Discard)
	// A reader that goes away must not kill us before the build is stopped.
	signal.Ignore(syscall.SIGPIPE)
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() {
		// One is enough: stopping the build has a time limit of its own.
		cancel(fmt.Errorf("%w by %s", codebuild.ErrStop, signalName(<-signals)))
	}()
	stdout := &output{file: os.Stdout, cancel: cancel, done: ctx.Done()}
	go stdout.watch()
	stderr := &output{file: os.Stderr, cancel: func(error) {}, done: ctx.Done()}
	env := environment{list: os.Environ(), initEnviron: "/proc/1/environ", terminal: term.IsTerminal(int(os.Stdout.Fd()))}
	os.Exit(run(ctx, os.Args[1:], env, stdout, stderr))
}

func signalName(s os.Signal) string {
	switch s {
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGHUP:
		return "SIGHUP"
	}
	return s.String()
}

// environment is what the program finds around it.
type environment struct {
	list        []string // NAME=value
	initEnviron string   // the container's first process, whose variables sshd does not pass on
	terminal    bool
}

func (e environment) get(name string) string { return e.all()[name] }

func (e environment) all() map[string]string {
	m := make(map[string]string, len(e.list))
	for _, v := range e.list {
		name, value, _ := strings.Cut(v, "=")
		m[name] = value
	}
	return m
}

// run does what args say and returns the exit code.
func run(ctx context.Context, args []string, env environment, stdout, stderr io.Writer) int {
	root := newRoot(env, stdout)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return report.ExitSucceeded
	}
	var exit *codebuild.ExitError
	if !errors.As(err, &exit) {
		exit = &codebuild.ExitError{Code: report.ExitUsage, Err: err}
	}
	if exit.Err != nil {
		// GitLab shows both streams in the job's log.
		fmt.Fprintf(stderr, "codebuild-bridge: %v\n", exit.Err)
	}
	return exit.Code
}
