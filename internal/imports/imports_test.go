// Package imports holds the rules of who may import whom, as a test.
package imports

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/fargate-driver/fargate-driver/"

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

// leaves do no I/O of their own beyond a reader that is given to them, and
// import nothing of ours but what is named.
var leaves = map[string][]string{
	"internal/config": {"internal/task"},
	"internal/job":    nil,
	"internal/task":   nil,
	"internal/wire":   nil,
	// The stand-in is an independent reading of the API.
	"internal/localaws": nil,
	// Plays gitlab-runner and knows nothing of the driver.
	"internal/rehearsal": {"internal/joblog"},
}

// forbidden are packages that a program or package must not reach, directly or
// through others.
var forbidden = []struct{ who, mustNotReach, why string }{
	{"internal/sshexec", "github.com/aws/", "stays small"},
	{"internal/sshexec", "github.com/sirupsen/logrus", "stays small"},
	{"internal/coordinator", "github.com/aws/", "stays small"},
	{"internal/coordinator", "github.com/sirupsen/logrus", "stays small"},
	{"internal/wire", "github.com/aws/", "stays small"},
	{"cmd/coordinator", "github.com/aws/", "stays small"},
	{"cmd/coordinator", "github.com/spf13/cobra", "stays small"},
	{"cmd/fargate-driver-run", "github.com/aws/", "a manager runs hundreds of it"},
	{"cmd/fargate-driver-run", "github.com/BurntSushi/toml", "a manager runs hundreds of it"},
	{"cmd/fargate-driver-run", "github.com/sirupsen/logrus", "a manager runs hundreds of it"},
	{"internal/executor/run", "github.com/aws/", "a manager runs hundreds of it"},
	{"internal/fargate", module + "internal/config", "the arrow must not turn round"},
	{"internal/fargate", module + "internal/job", "the arrow must not turn round"},
	{"internal/sshexec", module + "internal/config", "the arrow must not turn round"},
	{"internal/sshexec", module + "internal/job", "the arrow must not turn round"},
	{"internal/codebuild", module + "internal/config", "the bridge is a program of its own"},
	{"internal/codebuild", module + "internal/job", "the bridge is a program of its own"},
	{"internal/taskplan", "github.com/aws/", "plans are pure"},
	{"internal/taskplan", "net/http", "plans are pure"},
}

// sdkUsers are the only packages that may import the AWS SDK themselves.
var sdkUsers = []string{"internal/fargate", "internal/awsquery", "internal/awsconf", "internal/codebuild", "internal/localaws", "bench", "cmd/codebuild-bridge"}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	packages := list(t)
	for _, p := range packages {
		name := strings.TrimPrefix(p.ImportPath, module)
		if allowed, leaf := leaves[name]; leaf {
			for _, imported := range p.Imports {
				own, ours := strings.CutPrefix(imported, module)
				if ours && !slices.Contains(allowed, own) {
					t.Errorf("%s imports %s, and is a leaf", name, own)
				}
			}
		}
		for _, rule := range forbidden {
			if !within(name, rule.who) {
				continue
			}
			for _, dep := range p.Deps {
				if within(dep, rule.mustNotReach) {
					t.Errorf("%s reaches %s: %s", name, dep, rule.why)
					break
				}
			}
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "github.com/aws/") && !mayUseSDK(name) {
				t.Errorf("%s imports %s: the SDK's types do not leave %s", name, imported, strings.Join(sdkUsers, ", "))
			}
			if imported == module+"internal/localaws" && name != "cmd/localaws" && name != "bench" && name != "internal/codebuild/bridgetest" {
				t.Errorf("%s imports the stand-in, which is for tests and cmd/localaws alone", name)
			}
		}
	}
}

func mayUseSDK(name string) bool {
	return slices.ContainsFunc(sdkUsers, func(user string) bool { return within(name, user) })
}

// within says that a package is the named one or one below it.
func within(name, path string) bool {
	return name == path || strings.HasPrefix(name, strings.TrimSuffix(path, "/")+"/")
}

// list asks the go command about all packages without their tests.
func list(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"...")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, said.String())
	}
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p goPackage
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("only %d packages were found", len(all))
	}
	return all
}
