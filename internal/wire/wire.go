// Package wire holds what the driver and the agent share: the container's name,
// the environment variables of its override, and the protocol that they speak
// inside SSH (docs/agent-protocol.md). It is plain data: nothing here opens a
// connection or a file, so that both ends stay small.
package wire

// ContainerName is the job container that the driver connects to. GitLab's
// official driver uses the same name, so its task definitions keep working.
const ContainerName = "ci-coordinator"

// The environment variables that the driver sets on the job container by a
// RunTask override. An override is readable by whoever may call
// ecs:DescribeTasks, and is 8,192 characters at most with its JSON.
const (
	// EnvPublicKey is one authorized_keys line: the only key that may log in.
	// OpenSSH images made for the official driver read the same variable.
	EnvPublicKey = "SSH_PUBLIC_KEY"

	// EnvHostKeySeed is 32 random bytes in hexadecimal, from which the agent
	// derives its ed25519 host key, so that the driver knows the public half
	// before it connects.
	EnvHostKeySeed = "COORDINATOR_HOST_KEY_SEED"

	// EnvIdleLimit is how long the agent stays without any connection, as a
	// Go duration. It then exits and the task stops by itself.
	EnvIdleLimit = "COORDINATOR_IDLE_LIMIT"

	// EnvDeadline is when the agent exits whatever happens, in Unix seconds:
	// the job's timeout and a margin after its launch.
	EnvDeadline = "COORDINATOR_DEADLINE"

	// EnvSpoolLimit is how many bytes of unread output the agent keeps before
	// the script has to wait for its reader.
	EnvSpoolLimit = "COORDINATOR_SPOOL_LIMIT"

	// EnvResumeLimit is how long a script may run without its driver, as a Go
	// duration, before the agent ends it.
	EnvResumeLimit = "COORDINATOR_RESUME_LIMIT"

	// EnvStopTimeout is the container's stopTimeout, as a Go duration: how long
	// ECS waits between SIGTERM and SIGKILL. The agent cannot ask for it.
	EnvStopTimeout = "COORDINATOR_STOP_TIMEOUT"

	// EnvContactFile is a file on a volume that all agents of a task share. An
	// agent that is needed touches it, so that none of them leaves for idleness
	// while another works.
	EnvContactFile = "COORDINATOR_CONTACT_FILE"

	// EnvUmask is the agent's and its scripts' umask, in octal digits. The helper
	// of a job's own image gets 0000, as under GitLab's docker executor: what it
	// clones, users of other images change.
	EnvUmask = "COORDINATOR_UMASK"

	// EnvHosts are names, separated by spaces, for 127.0.0.1: the containers of
	// a task share its address, and services are reached by their names.
	EnvHosts = "COORDINATOR_HOSTS"

	// EnvHostsFile is where the agent writes them, /etc/hosts without.
	EnvHostsFile = "COORDINATOR_HOSTS_FILE"
)

// What a task definition that is made for a job's own image has besides the
// job's container.
const (
	// HelperName is the container that clones, caches and carries artifacts: the
	// operator's own job container, under another name.
	HelperName = "ci-helper"
	// InstallName is the container that puts the agent on the shared volume.
	InstallName = "ci-install"
	// ServicePrefix and a number name the containers of services.
	ServicePrefix = "ci-service-"
	// AgentDir is where that volume is mounted.
	AgentDir = "/.fargate-driver"
)

// EnvExecution is what the agent adds to the environment of a script: a random
// mark by which it finds the script's descendants again, also those that left
// the process group.
const EnvExecution = "COORDINATOR_EXECUTION"
