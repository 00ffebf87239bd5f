package archive

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		files   tree
		options Options
		want    string // part of the error
	}{
		{name: "name that is not UTF-8", files: tree{"ok": "", "b\xffd": ""}, want: `"b\xffd" is not UTF-8`},
		{name: "link with --symlinks fail", files: tree{"a": "", "l": "-> a"}, options: Options{Symlinks: RefuseSymlinks}, want: `"l" is a symbolic link`},
		{name: "link out of the tree", files: tree{"a": "", "l": "-> /etc"}, options: Options{Symlinks: FollowSymlinks}, want: `the link "l": it leads out of the context directory`},
		{name: "link to itself", files: tree{"a": "", "l": "-> l"}, options: Options{Symlinks: FollowSymlinks}, want: `following the link "l"`},
		{name: "link to its parent", files: tree{"d/a": "", "d/e/up": "-> .."}, options: Options{Symlinks: FollowSymlinks}, want: `"d/e/up": it leads back to`},
		{name: "two links in a circle", files: tree{"a/x": "", "b/y": "", "a/b": "-> ../b", "b/a": "-> ../a"}, options: Options{Symlinks: FollowSymlinks}, want: "a loop"},
		{name: "dangling link", files: tree{"a": "", "l": "-> nowhere"}, options: Options{Symlinks: FollowSymlinks}, want: `following the link "l"`},
		{name: "nothing left", files: tree{"a": "", ".dockerignore": ""}, options: Options{Exclude: []string{"*"}, NoIgnore: true}, want: "is left after the ignore rules"},
		{name: "malformed pattern", files: tree{"a": ""}, options: Options{Exclude: []string{"[a"}}, want: `the syntax is that of .dockerignore`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.options.Dir = test.files.lay(t)
			_, err := Scan(t.Context(), test.options)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestNoSuchDirectory(t *testing.T) {
	t.Parallel()
	dir := tree{"file": ""}.lay(t)
	if _, err := Scan(t.Context(), Options{Dir: filepath.Join(dir, "none")}); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("got %v, want an error that names the directory", err)
	}
	if _, err := Scan(t.Context(), Options{Dir: filepath.Join(dir, "file")}); err == nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("got %v, want an error that it is not a directory", err)
	}
}

func TestTooLongPath(t *testing.T) {
	t.Parallel()
	s := &scanner{tree: &Tree{}}
	name := strings.Repeat("d/", maxName/2) + "f"
	if err := s.add(name, "unused", 0, nil); err == nil || !strings.Contains(err.Error(), "bytes long") {
		t.Errorf("got %v, want the path refused", err)
	}
}

func TestDeepPath(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("directory/", 150) + "file"
	dir := tree{deep: "at the bottom"}.lay(t)
	tr := scan(t, Options{Dir: dir})
	if got := names(tr); got != deep {
		t.Errorf("got %d bytes of a name, want %d", len(got), len(deep))
	}
	zipped(t, tr, 1)
}

func TestSkippedWithAWarning(t *testing.T) {
	t.Parallel()
	// A socket's path is 107 bytes at most, which a test's directory can exceed.
	dir, err := os.MkdirTemp("", "sock")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	write(t, filepath.Join(dir, "größe"), "")
	if err := os.Symlink("../elsewhere", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	devices := 0
	if err := unix.Mknod(filepath.Join(dir, "zero"), unix.S_IFCHR|0o644, int(unix.Mkdev(1, 5))); err == nil {
		devices++ // only root may make one
	}
	tr := scan(t, Options{Dir: dir})
	if got := names(tr); got != "größe out" {
		t.Errorf("got %s, want the file and the link", got)
	}
	all := strings.Join(tr.Warnings, "\n")
	skipped := fmt.Sprintf(`"pipe" and %d more left out: neither a file`, 1+devices)
	for _, want := range []string{skipped, `"out" leads out`, `"größe" is not plain ASCII`} {
		if !strings.Contains(all, want) {
			t.Errorf("got warnings %q, want one with %q", all, want)
		}
	}
}

func TestFollowedLinks(t *testing.T) {
	t.Parallel()
	dir := tree{"shared/lib.go": "lib", "app/lib": "-> ../shared", "app/one": "-> ../shared/lib.go"}.lay(t)
	if got, want := names(scan(t, Options{Dir: dir, Symlinks: FollowSymlinks})), "app/lib/lib.go app/one shared/lib.go"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := names(scan(t, Options{Dir: dir})), "app/lib app/one shared/lib.go"; got != want {
		t.Errorf("stored: got %s, want %s", got, want)
	}
}

func TestGitFiles(t *testing.T) {
	t.Parallel()
	dir := tree{"tracked/a": "a", "untracked": "u", "gone": "g", "ü": "u", ".dockerignore": "tracked/b", "tracked/b": "b"}.lay(t)
	git(t, dir, "init", "-q")
	git(t, dir, "add", "tracked", "gone", "ü", ".dockerignore")
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	if got, want := names(scan(t, Options{Dir: dir, GitFiles: true})), ".dockerignore tracked/a ü"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	_, err := Scan(t.Context(), Options{Dir: tree{"a": ""}.lay(t), GitFiles: true})
	if err == nil || !strings.Contains(err.Error(), "not a git repository") {
		t.Errorf("got %v, want git's own words", err)
	}
}

// git runs git in a directory. A command that fails ends the test, but for a
// merge.
func git(t *testing.T, dir string, args ...string) error {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil && !slices.Contains(args, "merge") {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return err
}
