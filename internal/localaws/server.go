// Package localaws is the stand-in: a local server that answers the AWS
// operations our programs use, so that the demo, the tests and a rehearsal need
// no AWS account. Programs find it by the SDK's own AWS_ENDPOINT_URL.
//
// Its ECS runs the containers' commands as real processes on this machine and
// its failures can be ordered call by call. It is an independent reading of the
// API and imports nothing of ours. It runs no images, isolates nothing and
// checks no permissions: never use it for anything but trying things out.
package localaws

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// What the stand-in is to its clients. The account is the one of AWS's own
// examples, so that nobody mistakes an ARN for a real one.
const (
	Account = "123456789012"
	Region  = "eu-central-1"
)

// Options says how a Server differs from the ordinary. The zero value is a
// server for tests: a free port, AWS's throttling, and no artificial delays.
type Options struct {
	// Addr is where to listen, host:port on a loopback address. Empty means
	// 127.0.0.1 and a free port.
	Addr string
	// Dir keeps the containers' logs and working directories. Empty means a new
	// temporary directory, which Close removes.
	Dir string
	// Region appears in every ARN. Empty means eu-central-1.
	Region string
	// NoThrottle switches AWS's token buckets off.
	NoThrottle bool
	// Delays is how long an ECS task stays in each phase.
	Delays Delays
	// StopTimeout is the time between SIGTERM and SIGKILL where a container
	// definition has no stopTimeout. Zero means Fargate's 30 s.
	StopTimeout time.Duration
	// VCPUs is the account's quota of vCPUs that run at once. Zero means no limit.
	VCPUs int
	// Images says what an image's own entry point is, by the image's name, for
	// container definitions that have no entryPoint. An image is never pulled.
	Images map[string]Image
	// Subnets, SecurityGroups and Roles are the identifiers that exist. Empty
	// means SubnetA to SubnetC, SecurityGroup and SecurityGroup2, and no role.
	Subnets, SecurityGroups, Roles []string
	// Path is the PATH of the containers. Empty means the usual directories.
	Path string
	// Log receives a line for every call; nil means no lines.
	Log io.Writer

	untagged bool // see spawner
}

// Server is a running stand-in.
type Server struct {
	opts    Options
	dir     string
	tempDir bool
	url     string
	http    *http.Server

	services map[string]*jsonService
	queries  map[string]queryOperation
	objects  objectService
	control  *http.ServeMux
	closers  []func()

	throttle *throttle
	faults   *faultList
	calls    *callLog
	bell     *bell
	ecs      *ecsService
	vpc      *vpc

	iam        *iamService
	storage    *storage
	logs       *logService
	codeBuild  *codeBuild
	codeDeploy *codeDeploy

	done      chan struct{} // closed when Close begins
	closeOnce sync.Once
}

// Start makes a stand-in and begins to answer. The caller must Close it.
func Start(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Region == "" {
		o.Region = Region
	}
	s := &Server{
		opts:     o,
		dir:      o.Dir,
		services: map[string]*jsonService{},
		queries:  map[string]queryOperation{},
		control:  http.NewServeMux(),
		throttle: newThrottle(!o.NoThrottle),
		bell:     newBell(),
		vpc:      newVPC(o),
		done:     make(chan struct{}),
	}
	s.faults = &faultList{bell: s.bell}
	s.calls = &callLog{bell: s.bell}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		s.removeDir()
		return nil, fmt.Errorf("listening for AWS calls on %s: %w", o.Addr, err)
	}
	s.url = "http://" + ln.Addr().String()
	if err := s.addServices(); err != nil {
		ln.Close()
		s.runClosers()
		s.removeDir()
		return nil, err
	}
	s.addControl()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go s.http.Serve(ln)
	return s, nil
}

// addServices is the table of what the stand-in answers: a file per service.
func (s *Server) addServices() error {
	for _, add := range []func(*Server) error{
		addECS,
		addEC2,
		addIAM,
		addSTS,
		addS3,
		addLogs,
		addCodeBuild,
		addCodeDeploy,
	} {
		if err := add(s); err != nil {
			return err
		}
	}
	return nil
}

// URL is the address to give as AWS_ENDPOINT_URL.
func (s *Server) URL() string { return s.url }

// Dir is where the containers' logs and working directories are.
func (s *Server) Dir() string { return s.dir }

// Env is what a program needs in its environment to use the stand-in, as
// NAME=value: the endpoint, a region, and credentials that are worth nothing.
func (s *Server) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.url,
		"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
		"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"AWS_REGION=" + s.opts.Region,
		"AWS_DEFAULT_REGION=" + s.opts.Region,
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// Close stops answering, lets go of every call that hangs, kills whatever
// still runs in a task and returns when nothing of it is left. Calling it again
// does nothing.
func (s *Server) Close() error {
	var err error
	s.closeOnce.Do(func() {
		close(s.done)
		err = s.http.Close()
		s.runClosers()
		err = errors.Join(err, s.removeDir())
		s.bell.ring()
	})
	return err
}

// onClose has f called by Close, the latest first.
func (s *Server) onClose(f func()) { s.closers = append(s.closers, f) }

func (s *Server) runClosers() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		s.closers[i]()
	}
}

func (s *Server) makeDir() error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "localaws-")
		if err != nil {
			return fmt.Errorf("making the stand-in's directory: %w", err)
		}
		s.dir, s.tempDir = dir, true
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("making the stand-in's directory: %w", err)
	}
	return nil
}

func (s *Server) removeDir() error {
	if !s.tempDir {
		return nil
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("removing the stand-in's directory: %w", err)
	}
	return nil
}

// Wait returns when condition holds, asking again whenever something changed
// in the stand-in: a call answered, a fault reached, a task in another phase.
// It returns ctx's error when that ends first.
func (s *Server) Wait(ctx context.Context, condition func() bool) error {
	for {
		changed := s.bell.next()
		if condition() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the stand-in: %w", context.Cause(ctx))
		}
	}
}

// bell tells everybody who listens that something has changed.
type bell struct {
	mu sync.Mutex
	ch chan struct{}
}

func newBell() *bell { return &bell{ch: make(chan struct{})} }

// next returns a channel that the next ring closes.
func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}
