// Fargate-driver-run is the run stage of fargate-driver as a program of its
// own, which fargate-driver becomes when it finds it beside itself. It is never
// called by hand. A manager has one of it for each running job, so that it
// stays small: no AWS SDK and no configuration.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/fargate-driver/fargate-driver/internal/executor/run"
	"github.com/fargate-driver/fargate-driver/internal/job"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/record"
)

var version = "dev" // set by the linker

func main() {
	// A waiting process holds a few hundred kilobytes of live data; collecting
	// early keeps it from growing to the collector's usual 4 MiB.
	debug.SetGCPercent(25)
	// Hundreds of these wait at once. While one copies output, handing it from
	// thread to thread costs more than a second CPU gives.
	runtime.GOMAXPROCS(1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// gitlab-runner that is gone is an error to deal with: the script must end.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(start(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

func start(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	codes, err := job.ReadExitCodes(getenv)
	if err != nil {
		fmt.Fprintf(stderr, "fargate-driver-run: %v\n", err)
		return 2
	}
	err = stage(ctx, args, codes, stdout, stderr)
	var script *run.ScriptFailure
	switch {
	case err == nil:
		return 0
	case errors.As(err, &script):
		return codes.Build // the script has said why
	}
	joblog.New(stderr, false).Error("ERROR: %v", err)
	return codes.System
}

func stage(ctx context.Context, args []string, codes job.ExitCodes, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("fargate-driver-run "+version, flag.ContinueOnError)
	flags.SetOutput(stderr)
	directory := flags.String("records", "", "directory of task records")
	key := flags.String("key", "", "key of the job's task record")
	driver := flags.String("driver", "", "the fargate-driver program")
	config := flags.String("config", "", "its configuration file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return fmt.Errorf("fargate-driver-run wants a script and a sub-stage, and got %q; it is started by fargate-driver run", flags.Args())
	}
	records, err := record.Open(*directory)
	if err != nil {
		return err
	}
	s := run.Stage{
		Records: records, Key: *key, Script: flags.Arg(0), SubStage: flags.Arg(1), ExitCodeFile: codes.File,
		Stdout: stdout, Stderr: stderr,
		AskECS: run.AskDriver(*driver, *config, *key),
	}
	return s.Run(ctx)
}
