// Package archive turns a directory into the zip that CodeBuild takes as its
// source (or the zip or tar.gz that CodeDeploy takes): what belongs in it, a
// digest that names the content, and the archive itself, the same bytes every
// time. It knows nothing of AWS.
package archive

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Symlinks says what becomes of a symbolic link.
type Symlinks string

const (
	// StoreSymlinks keeps links as links; unzip restores them.
	StoreSymlinks Symlinks = "store"
	// FollowSymlinks puts the file or directory a link leads to in its place.
	// A link out of the tree or into a loop is refused.
	FollowSymlinks Symlinks = "follow"
	// RefuseSymlinks fails on the first link.
	RefuseSymlinks Symlinks = "fail"
)

// Options says which directory, and what of it.
type Options struct {
	Dir string // the root of the archive

	// Dockerfile is relative to Dir. Its own ignore file,
	// <Dockerfile>.dockerignore, comes before .dockerignore.
	Dockerfile string
	// Keep lists paths relative to Dir that no pattern drops, such as the
	// buildspec.
	Keep []string

	Exclude    []string // more patterns, in the syntax of .dockerignore
	Include    []string // taken though a pattern drops them
	IncludeGit bool     // take .git, which is otherwise left out
	NoIgnore   bool     // read no ignore file
	GitFiles   bool     // take exactly what git tracks; patterns still apply

	Symlinks Symlinks // empty means StoreSymlinks
}

// Entry is one file, directory or link of the archive.
type Entry struct {
	Name string // slash-separated, relative; a directory's has no slash at its end
	Mode fs.FileMode
	Size int64 // of a regular file
	// ModTime is the file's own. It is never made uniform: BuildKit's context
	// sync takes a file of the same name, size and time for unchanged, so that
	// a warm builder would go on with old content (moby/buildkit #4817).
	ModTime time.Time
	Target  string // of a link

	source string // where it is read; differs from Name behind a followed link
	crc    uint32 // of the content, known after Digest
}

// Tree is what Scan found: the entries in the order of their names.
type Tree struct {
	Dir      string
	Entries  []Entry
	Warnings []string // what the job log should tell: skipped or doubtful entries
	Bytes    int64    // the sum of the regular files' sizes

	digested bool
}

// Files returns the number of entries that are not directories.
func (t *Tree) Files() int {
	n := 0
	for i := range t.Entries {
		if !t.Entries[i].Mode.IsDir() {
			n++
		}
	}
	return n
}

// Largest returns the n largest files, the largest first.
func (t *Tree) Largest(n int) []Entry {
	files := slices.DeleteFunc(slices.Clone(t.Entries), func(e Entry) bool { return !e.Mode.IsRegular() })
	slices.SortStableFunc(files, func(a, b Entry) int { return cmp.Compare(b.Size, a.Size) })
	return files[:min(n, len(files))]
}

// Scan finds what belongs in the archive. It reads names and attributes only.
// It fails on what the build could not be given faithfully, naming the path.
func Scan(ctx context.Context, o Options) (*Tree, error) {
	info, err := os.Stat(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("reading the context directory: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("reading the context directory: %q is not a directory", o.Dir)
	}
	rules, err := loadRules(o)
	if err != nil {
		return nil, err
	}
	s := &scanner{ctx: ctx, options: o, rules: rules, tree: &Tree{Dir: o.Dir}}
	if s.root, err = filepath.EvalSymlinks(o.Dir); err != nil {
		return nil, fmt.Errorf("reading the context directory: %w", err)
	}
	if o.GitFiles {
		err = s.gitFiles()
	} else {
		err = s.directory("", o.Dir, matchInfo{}, nil)
	}
	if err != nil {
		return nil, err
	}
	if s.tree.Files() == 0 {
		return nil, fmt.Errorf("reading the context directory: nothing of %q is left after the ignore rules", o.Dir)
	}
	s.summariseSkipped()
	slices.SortFunc(s.tree.Entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return s.tree, nil
}
