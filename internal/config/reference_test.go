package config

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files that are made from the struct tags")

// The reference and the annotated sample are made from the struct tags, so
// that they cannot be incomplete. `go test ./internal/config -update` writes them.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{"../../docs/configuration.md": reference(), "../../configs/fargate.toml": sample()} {
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil || string(got) != want {
			t.Errorf("%s is not what the struct tags say (%v); run: go test ./internal/config -update", file, err)
		}
	}
}

func TestSampleLoads(t *testing.T) {
	t.Parallel()
	if _, warnings, err := Load("../../configs/fargate.toml"); err != nil || len(warnings) != 0 {
		t.Errorf("%v, %v", warnings, err)
	}
	// Each example that is commented out is one that works.
	text := regexp.MustCompile(`(?m)^#([A-Za-z]+ = )`).ReplaceAllString(sample(), "$1")
	c, warnings, err := Parse("sample", text)
	if err != nil || len(warnings) != 0 {
		t.Errorf("%v, %v", warnings, err)
	}
	if c.Launch.CPU == 0 || !c.Agent.Required || c.Reap.Manager == "" {
		t.Errorf("examples are missing: %+v", c)
	}
}

func TestEveryKeyIsExplained(t *testing.T) {
	t.Parallel()
	for _, k := range Keys() {
		if k.Doc == "" || k.Example == "" || k.Example == `""` {
			t.Errorf("%s has no explanation or no example", k)
		}
	}
	for _, s := range Sections() {
		if s.Doc == "" {
			t.Errorf("[%s] has no explanation", s.Name)
		}
	}
}

func reference() string {
	var b strings.Builder
	b.WriteString(`# fargate.toml

<!-- Made from the struct tags of internal/config by ` + "`go test ./internal/config -update`" + `. -->

The driver reads this file at the start of every stage: a change is in force for
the next stage, without a restart. [configs/fargate.toml](../configs/fargate.toml)
is the same as a file to start from.

- Upper and lower case make no difference in names.
- A *duration* is written ` + "`\"90s\"`, `\"10m\"` or `\"1h30m\"`" + `.
- *Text or array of texts* is ` + "`\"a\"` or `[\"a\", \"b\"]`" + `.
- The top level and the sections Fargate, TaskMetadata and SSH are those of
  GitLab's official driver. An unknown key there is a warning in the driver's log
  and a failure of ` + "`fargate-driver check`" + `. In the other sections, where a misspelt
  limit would be no limit, it is an error.
- All mistakes of a file are reported at once, each with its line.

`)
	heading := func(title, doc string) {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", title, doc)
	}
	heading("Top level", "The driver's log. It never goes to the job log.")
	section := ""
	docs := map[string]Section{}
	for _, s := range Sections() {
		docs[s.Name] = s
	}
	for _, k := range Keys() {
		if k.Section != section {
			section = k.Section
			heading("["+section+"]", docs[section].Doc)
		}
		fmt.Fprintf(&b, "### %s\n\n%s\n\n- Type: %s\n- Default: %s\n- Example: `%s = %s`\n\n", k.Name, k.Doc, k.Type, defaultInWords(k), k.Name, k.Example)
	}
	b.WriteString(`## What a job may ask for

A job asks by variables in its .gitlab-ci.yml. What the limits above do not allow
ends the job with a message that names the key.

| variable | asks for | allowed by |
|---|---|---|
| FARGATE_TASK_DEFINITION | another task definition | [Jobs] TaskDefinitions, or no more rights |
| FARGATE_PLATFORM_VERSION | a platform version | [Jobs] PlatformVersions |
| FARGATE_CPU, FARGATE_MEMORY | a size: CPU units and MiB, both | [Jobs] MaxCPU, MaxMemory |
| FARGATE_EPHEMERAL_STORAGE | GiB of disk | [Jobs] MaxEphemeralStorage |
| FARGATE_TASK_ROLE | an IAM role's ARN | [Jobs] TaskRoles |
| FARGATE_CAPACITY_PROVIDER | a capacity provider | [Jobs] CapacityProviders |

## Sizes

| CPU units | vCPU | memory |
|---|---|---|
| 256 | 0.25 | 512, 1024, 2048 MiB |
| 512 | 0.5 | 1 to 4 GiB |
| 1024 | 1 | 2 to 8 GiB |
| 2048 | 2 | 4 to 16 GiB |
| 4096 | 4 | 8 to 30 GiB |
| 8192 | 8 | 16 to 60 GiB in steps of 4 |
| 16384 | 16 | 32 to 120 GiB in steps of 8 |
| 32768 | 32 | 60, 120, 244 GiB |

Another CPU value is a warning, and AWS decides.
`)
	return b.String()
}

func defaultInWords(k Key) string {
	switch {
	case k.Required:
		return "none; required"
	case k.Default == "":
		return "empty"
	case k.Type == "text" || k.Type == "duration":
		return fmt.Sprintf("`%q`", k.Default)
	case k.Type == "text or array of texts":
		return "`[\"" + strings.ReplaceAll(k.Default, ",", "\", \"") + "\"]`"
	}
	return "`" + k.Default + "`"
}

// recommended are optional keys that the sample sets, because a new set-up
// wants them.
var recommended = map[string]bool{
	"[Fargate] Region": true, "[Fargate] SecurityGroup": true, "[Fargate] TaskDefinition": true,
	"[Launch] CapacityProviders": true, "[Jobs] BuildsDir": true, "[Jobs] CacheDir": true, "[Agent] Required": true,
}

func sample() string {
	var b strings.Builder
	b.WriteString(`# fargate.toml: the configuration of fargate-driver, with every key.
#
# A key that is commented out shows an example; its default is told above it.
# Check the file with:  fargate-driver --config fargate.toml check
# The same as a page: docs/configuration.md

`)
	section := ""
	docs := map[string]Section{}
	for _, s := range Sections() {
		docs[s.Name] = s
	}
	for _, k := range Keys() {
		if k.Section != section {
			section = k.Section
			fmt.Fprintf(&b, "\n%s[%s]\n\n", comment(docs[section].Doc), section)
		}
		text := k.Doc
		if !k.Required {
			text += " Default: " + strings.Trim(defaultInWords(k), "`") + "."
		}
		mark := "#"
		if k.Required || recommended[k.String()] {
			mark = ""
		}
		fmt.Fprintf(&b, "%s%s%s = %s\n\n", comment(text), mark, k.Name, k.Example)
	}
	return b.String()
}

// comment breaks a text into comment lines of a terminal's width.
func comment(text string) string {
	var b strings.Builder
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 79 {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}
