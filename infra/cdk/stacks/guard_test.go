package stacks_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// guardExit is what cfn-guard ends with when a rule is broken; other codes are
// its own failures.
const guardExit = 19

// guard has CloudFormation Guard judge the templates of a directory by
// promises.guard, and returns what breaks each rule, by logical id.
func guard(t *testing.T, dir string) map[string][]string {
	t.Helper()
	platform := map[string]string{"linux": "ubuntu", "darwin": "macos"}[runtime.GOOS]
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	program, err := exec.LookPath(filepath.Join("../promises/node_modules/@cdklabs/cdk-validator-cfnguard/bin", platform, machine, "cfn-guard"))
	if err != nil {
		t.Skip("cfn-guard is not installed (npm ci in infra/cdk/promises): its rules were not tried")
	}
	args := []string{"validate", "--rules", "../promises/promises.guard", "--structured", "--output-format", "json", "--show-summary", "none"}
	files, err := filepath.Glob(filepath.Join(dir, "*.template.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d templates: %v", len(files), err)
	}
	for _, file := range files {
		args = append(args, "--data", file)
	}
	out, err := exec.Command(program, args...).Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == guardExit) {
		t.Fatalf("running cfn-guard: %v: %s", err, out)
	}
	var reports []struct {
		Not []struct {
			Rule struct {
				Name   string
				Checks json.RawMessage
			}
		} `json:"not_compliant"`
		Compliant []string
	}
	if err := json.Unmarshal(out, &reports); err != nil || len(reports) != len(files) {
		t.Fatalf("cfn-guard reports on %d of %d templates: %v", len(reports), len(files), err)
	}
	path := regexp.MustCompile(`/Resources/(\w+)`)
	found, held := map[string][]string{}, 0
	for _, r := range reports {
		held += len(r.Compliant)
		for _, rule := range r.Not {
			for _, m := range path.FindAllStringSubmatch(string(rule.Rule.Checks), -1) {
				if !slices.Contains(found[rule.Rule.Name], m[1]) {
					found[rule.Rule.Name] = append(found[rule.Rule.Name], m[1])
				}
			}
		}
	}
	if held+len(found) == 0 {
		t.Fatal("no rule of promises.guard applied to anything")
	}
	return found
}

// guardFindsNothing has Guard's own rules hold.
func guardFindsNothing(t *testing.T, v made) {
	for rule, ids := range guard(t, v.dir) {
		if !(v.s.Entry.OpenToWorld && strings.HasPrefix(rule, "nobody_lets_the_world_in")) {
			t.Errorf("%s: %q", rule, ids)
		}
	}
}
