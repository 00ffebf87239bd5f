package stacks_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
	"github.com/fargate-driver/fargate-driver/infra/cdk/stacks"
	"github.com/fargate-driver/fargate-driver/infra/cdk/template"
)

// No test of this package uses CDK in parallel: there is one JavaScript process
// behind it, and it speaks with one goroutine at a time.

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

func synth(t *testing.T, s settings.Settings) template.Deployment {
	t.Helper()
	d, err := trySynth(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// trySynth synthesises in this process, without the promises: it is about what
// comes out, or why nothing does.
func trySynth(t *testing.T, s settings.Settings) (d template.Deployment, err error) {
	t.Helper()
	app := newApp(t)
	var failed error
	if p := panics(func() {
		if _, failed = stacks.Add(app, inputs(s)); failed == nil {
			app.Synth(nil)
		}
	}); p != nil {
		return d, p
	}
	if failed != nil {
		return d, failed
	}
	return template.Read(*app.Outdir())
}

func inputs(s settings.Settings) stacks.Inputs {
	return stacks.Inputs{Settings: s, SettingsDir: "../profiles", Programs: "testdata/programs"}
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
			for stack, text := range d.Texts {
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
		for stack, text := range first.Texts {
			if again.Texts[stack] != text {
				t.Fatalf("%s: two runs differ at %s", stack, firstDifference(again.Texts[stack], text))
			}
		}
	}
}
