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
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

	source string // where it is read, relative to the tree's root; not Name behind a followed link
	crc    uint32 // of the content, known after Digest
}

// Tree is what Scan found: the entries in the order of their names.
type Tree struct {
	Dir      string
	Entries  []Entry
	Warnings []string // what the job log should tell: skipped or doubtful entries
	Bytes    int64    // the sum of the regular files' sizes

	root     string // Dir without links
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
	root, err := filepath.EvalSymlinks(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("reading the context directory: %w", err)
	}
	if info, err := os.Stat(root); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("reading the context directory: %q is not a directory", o.Dir)
	}
	rules, err := loadRules(o)
	if err != nil {
		return nil, err
	}
	t := &Tree{Dir: o.Dir, root: root}
	s := &scanner{ctx: ctx, options: o, rules: rules, tree: t}
	if o.GitFiles {
		err = s.gitFiles()
	} else {
		s.todo = []directory{{}}
	}
	if err == nil {
		err = s.directories()
	}
	if err != nil {
		return nil, err
	}
	if t.Files() == 0 {
		return nil, fmt.Errorf("reading the context directory: nothing of %q is left after the ignore rules", o.Dir)
	}
	slices.SortFunc(t.Entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	if err := t.attributes(ctx); err != nil {
		return nil, fmt.Errorf("reading the context directory: %w", err)
	}
	s.warn()
	return t, t.tooLarge()
}

// attributes looks at each entry, of which only the type is known.
func (t *Tree) attributes(ctx context.Context) error {
	err := each(ctx, t.root, len(t.Entries), run, func(_ context.Context, r *reader, i int) error {
		e := &t.Entries[i]
		st, err := r.stat(e.source)
		if err != nil {
			return err
		}
		if fileType(&st) != e.Mode.Type() {
			return e.changed()
		}
		e.ModTime = time.Unix(st.Mtim.Unix())
		switch e.Mode.Type() {
		case fs.ModeDir:
			e.Mode |= fs.FileMode(st.Mode & 0o777)
		case fs.ModeSymlink:
			e.Mode |= 0o777
			e.Target, err = r.readlink(e.source)
		default:
			e.Mode |= fs.FileMode(st.Mode & 0o777)
			e.Size = st.Size
		}
		return err
	})
	for i := range t.Entries {
		t.Bytes += t.Entries[i].Size
	}
	return err
}

// maxBytes is what one archive may hold. An upload has 10,000 parts of 5 MiB,
// and the smaller of CodeBuild's machines a disk of 64 GB for the archive, what
// is unpacked of it and what is made of that.
const maxBytes = 50_000_000_000

// tooLarge refuses what would fail after an upload of hours.
func (t *Tree) tooLarge() error {
	if t.Bytes <= maxBytes {
		return nil
	}
	var largest []string
	for _, e := range t.Largest(3) {
		largest = append(largest, fmt.Sprintf("%q with %.1f GB", e.Name, float64(e.Size)/1e9))
	}
	return fmt.Errorf("reading the context directory: %d files are %.1f GB, more than the 50 GB that an upload may have; the largest are %s; leave out what is not needed with .dockerignore or --exclude",
		t.Files(), float64(t.Bytes)/1e9, strings.Join(largest, ", "))
}

// run is how many neighbours one core takes at once: their directory is the
// same mostly, and is opened once.
const run = 16

// each calls do for 0 to n-1, run of them after each other, on all cores, until
// one fails. Each core has a reader below root.
func each(ctx context.Context, root string, n, run int, do func(ctx context.Context, r *reader, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	// What is read is in memory mostly: more readers than cores are slower.
	for range min(runtime.GOMAXPROCS(0), (n+run-1)/run) {
		group.Go(func() {
			r := newReader(root)
			defer r.close()
			for ctx.Err() == nil {
				end := int(next.Add(int64(run)))
				for i := end - run; i < min(end, n); i++ {
					if err := do(ctx, r, i); err != nil {
						cancel(err)
						return
					}
				}
				if end >= n {
					return
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}
