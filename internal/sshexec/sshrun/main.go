// Sshrun runs one script on one SSH server through sshexec and nothing else: it
// is the smallest program that does what the driver's run stage does, for
// measuring the transport by itself and for killing it in tests. Its exit code
// is the script's, or 200 for anything else.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// Hundreds of these wait at once, and one is never busy for long.
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(25)
	code, err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sshrun:", err)
		code = 200
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	flags := flag.NewFlagSet("sshrun", flag.ContinueOnError)
	address := flags.String("address", "", "`host:port` of the server")
	user := flags.String("user", "root", "user to log in as")
	key := flags.String("key", "", "`file` of the private key")
	hostKey := flags.String("host-key", "", "the only host key to accept, as in authorized_keys")
	id := flags.String("id", "", "name of the execution")
	resume := flags.Duration("resume-limit", 0, "how long to try to get a lost connection back")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	private, err := os.ReadFile(*key)
	if err != nil {
		return 0, fmt.Errorf("reading the private key: %w", err)
	}
	file, err := os.Open(flags.Arg(0))
	if err != nil {
		return 0, fmt.Errorf("opening the script: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0, fmt.Errorf("opening the script: %w", err)
	}
	if *id == "" {
		*id = fmt.Sprintf("sshrun-%d-%d", os.Getpid(), time.Now().UnixNano())
	}
	return sshexec.Run(ctx,
		sshexec.Target{Address: *address, User: *user, PrivateKey: private, HostKey: *hostKey},
		sshexec.Script{ID: *id, Content: file, Size: info.Size(), Stdout: stdout, Stderr: stderr},
		sshexec.Options{
			ResumeLimit: *resume,
			Notify:      func(e sshexec.Event) { fmt.Fprintln(stderr, "sshrun:", e) },
		})
}
