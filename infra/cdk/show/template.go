package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// resource is one resource of a template.
type resource struct {
	stack, id  string
	Type       string
	Properties map[string]any
}

// templates are the resources of all stacks, in a fixed order.
type templates struct {
	stacks []string
	all    []resource
}

// read reads NAME.template.json of each stack.
func read(dir string) (templates, error) {
	var t templates
	for _, stack := range []string{"Network", "GitLab", "Builds", "Runners"} {
		data, err := os.ReadFile(filepath.Join(dir, stack+".template.json"))
		if os.IsNotExist(err) {
			continue // the settings do without it
		}
		if err != nil {
			return t, fmt.Errorf("reading the templates: %w", err)
		}
		var template struct{ Resources map[string]resource }
		if err := json.Unmarshal(data, &template); err != nil {
			return t, fmt.Errorf("reading the template of %s: %w", stack, err)
		}
		t.stacks = append(t.stacks, stack)
		for _, id := range slices.Sorted(maps.Keys(template.Resources)) {
			r := template.Resources[id]
			r.stack, r.id = stack, id
			t.all = append(t.all, r)
		}
	}
	if len(t.all) == 0 {
		return t, fmt.Errorf("reading the templates: %s has none; run `make synth`", dir)
	}
	return t, nil
}

func (t templates) of(kind string) []resource {
	var found []resource
	for _, r := range t.all {
		if r.Type == kind {
			found = append(found, r)
		}
	}
	return found
}

// at walks into properties; numbers index lists.
func at(v any, path ...any) any {
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

func many(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	if v == nil {
		return nil
	}
	return []any{v}
}

// plain writes a value as a person reads it: references by what they name.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return fmt.Sprintf("%g", v)
	case bool:
		return fmt.Sprint(v)
	case []any:
		parts := make([]string, len(v))
		for i, p := range v {
			parts[i] = plain(p)
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		return reference(v)
	}
	return fmt.Sprint(v)
}

func reference(v map[string]any) string {
	if ref, ok := v["Ref"].(string); ok {
		return strings.TrimPrefix(ref, "AWS::")
	}
	if pair, ok := v["Fn::GetAtt"].([]any); ok {
		return plain(pair[0])
	}
	if join, ok := v["Fn::Join"].([]any); ok {
		var b strings.Builder
		for _, p := range many(at(join, 1)) {
			b.WriteString(plain(p))
		}
		return b.String()
	}
	if sub, ok := v["Fn::Sub"].(string); ok {
		return sub
	}
	if export, ok := v["Fn::ImportValue"].(string); ok {
		_, name, _ := strings.Cut(export, ":")
		name = strings.TrimPrefix(strings.TrimPrefix(name, "ExportsOutputRef"), "ExportsOutputFnGetAtt")
		return name[:max(0, len(name)-8)] // a checksum
	}
	data, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(data)
}
