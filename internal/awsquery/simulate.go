package awsquery

import (
	"context"
	"maps"
	"net/url"
	"slices"
)

// Decision is what IAM's simulator says of an action of a principal: what the
// principal's own policies, its permissions boundary and its organization come
// to. Policies of buckets and keys are not in it.
type Decision struct {
	Action  string
	Allowed bool
	// Explicit means that a statement denies it, not the lack of one that allows it.
	Explicit bool
	// Policies are those with the statements that decided.
	Policies []string
	// Boundary and Organization mean that these do not allow it.
	Boundary, Organization bool
	// Conditions are the keys of conditions that were not given a value.
	Conditions []string
}

// Simulate asks IAM's simulator which actions a user or role may do on a
// resource, and returns a decision for each. It takes
// iam:SimulatePrincipalPolicy on the principal and does nothing else.
func (c *Client) Simulate(ctx context.Context, principal string, actions []string, resource string) ([]Decision, error) {
	parameters := url.Values{"PolicySourceArn": {principal}, "ResourceArns.member.1": {resource}}
	maps.Copy(parameters, list("ActionNames.member", actions))
	var decisions []Decision
	for {
		var out struct {
			Results []struct {
				Action     string   `xml:"EvalActionName"`
				Decision   string   `xml:"EvalDecision"`
				Policies   []string `xml:"MatchedStatements>member>SourcePolicyId"`
				Conditions []string `xml:"MissingContextValues>member"`
				// With a resource named, they are told of the resource.
				OfResource []string `xml:"ResourceSpecificResults>member>MissingContextValues>member"`
				Boundary   string   `xml:"PermissionsBoundaryDecisionDetail>AllowedByPermissionsBoundary"`
				Orgs       string   `xml:"OrganizationsDecisionDetail>AllowedByOrganizations"`
			} `xml:"SimulatePrincipalPolicyResult>EvaluationResults>member"`
			More   bool   `xml:"SimulatePrincipalPolicyResult>IsTruncated"`
			Marker string `xml:"SimulatePrincipalPolicyResult>Marker"`
		}
		if err := c.call(ctx, c.iam(), "SimulatePrincipalPolicy", parameters, &out); err != nil {
			return nil, err
		}
		for _, r := range out.Results {
			conditions := slices.Concat(r.Conditions, r.OfResource)
			slices.Sort(conditions)
			decisions = append(decisions, Decision{
				Action: r.Action, Allowed: r.Decision == "allowed", Explicit: r.Decision == "explicitDeny",
				Policies: r.Policies, Conditions: slices.Compact(conditions),
				Boundary: r.Boundary == "false", Organization: r.Orgs == "false",
			})
		}
		if !out.More || out.Marker == "" {
			return decisions, nil
		}
		parameters.Set("Marker", out.Marker)
	}
}

// RoleARN returns the ARN of an IAM role, which has its path.
func (c *Client) RoleARN(ctx context.Context, name string) (string, error) {
	var out struct {
		ARN string `xml:"GetRoleResult>Role>Arn"`
	}
	err := c.call(ctx, c.iam(), "GetRole", url.Values{"RoleName": {name}}, &out)
	return out.ARN, err
}
