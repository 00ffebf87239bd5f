package settings

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the annotated sample")

// valid is the least that a file needs.
const valid = `name = "ci"
region = "ap-northeast-1"
[entry]
allowed_cidrs = ["198.51.100.0/24"]
domain = "gitlab.example.com"
certificate_arn = "arn:aws:acm:ap-northeast-1:123456789012:certificate/x"
[gitlab]
version = "19.3.0"
[[task]]
name = "default"
image = "own:1.0.0"
`

func TestLeast(t *testing.T) {
	t.Parallel()
	s, err := Parse("settings.toml", valid)
	if err != nil {
		t.Fatal(err)
	}
	if s.Network.CIDR != "10.60.0.0/16" || s.Tasks[0].Memory != 2048 || !s.Tasks[0].Builds || !reflect.DeepEqual(s.Network.OutPorts, []int{443, 80, 22, 587}) {
		t.Errorf("defaults are missing: %+v", s)
	}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../profiles/*.toml")
	if err != nil || len(files) != 3 {
		t.Fatalf("%d profiles: %v", len(files), err)
	}
	for _, file := range files {
		s, err := Load(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if len(Notes(s)) == 0 {
			t.Errorf("%s: no value is known as the sample's, and it would be deployed unseen", file)
		}
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	s, err := Parse("settings.toml", valid+"[network]\nendpoints = [\"ecs\", \"logs\"]\n")
	if err != nil {
		t.Fatal(err)
	}
	s.Entry.Domain, s.Entry.Certificate, s.GitLab.RootEmail = "gitlab.mine.org", "", "me@mine.org"
	s.Runners.SHA256 = strings.Repeat("0", 64)
	if notes := Notes(s); len(notes) != 1 || !strings.Contains(notes[0], "2 endpoints in 2 zones") {
		t.Errorf("got %q", notes)
	}
	s.Network.Endpoints, s.Runners.Concurrent, s.Network.CIDR = nil, 503, "10.60.0.0/22"
	if notes := Notes(s); len(notes) != 1 || !strings.Contains(notes[0], "10.60.0.0/22 have 502") {
		t.Errorf("got %q", notes)
	}
	s.Runners.Concurrent, s.Runners.SHA256 = 502, ""
	if notes := Notes(s); len(notes) != 1 || !strings.Contains(notes[0], "gitlab_runner_sha256 is empty") {
		t.Errorf("got %q", notes)
	}
	s.Runners.SHA256 = strings.Repeat("0", 64)
	s.Entry.AllowedCIDRs = slices.Repeat([]string{"198.51.100.0/24"}, 30)
	if notes := Notes(s); len(notes) != 1 || !strings.Contains(notes[0], "60 rules") {
		t.Errorf("got %q", notes)
	}
	s.Entry.AllowedCIDRs = s.Entry.AllowedCIDRs[:29]
	if notes := Notes(s); len(notes) > 0 {
		t.Errorf("got %q", notes)
	}
}

// TestSampleHasEveryKey keeps the annotated sample in step with the types.
func TestSampleHasEveryKey(t *testing.T) {
	t.Parallel()
	const file = "../settings.sample.toml"
	want := Sample()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is out of date: go test ./settings -run Sample -update", file)
	}
	if _, err := Parse(file, want); err != nil {
		t.Errorf("the sample does not load: %v", err)
	}
}

// TestExamplesAreOfTheirType uncomments each key of the sample alone.
func TestExamplesAreOfTheirType(t *testing.T) {
	t.Parallel()
	for _, section := range Sections() {
		for _, k := range section.Keys {
			header := ""
			if section.Name != "" {
				header = "[" + section.Name + "]\n"
			}
			if section.Repeated {
				header = "[[" + section.Name + "]]\n"
			}
			_, err := Parse("example", header+k.Name+" = "+k.Example+"\n")
			var all *Error
			if !errors.As(err, &all) {
				t.Errorf("%s: %v", k.Path, err)
				continue
			}
			for _, p := range all.Problems {
				if strings.HasPrefix(p.Message, "wants ") || strings.HasPrefix(p.Message, "unknown") {
					t.Errorf("%s = %s: %s", k.Path, k.Example, p.Message)
				}
			}
		}
	}
}

// TestMistakes has a line for each way in which a file can be wrong: what
// replaces what in the valid file (or is added to it), the key that the
// message must name with its line, and a part of the message.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range mistakes() {
		t.Run(c.key+" "+c.with, func(t *testing.T) {
			t.Parallel()
			text := valid + c.with
			if c.replace != "" {
				if !strings.Contains(valid, c.replace) {
					t.Fatalf("the valid file has no %q", c.replace)
				}
				text = strings.Replace(valid, c.replace, c.with, 1)
			}
			_, err := Parse("settings.toml", text)
			var all *Error
			if !errors.As(err, &all) {
				t.Fatalf("got %v", err)
			}
			i := slices.IndexFunc(all.Problems, func(p Problem) bool { return p.Key == c.key && strings.Contains(p.Message, c.message) })
			if i < 0 {
				t.Fatalf("no message about %s with %q in:\n%v", c.key, c.message, err)
			}
			// The line is that of the key, or of its table when it is missing.
			name := c.key[strings.LastIndex(c.key, ".")+1:]
			table, _, _ := strings.Cut(c.key, "[")
			table, _, _ = strings.Cut(table, ".")
			line := all.Problems[i].Line
			if line == 0 {
				if !strings.Contains(all.Problems[i].Message, "is required") && strings.Contains(text, "\n"+name+" =") {
					t.Errorf("the message names no line: %v", err)
				}
				return
			}
			at := strings.Split(text, "\n")[line-1]
			if !strings.HasPrefix(at, name) && !strings.HasPrefix(at, "["+table+"]") && !strings.HasPrefix(at, "[["+table+"]]") {
				t.Errorf("the message names line %d, which is %q: %v", line, at, err)
			}
			if !strings.Contains(err.Error(), fmt.Sprintf("line %d: %s: ", line, c.key)) {
				t.Errorf("the text lacks line and key: %v", err)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Parse("settings.toml", strings.NewReplacer(`"ci"`, `"CI"`, `"19.3.0"`, `"latest"`, `own:1.0.0`, `own:latest`).Replace(valid))
	var all *Error
	if !errors.As(err, &all) || len(all.Problems) != 3 {
		t.Fatalf("want three mistakes, got %v", err)
	}
	_, err = Parse("settings.toml", strings.NewReplacer("[gitlab]", "[gitlab]\ncpu = \"1\"\nmemroy = 1\ncompute = \"fargate\"\nedition = \"core\"", `domain = "gitlab.example.com"`, `domian = "gitlab.example.com"`).Replace(valid))
	if !errors.As(err, &all) || len(all.Problems) != 4 {
		t.Fatalf("want a type, two unknown keys and a value, and nothing that follows from them; got %v", err)
	}
	if !slices.IsSortedFunc(all.Problems, func(a, b Problem) int { return a.Line - b.Line }) {
		t.Errorf("not in the order of their lines: %v", err)
	}
}

func TestNotTOML(t *testing.T) {
	t.Parallel()
	_, err := Parse("settings.toml", "name = \n")
	if err == nil || !strings.Contains(err.Error(), "line 1: not valid TOML") {
		t.Errorf("got %v", err)
	}
}

func TestNoFile(t *testing.T) {
	t.Parallel()
	_, err := Load(filepath.Join(t.TempDir(), "nothing.toml"))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "copy one of profiles") {
		t.Errorf("got %v", err)
	}
}

func TestLinesInsideText(t *testing.T) {
	t.Parallel()
	lines := linesOf("[gitlab]\nextra_config = '''\ncpu = 1\n[network]\n'''\nmemory = 2\n[[task]]\nname = 'a'\n[[task]]\nname = 'b'\n")
	want := map[string]int{"gitlab": 1, "gitlab.extra_config": 2, "gitlab.memory": 6, "task[1]": 7, "task[1].name": 8, "task[2]": 9, "task[2].name": 10}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("got %v", lines)
	}
}
