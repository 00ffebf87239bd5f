// Fargate-driver runs each job of a GitLab Runner in an AWS Fargate task of its
// own. gitlab-runner's custom executor calls it once per stage; its other
// commands are for the operator.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/fargate-driver/fargate-driver/internal/executor"
	"github.com/fargate-driver/fargate-driver/internal/executor/run"
	"github.com/fargate-driver/fargate-driver/internal/job"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

var version = "dev" // set by the linker

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A reader that is gone is an error to deal with, not an end without undo.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(start(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// program is what every command needs of the process.
type program struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	options        options
	codes          *job.ExitCodes // set in a stage
}

func start(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.root()
	root.SetArgs(goStyleFlags(args))
	err := root.ExecuteContext(ctx)
	return p.exitCode(err)
}

// exitCode prints an error once and turns it into the number that the caller
// understands: gitlab-runner by the numbers it gave, a person by 1 and 2.
func (p *program) exitCode(err error) int {
	if err == nil {
		return 0
	}
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(p.stderr, "fargate-driver: %v\n", err)
		return 2
	}
	var shell *shellEnd
	if errors.As(err, &shell) {
		return shell.code
	}
	if p.codes == nil {
		if !errors.Is(err, errReported) {
			fmt.Fprintf(p.stderr, "fargate-driver: %v\n", err)
		}
		return 1
	}
	var script *run.ScriptFailure
	if errors.As(err, &script) {
		return p.codes.Build // the script has said why
	}
	joblog.New(p.stderr, false).Error("ERROR: %v", err)
	var build *executor.BuildFailure
	if errors.As(err, &build) {
		return p.codes.Build
	}
	return p.codes.System
}

// errReported ends a command with exit code 1 that has printed what is wrong.
var errReported = errors.New("reported")

// usageError is a mistake in how the program was called.
type usageError struct{ error }

// goStyleFlags lets long flags begin with one dash, as the official driver
// does, which takes -config and --config.
func goStyleFlags(args []string) []string {
	out := make([]string, len(args))
	for i, arg := range args {
		if len(arg) > 2 && arg[0] == '-' && arg[1] != '-' && !strings.HasPrefix(arg, "-h") {
			arg = "-" + arg
		}
		out[i] = arg
	}
	return out
}
