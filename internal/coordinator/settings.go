package coordinator

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// Settings are what the driver says by the container's environment.
type Settings struct {
	// PublicKey is the only key that may log in.
	PublicKey ssh.PublicKey
	// HostKeySeed is where the host key comes from. Without it, as under
	// GitLab's official driver, the agent makes one.
	HostKeySeed string
	// IdleLimit is how long the agent stays without connection and script; zero
	// is for ever.
	IdleLimit time.Duration
	// Deadline is when the agent exits whatever happens; zero is never.
	Deadline time.Time
	// ResumeLimit is how long a script may run without its driver.
	ResumeLimit time.Duration
	// SpoolLimit is how many bytes of unread output are kept.
	SpoolLimit int64
	// StopTimeout is the time between SIGTERM and SIGKILL from outside.
	StopTimeout time.Duration
	// Umask is for the agent and its scripts; -1 keeps what the container has.
	Umask int
	// ContactFile is shared with the other agents of the task; "" is alone.
	ContactFile string
	// Hosts are names for the task itself, and HostsFile is where to write them.
	Hosts     []string
	HostsFile string
}

const (
	defaultIdleLimit   = 15 * time.Minute
	defaultResumeLimit = 10 * time.Minute
	// defaultSpoolLimit is some 600,000 lines: more than GitLab keeps of a job's
	// log by default (4 MiB), and little beside the 20 GiB disk of a task.
	defaultSpoolLimit = 64 << 20
	// defaultStopTimeout is ECS's, where the task definition sets none.
	defaultStopTimeout = 30 * time.Second
)

// secrets are the variables that no script gets to see.
func secrets() []string {
	return []string{
		wire.EnvPublicKey, wire.EnvHostKeySeed, wire.EnvIdleLimit, wire.EnvDeadline,
		wire.EnvSpoolLimit, wire.EnvResumeLimit, wire.EnvStopTimeout,
		wire.EnvContactFile, wire.EnvHosts, wire.EnvHostsFile, wire.EnvUmask,
	}
}

// ReadSettings takes the settings from the environment. All mistakes are
// reported at once; the values of secrets are not repeated.
func ReadSettings(getenv func(string) string) (Settings, error) {
	var mistakes []error
	mistake := func(name, format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("reading %s: "+format, append([]any{name}, args...)...))
	}
	duration := func(name string, missing time.Duration) time.Duration {
		text := getenv(name)
		if text == "" {
			return missing
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			mistake(name, "%q is not a duration like 15m", text)
		}
		return d
	}
	number := func(name string, missing int64) int64 {
		text := getenv(name)
		if text == "" {
			return missing
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n <= 0 {
			mistake(name, "%q is not a whole number above zero", text)
		}
		return n
	}

	s := Settings{
		HostKeySeed: getenv(wire.EnvHostKeySeed),
		Umask:       -1,
		ContactFile: getenv(wire.EnvContactFile),
		Hosts:       strings.Fields(getenv(wire.EnvHosts)),
		HostsFile:   cmp.Or(getenv(wire.EnvHostsFile), "/etc/hosts"),
		IdleLimit:   duration(wire.EnvIdleLimit, defaultIdleLimit),
		ResumeLimit: duration(wire.EnvResumeLimit, defaultResumeLimit),
		SpoolLimit:  number(wire.EnvSpoolLimit, defaultSpoolLimit),
		StopTimeout: duration(wire.EnvStopTimeout, defaultStopTimeout),
	}
	if text := getenv(wire.EnvUmask); text != "" {
		mask, err := strconv.ParseUint(text, 8, 9)
		if err != nil {
			mistake(wire.EnvUmask, "%q is not a umask like 0022", text)
		}
		s.Umask = int(mask)
	}
	if deadline := number(wire.EnvDeadline, 0); deadline > 0 {
		s.Deadline = time.Unix(deadline, 0)
	}
	if s.HostKeySeed != "" {
		if _, err := wire.HostKey(s.HostKeySeed); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	line := getenv(wire.EnvPublicKey)
	if strings.TrimSpace(line) == "" {
		mistake(wire.EnvPublicKey, "it is empty, so nobody could log in; the driver sets it when it starts the task")
	} else if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil {
		mistake(wire.EnvPublicKey, "it is not a line of authorized_keys: %w", err)
	} else {
		s.PublicKey = key
	}
	return s, errors.Join(mistakes...)
}

// WithoutSecrets gives the environment without what is the agent's alone.
func WithoutSecrets(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		hide := name == wire.EnvExecution || name == envSettings
		for _, secret := range secrets() {
			hide = hide || name == secret
		}
		if !hide {
			kept = append(kept, entry)
		}
	}
	return kept
}
