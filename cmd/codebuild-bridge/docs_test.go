package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/start"
)

var update = flag.Bool("update", false, "write the tables into the documentation")

const (
	docFile = "../../docs/codebuild-bridge.md"
	before  = "<!-- flags, written by: go test ./cmd/codebuild-bridge -run Docs -update -->\n"
	after   = "<!-- end of flags -->\n"

	beforeOverrides = "<!-- members of StartBuild, written by the same -->\n"
	afterOverrides  = "<!-- end of members -->\n"
)

// flagTables describes every flag of every command.
func flagTables(root *cobra.Command) string {
	var out strings.Builder
	flagTable(&out, "All commands", root.PersistentFlags())
	for _, c := range root.Commands() {
		if c.Flags().HasFlags() {
			flagTable(&out, "codebuild-bridge "+c.Use, c.Flags())
		}
	}
	return out.String()
}

func flagTable(out io.Writer, title string, flags *pflag.FlagSet) {
	// What depends on the machine, and how a kind of value is shown.
	defaults := map[string]string{"state-dir": "a directory of the job's under TMPDIR", "prefix": "`jobs/PROJECT_ID/protected` or `.../unprotected`"}
	kinds := map[string]string{"string": "TEXT", "stringArray": "TEXT", "int": "N", "duration": "TIME"}
	fmt.Fprintf(out, "\n### %s\n\n| flag | default | |\n|---|---|---|\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		kind, usage := pflag.UnquoteUsage(f)
		name := "`--" + f.Name
		if kind != "" && f.NoOptDefVal == "" {
			if shown, ok := kinds[kind]; ok {
				kind = shown
			}
			name += " " + kind
		}
		value := f.DefValue
		if shown, ok := defaults[f.Name]; ok {
			value = shown
		} else if value == "[]" || value == "0s" {
			value = ""
		} else if value != "" {
			value = "`" + value + "`"
		}
		if f.Value.Type() == "stringArray" {
			usage += "; may be repeated"
		}
		fmt.Fprintf(out, "| %s` | %s | %s |\n", name, value, usage)
	})
}

// overrideTable describes every member of StartBuild.
func overrideTable() string {
	var out strings.Builder
	out.WriteString("\n| member | flag | `--override-json` | |\n|---|---|---|---|\n")
	for _, o := range start.Overrides() {
		flag, taken := "", "yes"
		if o.Flag != "" {
			flag = "`--" + o.Flag + "`"
		}
		if !o.JSON {
			taken = "refused"
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", o.Member, flag, taken, o.Why)
	}
	return out.String()
}

func TestOverridesAreByFlagsThatThereAre(t *testing.T) {
	t.Parallel()
	for _, o := range start.Overrides() {
		if o.Flag != "" && command(t, "build").Flags().Lookup(o.Flag) == nil {
			t.Errorf("%s: --%s is no flag of build", o.Member, o.Flag)
		}
	}
}

func commandsForDocs() *cobra.Command { return newRoot(environment{}, io.Discard) }

func TestDocsHaveEveryFlag(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for _, table := range []struct{ before, after, text string }{
		{before, after, flagTables(commandsForDocs())},
		{beforeOverrides, afterOverrides, overrideTable()},
	} {
		head, rest, ok := strings.Cut(want, table.before)
		_, tail, ok2 := strings.Cut(rest, table.after)
		if !ok || !ok2 {
			t.Fatalf("the documentation has no place for %s", table.before)
		}
		want = head + table.before + table.text + "\n" + table.after + tail
	}
	if *update {
		if err := os.WriteFile(docFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Error("the tables in docs/codebuild-bridge.md are not those of the program; run go test ./cmd/codebuild-bridge -run Docs -update")
	}
}

// command returns one of the program's commands by its name.
func command(t *testing.T, name string) *cobra.Command {
	t.Helper()
	for _, c := range commandsForDocs().Commands() {
		if c.Name() == name {
			return c
		}
	}
	t.Fatalf("there is no command %s", name)
	return nil
}

var interpolation = regexp.MustCompile(`\$\[\[ *inputs\.([a-z-]+) *\]\]`)

// A component's inputs are all used, its variables all are flags.
func TestTemplatesMeanWhatTheySay(t *testing.T) {
	t.Parallel()
	for name, called := range map[string]string{"docker-build": "build", "deploy": "publish"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("../../templates", name+".yml"))
			if err != nil {
				t.Fatal(err)
			}
			header, body, _ := strings.Cut(string(text), "\n---\n")
			var spec struct {
				Spec struct {
					Inputs map[string]struct {
						Description string
						Type        string
						Default     any
						Options     []string
					}
				}
			}
			d := yaml.NewDecoder(strings.NewReader(header))
			d.KnownFields(true)
			if err := d.Decode(&spec); err != nil {
				t.Fatal(err)
			}
			used := map[string]bool{}
			for _, m := range interpolation.FindAllStringSubmatch(body, -1) {
				used[m[1]] = true
				if _, ok := spec.Spec.Inputs[m[1]]; !ok {
					t.Errorf("input %s is used and not declared", m[1])
				}
			}
			// An input that is a whole value keeps its type, and a variable takes no
			// boolean.
			for input, s := range spec.Spec.Inputs {
				alone := regexp.MustCompile(`: "?\$\[\[ inputs\.` + input + ` \]\]"?\n`)
				if s.Type == "boolean" && alone.MatchString(body) {
					t.Errorf("boolean input %s is a value of its own", input)
				}
			}
			for input, s := range spec.Spec.Inputs {
				if !used[input] {
					t.Errorf("input %s is declared and not used", input)
				}
				if s.Description == "" || !slices.Contains([]string{"", "boolean", "number"}, s.Type) {
					t.Errorf("input %s has no description, or the type %q", input, s.Type)
				}
				if s.Options != nil && !slices.Contains(s.Options, fmt.Sprint(s.Default)) {
					t.Errorf("input %s has a default that is none of its options", input)
				}
			}
			// As GitLab puts the inputs in, with a word for each.
			filled := interpolation.ReplaceAllString(body, "1")
			var jobs map[string]struct {
				Variables map[string]string
				Script    []string
			}
			if err := yaml.Unmarshal([]byte(filled), &jobs); err != nil {
				t.Fatal(err)
			}
			for _, job := range jobs {
				for variable := range job.Variables {
					flag := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(variable, envPrefix)), "_", "-")
					if command(t, called).Flags().Lookup(flag) == nil {
						t.Errorf("%s is no flag of %s", variable, called)
					}
				}
				wantFlags(t, strings.Join(job.Script, "\n"))
			}
		})
	}
}

var flagInText = regexp.MustCompile(`(?:^|\s)--([a-z][a-z-]+)`)

// wantFlags checks that a script's flags are those of its command.
func wantFlags(t *testing.T, script string) {
	t.Helper()
	for line := range strings.SplitSeq(script, "\n") {
		_, call, ok := strings.Cut(line, "codebuild-bridge ")
		if !ok {
			continue
		}
		name, flags, _ := strings.Cut(call, " ")
		c := command(t, name)
		for _, m := range flagInText.FindAllStringSubmatch(" "+flags, -1) {
			if c.Flags().Lookup(m[1]) == nil && commandsForDocs().PersistentFlags().Lookup(m[1]) == nil {
				t.Errorf("--%s is no flag of %s", m[1], name)
			}
		}
	}
}

func TestExamplesAreRight(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../configs/codebuild-bridge.gitlab-ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var jobs map[string]yaml.Node
	if err := yaml.Unmarshal(text, &jobs); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, node := range jobs {
		var job struct {
			Script      []string
			AfterScript []string `yaml:"after_script"`
		}
		if node.Kind != yaml.MappingNode || node.Decode(&job) != nil {
			continue
		}
		checked++
		wantFlags(t, strings.Join(append(job.Script, job.AfterScript...), "\n"))
	}
	if checked != 3 {
		t.Errorf("checked %d jobs, want 3", checked)
	}
	for _, file := range []string{docFile, "../../docs/moving-from-codebuild-sh.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```ya?ml\n(.*?)```").FindAllSubmatch(text, -1) {
			wantFlags(t, strings.TrimSpace(string(block[1])))
		}
	}
	files, err := filepath.Glob("../../configs/codebuild-bridge-*.json")
	if err != nil || len(files) != 5 {
		t.Fatalf("got %v %v, want the five", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(text) {
			t.Errorf("%s is not JSON", file)
		}
		if n := bytes.Count(text, []byte(`"Resource": "*"`)); n > 1 {
			t.Errorf("%s has %d statements for every resource", file, n)
		}
	}
}
