package archive

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Another process of the job can put anything in a file's place between two of
// our looks at it. Nothing of it may make us wait, or read what is outside.
func TestSwappedMeanwhile(t *testing.T) {
	t.Parallel()
	outside := tree{"f": "secret"}.lay(t)
	swaps := map[string]func(dir string) error{
		"file by a pipe": func(dir string) error {
			return replace(filepath.Join(dir, "d/f"), func(p string) error { return unix.Mkfifo(p, 0o644) })
		},
		"empty file by a pipe": func(dir string) error {
			return replace(filepath.Join(dir, "d/empty"), func(p string) error { return unix.Mkfifo(p, 0o644) })
		},
		"file by a socket": func(dir string) error {
			return replace(filepath.Join(dir, "d/f"), func(p string) error {
				_, err := net.Listen("unix", p)
				return err
			})
		},
		"file by a link": func(dir string) error {
			return replace(filepath.Join(dir, "d/f"), func(p string) error { return os.Symlink(filepath.Join(outside, "f"), p) })
		},
		"file by a directory": func(dir string) error {
			return replace(filepath.Join(dir, "d/f"), func(p string) error { return os.Mkdir(p, 0o755) })
		},
		"directory by a link": func(dir string) error {
			return replace(filepath.Join(dir, "d"), func(p string) error { return os.Symlink(outside, p) })
		},
		"directory by a file": func(dir string) error {
			return replace(filepath.Join(dir, "d"), func(p string) error { return os.WriteFile(p, []byte("secret"), 0o644) })
		},
	}
	for what, swap := range swaps {
		// A socket's path has little room, and a test's directory is long.
		dir, err := os.MkdirTemp("", "swap")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "d/f"), "public")
			write(t, filepath.Join(dir, "d/empty"), "")
			undigested := scan(t, Options{Dir: dir})
			digested := scan(t, Options{Dir: dir})
			if _, err := digested.Digest(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := swap(dir); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			steps := map[string]func() error{
				"digest": func() error { _, err := undigested.Digest(t.Context()); return err },
				"zip":    func() error { return digested.WriteZip(t.Context(), &out, 0, nil) },
				"tar.gz": func() error { return digested.WriteTarGz(t.Context(), &out, 1, nil) },
			}
			for step, do := range steps {
				if err := do(); err == nil || !strings.Contains(err.Error(), `"d/`) || !strings.Contains(err.Error(), "changed while it was being read") {
					t.Errorf("%s: got %v, want an error with the path that changed", step, err)
				}
			}
			if strings.Contains(out.String(), "secret") {
				t.Error("what is outside was read")
			}
		})
	}
}

// replace moves away what is at the path and makes something else there.
func replace(path string, by func(path string) error) error {
	if err := os.Rename(path, path+" before"); err != nil {
		return err
	}
	return by(path)
}

// A file that is cut short after its first part went into the archive.
func TestCutShortWhileItIsZipped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "log")
	// More than is read ahead of the writer.
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, int64(8*inFlight()*partSize)); err != nil {
		t.Fatal(err)
	}
	tr := scan(t, Options{Dir: dir})
	if _, err := tr.Digest(t.Context()); err != nil {
		t.Fatal(err)
	}
	cut := false
	err := tr.WriteZip(t.Context(), io.Discard, 1, func(int64) {
		if !cut {
			cut = true
			if err := os.Truncate(file, partSize); err != nil {
				t.Error(err)
			}
		}
	})
	if !cut || err == nil || !strings.Contains(err.Error(), `"log" changed while it was being read`) {
		t.Errorf("got %v, want an error that the file changed", err)
	}
}

// A directory that git tracks, and whose place a link has taken: git reads
// nothing behind it, nor do we.
func TestGitFilesBehindALink(t *testing.T) {
	t.Parallel()
	outside := tree{"sub/f": "secret"}.lay(t)
	dir := tree{"a": "a", "d/sub/f": "public", "e/f": "public", "g/f": "public"}.lay(t)
	git(t, dir, "init", "-q")
	git(t, dir, "add", ".")
	for name, target := range map[string]string{"d": outside, "e": "a"} {
		err := replace(filepath.Join(dir, name), func(p string) error { return os.Symlink(target, p) })
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "g")); err != nil {
		t.Fatal(err)
	}
	for _, links := range []Symlinks{StoreSymlinks, FollowSymlinks} {
		tr := scan(t, Options{Dir: dir, GitFiles: true, Symlinks: links})
		if got := names(tr); got != "a" {
			t.Errorf("%s: got %s, want only a", links, got)
		}
		want := []string{`"d/sub/f" and 1 more left out: a directory above it has become a link or a file`}
		if fmt.Sprint(tr.Warnings) != fmt.Sprint(want) {
			t.Errorf("%s: got the warnings %q, want %q", links, tr.Warnings, want)
		}
	}
}

// In a conflict git lists a path up to three times.
func TestGitFilesInAConflict(t *testing.T) {
	t.Parallel()
	dir := tree{"f": "base\n"}.lay(t)
	git(t, dir, "init", "-q", "-b", "main")
	commit := func(content string) {
		write(t, filepath.Join(dir, "f"), content)
		git(t, dir, "add", "f")
		git(t, dir, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "-q", "-m", "x")
	}
	commit("base\n")
	git(t, dir, "checkout", "-q", "-b", "other")
	commit("theirs\n")
	git(t, dir, "checkout", "-q", "main")
	commit("ours\n")
	if git(t, dir, "-c", "user.name=x", "-c", "user.email=x@example.com", "merge", "other") == nil {
		t.Fatal("the merge has no conflict")
	}
	if got := names(scan(t, Options{Dir: dir, GitFiles: true})); got != "f" {
		t.Errorf("got %s, want f once", got)
	}
}

// Two links in each of ten directories lead to the next, so that 40 entries
// are 2,000 ways to 300 files.
func TestFollowedLinksAreBounded(t *testing.T) {
	t.Parallel()
	files := tree{}
	for i := range 10 {
		next := fmt.Sprintf("-> ../d%d", i+1)
		files[fmt.Sprintf("d%d/a", i)], files[fmt.Sprintf("d%d/b", i)] = next, next
	}
	for i := range 300 {
		files[fmt.Sprintf("d10/file%d", i)] = ""
	}
	dir := files.lay(t)
	_, err := Scan(t.Context(), Options{Dir: dir, Symlinks: FollowSymlinks})
	if err == nil || !strings.Contains(err.Error(), "over 200000 entries behind links") || !strings.Contains(err.Error(), `"d`) {
		t.Errorf("got %v, want an error with the path and the limit", err)
	}
	if got := len(scan(t, Options{Dir: dir}).Entries); got != 331 {
		t.Errorf("got %d entries with the links as links, want 331", got)
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	dir := tree{"small": "x"}.lay(t)
	for name, size := range map[string]int64{"dump.sql": 40e9, "cache/layers.tar": 11e9} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(size); err != nil { // nothing of it is on the disk
			t.Fatal(err)
		}
	}
	_, err := Scan(t.Context(), Options{Dir: dir})
	want := `3 files are 51.0 GB, more than the 50 GB that an upload may have; the largest are "dump.sql" with 40.0 GB, "cache/layers.tar" with 11.0 GB`
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error with %q", err, want)
	}
	if tr := scan(t, Options{Dir: dir, Exclude: []string{"cache"}}); tr.Bytes != 40e9+1 {
		t.Errorf("got %d bytes without the cache", tr.Bytes)
	}
}

func TestIgnoreFileThatIsAPipe(t *testing.T) {
	t.Parallel()
	dir := tree{"a": ""}.lay(t)
	if err := unix.Mkfifo(filepath.Join(dir, ".dockerignore"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Scan(context.WithoutCancel(t.Context()), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), ".dockerignore is not a regular file") {
		t.Errorf("got %v, want the pipe refused", err)
	}
}
