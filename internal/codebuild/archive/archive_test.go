package archive

import (
	"bytes"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tree is a set of files to lay out: a value that begins with "-> " is a link,
// a name that ends in / a directory.
type tree map[string]string

func (files tree) lay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	stamp := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case strings.HasPrefix(content, "-> "):
			err = os.Symlink(strings.TrimPrefix(content, "-> "), path)
		default:
			mode := fs.FileMode(0o644)
			if strings.HasPrefix(content, "#!") {
				mode = 0o755
			}
			if err = os.WriteFile(path, []byte(content), mode); err == nil {
				err = os.Chtimes(path, stamp, stamp)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func names(tr *Tree) string {
	var out []string
	for _, e := range tr.Entries {
		if !e.Mode.IsDir() {
			out = append(out, e.Name)
		}
	}
	return strings.Join(out, " ")
}

func scan(t *testing.T, o Options) *Tree {
	t.Helper()
	tr, err := Scan(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func zipped(t *testing.T, tr *Tree, level int) []byte {
	t.Helper()
	if _, err := tr.Digest(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tr.WriteZip(t.Context(), &out, level, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWhatIsTaken(t *testing.T) {
	t.Parallel()
	files := tree{
		".git/HEAD": "ref", "Dockerfile": "FROM x", "buildspec.yml": "version: 0.2",
		"src/a.go": "a", "src/gen/b.go": "b", "dist/app.js": "app", "dist/app.js.map": "map",
		"docs/index.md": "i", "docs/deep/er/keep.md": "k", "docs/deep/er/drop.md": "d",
		"build/prod.Dockerfile": "FROM y",
	}
	tests := []struct {
		name    string
		ignore  string
		special string // the content of build/prod.Dockerfile.dockerignore
		options Options
		want    string
	}{
		{name: "all but .git", want: "Dockerfile build/prod.Dockerfile buildspec.yml dist/app.js dist/app.js.map docs/deep/er/drop.md docs/deep/er/keep.md docs/index.md src/a.go src/gen/b.go"},
		{name: "with .git", options: Options{IncludeGit: true, Exclude: []string{"*", "!.git"}, Dockerfile: "Dockerfile"}, want: ".git/HEAD Dockerfile"},
		{name: "everything ignored keeps what the build needs", ignore: "*", options: Options{Dockerfile: "Dockerfile", Keep: []string{"buildspec.yml"}}, want: ".dockerignore Dockerfile buildspec.yml"},
		{name: "exception deep in a dropped directory", ignore: "*\n!docs/**/keep.md", want: ".dockerignore docs/deep/er/keep.md"},
		{name: "anchored at the root", ignore: "er\ngen", want: ".dockerignore Dockerfile build/prod.Dockerfile buildspec.yml dist/app.js dist/app.js.map docs/deep/er/drop.md docs/deep/er/keep.md docs/index.md src/a.go src/gen/b.go"},
		{name: "double star", ignore: "**/gen\n**/*.md\n", want: ".dockerignore Dockerfile build/prod.Dockerfile buildspec.yml dist/app.js dist/app.js.map src/a.go"},
		{name: "last match wins", ignore: "docs\n!docs/deep\ndocs/deep/er/drop.md", options: Options{Exclude: []string{"src", "dist", "build"}}, want: ".dockerignore Dockerfile buildspec.yml docs/deep/er/keep.md"},
		{name: "the Dockerfile's own ignore file comes first", ignore: "*", special: "src\ndist\ndocs\nDockerfile", options: Options{Dockerfile: "build/prod.Dockerfile"}, want: ".dockerignore build/prod.Dockerfile build/prod.Dockerfile.dockerignore buildspec.yml"},
		{name: "excluded and included by flags", options: Options{Exclude: []string{"*", "!src"}, Include: []string{"dist/*.map", "Dockerfile"}}, want: "Dockerfile dist/app.js.map src/a.go src/gen/b.go"},
		{name: "ignore file not read", ignore: "*", options: Options{NoIgnore: true, Exclude: []string{"d*", "src", "build*"}}, want: ".dockerignore Dockerfile"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := files.lay(t)
			if test.ignore != "" {
				write(t, filepath.Join(dir, ".dockerignore"), test.ignore)
			}
			if test.special != "" {
				write(t, filepath.Join(dir, "build/prod.Dockerfile.dockerignore"), test.special)
			}
			test.options.Dir = dir
			if got := names(scan(t, test.options)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDigestNamesTheContent(t *testing.T) {
	t.Parallel()
	base := tree{"a": "one", "b/c": "#!two", "l": "-> a"}
	digest := func(t *testing.T, files tree, change func(dir string)) string {
		dir := files.lay(t)
		if change != nil {
			change(dir)
		}
		d, err := scan(t, Options{Dir: dir}).Digest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	want := digest(t, base, nil)
	if len(want) != 2*sha256.Size {
		t.Fatalf("got %q, want a SHA-256", want)
	}
	same := map[string]func(dir string){
		"again": nil,
		"other times": func(dir string) {
			if err := os.Chtimes(filepath.Join(dir, "a"), time.Now(), time.Now()); err != nil {
				t.Error(err)
			}
		},
		"other read bits": func(dir string) {
			if err := os.Chmod(filepath.Join(dir, "a"), 0o600); err != nil {
				t.Error(err)
			}
		},
	}
	for name, change := range same {
		if got := digest(t, base, change); got != want {
			t.Errorf("%s: got %s, want the same digest %s", name, got, want)
		}
	}
	differs := map[string]tree{
		"content":         {"a": "oen", "b/c": "#!two", "l": "-> a"},
		"name":            {"A": "one", "b/c": "#!two", "l": "-> a"},
		"executable":      {"a": "one", "b/c": "%!two", "l": "-> a"},
		"link":            {"a": "one", "b/c": "#!two", "l": "-> b"},
		"link as file":    {"a": "one", "b/c": "#!two", "l": "a"},
		"boundaries":      {"a": "on", "b/c": "e#!two", "l": "-> a"},
		"empty directory": {"a": "one", "b/c": "#!two", "l": "-> a", "d/": ""},
	}
	for name, files := range differs {
		if digest(t, files, nil) == want {
			t.Errorf("%s: the digest is the same", name)
		}
	}
}

func TestLargestAndCounts(t *testing.T) {
	t.Parallel()
	tr := scan(t, Options{Dir: tree{"a": "1", "b/c": "333", "d": "22", "e/": ""}.lay(t)})
	var got []string
	for _, e := range tr.Largest(2) {
		got = append(got, e.Name)
	}
	if !slices.Equal(got, []string{"b/c", "d"}) || tr.Files() != 3 || tr.Bytes != 6 {
		t.Errorf("got %v, %d files, %d bytes; want b/c d, 3, 6", got, tr.Files(), tr.Bytes)
	}
}
