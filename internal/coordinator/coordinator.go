// Package coordinator is the agent in the job's task: an SSH server for one
// driver, which runs scripts so that a lost connection loses nothing, and ends
// itself, and the task with it, when nobody needs it any more. It is meant to
// be PID 1 of its container, and works as any other process too.
//
// It knows nothing of AWS and of GitLab. The protocol is in package wire.
package coordinator

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// A Config is all that Serve needs from outside.
type Config struct {
	Settings Settings
	// Listen is the TCP address to listen on.
	Listen string
	// Environ is the environment of the scripts; see WithoutSecrets.
	Environ []string
	// Version is this build's, told in the SSH banner.
	Version string
	// Log gets the container's log: a line for each thing that an operator may
	// look for, none for a job's output.
	Log io.Writer
}

// agent is a running Serve.
type agent struct {
	settings Settings
	environ  []string
	log      *log.Logger
	instance string // random, see wire.StateMessage
	dir      string // scripts and spools, only ours
	null     *os.File
	children *children
	memory   oomCounter

	mu          sync.Mutex
	slots       map[string]*slot
	connections map[*connection]bool
	sessions    map[string]bool // marks of the commands and shells of plain SSH that run
	lastContact time.Time
	last        workplace // of the last script, for shells
	stopping    bool
	stopText    string
}

// Serve listens until ctx ends, which means that the task is being stopped, or
// until nobody has needed it for too long. It takes over the reaping of all
// children of the process. When it returns, no process that it started is left.
func Serve(ctx context.Context, config Config) error {
	hostKey, err := hostKey(config.Settings.HostKeySeed)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return fmt.Errorf("listening for the driver: %w", err)
	}
	defer listener.Close()
	dir, err := workDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("opening an empty input for scripts: %w", err)
	}
	defer null.Close()
	children, err := adoptChildren()
	if err != nil {
		return err
	}
	defer children.stop()
	a := &agent{
		settings:    config.Settings,
		environ:     withDefaults(config.Environ),
		log:         log.New(config.Log, "coordinator: ", log.LstdFlags|log.LUTC|log.Lmsgprefix),
		instance:    newMark(),
		dir:         dir,
		null:        null,
		children:    children,
		memory:      findOOMCounter(),
		slots:       map[string]*slot{},
		connections: map[*connection]bool{},
		sessions:    map[string]bool{},
		lastContact: time.Now(),
	}
	a.log.Printf("version %s listens on %s, host key %s", config.Version, listener.Addr(), ssh.FingerprintSHA256(hostKey.PublicKey()))
	if config.Settings.HostKeySeed == "" {
		a.log.Printf("no host key seed was given, so the host key is a new one")
	}
	a.tellLimits()
	if err := nameHosts(config.Settings); err != nil {
		a.log.Printf("%v; the job reaches its services by 127.0.0.1 only", err)
	}
	go a.accept(listener, a.serverConfig(hostKey, config.Version))
	a.waitForEnd(ctx)
	listener.Close()
	a.closeConnections()
	a.killEverything()
	return nil
}

func hostKey(seed string) (ssh.Signer, error) {
	var key ed25519.PrivateKey
	var err error
	if seed != "" {
		key, err = wire.HostKey(seed)
	} else {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("making the host key: %w", err)
	}
	return ssh.NewSignerFromSigner(key)
}

// nameHosts writes the names of services, which stand on the task's own address.
func nameHosts(s Settings) error {
	if len(s.Hosts) == 0 {
		return nil
	}
	file, err := os.OpenFile(s.HostsFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("naming the services of the job (only root may, mostly): %w", err)
	}
	_, err = fmt.Fprintf(file, "127.0.0.1\t%s\n", strings.Join(s.Hosts, " "))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("naming the services of the job: %w", err)
	}
	return nil
}

// workDir makes a directory that only this user reads. An image may have no
// /tmp, or one that is not writable.
func workDir() (string, error) {
	var firstErr error
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp", "/dev/shm", "."} {
		dir, err := os.MkdirTemp(parent, "coordinator-")
		if err == nil {
			return dir, nil
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	return "", fmt.Errorf("making a directory for scripts and output (no other place worked either; mount a volume at /tmp): %w", firstErr)
}

// newMark is a random name of 26 letters and digits.
func newMark() string { return rand.Text() }

// newFamily is for a process that will be started.
func (a *agent) newFamily() family {
	f := family{mark: newMark(), before: map[identity]bool{}}
	if a.children.any() {
		for _, p := range descendants(os.Getpid()) {
			f.before[identity{p.pid, p.started}] = true
		}
	}
	return f
}

// onlyOne reports whether nothing but e is under way.
func (a *agent) onlyOne(e *execution) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sessions) > 0 {
		return false
	}
	for _, s := range a.slots {
		if s.execution != nil && s.execution != e && s.execution.running() {
			return false
		}
	}
	return true
}

// killEverything leaves no process behind where the agent is not PID 1, whose
// end takes all others with it.
func (a *agent) killEverything() {
	kill(func() []int {
		var pids []int
		for _, p := range descendants(os.Getpid()) {
			if !p.zombie {
				pids = append(pids, p.pid)
			}
		}
		return pids
	}, killLimit)
}
