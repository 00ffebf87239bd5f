package check

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/fargate-driver/fargate-driver/internal/awsquery"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
)

// simulator asks IAM what a principal may do. IAM is not to be reached from
// every subnet, and not everybody may ask: then it knows nothing.
type simulator struct {
	query     *awsquery.Client
	decisions map[string]awsquery.Decision // of the caller, by action
	principal string                       // the caller's role or user; empty if it cannot be asked about
}

// simulationLimit bounds all questions about one principal. In a subnet without
// a way to IAM they are never answered.
const simulationLimit = 10 * time.Second

var assumedRole = regexp.MustCompile(`^assumed-role/([^/]+)/`)

// whoAmI finds the principal behind an ARN of GetCallerIdentity. That of a
// role's session leaves out the role's path.
func (s *simulator) whoAmI(ctx context.Context, caller string) error {
	who, err := arn.Parse(caller)
	if err != nil {
		return err
	}
	session := assumedRole.FindStringSubmatch(who.Resource)
	switch {
	case strings.HasPrefix(who.Resource, "user/"):
		s.principal = caller
		return nil
	case session == nil:
		return fmt.Errorf("%s is neither a role nor a user", caller)
	}
	if found, err := s.query.RoleARN(ctx, session[1]); err == nil && found != "" {
		s.principal = found
		return nil
	}
	// Without iam:GetRole it is taken for a role without a path, as most are.
	who.Service, who.Resource = "iam", "role/"+session[1]
	s.principal = who.String()
	return nil
}

// question is actions on one resource.
type question struct {
	resource string
	actions  []string
}

// simulate asks about the caller and says in a line why if it cannot.
func (c *checker) simulate(questions []question) {
	ctx, cancel := context.WithTimeout(c.ctx, simulationLimit)
	defer cancel()
	err := c.simulator.whoAmI(ctx, c.caller)
	for _, q := range questions {
		if err != nil {
			break
		}
		var decisions []awsquery.Decision
		decisions, err = c.simulator.query.Simulate(ctx, c.simulator.principal, q.actions, q.resource)
		for _, d := range decisions {
			c.simulator.decisions[d.Action] = d
		}
	}
	switch {
	case err == nil:
		return
	case apierror.Of(err) == apierror.Denied:
		c.add(Unclear, "simulation", "not allowed (iam:SimulatePrincipalPolicy on %s); what can be tried without harm is tried", c.simulator.principal)
	case apierror.Of(err) == apierror.Missing || strings.Contains(apierror.Words(err), "NoSuchEntity"):
		c.add(Unclear, "simulation", "there is no %s, so the role has a path: iam:GetRole on it would tell; what can be tried without harm is tried", c.simulator.principal)
	case ctx.Err() != nil:
		c.add(Unclear, "simulation", "IAM does not answer, as in a subnet without a way to it; what can be tried without harm is tried")
	default:
		c.add(Unclear, "simulation", "%s; what can be tried without harm is tried", apierror.Words(err))
	}
}

// tried judges an action by the answer to a call that could have no effect. It
// counts more than the simulator, which sees only the principal's own side.
func (c *checker) tried(action, resource string, err error) {
	d, simulated := c.simulator.decisions[action]
	switch kind := apierror.Of(err); {
	case err == nil, kind == apierror.Missing, kind == apierror.Refused, kind == apierror.Conflict:
		c.add(OK, action, "allowed")
	case kind == apierror.Denied && simulated && d.Allowed:
		c.add(Wrong, action, "refused, though the policies of %s allow it: look at the policy of the bucket, key or endpoint, and at conditions", c.simulator.principal)
	case kind == apierror.Denied:
		c.add(Wrong, action, "not allowed on %s%s; the job's role needs it", resource, because(d))
	case simulated:
		c.simulated(action, resource)
	default:
		c.add(Unclear, action, "%s", apierror.Words(err))
	}
}

// simulated judges an action that cannot be tried without harm.
func (c *checker) simulated(action, resource string) {
	d, ok := c.simulator.decisions[action]
	switch {
	case !ok:
		c.add(Unclear, action, "cannot be tried without doing it, and was not simulated")
	case !d.Allowed:
		c.add(Wrong, action, "not allowed on %s%s; the job's role needs it", resource, because(d))
	case len(d.Conditions) > 0:
		c.add(OK, action, "allowed, by simulation; under conditions on %s, which were not looked at", strings.Join(d.Conditions, " "))
	default:
		c.add(OK, action, "allowed, by simulation")
	}
}

// because says what denies an action, where that is known.
func because(d awsquery.Decision) string {
	switch {
	case d.Organization:
		return ", by a policy of the organization"
	case d.Boundary:
		return ", by the permissions boundary"
	case d.Explicit && len(d.Policies) > 0:
		return ", by a Deny of " + strings.Join(d.Policies, " ")
	case d.Explicit:
		return ", by a Deny"
	}
	return ""
}
