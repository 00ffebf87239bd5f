package render

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// machine is a host made of a directory and of stubs on PATH: the scripts
// really run, and touch nothing outside.
type machine struct {
	root, files, log string
	env              []string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	for _, tool := range []string{"bash", "sha256sum", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: the scripts of the hosts were not run", tool)
		}
	}
	m := &machine{root: t.TempDir(), files: t.TempDir(), log: filepath.Join(t.TempDir(), "log")}
	stub, err := filepath.Abs("testdata/stub.sh")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	for _, name := range []string{
		"aws", "curl", "dnf", "systemctl", "useradd", "id", "chown", "install", "amazon-cloudwatch-agent-ctl",
		"mount", "mkfs.xfs", "xfs_growfs", "blkid", "docker", "sysctl", "sleep",
	} {
		if err := os.Symlink(stub, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	m.env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "STUB_LOG="+m.log, "STUB_FILES="+m.files)
	return m
}

// file puts something where the stubs of aws and curl find it, and returns its
// checksum.
func (m *machine) file(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.files, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// run runs a script with the stubs answering as ordered, and returns its
// output and whether it succeeded.
func (m *machine) run(t *testing.T, script string, orders ...string) (string, bool) {
	t.Helper()
	if err := os.WriteFile(m.log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("bash", "-c", script)
	c.Env = append(m.env, orders...)
	out, err := c.CombinedOutput()
	return string(out), err == nil
}

func (m *machine) calls(t *testing.T) string { return m.read(t, m.log) }

func (m *machine) read(t *testing.T, file string) string {
	t.Helper()
	if !filepath.IsAbs(file) {
		file = filepath.Join(m.root, file)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (m *machine) has(file string) bool {
	_, err := os.Stat(filepath.Join(m.root, file))
	return err == nil
}
