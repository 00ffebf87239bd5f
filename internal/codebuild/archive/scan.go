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

// scanner walks a directory and collects its entries.
type scanner struct {
	ctx     context.Context
	options Options
	rules   *rules
	root    string // Dir without links, to tell what is out of the tree
	tree    *Tree

	nonASCII []string
	special  []string
	outside  []string
}

// directory collects what is in the directory at source, whose name in the
// archive is name. via are the real paths of the followed links above it.
func (s *scanner) directory(name, source string, parent matchInfo, via []string) error {
	if err := s.ctx.Err(); err != nil {
		return context.Cause(s.ctx)
	}
	children, err := os.ReadDir(source)
	if err != nil {
		return fmt.Errorf("reading the context directory: %w", err)
	}
	for _, child := range children {
		if err := s.child(path.Join(name, child.Name()), filepath.Join(source, child.Name()), parent, via); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) child(name, source string, parent matchInfo, via []string) error {
	dropped, matched, err := s.rules.drops(name, parent)
	if err != nil {
		return err
	}
	info, err := os.Lstat(source)
	if err != nil {
		return fmt.Errorf("reading the context directory: %w", err)
	}
	if info.IsDir() {
		if dropped && !s.rules.mayKeepBelow(name) {
			return nil
		}
		if !dropped {
			if err := s.add(name, source, info); err != nil {
				return err
			}
		}
		return s.directory(name, source, matched, via)
	}
	if dropped {
		return nil
	}
	if info.Mode()&fs.ModeSymlink != 0 && s.options.Symlinks == FollowSymlinks {
		return s.follow(name, source, matched, via)
	}
	return s.add(name, source, info)
}

// follow puts what the link at source leads to under name.
func (s *scanner) follow(name, source string, matched matchInfo, via []string) error {
	target, err := filepath.EvalSymlinks(source)
	if err != nil {
		return fmt.Errorf("following the link %q: %w; leave it out with --exclude or use --symlinks store", name, err)
	}
	if target != s.root && !strings.HasPrefix(target, s.root+string(filepath.Separator)) {
		return fmt.Errorf("following the link %q: it leads out of the context directory, to %q; leave it out with --exclude or use --symlinks store", name, target)
	}
	info, err := os.Stat(target)
	if err != nil {
		return fmt.Errorf("following the link %q: %w", name, err)
	}
	if !info.IsDir() {
		return s.add(name, target, info)
	}
	here, err := filepath.EvalSymlinks(filepath.Dir(source))
	if err != nil {
		return fmt.Errorf("following the link %q: %w", name, err)
	}
	if slices.Contains(via, target) || here == target || strings.HasPrefix(here, target+string(filepath.Separator)) {
		return fmt.Errorf("following the link %q: it leads back to %q, a loop; leave it out with --exclude or use --symlinks store", name, target)
	}
	if err := s.add(name, target, info); err != nil {
		return err
	}
	return s.directory(name, target, matched, append(slices.Clone(via), target))
}

// add puts one entry into the tree, or refuses it.
func (s *scanner) add(name, source string, info fs.FileInfo) error {
	if !utf8.ValidString(name) {
		return fmt.Errorf("reading the context directory: the name %q is not UTF-8, which CodeBuild cannot unpack; rename the file or leave it out with --exclude", name)
	}
	if len(name) > maxName {
		return fmt.Errorf("reading the context directory: the path %q... is %d bytes long, CodeBuild can unpack %d at most; leave it out with --exclude", name[:80], len(name), maxName)
	}
	entry := Entry{Name: name, ModTime: info.ModTime(), source: source}
	switch mode := info.Mode(); {
	case mode.IsDir():
		entry.Mode = fs.ModeDir | mode.Perm()
	case mode.IsRegular():
		entry.Mode = mode.Perm()
		entry.Size = info.Size()
		s.tree.Bytes += entry.Size
	case mode&fs.ModeSymlink != 0:
		if s.options.Symlinks == RefuseSymlinks {
			return fmt.Errorf("reading the context directory: %q is a symbolic link and --symlinks is fail", name)
		}
		target, err := os.Readlink(source)
		if err != nil {
			return fmt.Errorf("reading the context directory: %w", err)
		}
		entry.Mode, entry.Target = fs.ModeSymlink|0o777, filepath.ToSlash(target)
		if leavesTree(name, entry.Target) {
			s.outside = append(s.outside, name)
		}
	default:
		// A socket or a device means nothing to a build; docker refuses to
		// copy one, and leaves it out of a context.
		s.special = append(s.special, name)
		return nil
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf }) {
		s.nonASCII = append(s.nonASCII, name)
	}
	s.tree.Entries = append(s.tree.Entries, entry)
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
	seen := map[string]matchInfo{".": {}}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		parent, err := s.gitParents(path.Dir(name), seen)
		if err != nil {
			return err
		}
		source := filepath.Join(s.options.Dir, filepath.FromSlash(name))
		if info, err := os.Lstat(source); errors.Is(err, fs.ErrNotExist) {
			continue // deleted in the work tree: git lists it until that is committed
		} else if err == nil && info.IsDir() {
			continue // a submodule that is not checked out
		}
		if err := s.child(name, source, parent, nil); err != nil {
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
	parent, err := s.gitParents(path.Dir(dir), seen)
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
	source := filepath.Join(s.options.Dir, filepath.FromSlash(dir))
	info, err := os.Stat(source)
	if errors.Is(err, fs.ErrNotExist) {
		return matched, nil
	}
	if err != nil {
		return matchInfo{}, fmt.Errorf("reading the context directory: %w", err)
	}
	return matched, s.add(dir, source, info)
}

// summariseSkipped makes one warning of many entries of a kind.
func (s *scanner) summariseSkipped() {
	warn := func(names []string, format string) {
		if len(names) == 0 {
			return
		}
		shown := fmt.Sprintf("%q", names[0])
		if len(names) > 1 {
			shown += fmt.Sprintf(" and %d more", len(names)-1)
		}
		s.tree.Warnings = append(s.tree.Warnings, fmt.Sprintf(format, shown))
	}
	warn(s.special, "%s left out: neither a file, a directory nor a link")
	warn(s.outside, "%s leads out of the context directory and will lead nowhere in the build")
	warn(s.nonASCII, "%s is not plain ASCII: unpacking it can fail where the build image has the POSIX locale")
}
