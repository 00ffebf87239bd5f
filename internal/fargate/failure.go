package fargate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/smithy-go"
)

// Class says what a failure calls for.
type Class int

const (
	Permanent  Class = iota // trying again changes nothing
	Throttled               // the account calls too fast: wait and call again
	Capacity                // this place has no room: try another, then wait
	Quota                   // the account's own limit: wait for other tasks to end
	Unanswered              // AWS did not answer; whether it acted is unknown
	Temporary               // AWS says that trying again helps
	Permission              // the manager may not do this
	Missing                 // what the call names does not exist
	ImagePull               // the container image cannot be had
	Spot                    // AWS took the capacity back
)

// Failure is what AWS answered, with its meaning and what to do.
type Failure struct {
	Class   Class
	Doing   string // "starting a task in cluster ci"
	Message string // AWS's own words
	Meaning string // in ours; may be empty
	Hint    string // what to do now; may be empty
	cause   error
}

func (f *Failure) Error() string {
	text := f.Doing
	if f.Meaning != "" {
		text += ": " + f.Meaning
	}
	text += ": " + f.Message
	if f.Hint != "" {
		text += "; " + f.Hint
	}
	return text
}

func (f *Failure) Unwrap() error { return f.cause }

// ClassOf returns the class of a Failure in err's chain, and Permanent for
// every other error.
func ClassOf(err error) Class {
	var f *Failure
	if errors.As(err, &f) {
		return f.Class
	}
	return Permanent
}

// Refused says that AWS has refused a call for certain. After any other failure
// it may have acted all the same: an answer was lost, or came for a repetition.
func Refused(err error) bool {
	var f *Failure
	if !errors.As(err, &f) {
		return false
	}
	switch f.Class {
	case Permanent, Permission, Missing, Capacity, Quota:
		return true
	}
	return false
}

// rule recognises a failure by AWS's error code, a part of its message, or
// both. The first rule that fits decides.
type rule struct {
	code, text string
	class      Class
	meaning    string
	hint       string
}

// rules is the one table of failures. Throttling comes first because AWS hides
// it inside other codes: "Error retrieving subnet information for [...]: Rate
// exceeded (ErrorCode: Throttling)" is an InvalidParameterException.
// The reasons of RunTask's failures[] and of stopped tasks are classified by
// the same table with an empty code.
var rules = []rule{
	{code: "ThrottlingException", class: Throttled, meaning: "AWS allows no more calls for the moment"},
	{text: "rate exceeded", class: Throttled, meaning: "AWS allows no more calls for the moment"},
	{code: "RequestLimitExceeded", class: Throttled, meaning: "AWS allows no more calls for the moment"},
	{text: "too many concurrent attempts to create a new revision", class: Throttled, meaning: "others register the same task definition"},

	{text: "capacity is unavailable", class: Capacity, meaning: "Fargate has no free capacity there",
		hint: "add subnets of other availability zones to [Fargate] Subnet, or FARGATE to [Launch] CapacityProviders"},
	{text: "insufficient free addresses", class: Capacity, meaning: "the subnet has no free IP address left",
		hint: "add a subnet to [Fargate] Subnet; each task takes one address"},
	{text: "configuration is above your limit", class: Permanent, meaning: "the size that the job asks for is above the account's limit",
		hint: "choose a smaller size, or ask for a higher quota of Fargate vCPUs in Service Quotas"},
	{text: "reached the limit on the number of", class: Quota, meaning: "the account runs as many Fargate tasks or vCPUs as it may",
		hint: "wait for other tasks to end, lower concurrent in config.toml, or ask for a higher quota of Fargate vCPUs in Service Quotas"},
	{code: "ClientException", text: "provisioning", class: Quota, meaning: "too many tasks of the cluster are being started"},

	{text: "timeout waiting for network interface provisioning", class: Temporary, meaning: "AWS did not attach the network interface in time"},
	{text: "timeout waiting for eni attachment", class: Temporary, meaning: "AWS did not attach the network interface in time"},
	{code: "ServerException", class: Temporary, meaning: "ECS had a fault of its own"},
	{code: "ServiceUnavailableException", class: Temporary, meaning: "ECS had a fault of its own"},
	{code: "InternalFailure", class: Temporary, meaning: "AWS had a fault of its own"},
	{code: "InternalServerError", class: Temporary, meaning: "AWS had a fault of its own"},
	{text: "internalerror", class: Temporary, meaning: "Fargate had a fault of its own"},

	{text: "spot task was interrupted", class: Spot, meaning: "AWS took the Spot capacity back",
		hint: "retry the job: it is then launched on demand"},
	{text: "toomanyrequests", class: ImagePull, meaning: "the registry limits how often its images are pulled",
		hint: "copy the image to ECR, or pull it through an ECR pull-through cache"},
	{text: "cannotpullcontainererror", class: ImagePull, meaning: "the image cannot be pulled",
		hint: "see that the image and tag exist, that the execution role may pull it, and that the subnet reaches the registry (NAT, or the VPC endpoints ecr.api, ecr.dkr and s3)"},
	{text: "cannotpullecrcontainererror", class: ImagePull, meaning: "the image cannot be pulled from ECR",
		hint: "see that the execution role has ecr:GetAuthorizationToken, ecr:BatchGetImage and ecr:GetDownloadUrlForLayer"},
	{text: "resourceinitializationerror", class: Permanent, meaning: "Fargate could not set the task up",
		hint: "see that the subnet reaches ECR, CloudWatch Logs and Secrets Manager (NAT or VPC endpoints) and that the execution role may use them"},
	{text: "cannotstartcontainererror", class: Permanent, meaning: "the container's command cannot be started",
		hint: "see that entryPoint and command of the task definition exist in the image, for the task's CPU architecture"},
	{text: "containerruntimeerror", class: Permanent, meaning: "the container's command cannot be started",
		hint: "see that entryPoint and command of the task definition exist in the image, for the task's CPU architecture"},

	{code: "AccessDeniedException", text: "iam:passrole", class: Permission, meaning: "the manager's role may not hand the task its roles",
		hint: "allow iam:PassRole on the task role and the execution role, to ecs-tasks.amazonaws.com"},
	{text: "iam:passrole", class: Permission, meaning: "the manager's role may not hand the task its roles",
		hint: "allow iam:PassRole on the task role and the execution role, to ecs-tasks.amazonaws.com"},
	{code: "AccessDeniedException", class: Permission, meaning: "the manager's role does not allow this",
		hint: "add the action to it; docs/security.md has the complete policy"},
	{code: "UnauthorizedOperation", class: Permission, meaning: "the manager's role does not allow this",
		hint: "add the action to it; docs/security.md has the complete policy"},
	{code: "UnrecognizedClientException", class: Permission, meaning: "AWS does not know the credentials",
		hint: "see which credentials the manager uses with: aws sts get-caller-identity"},
	{code: "ExpiredTokenException", class: Permission, meaning: "the credentials have expired",
		hint: "give the manager an instance role, whose credentials renew themselves"},
	{code: "InvalidSignatureException", class: Permission, meaning: "AWS does not accept the signature",
		hint: "see that the manager's clock is right and that its credentials are"},

	{code: "ClusterNotFoundException", class: Missing, meaning: "there is no such cluster in this Region",
		hint: "see [Fargate] Cluster and Region in fargate.toml"},
	{text: "taskdefinition not found", class: Missing, meaning: "there is no such task definition",
		hint: "see [Fargate] TaskDefinition in fargate.toml, or FARGATE_TASK_DEFINITION of the job"},
	{text: "unable to describe task definition", class: Missing, meaning: "there is no such task definition",
		hint: "see [Fargate] TaskDefinition in fargate.toml, or FARGATE_TASK_DEFINITION of the job"},
	{text: "taskdefinition is inactive", class: Missing, meaning: "the task definition was deregistered",
		hint: "name a revision that is active"},
	{text: tooLong, class: Permanent, meaning: "what the job's services are given is too long",
		hint: "give them fewer or shorter variables and aliases: all of them have about 6,000 characters together"},
	{text: "is not an existing container", class: Permanent, meaning: "the task definition has no container named ci-coordinator",
		hint: "name the job's container ci-coordinator in the task definition"},
	{text: "override for container named", class: Permanent, meaning: "the task definition has no container named ci-coordinator",
		hint: "name the job's container ci-coordinator in the task definition"},
	{text: "no container instances were found", class: Permanent, meaning: "the cluster has no default capacity provider strategy",
		hint: "set [Launch] CapacityProviders = [\"FARGATE\"]"},
	{text: "platform version", class: Permanent, meaning: "Fargate does not have this platform version for the task",
		hint: "see [Fargate] PlatformVersion; LATEST always works"},
	{text: "capacity provider", class: Permanent, meaning: "the cluster cannot use this capacity provider",
		hint: "associate it with the cluster: aws ecs put-cluster-capacity-providers"},
	{code: "InvalidSubnetID.NotFound", class: Missing, meaning: "there is no such subnet", hint: "see [Fargate] Subnet in fargate.toml"},
	{text: "subnet id", class: Missing, meaning: "there is no such subnet", hint: "see [Fargate] Subnet in fargate.toml"},
	{text: "security group", class: Missing, meaning: "there is no such security group, or it is of another VPC", hint: "see [Fargate] SecurityGroup in fargate.toml"},
	{text: "no fargate configuration exists", class: Permanent, meaning: "Fargate has no task of this CPU and memory",
		hint: "docs/configuration.md lists the sizes"},

	// Last, because messages about permissions say "on resource:" too.
	{text: "resource:", class: Capacity, meaning: "no place has the resources that the task asks for",
		hint: "add subnets of other availability zones to [Fargate] Subnet"},
}

func find(code, message string) rule {
	message = strings.ToLower(message)
	for _, r := range rules {
		if (r.code == "" || r.code == code) && strings.Contains(message, r.text) {
			return r
		}
	}
	return rule{class: Permanent}
}

// failure gives meaning to an error of a call.
func failure(doing string, err error) error {
	if err == nil {
		return nil
	}
	f := &Failure{Doing: doing, Message: err.Error(), cause: err}
	var api smithy.APIError
	switch {
	case errors.As(err, &api):
		r := find(api.ErrorCode(), api.ErrorMessage())
		f.Class, f.Meaning, f.Hint = r.class, r.meaning, r.hint
		f.Message = fmt.Sprintf("%s (%s)", strings.TrimSuffix(api.ErrorMessage(), "."), api.ErrorCode())
		if r.class == Permanent && api.ErrorFault() == smithy.FaultServer {
			f.Class, f.Meaning = Temporary, "AWS had a fault of its own"
		}
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", doing, context.Canceled)
	case isCredentials(err):
		f.Class, f.Meaning = Permission, "no AWS credentials were found"
		f.Hint = "give the manager an instance role, or set AWS_PROFILE or the access key variables for gitlab-runner's service"
	default:
		f.Class, f.Meaning = Unanswered, "AWS did not answer"
		f.Hint = "see that the manager reaches the ECS API (NAT, or the VPC endpoint com.amazonaws.REGION.ecs), and that Region is right"
	}
	return f
}

func isCredentials(err error) bool {
	text := err.Error()
	return strings.Contains(text, "get credentials") || strings.Contains(text, "get identity") || strings.Contains(text, "failed to refresh cached credentials")
}

// refusal gives meaning to a reason that came inside a successful answer.
func refusal(doing, reason, detail string) error {
	r := find("", reason)
	message := reason
	if detail != "" {
		message += " (" + detail + ")"
	}
	return &Failure{Class: r.class, Doing: doing, Message: message, Meaning: r.meaning, Hint: r.hint}
}
