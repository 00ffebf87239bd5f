package executor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/fargate"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/record"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
	"github.com/fargate-driver/fargate-driver/internal/task"
)

// Pace is how often a launching task is asked about and dialled.
type Pace struct {
	// AskAt are the times at which ECS is asked about the task, counted from
	// RunTask; AskEvery is the interval after them.
	AskAt    []time.Duration
	AskEvery time.Duration
	// AskReachable is the interval once the task's address is known: from then
	// on it is dialled, and ECS is only asked whether it still lives.
	AskReachable time.Duration
	// DialEvery is how soon a refused connection is tried again.
	DialEvery time.Duration
}

// DefaultPace asks about four times in a job's life, because all jobs of an
// account share 20 DescribeTasks a second: often while the address is not
// known, slowly afterwards. Refused connections are cheap, and each pause is a
// moment that the job waits.
func DefaultPace() Pace {
	return Pace{
		AskAt:        []time.Duration{2 * time.Second, 5 * time.Second, 9 * time.Second, 15 * time.Second, 23 * time.Second},
		AskEvery:     10 * time.Second,
		AskReachable: 20 * time.Second,
		DialEvery:    100 * time.Millisecond,
	}
}

const (
	// dialLimit bounds the first attempts at an address whose network interface
	// is not yet up and answers nothing. It grows to the operator's limit.
	dialLimit = 2 * time.Second
	// unknownFor is how long ECS may not know a task that it has just started.
	unknownFor = 30 * time.Second
)

// sighting is what was seen of a task; with an error it is the last.
type sighting struct {
	task task.Task
	err  error
}

// awaitReady waits until the task's SSH server answers: ready means that, not
// that ECS says RUNNING. The task is returned as last seen, also on failure.
func (p *preparation) awaitReady(ctx context.Context, t task.Task) (task.Task, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reachable := make(chan struct{})
	sightings := p.watch(ctx, t, reachable)
	var dialled <-chan error
	var attempt atomic.Pointer[string] // how the latest attempt to connect went
	for {
		select {
		case seen := <-sightings:
			t = seen.task
			if seen.err != nil {
				return t, p.notReady(t, seen.err, attempt.Load())
			}
			if dialled != nil {
				continue
			}
			host, err := p.host(ctx, t)
			if err != nil {
				return t, err
			}
			if host != "" {
				close(reachable)
				dialled = p.dial(ctx, host, &attempt)
			}
		case err := <-dialled:
			return t, err
		}
	}
}

// notReady says why a task did not become ready, where time was all it lacked.
func (p *preparation) notReady(t task.Task, err error, attempt *string) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if t.State != task.Running || t.PrivateIP == "" {
		return fmt.Errorf("waiting for task %s: it is still %s", t.ID(), t.State)
	}
	heard := "no attempt was answered"
	if attempt != nil {
		heard = *attempt
	}
	port := fmt.Sprintf("port %d", p.Config.SSH.Port)
	if image := p.plan.Spec.Image; image != nil {
		port = fmt.Sprintf("ports %d and %d", p.Config.SSH.Port, image.Port)
	}
	hint := "see that the security group of the task lets the manager reach " + port
	if strings.Contains(heard, sshexec.ErrRefused.Error()) {
		hint = fmt.Sprintf("the way there is open: see that the image starts an SSH server on %s ([SSH] Port), and the container's log", port)
	}
	return fmt.Errorf("task %s runs, but its SSH server does not answer (%s); %s", t.ID(), heard, hint)
}

// host is where to connect, or "" while it is not known.
func (p *preparation) host(ctx context.Context, t task.Task) (string, error) {
	host := t.PrivateIP
	if p.Config.Fargate.UsePublicIP && t.NetworkInterface != "" && t.PrivateIP != "" {
		public, err := p.ECS.PublicIP(ctx, t.NetworkInterface)
		if fargate.ClassOf(err) == fargate.Temporary || fargate.ClassOf(err) == fargate.Throttled {
			return "", nil // AWS gives it a moment later
		}
		if err != nil {
			return "", err
		}
		host = public
	}
	return host, nil
}

// watch asks ECS about a task until it has ended or ctx is done.
func (p *preparation) watch(ctx context.Context, t task.Task, reachable <-chan struct{}) <-chan sighting {
	sightings := make(chan sighting)
	go func() {
		begin := time.Now()
		p.tellState(t, "")
		for n := 0; ; n++ {
			before := t.State
			s := sighting{task: t, err: p.untilNext(ctx, begin, n, reachable)}
			if s.err == nil {
				s = p.look(ctx, t, begin)
				t = s.task
				p.tellState(t, before)
			}
			select {
			case sightings <- s:
			case <-ctx.Done():
				select { // the reader may be waiting for the reason, or be gone
				case sightings <- sighting{t, ctx.Err()}:
				case <-time.After(time.Second):
				}
				return
			}
			if s.err != nil {
				return
			}
		}
	}()
	return sightings
}

// look asks ECS once. What passes by itself is no error; the next look will
// tell.
func (p *preparation) look(ctx context.Context, t task.Task, begin time.Time) sighting {
	seen, err := p.ECS.Describe(ctx, p.rec.Cluster, t.ARN)
	if err != nil {
		switch fargate.ClassOf(err) {
		case fargate.Throttled, fargate.Unanswered, fargate.Temporary:
			p.Log.WithError(err).Debug("asking about the task; going on")
			return sighting{task: t}
		}
		if errors.Is(err, fargate.ErrGone) && time.Since(begin) < unknownFor {
			return sighting{task: t}
		}
		return sighting{t, err}
	}
	if seen.State.Ended() {
		cause := fargate.Explain(seen, p.rec.Container)
		return sighting{seen, &fargate.Failure{Class: cause.Class, Doing: "waiting for the task", Message: cause.What, Hint: cause.Hint}}
	}
	if limit := p.Config.Launch.ProvisioningLimit.Duration; seen.State == task.Provisioning && time.Since(begin) > limit {
		return sighting{seen, &fargate.Failure{Class: fargate.Capacity, Doing: "waiting for task " + seen.ID(),
			Message: "it stays in PROVISIONING for more than " + joblog.Duration(limit)}}
	}
	return sighting{task: seen}
}

// untilNext waits for the nth time to ask, which is spread by a tenth, so that
// jobs that start together do not ask together.
func (p *preparation) untilNext(ctx context.Context, begin time.Time, n int, reachable <-chan struct{}) error {
	at := p.Pace.AskAt
	next := at[len(at)-1] + time.Duration(n-len(at)+1)*p.Pace.AskEvery
	if n < len(at) {
		next = at[n]
	}
	timer := time.NewTimer(spread(next - time.Since(begin)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-reachable:
		return sleep(ctx, spread(p.Pace.AskReachable))
	}
}

// tellState writes a line when a task enters a state that takes time.
func (p *preparation) tellState(t task.Task, before task.State) {
	if t.State == before {
		return
	}
	switch t.State {
	case task.Provisioning:
		p.JobLog.Info("Provisioning: waiting for capacity and a network interface")
	case task.Pending:
		p.JobLog.Info("Pending: pulling the image")
	case task.Activating:
		p.JobLog.Info("Activating: starting the containers")
	case task.Running:
		p.JobLog.Info("Running: waiting for SSH")
	}
}

// dial logs in to the task, and where the job's container has a helper beside
// it, to both. When ctx is done it answers nothing: the watch says why.
func (p *preparation) dial(ctx context.Context, host string, attempt *atomic.Pointer[string]) <-chan error {
	done := make(chan error, 1)
	go func() {
		addresses := p.addresses(host)
		for n, address := range addresses {
			client, err := p.connect(ctx, address, attempt)
			switch {
			case errors.Is(err, errOver):
				return
			case err != nil:
				done <- err
				return
			case n < len(addresses)-1:
				client.Close()
			default:
				done <- p.remember(client, addresses)
			}
		}
	}()
	return done
}

// addresses are the task's SSH servers: the one of the operator's container,
// and then the job's where that has an image of its own.
func (p *preparation) addresses(host string) []string {
	all := []string{net.JoinHostPort(host, strconv.Itoa(p.Config.SSH.Port))}
	if image := p.plan.Spec.Image; image != nil {
		all = append(all, net.JoinHostPort(host, strconv.Itoa(image.Port)))
	}
	return all
}

// errOver says that time was up for an attempt to connect, which tells nothing
// of the task.
var errOver = errors.New("no time is left to connect")

// connect tries to log in until it works, or until trying again is no use.
func (p *preparation) connect(ctx context.Context, address string, attempt *atomic.Pointer[string]) (*sshexec.Client, error) {
	most := p.Config.Run.ConnectTimeout.Duration
	for limit := min(dialLimit, most); ; limit = min(limit*5/4, most) {
		client, err := p.login(ctx, address, limit)
		if err == nil {
			return client, nil
		}
		if over(ctx) {
			return nil, errOver
		}
		if !sshexec.Transient(err) {
			return nil, err
		}
		said := err.Error()
		attempt.Store(&said)
		if sleep(ctx, p.Pace.DialEvery) != nil {
			return nil, errOver
		}
	}
}

// over says that a context has ended, also when its timer is a moment late.
func over(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && !time.Now().Before(deadline)
}

// login connects once and checks who answers.
func (p *preparation) login(ctx context.Context, address string, limit time.Duration) (*sshexec.Client, error) {
	target := sshexec.Target{Address: address, User: p.rec.Username, PrivateKey: []byte(p.rec.PrivateKey), HostKey: p.hostKey}
	options := sshexec.Options{ConnectTimeout: limit, KeepAlive: p.rec.Run.KeepAlive}
	client, err := sshexec.Dial(ctx, target, options)
	var other *sshexec.HostKeyError
	if errors.As(err, &other) && !p.Config.Agent.Required && p.plan.Spec.Image == nil {
		client, err = p.loginOpenSSH(ctx, target, options, err)
	}
	if err != nil {
		return nil, fmt.Errorf("task %s: %w%s", task.IDOf(p.rec.TaskARN), err, p.loginHint(err))
	}
	return client, nil
}

// remember writes into the record who answered, for the run stages.
func (p *preparation) remember(client *sshexec.Client, addresses []string) error {
	defer client.Close()
	agent, _ := client.Agent()
	hostKey := client.HostKey()
	return p.Records.Update(p.rec, func(r *record.Record) {
		r.Address, r.HostKey, r.Agent, r.Ready = addresses[0], hostKey, agent, true
		if len(addresses) > 1 {
			r.JobAddress = addresses[1]
		}
	})
}

// loginOpenSSH trusts the first key of a server that is not our agent: images
// made for the official driver make their host keys themselves. Our agent with
// another key than ours is never trusted.
func (p *preparation) loginOpenSSH(ctx context.Context, target sshexec.Target, options sshexec.Options, wrongKey error) (*sshexec.Client, error) {
	target.HostKey = ""
	client, err := sshexec.Dial(ctx, target, options)
	if err != nil {
		return nil, err
	}
	if _, agent := client.Agent(); agent {
		client.Close()
		return nil, wrongKey
	}
	p.Log.WithField("task", p.rec.TaskARN).WithField("host_key", client.HostKey()).Info("an SSH server without the agent: trusting its host key for this job")
	return client, nil
}

func (p *preparation) loginHint(err error) string {
	var other *sshexec.HostKeyError
	switch {
	case errors.As(err, &other) && p.plan.Spec.Image != nil:
		return "; a job with image: or services: needs the agent in the task definition's image, whose start command must run it"
	case errors.As(err, &other):
		return "; if the image has an SSH server of its own instead of the agent, set [Agent] Required = false"
	case errors.Is(err, sshexec.ErrKeyRefused):
		return "; see that the image puts SSH_PUBLIC_KEY into authorized_keys of [SSH] Username, and accepts ed25519 keys"
	case errors.Is(err, sshexec.ErrNotSSH):
		return "; see [SSH] Port in fargate.toml"
	}
	return ""
}
