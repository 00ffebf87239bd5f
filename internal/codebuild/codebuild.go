// Package codebuild is the bridge from a GitLab job to AWS CodeBuild: the
// order of its steps, and what is undone when they end early. Each step is a
// package of its own below.
package codebuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/report"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// Bridge does what the commands ask for. Its methods return nil or an
// *ExitError.
type Bridge struct {
	cfg      aws.Config
	out      io.Writer
	say      *joblog.Log
	terminal bool
	now      func() time.Time
}

// Options says where a Bridge writes.
type Options struct {
	Out      io.Writer // the job log
	Terminal bool      // it is a terminal: progress may be drawn in place
	Plain    bool      // no colours
}

// New returns a Bridge.
func New(cfg aws.Config, o Options) *Bridge {
	return &Bridge{cfg: cfg, out: o.Out, say: joblog.New(o.Out, o.Plain), terminal: o.Terminal, now: time.Now}
}

// ExitError is an ending other than success, with its exit code.
type ExitError struct {
	Code int
	Err  error // what is still to be told; nil if everything was
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// ErrDeadline is the cause with which a context ends when the job's time is up.
var ErrDeadline = errors.New("the job's time is nearly up")

// ErrStop is wrapped by the causes with which a context ends because of a
// signal or because nobody reads the output any more.
var ErrStop = errors.New("told to stop")

// usage is an error that trying again will not cure.
func usage(err error) error { return &ExitError{report.ExitUsage, err} }

// notBegun classifies an error from before a build was started. What AWS has
// refused or not answered is told from what can be seen without it: nothing was
// started, so trying again costs nothing, and somebody may have to be asked.
func notBegun(err error) error {
	var call *smithy.OperationError
	var exit *ExitError
	switch {
	case errors.As(err, &exit):
		return exit
	case errors.Is(err, ErrDeadline):
		return &ExitError{report.ExitTimedOut, err}
	case errors.Is(err, ErrStop), errors.Is(err, context.Canceled):
		return &ExitError{report.ExitStopped, err}
	case errors.As(err, &call):
		return &ExitError{report.ExitNotBegun, err}
	}
	return usage(err)
}

// size formats a number of bytes as a person says it.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1e6:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// files says how many files there are.
func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}
