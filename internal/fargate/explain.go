package fargate

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// Cause is why a task ended, for the job log.
type Cause struct {
	Class Class
	What  string // "task 1f2e3d was stopped: AWS took the Spot capacity back (Your Spot Task was interrupted.)"
	Hint  string // what to do; may be empty
}

func (c Cause) Error() string {
	if c.Hint == "" {
		return c.What
	}
	return c.What + "; " + c.Hint
}

// Explain says why a task ended, from what ECS kept of it. container is the
// job's. It must be a task whose State has Ended.
func Explain(t task.Task, container string) Cause {
	id := "task " + t.ID()
	reason := strings.TrimSuffix(t.StoppedReason, ".")
	if c, ok := outOfMemory(t, container); ok {
		return c
	}
	r, said := find("", t.StoppedReason), containerReason(t, container)
	if r.meaning == "" {
		r = find("", said)
	}
	if _, ran := exitCode(t, container); !ran && r.meaning == "" {
		// Another one has kept it from starting.
		for _, c := range t.Containers {
			if other := find("", c.Reason); other.meaning != "" {
				r, said = other, "container "+c.Name+": "+c.Reason
				break
			}
		}
	}
	switch t.StopCode {
	case "SpotInterruption":
		r = find("", "Your Spot Task was interrupted")
	case "TerminationNotice":
		return Cause{Spot, fmt.Sprintf("%s was stopped: AWS takes the host away (%s)", id, reason), "retry the job"}
	case "InfrastructureHealth":
		return Cause{Temporary, fmt.Sprintf("%s was stopped: its host failed (%s)", id, reason), "retry the job"}
	case "UserInitiated":
		if why, ours := strings.CutPrefix(reason, stoppedByUs); ours {
			return Cause{Permanent, fmt.Sprintf("%s was stopped by the driver: %s", id, why), ""}
		}
		return Cause{Permanent, fmt.Sprintf("%s was stopped by somebody: %s", id, orUnsaid(reason)), "CloudTrail knows who called StopTask"}
	}
	install := containerReason(t, wire.InstallName)
	if code, exited := exitCode(t, wire.InstallName); r.class != ImagePull && (exited && code != 0 || install != "") {
		return Cause{Permanent, fmt.Sprintf("%s ended because the agent could not be put beside the job's image%s", id, inBrackets(cmp.Or(install, reason))),
			"see that [Images] AgentPath of fargate.toml is where the image of [Fargate] TaskDefinition has the agent; the log of container " + wire.InstallName + " says more"}
	}
	if r.meaning != "" {
		return Cause{r.class, fmt.Sprintf("%s was stopped: %s (%s)", id, r.meaning, strings.TrimSpace(reason+" "+said)), r.hint}
	}
	if c, found := whoEndedIt(t, container); found {
		hint := "its log, where the task definition has a log configuration, says why"
		if c.Name != container && c.Name != wire.HelperName {
			hint = "a container beside the job's must have essential = false in the task definition if it may end first"
		}
		return Cause{Permanent, fmt.Sprintf("%s ended because its container %s exited with code %d%s", id, c.Name, *c.ExitCode, inBrackets(c.Reason)), hint}
	}
	return Cause{Permanent, fmt.Sprintf("%s was stopped: %s", id, orUnsaid(reason)), ""}
}

// whoEndedIt is the container with whose exit a task has ended, as far as that
// shows: the job's, or its helper when that failed and the job's agent, which
// was stopped for it, did not; then any other that may end a task.
func whoEndedIt(t task.Task, container string) (task.Container, bool) {
	var found task.Container
	rank := 0
	for _, c := range t.Containers {
		at := 1
		switch {
		case c.ExitCode == nil || mayEnd(c.Name):
			continue
		case c.Name == wire.HelperName && *c.ExitCode != 0:
			at = 4
		case c.Name == container:
			at = 3
			if *c.ExitCode != 0 {
				at = 5
			}
		case c.Name == wire.HelperName:
			at = 2
		}
		if at > rank {
			found, rank = c, at
		}
	}
	return found, rank > 0
}

// mayEnd says that a task goes on without this container: it is one of those
// that stand beside a job's own image and are not essential.
func mayEnd(name string) bool {
	return name == wire.InstallName || strings.HasPrefix(name, wire.ServicePrefix)
}

// outOfMemory recognises a container that was killed for its memory, also
// where only the exit code 137 of a KILL is left of it beside ECS's word.
func outOfMemory(t task.Task, container string) (Cause, bool) {
	for _, c := range t.Containers {
		text := c.Reason + " " + t.StoppedReason
		if !strings.Contains(text, "OutOfMemory") || mayEnd(c.Name) {
			continue
		}
		size := ""
		if t.Size.Memory != 0 {
			size = fmt.Sprintf(" of %d MiB", t.Size.Memory)
		}
		what := fmt.Sprintf("task %s ran out of memory: container %s was killed at the task's limit%s (%s)", t.ID(), c.Name, size, strings.TrimSpace(c.Reason))
		if c.Name != container {
			what += ", which ended the task"
		}
		return Cause{Permanent, what, "give the job more: Memory in [Launch] of fargate.toml or in the task definition, or FARGATE_MEMORY of the job where [Jobs] MaxMemory allows it"}, true
	}
	return Cause{}, false
}

func containerReason(t task.Task, name string) string {
	for _, c := range t.Containers {
		if c.Name == name {
			return c.Reason
		}
	}
	return ""
}

func exitCode(t task.Task, name string) (int, bool) {
	for _, c := range t.Containers {
		if c.Name == name && c.ExitCode != nil {
			return *c.ExitCode, true
		}
	}
	return 0, false
}

func orUnsaid(reason string) string {
	if reason == "" {
		return "ECS gives no reason"
	}
	return reason
}

func inBrackets(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}
