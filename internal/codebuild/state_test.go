package codebuild_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/bridgetest"
)

// Somebody else can have made a directory of that name in a shared /tmp. Then
// nothing is kept there, the build goes on, and `stop` stops nothing.
func TestStateDirectoryOfSomebodyElse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string) error
		want    string
	}{
		{"a link", func(t *testing.T, dir string) error { return os.Symlink(t.TempDir(), dir) }, "is a link"},
		{"a file", func(_ *testing.T, dir string) error { return os.WriteFile(dir, nil, 0o600) }, "not a directory"},
		{"writable by others", func(_ *testing.T, dir string) error {
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chmod(dir, 0o777)
		}, "others may write to"},
		{"another owner", func(t *testing.T, dir string) error {
			if os.Getuid() != 0 {
				t.Skip("only root can give a directory away")
			}
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.Chown(dir, 12345, 12345)
		}, "belongs to user 12345"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
			w.options.StateDir = filepath.Join(t.TempDir(), "state")
			if err := test.prepare(t, w.options.StateDir); err != nil {
				t.Fatal(err)
			}
			w.want(0, "will not find this build", test.want, "SUCCEEDED")
			if left, err := filepath.Glob(w.options.StateDir + "/*"); err != nil || len(left) != 0 {
				t.Errorf("got %v %v there, want nothing", left, err)
			}
			// What is there says nothing of builds of ours.
			var out bridgetest.Buffer
			err := codebuild.New(w.cfg, codebuild.Options{Out: &out}).Stop(t.Context(), w.options.StateDir)
			if code := w.code(err); code != 2 {
				t.Errorf("stop: got exit code %d, want 2", code)
			}
			if n := len(w.AWS.Calls("StopBuild", "ListBuildsForProject")); n != 0 {
				t.Errorf("stop made %d calls", n)
			}
		})
	}
}

func TestStateDirectoryIsOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
	w.options.StateDir = filepath.Join(t.TempDir(), "a", "state")
	w.want(0, "SUCCEEDED")
	info, err := os.Stat(w.options.StateDir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v %v, want a directory of mode 0700", info, err)
	}
	if strings.Contains(w.log.String(), "will not find") {
		t.Errorf("got\n%s", w.log)
	}
}
