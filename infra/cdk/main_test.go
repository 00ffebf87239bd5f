package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// command builds the app once and lays out a directory as `make synth` does.
func command(t *testing.T) (binary, dir string) {
	t.Helper()
	dir = t.TempDir()
	binary = filepath.Join(dir, "app")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.CopyFS(filepath.Join(dir, "profiles"), os.DirFS("profiles")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"arm64/fargate-driver", "arm64/fargate-driver-run"} {
		file = filepath.Join(dir, "build", file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(file), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return binary, dir
}

// TestCommand runs the app as the CDK command line does.
func TestCommand(t *testing.T) {
	binary, dir := command(t)
	run := func(settings string) (string, int) {
		c := exec.Command(binary)
		c.Dir = dir
		c.Env = append(os.Environ(), "SETTINGS="+settings, "CDK_OUTDIR="+filepath.Join(dir, "cdk.out"))
		out, err := c.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return string(out), c.ProcessState.ExitCode()
	}

	out, code := run("profiles/closed.toml")
	if code != 0 || !strings.Contains(out, "note: entry.domain is still the sample's gitlab.corp.example.com") {
		t.Errorf("closed: exit %d\n%s", code, out)
	}
	for _, stack := range []string{"Network", "GitLab", "Builds", "Runners"} {
		if _, err := os.Stat(filepath.Join(dir, "cdk.out", stack+".template.json")); err != nil {
			t.Error(err)
		}
	}

	bad := filepath.Join(dir, "bad.toml")
	if err := os.WriteFile(bad, []byte("name = \"X\"\nregion = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, code := run(bad); code != 1 || !strings.Contains(out, "line 2: region: wants text in quotes, not 1") {
		t.Errorf("bad settings: exit %d\n%s", code, out)
	}
	if out, code := run("nothing.toml"); code != 1 || !strings.Contains(out, "copy one of profiles") {
		t.Errorf("no settings: exit %d\n%s", code, out)
	}
	if err := os.Remove(filepath.Join(dir, "build/arm64/fargate-driver-run")); err != nil {
		t.Fatal(err)
	}
	if out, code := run("profiles/small.toml"); code != 1 || !strings.Contains(out, "reading the manager's programs") {
		t.Errorf("no programs: exit %d\n%s", code, out)
	}
}
