package localaws

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// policy is an IAM policy of the simple kind: what a role may do on what.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string `json:",omitempty"`
	Effect    string
	Action    oneOrMore
	Resource  oneOrMore
	Condition map[string]map[string]string `json:",omitempty"`
}

// oneOrMore is a text or a list of them.
type oneOrMore []string

// UnmarshalJSON reads either.
func (o *oneOrMore) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(o))
}

// readPolicy reads a policy, and refuses what the stand-in would not evaluate as
// IAM does.
func readPolicy(text string) (policy, error) {
	var p policy
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return policy{}, fmt.Errorf("reading the policy: %w; the stand-in knows of Effect, Action, Resource and the condition Null", err)
	}
	for _, s := range p.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return policy{}, fmt.Errorf("reading the policy: the effect of statement %q is neither Allow nor Deny", s.Sid)
		}
		for operator := range s.Condition {
			if operator != "Null" {
				return policy{}, fmt.Errorf("reading the policy: the stand-in does not know the condition %s", operator)
			}
		}
	}
	return p, nil
}

// The decisions of IAM's simulator.
const (
	allowed      = "allowed"
	explicitDeny = "explicitDeny"
	implicitDeny = "implicitDeny"
)

// decide evaluates a policy for a call that has no context keys.
func (p policy) decide(action, resource string) (decision, sid string) {
	decision = implicitDeny
	for _, s := range p.Statement {
		if !s.applies(action, resource) {
			continue
		}
		if s.Effect == "Deny" {
			return explicitDeny, s.Sid
		}
		decision, sid = allowed, s.Sid
	}
	return decision, sid
}

func (s statement) applies(action, resource string) bool {
	for _, keys := range s.Condition {
		for _, absent := range keys { // of Null: true means that the key must be absent, as all are
			if absent != "true" {
				return false
			}
		}
	}
	return matchesAny(s.Action, strings.ToLower(action), strings.ToLower) && matchesAny(s.Resource, resource, func(s string) string { return s })
}

// matchesAny tells whether a text matches one of IAM's patterns, in which * is
// any text and ? any character.
func matchesAny(patterns []string, text string, fold func(string) string) bool {
	// To path.Match a slash is something special, to IAM it is not.
	plain := func(s string) string { return strings.ReplaceAll(s, "/", "\x00") }
	for _, pattern := range patterns {
		escaped := strings.NewReplacer("[", `\[`, `\`, `\\`).Replace(fold(pattern))
		if ok, err := path.Match(plain(escaped), plain(text)); ok && err == nil {
			return true
		}
	}
	return false
}
