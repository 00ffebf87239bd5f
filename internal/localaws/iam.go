package localaws

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// CallerRole is the role whose session every caller has.
const CallerRole = "fargate-manager"

// iamService is the stand-in's IAM: it answers questions about roles and
// enforces nothing.
type iamService struct {
	server *Server

	mu       sync.Mutex
	policies map[string]policy // by the role's name
}

// addIAM answers GetRole and SimulatePrincipalPolicy for the roles that Options
// names, the caller's own and the projects' service roles. A person orders a
// role's policy on a running server by
//
//	PUT /_localaws/roles/{name}/policy   the policy as JSON
func addIAM(s *Server) error {
	i := &iamService{server: s, policies: map[string]policy{}}
	s.iam = i
	s.addQuery("GetRole", queryOperation{"iam", queryProtocol, i.getRole})
	s.addQuery("SimulatePrincipalPolicy", queryOperation{"iam", queryProtocol, i.simulate})
	s.handleControl("PUT "+controlPrefix+"roles/{name}/policy", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err == nil {
			err = s.SetRolePolicy(r.PathValue("name"), string(text))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}))
	return nil
}

// SetRolePolicy gives a role its one policy, by which SimulatePrincipalPolicy
// answers; calls are not refused by it. A role without one may do everything,
// which is the truth here.
func (s *Server) SetRolePolicy(role, text string) error {
	p, err := readPolicy(text)
	if err != nil {
		return err
	}
	s.iam.mu.Lock()
	defer s.iam.mu.Unlock()
	s.iam.policies[role] = p
	return nil
}

func (i *iamService) exists(role string) bool {
	project, isService := strings.CutPrefix(role, serviceRolePrefix)
	if isService {
		i.server.codeBuild.mu.Lock()
		defer i.server.codeBuild.mu.Unlock()
		_, isService = i.server.codeBuild.projects[project]
	}
	return isService || role == CallerRole || slices.Contains(i.server.opts.Roles, role)
}

func noSuchRole(name string) *Error {
	return &Error{Code: "NoSuchEntity", Message: "The role with name " + name + " cannot be found.", Status: http.StatusNotFound}
}

func roleARN(name string) string { return "arn:aws:iam::" + Account + ":role/" + name }

func (i *iamService) getRole(_ context.Context, form url.Values) (any, error) {
	name := form.Get("RoleName")
	if !i.exists(name) {
		return nil, noSuchRole(name)
	}
	type role struct {
		Path       string
		RoleName   string
		RoleID     string `xml:"RoleId"`
		Arn        string
		CreateDate string
		Trust      string `xml:"AssumeRolePolicyDocument"`
	}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	return struct {
		XMLName   xml.Name `xml:"https://iam.amazonaws.com/doc/2010-05-08/ GetRoleResponse"`
		Role      role     `xml:"GetRoleResult>Role"`
		RequestID string   `xml:"ResponseMetadata>RequestId"`
	}{
		Role: role{
			"/", name, "AROAEXAMPLEID", roleARN(name),
			time.Date(2020, 7, 31, 0, 0, 0, 0, time.UTC).Format(time.RFC3339), url.QueryEscape(trust),
		},
		RequestID: requestID(),
	}, nil
}

type evaluation struct {
	Action   string   `xml:"EvalActionName"`
	Resource string   `xml:"EvalResourceName"`
	Decision string   `xml:"EvalDecision"`
	Matched  []string `xml:"MatchedStatements>member>SourcePolicyId,omitempty"`
}

// simulate evaluates a role's policy. Of several resources the answer is the
// most restrictive one, as the real one's is.
func (i *iamService) simulate(_ context.Context, form url.Values) (any, error) {
	principal := form.Get("PolicySourceArn")
	name, isRole := strings.CutPrefix(principal, roleARN(""))
	if !isRole {
		return nil, refuse("InvalidInput", "Invalid Entity Arn: %s does not clearly define entity type and name.", principal)
	}
	if !i.exists(name) {
		return nil, noSuchRole(name)
	}
	actions, resources := members(form, "ActionNames"), members(form, "ResourceArns")
	if len(actions) == 0 {
		return nil, refuse("ValidationError", "1 validation error detected: Value null at 'actionNames' failed to satisfy constraint: Member must not be null")
	}
	if len(resources) == 0 {
		resources = []string{"*"}
	}
	i.mu.Lock()
	p, limited := i.policies[name]
	i.mu.Unlock()
	var results []evaluation
	for _, action := range actions {
		e := evaluation{Action: action, Resource: resources[0], Decision: allowed}
		for _, resource := range resources {
			if !limited {
				break
			}
			if decision, sid := p.decide(action, resource); stricter(decision, e.Decision) || resource == resources[0] {
				e.Resource, e.Decision, e.Matched = resource, decision, nil
				if sid != "" {
					e.Matched = []string{fmt.Sprintf("role_%s_%s", name, sid)}
				}
			}
		}
		results = append(results, e)
	}
	return struct {
		XMLName   xml.Name     `xml:"https://iam.amazonaws.com/doc/2010-05-08/ SimulatePrincipalPolicyResponse"`
		Results   []evaluation `xml:"SimulatePrincipalPolicyResult>EvaluationResults>member"`
		More      bool         `xml:"SimulatePrincipalPolicyResult>IsTruncated"`
		RequestID string       `xml:"ResponseMetadata>RequestId"`
	}{Results: results, RequestID: requestID()}, nil
}

func stricter(a, b string) bool {
	order := []string{allowed, implicitDeny, explicitDeny}
	return slices.Index(order, a) > slices.Index(order, b)
}

// members reads a list of AWS Query: NAME.member.1, NAME.member.2 ...
func members(form url.Values, name string) []string {
	var out []string
	for n := 1; ; n++ {
		key := fmt.Sprintf("%s.member.%d", name, n)
		if !form.Has(key) {
			return out
		}
		out = append(out, form.Get(key))
	}
}
