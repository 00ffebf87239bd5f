package localaws

import (
	"fmt"
	"os"
	"time"
)

// Delays is how long a task stays in each phase, beyond the work done in it.
// Zero delays make tests fast; HumanDelays lets a person see the phases go by.
type Delays struct {
	Provisioning   time.Duration // until the network interface is there
	Pull           time.Duration // the image pull, in PENDING
	Activating     time.Duration
	Deprovisioning time.Duration
}

// HumanDelays returns delays of about three seconds in all: the order of the
// phases can be seen, and nobody has to wait the half minute of real Fargate.
func HumanDelays() Delays {
	return Delays{
		Provisioning:   700 * time.Millisecond,
		Pull:           1200 * time.Millisecond,
		Activating:     200 * time.Millisecond,
		Deprovisioning: 500 * time.Millisecond,
	}
}

// begin sets a task going. The caller holds mu.
func (e *ecsService) begin(t *task) {
	e.tasks[t.id] = t
	e.order = append(e.order, t)
	e.running.Add(1)
	go func() {
		defer e.running.Done()
		e.live(t)
	}()
	e.server.bell.ring()
}

// live is the life of a task.
func (e *ecsService) live(t *task) {
	if e.provision(t) && e.pull(t) && e.start(t) {
		select {
		case <-t.end:
		case <-e.server.done:
		}
	}
	e.stopContainers(t)
	e.enter(t, deprovisioning, func() {
		if !t.startedAt.IsZero() {
			t.executionStoppedAt = time.Now()
		}
	})
	e.pause(nil, e.server.opts.Delays.Deprovisioning)
	os.RemoveAll(e.taskDir(t))
	e.releaseAddress(t)
	e.enter(t, stopped, func() {
		t.stoppedAt = time.Now()
		for _, c := range t.containers {
			c.status = "STOPPED"
		}
	})
}

// provision gives the task its network interface.
func (e *ecsService) provision(t *task) bool {
	if t.fate.kind == Stuck {
		select {
		case <-t.end:
		case <-e.server.done:
		}
		return false
	}
	if !e.pause(t, e.server.opts.Delays.Provisioning) {
		return false
	}
	address, ok := e.takeAddress(t)
	if !ok {
		return false
	}
	e.enter(t, pending, func() {
		t.address = address
		t.connectivityAt = time.Now()
	})
	if t.fate.kind == InitFailure {
		e.failToStart(t, t.fate.reason)
		return false
	}
	return true
}

// pull takes the time of an image pull; there is no image.
func (e *ecsService) pull(t *task) bool {
	e.change(t, func() { t.pullStartedAt = time.Now() })
	if !e.pause(t, e.server.opts.Delays.Pull) {
		return false
	}
	if t.fate.kind == PullFailure {
		e.failToStart(t, t.fate.reason)
		return false
	}
	e.enter(t, activating, func() { t.pullStoppedAt = time.Now() })
	return e.pause(t, e.server.opts.Delays.Activating)
}

// start runs the containers and says whether all of them came to run.
func (e *ecsService) start(t *task) bool {
	if err := e.makeTaskDirs(t); err != nil {
		e.failToStart(t, "CannotStartContainerError: "+err.Error())
		return false
	}
	t.launched = true
	for _, c := range t.containers {
		go e.runContainer(t, c)
	}
	for _, c := range t.containers {
		<-c.started // also closed where it cannot start any more
	}
	e.change(t, func() {
		if t.desired == stopped && t.stopCode == "TaskFailedToStart" {
			return
		}
		t.phase, t.startedAt = running, time.Now()
	})
	return true
}

// stopContainers ends what runs: SIGTERM to every container's first process,
// SIGKILL to all that is left after its stopTimeout. When the stand-in closes
// it kills at once.
func (e *ecsService) stopContainers(t *task) {
	if !t.launched {
		return
	}
	e.enter(t, deactivating, nil)
	e.enter(t, stopping, nil)
	done := make(chan struct{}, len(t.containers))
	for _, c := range t.containers {
		go func() {
			e.stopContainer(t, c)
			done <- struct{}{}
		}()
	}
	for range t.containers {
		<-done
	}
}

// requestStop begins the end of a task; the first request is the one that
// counts. The caller holds mu.
func (e *ecsService) requestStop(t *task, code, reason string) {
	if t.desired == stopped {
		return
	}
	t.desired, t.stopCode, t.stopReason = stopped, code, reason
	t.stoppingAt = time.Now()
	t.version++
	close(t.end)
	e.server.bell.ring()
}

// failToStart ends a task whose containers never ran.
func (e *ecsService) failToStart(t *task, reason string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.requestStop(t, "TaskFailedToStart", reason)
	for _, c := range t.containers {
		c.reason = reason
	}
}

// enter brings the task into another phase, with whatever changes at once.
func (e *ecsService) enter(t *task, p phase, also func()) {
	e.change(t, func() {
		t.phase = p
		if also != nil {
			also()
		}
	})
}

func (e *ecsService) change(t *task, f func()) {
	e.mu.Lock()
	f()
	t.version++
	e.mu.Unlock()
	e.server.bell.ring()
}

// pause waits d, but not if the stand-in closes or, where t is given, the task
// is to stop; it says whether to go on.
func (e *ecsService) pause(t *task, d time.Duration) bool {
	var end <-chan struct{}
	if t != nil {
		end = t.end
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-end:
	case <-e.server.done:
	}
	select {
	case <-end:
		return false
	case <-e.server.done:
		return false
	default:
		return true
	}
}

// Interrupt reclaims a Spot task, as AWS does: SIGTERM at once, SIGKILL after
// the container's stopTimeout.
func (s *Server) Interrupt(name string) error {
	return s.ecs.withTask(name, func(t *task) {
		s.ecs.requestStop(t, "SpotInterruption", "Your Spot Task was interrupted.")
	})
}

// StopByHand stops a task as a person does in the console.
func (s *Server) StopByHand(name string) error {
	return s.ecs.withTask(name, func(t *task) {
		s.ecs.requestStop(t, "UserInitiated", "Task stopped by user")
	})
}

// KillForMemory kills the task's essential containers as the kernel does when
// their memory is used up.
func (s *Server) KillForMemory(name string) error {
	return s.ecs.withTask(name, func(t *task) {
		t.outOfMemory = true
		for _, c := range t.containers {
			if c.definition.essential() && c.process != nil {
				go c.process.kill()
			}
		}
	})
}

// withTask does something to a task that still runs.
func (e *ecsService) withTask(name string, do func(*task)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.tasks[lastPart(name)]
	if t == nil {
		return fmt.Errorf("finding the task %s: there is none of that name", name)
	}
	if t.desired == stopped {
		return fmt.Errorf("finding the task %s: it has stopped or is about to", name)
	}
	do(t)
	return nil
}
