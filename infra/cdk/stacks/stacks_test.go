package stacks_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
	"github.com/fargate-driver/fargate-driver/infra/cdk/stacks"
)

// No test of this package runs in parallel: there is one JavaScript process
// behind CDK, and it speaks with one goroutine at a time.

var update = flag.Bool("update", false, "rewrite the golden templates")

func TestMain(m *testing.M) {
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}

func profiles() []string { return []string{"small", "team", "closed"} }

func load(t *testing.T, profile string) settings.Settings {
	t.Helper()
	s, err := settings.Load(filepath.Join("..", "profiles", profile+".toml"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// resource is one resource of a template.
type resource struct {
	Stack, ID      string
	Type           string
	Properties     map[string]any
	DeletionPolicy string
	UpdatePolicy   map[string]any
}

func (r resource) String() string { return r.Stack + "/" + r.ID + " (" + r.Type + ")" }

// deployment is what a synth wrote.
type deployment struct {
	texts     map[string]string // by stack
	resources []resource
}

func synth(t *testing.T, s settings.Settings) deployment {
	t.Helper()
	d, err := trySynth(t, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func trySynth(t *testing.T, s settings.Settings, before func(awscdk.App, stacks.Stacks)) (d deployment, err error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("CDK: %v", p)
		}
	}()
	app := stacks.NewApp()
	made, err := stacks.Add(app, stacks.Inputs{Settings: s, SettingsDir: "../profiles", Programs: "testdata/programs"})
	if err != nil {
		return d, err
	}
	if before != nil {
		before(app, made)
	}
	dir := *app.Synth(nil).Directory()
	defer os.RemoveAll(dir)
	d.texts = map[string]string{}
	for _, name := range []string{"Network", "GitLab", "Builds", "Runners"} {
		data, err := os.ReadFile(filepath.Join(dir, name+".template.json"))
		if os.IsNotExist(err) {
			continue // the settings do without it
		}
		if err != nil {
			return d, err
		}
		d.texts[name] = string(data)
		var template struct{ Resources map[string]resource }
		if err := json.Unmarshal(data, &template); err != nil {
			return d, err
		}
		for id, r := range template.Resources {
			r.Stack, r.ID = name, id
			d.resources = append(d.resources, r)
		}
	}
	return d, nil
}

func (d deployment) all(kind string) []resource {
	var found []resource
	for _, r := range d.resources {
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

func asJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// TestGolden pins the templates of the profiles. A difference is something
// that `cdk deploy` would change for people who deployed before.
func TestGolden(t *testing.T) {
	for _, profile := range profiles() {
		t.Run(profile, func(t *testing.T) {
			d := synth(t, load(t, profile))
			for stack, text := range d.texts {
				file := filepath.Join("testdata", "golden", profile+"-"+stack+".json")
				if *update {
					if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, []byte(text+"\n"), 0o644); err != nil {
						t.Fatal(err)
					}
					continue
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if text+"\n" != string(want) {
					t.Errorf("%s differs from %s at %s\nlook at the difference after: go test ./stacks -run TestGolden -update", stack, file, firstDifference(text, string(want)))
				}
			}
		})
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d:\n  got  %s\n  want %s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("the end: %d lines, %d expected", len(a), len(b))
}

// TestSameSettingsSameBytes catches a map whose order leaks into a template:
// Go's changes from one iteration to the next.
func TestSameSettingsSameBytes(t *testing.T) {
	s := load(t, "team")
	s.Tags = map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}
	first := synth(t, s)
	for range 9 {
		again := synth(t, s)
		for stack, text := range first.texts {
			if again.texts[stack] != text {
				t.Fatalf("%s: two runs differ at %s", stack, firstDifference(again.texts[stack], text))
			}
		}
	}
}
