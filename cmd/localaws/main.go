// Localaws is the stand-in as a program: it answers the AWS calls that our
// programs make, runs ECS tasks as processes of this machine, and plays whole
// GitLab jobs with them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

var version = "dev" // set by the linker

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(exitCode(err, os.Stderr))
}

// errReported ends a command with exit code 1 that has printed what is wrong.
var errReported = errors.New("reported")

// usageError is a mistake in how the program was called.
type usageError struct{ error }

// exitCode prints an error and turns it into the program's exit code: 2 for a
// mistake in the call, 1 for everything else.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(stderr, "localaws:", err)
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// program is what every command needs of the process.
type program struct {
	getenv         func(string) string
	stdout, stderr io.Writer
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	p := &program{getenv, stdout, stderr}
	root := &cobra.Command{
		Use:   "localaws",
		Short: "A local stand-in for the AWS services that fargate-driver uses",
		Long: "localaws answers the AWS calls of fargate-driver and codebuild-bridge on this machine. Its ECS tasks are\n" +
			"plain processes, its failures can be ordered. It is for trying things out: it isolates nothing.",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("localaws {{.Version}}\n")
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
	})
	root.AddCommand(p.demo(), p.serve(), p.fault(), p.task(), p.calls(), p.answer(), &cobra.Command{
		Use: "version", Short: "Print the version", Args: arguments(cobra.NoArgs),
		Run: func(*cobra.Command, []string) { fmt.Fprintln(stdout, "localaws", version) },
	})
	return root.ExecuteContext(ctx)
}

// arguments makes a wrong number of arguments a usage error.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return &usageError{fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
		}
		return nil
	}
}
