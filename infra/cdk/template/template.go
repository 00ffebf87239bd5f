// Package template reads the CloudFormation templates that a synth wrote, for
// those who look at them: the tables of `make synth`, and the tests. It knows
// nothing of CDK.
package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Resource is one resource of a template.
type Resource struct {
	Stack, ID      string // the stack's construct id; the logical id
	Type           string
	Properties     map[string]any
	DeletionPolicy string
	CreationPolicy map[string]any
	UpdatePolicy   map[string]any
	DependsOn      any // a logical id, a list of them, or nil
}

func (r Resource) String() string { return r.Stack + "/" + r.ID + " (" + r.Type + ")" }

// Deployment is all that a synth wrote.
type Deployment struct {
	Stacks    []string          // that the settings have, in the order in which they are deployed
	Texts     map[string]string // of each stack's template
	Resources []Resource        // by stack, then by logical id
}

// Read reads NAME.template.json of each stack in a directory. No template at
// all is an error.
func Read(dir string) (Deployment, error) {
	d := Deployment{Texts: map[string]string{}}
	for _, stack := range []string{"Network", "GitLab", "Builds", "Runners"} {
		data, err := os.ReadFile(filepath.Join(dir, stack+".template.json"))
		if os.IsNotExist(err) {
			continue // the settings do without it
		}
		if err != nil {
			return d, fmt.Errorf("reading the templates: %w", err)
		}
		var parsed struct{ Resources map[string]Resource }
		if err := json.Unmarshal(data, &parsed); err != nil {
			return d, fmt.Errorf("reading the template of %s: %w", stack, err)
		}
		d.Stacks, d.Texts[stack] = append(d.Stacks, stack), string(data)
		for _, id := range slices.Sorted(maps.Keys(parsed.Resources)) {
			r := parsed.Resources[id]
			r.Stack, r.ID = stack, id
			d.Resources = append(d.Resources, r)
		}
	}
	if len(d.Resources) == 0 {
		return d, fmt.Errorf("reading the templates: %s has none; run `make synth`", dir)
	}
	return d, nil
}

// Of lists the resources of a type, such as AWS::S3::Bucket.
func (d Deployment) Of(kind string) []Resource {
	var found []Resource
	for _, r := range d.Resources {
		if r.Type == kind {
			found = append(found, r)
		}
	}
	return found
}

// Statement is one statement of a role's policy.
type Statement struct {
	Role Resource
	Body map[string]any
}

// Statements lists what the policies of all roles say.
func (d Deployment) Statements() []Statement {
	var all []Statement
	for _, r := range append(d.Of("AWS::IAM::Role"), d.Of("AWS::IAM::Policy")...) {
		documents := []any{r.Properties["PolicyDocument"]}
		for _, p := range Many(r.Properties["Policies"]) {
			documents = append(documents, At(p, "PolicyDocument"))
		}
		for _, document := range documents {
			for _, s := range Many(At(document, "Statement")) {
				if body, ok := s.(map[string]any); ok {
					all = append(all, Statement{r, body})
				}
			}
		}
	}
	return all
}

// Ingress lists the rules by which security groups let connections in, wherever
// the template has them, each with the group: its logical id, or a reference.
func (d Deployment) Ingress() []Ingress {
	var all []Ingress
	for _, r := range d.Of("AWS::EC2::SecurityGroup") {
		for _, rule := range Many(r.Properties["SecurityGroupIngress"]) {
			all = append(all, Ingress{r.ID, rule})
		}
	}
	for _, r := range d.Of("AWS::EC2::SecurityGroupIngress") {
		all = append(all, Ingress{r.Properties["GroupId"], r.Properties})
	}
	return all
}

// Ingress is one such rule: To is whose door it opens.
type Ingress struct{ To, Rule any }

// At walks into properties; numbers index lists. What is not there is nil.
func At(v any, path ...any) any {
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			l, _ := v.([]any)
			if key >= len(l) {
				return nil
			}
			v = l[key]
		}
	}
	return v
}

// Many makes a list of what CloudFormation takes as one value or several.
func Many(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	if v == nil {
		return nil
	}
	return []any{v}
}
