// Coordinator is the agent in a job's task. It runs as PID 1 of the container
// and takes its settings from the environment that fargate-driver gives it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/fargate-driver/fargate-driver/internal/coordinator"
)

// version is set when the program is built, see the Makefile.
var version = "dev"

const usage = `coordinator runs the scripts of a GitLab CI job in its Fargate task.

  coordinator serve [--listen ADDRESS]   serve the driver over SSH (default :22)
  coordinator install FILE [DIRECTORY ...]
                                         copy this program to FILE, for images that
                                         have it on a shared volume, and let all users
                                         write to the directories
  coordinator version                    print the version
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "coordinator:", err)
	}
	os.Exit(exitCode(err))
}

// exitCode is 0 also for an agent that ended itself: the task has done its work.
func exitCode(err error) int {
	var wrong usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong), errors.Is(err, flag.ErrHelp):
		return 2
	}
	return 1
}

// usageError is a mistake in what was typed.
type usageError string

func (e usageError) Error() string { return string(e) + "\n\n" + usage }

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	name := ""
	if len(args) > 0 {
		name = args[0]
		args = args[1:]
	}
	switch name {
	case "serve":
		return serve(ctx, args, environ, stderr)
	case "install":
		if len(args) == 0 {
			return usageError("install takes the file to write")
		}
		if err := install(args[0]); err != nil {
			return err
		}
		return openToAll(args[1:])
	case "version", "--version":
		fmt.Fprintln(stdout, "coordinator", version)
		return nil
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage)
		return nil
	case "":
		return usageError("a command is missing")
	}
	return usageError(fmt.Sprintf("there is no command %q", name))
}

func serve(ctx context.Context, args, environ []string, stderr io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", ":22", "TCP `address` to listen on")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil || flags.NArg() > 0 {
		return usageError("serve takes only --listen")
	}
	getenv, err := coordinator.Hide(environ)
	if err != nil {
		return err
	}
	settings, err := coordinator.ReadSettings(getenv)
	if err != nil {
		return err
	}
	if settings.Umask >= 0 {
		syscall.Umask(settings.Umask)
	}
	// The agent shares the task's memory with the job: it collects its own
	// garbage after less growth than the default of 100 % of at least 4 MiB.
	debug.SetGCPercent(25)
	// The CPUs are the job's. Handing output from thread to thread costs a third
	// more than copying it on one, and brings nothing.
	runtime.GOMAXPROCS(1)
	return coordinator.Serve(ctx, coordinator.Config{
		Settings: settings,
		Listen:   *listen,
		Environ:  coordinator.WithoutSecrets(environ),
		Version:  version,
		Log:      stderr,
	})
}

// openToAll makes directories writable for users of all images that share them.
func openToAll(dirs []string) error {
	for _, dir := range dirs {
		if err := os.Chmod(dir, 0o777); err != nil {
			return fmt.Errorf("letting all users write to %q: %w", dir, err)
		}
	}
	return nil
}

// install copies the running program, which may be the only file of its image.
func install(target string) (err error) {
	source, err := os.Open("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("opening this program: %w", err)
	}
	defer source.Close()
	// Written beside the target and renamed: whoever waits for it sees all of it.
	file, err := os.CreateTemp(filepath.Dir(target), ".coordinator-")
	if err != nil {
		return fmt.Errorf("installing to %q: %w", target, err)
	}
	defer func() {
		if err != nil {
			os.Remove(file.Name())
		}
	}()
	defer file.Close()
	if _, err := io.Copy(file, source); err != nil {
		return fmt.Errorf("installing to %q: %w", target, err)
	}
	if err := file.Chmod(0o755); err != nil {
		return fmt.Errorf("installing to %q: %w", target, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("installing to %q: %w", target, err)
	}
	if err := os.Rename(file.Name(), target); err != nil {
		return fmt.Errorf("installing to %q: %w", target, err)
	}
	return nil
}
