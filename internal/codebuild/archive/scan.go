package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxName is the longest path we put into an archive. Linux takes 4,096 bytes
// for a whole path, and CodeBuild unpacks below a directory of its own
// (/codebuild/output/src123456789/src).
const maxName = 4000

// scanner walks a directory and collects the names and types of its entries.
type scanner struct {
	ctx     context.Context
	options Options
	rules   *rules
	tree    *Tree

	todo     []directory // to be looked at
	followed int         // entries that are there because a link was followed
	special  []string    // neither file nor directory nor link
	beyond   []string    // of git, with a link in the place of a directory above
}

// directory is one whose children are still to be collected.
type directory struct {
	name    string // in the archive
	source  string // where it is
	matched matchInfo
	via     []string // the directories that links above it have led to
}

// atOnce is how many directories are listed before their children are looked
// at: enough for all cores, and little memory for their names.
const atOnce = 64

// directories collects what is in the directories that are to be looked at,
// and in those that this adds to them.
func (s *scanner) directories() error {
	for len(s.todo) > 0 {
		rest := max(len(s.todo)-atOnce, 0)
		now := slices.Clone(s.todo[rest:])
		s.todo = s.todo[:rest]
		lists := make([][]fs.DirEntry, len(now))
		err := each(s.ctx, s.tree.root, len(now), 1, func(_ context.Context, r *reader, i int) (err error) {
			lists[i], err = r.list(now[i].source)
			return err
		})
		if err != nil {
			return fmt.Errorf("reading the context directory: %w", err)
		}
		for i, d := range now {
			for _, child := range lists[i] {
				source := join(d.source, child.Name())
				name := source
				if d.name != d.source {
					name = join(d.name, child.Name())
				}
				if err := s.child(name, source, child.Type(), d.matched, d.via); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

func (s *scanner) child(name, source string, mode fs.FileMode, parent matchInfo, via []string) error {
	dropped, matched, err := s.rules.drops(name, parent)
	if err != nil {
		return err
	}
	if mode.IsDir() {
		if dropped && !s.rules.mayKeepBelow(name) {
			return nil
		}
		if !dropped {
			if err := s.add(name, source, mode, via); err != nil {
				return err
			}
		}
		s.todo = append(s.todo, directory{name, source, matched, via})
		return nil
	}
	if dropped {
		return nil
	}
	if mode&fs.ModeSymlink != 0 && s.options.Symlinks == FollowSymlinks {
		return s.follow(name, source, matched, via)
	}
	return s.add(name, source, mode, via)
}

// follow puts what the link at source leads to under name.
func (s *scanner) follow(name, source string, matched matchInfo, via []string) error {
	const cure = "leave it out with --exclude or use --symlinks store"
	root := s.tree.root
	target, err := filepath.EvalSymlinks(filepath.Join(root, source))
	if err != nil {
		return fmt.Errorf("following the link %q: %w; %s", name, err, cure)
	}
	to, err := filepath.Rel(root, target)
	if err != nil || !filepath.IsLocal(to) {
		return fmt.Errorf("following the link %q: it leads out of the context directory, to %q; %s", name, target, cure)
	}
	info, err := os.Lstat(target)
	if err != nil {
		return fmt.Errorf("following the link %q: %w", name, err)
	}
	if to == "." {
		to = ""
	}
	via = append(slices.Clone(via), to)
	if !info.IsDir() {
		return s.add(name, to, info.Mode(), via)
	}
	if slices.Contains(via[:len(via)-1], to) || to == "" || within(source, to) {
		return fmt.Errorf("following the link %q: it leads back to %q, a loop; %s", name, target, cure)
	}
	if err := s.add(name, to, fs.ModeDir, via); err != nil {
		return err
	}
	s.todo = append(s.todo, directory{name, to, matched, via})
	return nil
}

// maxFollowed bounds what following links can make of a tree: links to
// directories of links double it with each level. Past it, what is meant is
// hardly this; and an entry takes some 200 bytes of memory.
const maxFollowed = 200_000

// add puts one entry into the tree, or refuses it. Of mode the type counts.
func (s *scanner) add(name, source string, mode fs.FileMode, via []string) error {
	if !utf8.ValidString(name) {
		return fmt.Errorf("reading the context directory: the name %q is not UTF-8, which CodeBuild cannot unpack; rename the file or leave it out with --exclude", name)
	}
	if len(name) > maxName {
		return fmt.Errorf("reading the context directory: the path %q... is %d bytes long, CodeBuild can unpack %d at most; leave it out with --exclude", name[:80], len(name), maxName)
	}
	if len(via) > 0 {
		if s.followed++; s.followed > maxFollowed {
			return fmt.Errorf("following the link to %q: with %q there are over %d entries behind links; leave some out with --exclude or use --symlinks store", via[0], name, maxFollowed)
		}
	}
	if mode&fs.ModeSymlink != 0 && s.options.Symlinks == RefuseSymlinks {
		return fmt.Errorf("reading the context directory: %q is a symbolic link and --symlinks is fail", name)
	}
	if mode.Type()&^(fs.ModeDir|fs.ModeSymlink) != 0 {
		// A socket or a device means nothing to a build; docker refuses to
		// copy one, and leaves it out of a context.
		s.special = append(s.special, name)
		return nil
	}
	s.tree.Entries = append(s.tree.Entries, Entry{Name: name, Mode: mode.Type(), source: source})
	return nil
}

// leavesTree tells whether a stored link would lead out of the tree.
func leavesTree(name, target string) bool {
	if path.IsAbs(target) {
		return true
	}
	resolved := path.Join(path.Dir(name), target)
	return resolved == ".." || strings.HasPrefix(resolved, "../")
}

// gitFiles collects what git tracks, submodules too, and the directories
// above it.
func (s *scanner) gitFiles() error {
	cmd := exec.CommandContext(s.ctx, "git", "-c", "core.quotePath=false", "-C", s.options.Dir,
		"ls-files", "-z", "--cached", "--recurse-submodules")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("listing the files that git tracks in %q: %s", s.options.Dir, bytes.TrimSpace(exit.Stderr))
		}
		return fmt.Errorf("listing the files that git tracks: %w; --git-files needs git in the job's image", err)
	}
	r := newReader(s.tree.root)
	defer r.close()
	seen := map[string]matchInfo{"": {}}
	last := ""
	for name := range strings.SplitSeq(string(out), "\x00") {
		if name == "" || name == last {
			continue // a conflict has up to three entries
		}
		last = name
		st, err := r.stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // deleted in the work tree: git lists it until that is committed
		case isOther(err):
			// Git takes it for deleted too. What is behind a link can be anything.
			s.beyond = append(s.beyond, name)
			continue
		case err != nil:
			return fmt.Errorf("reading the context directory: %w", err)
		case fileType(&st) == fs.ModeDir:
			continue // a submodule that is not checked out
		}
		dir, _ := split(name)
		parent, err := s.gitParents(dir, seen)
		if err != nil {
			return err
		}
		if err := s.child(name, name, fileType(&st), parent, nil); err != nil {
			return err
		}
	}
	return nil
}

// gitParents adds dir and what is above it, once each.
func (s *scanner) gitParents(dir string, seen map[string]matchInfo) (matchInfo, error) {
	if matched, ok := seen[dir]; ok {
		return matched, nil
	}
	above, _ := split(dir)
	parent, err := s.gitParents(above, seen)
	if err != nil {
		return matchInfo{}, err
	}
	dropped, matched, err := s.rules.drops(dir, parent)
	if err != nil {
		return matchInfo{}, err
	}
	seen[dir] = matched
	if dropped {
		return matched, nil
	}
	return matched, s.add(dir, dir, fs.ModeDir, nil)
}

// warn makes one warning of all entries of a kind.
func (s *scanner) warn() {
	var outside, nonASCII []string
	for i := range s.tree.Entries {
		e := &s.tree.Entries[i]
		if e.Target != "" && leavesTree(e.Name, e.Target) {
			outside = append(outside, e.Name)
		}
		if strings.ContainsFunc(e.Name, func(r rune) bool { return r >= utf8.RuneSelf }) {
			nonASCII = append(nonASCII, e.Name)
		}
	}
	warn := func(names []string, format string) {
		if len(names) == 0 {
			return
		}
		slices.Sort(names)
		shown := fmt.Sprintf("%q", names[0])
		if len(names) > 1 {
			shown += fmt.Sprintf(" and %d more", len(names)-1)
		}
		s.tree.Warnings = append(s.tree.Warnings, fmt.Sprintf(format, shown))
	}
	warn(s.special, "%s left out: neither a file, a directory nor a link")
	warn(s.beyond, "%s left out: a directory above it has become a link or a file")
	warn(outside, "%s leads out of the context directory and will lead nowhere in the build")
	warn(nonASCII, "%s is not plain ASCII: unpacking it can fail where the build image has the POSIX locale")
}
