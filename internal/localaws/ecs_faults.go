package localaws

import "context"

// The kinds of failure that ECS alone has. Those of RunTask belong to its
// operation unless the order names another one.
const (
	// CapacityUnavailable answers RunTask with 200 and a failure: no capacity.
	CapacityUnavailable FaultKind = "capacity"
	// VCPUQuota answers RunTask with 200 and a failure: the account's quota.
	VCPUQuota FaultKind = "vcpu-quota"
	// RunFailure answers RunTask with 200 and Fault.Message as the reason.
	RunFailure FaultKind = "run-failure"

	// PullFailure lets the task start and stop because its image, so it says,
	// cannot be pulled. Fault.Message replaces the reason.
	PullFailure FaultKind = "pull-failure"
	// InitFailure is the same with a ResourceInitializationError.
	InitFailure FaultKind = "init-failure"
	// Stuck leaves the task in PROVISIONING until it is stopped.
	Stuck FaultKind = "stuck"
	// ExitAtOnce runs no command; the essential containers exit with ExitCode.
	ExitAtOnce FaultKind = "exit-at-once"

	// Missing lets DescribeTasks say that it does not know the tasks.
	Missing FaultKind = "missing"
	// Lagging keeps tasks younger than Fault.Delay, or all if it is zero, out of
	// what ListTasks lists.
	Lagging FaultKind = "lagging"
)

// operationOf is the operation that a kind belongs to, or "" for any.
func operationOf(kind FaultKind) string {
	switch kind {
	case CapacityUnavailable, VCPUQuota, RunFailure, PullFailure, InitFailure, Stuck, ExitAtOnce:
		return "RunTask"
	case Missing:
		return "DescribeTasks"
	case Lagging:
		return "ListTasks"
	}
	return ""
}

// HiddenThrottle is the throttling of EC2 as RunTask passes it on: a parameter
// that is said to be wrong.
func HiddenThrottle(subnet string) Fault {
	return Fault{
		Service: "ecs", Operation: "RunTask", Kind: Refused, Code: "InvalidParameterException",
		Message: "Error retrieving subnet information for [" + subnet + "]: Rate exceeded (ErrorCode: Throttling)",
	}
}

// fate is what an order holds in store for a task.
type fate struct {
	kind     FaultKind
	reason   string
	exitCode int
}

func fateOf(ctx context.Context) fate {
	for _, kind := range []FaultKind{PullFailure, InitFailure, Stuck, ExitAtOnce} {
		if f := ordered(ctx, kind); f != nil {
			return fate{kind, f.reasonOr(defaultReason(kind)), f.ExitCode}
		}
	}
	return fate{}
}

func (f *OrderedFault) reasonOr(words string) string {
	if f.Message != "" {
		return f.Message
	}
	return words
}

func defaultReason(kind FaultKind) string {
	switch kind {
	case PullFailure:
		return "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref docker.io/library/nonesuch:latest: pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"
	case InitFailure:
		return "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError: send request failed"
	}
	return ""
}
