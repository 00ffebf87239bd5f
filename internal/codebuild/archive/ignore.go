package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"golang.org/x/sys/unix"
)

// matchInfo is what the rules remember of a directory for what is in it.
type matchInfo = patternmatcher.MatchInfo

// rules decide what is left out, as `docker build` decides it.
type rules struct {
	matcher *patternmatcher.PatternMatcher
	// exceptions are the `!` patterns, split at the slashes: a directory that
	// is left out must still be entered where one of them may match inside.
	exceptions [][]string
}

// loadRules reads the ignore file and adds what the options say. The order
// matters, the last match wins: .git, the file's patterns, Exclude, Include,
// and what is always kept.
func loadRules(o Options) (*rules, error) {
	var patterns []string
	if !o.IncludeGit {
		patterns = append(patterns, ".git")
	}
	kept := append([]string{}, o.Keep...)
	if !o.NoIgnore {
		name, fromFile, err := readIgnoreFile(o)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, fromFile...)
		if name != "" {
			// BuildKit reads it again on the other side.
			kept = append(kept, name)
		}
	}
	if o.Dockerfile != "" {
		kept = append(kept, o.Dockerfile)
	}
	patterns = append(patterns, o.Exclude...)
	for _, p := range append(append([]string{}, o.Include...), kept...) {
		patterns = append(patterns, "!"+strings.TrimPrefix(path.Clean(filepath.ToSlash(p)), "/"))
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf("reading the ignore patterns: %w; the syntax is that of .dockerignore", err)
	}
	r := &rules{matcher: matcher}
	for _, p := range matcher.Patterns() {
		// A pattern is compiled at its first use; a malformed one is told now.
		if _, err := path.Match(strings.ReplaceAll(p.String(), "**", "*"), "x"); err != nil {
			return nil, fmt.Errorf("reading the ignore patterns: %q: %w; the syntax is that of .dockerignore", p.String(), err)
		}
		if p.Exclusion() {
			r.exceptions = append(r.exceptions, strings.Split(p.String(), "/"))
		}
	}
	return r, nil
}

// readIgnoreFile returns the first of <Dockerfile>.dockerignore and
// .dockerignore, and its patterns; no file is no patterns.
func readIgnoreFile(o Options) (name string, patterns []string, err error) {
	candidates := []string{".dockerignore"}
	if o.Dockerfile != "" {
		candidates = append([]string{o.Dockerfile + ".dockerignore"}, candidates...)
	}
	for _, name := range candidates {
		file := filepath.Join(o.Dir, filepath.FromSlash(name))
		f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe would block
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("reading the ignore patterns: %w", err)
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return "", nil, fmt.Errorf("reading the ignore patterns: %s is not a regular file", name)
		}
		patterns, err := ignorefile.ReadAll(f)
		if err != nil {
			return "", nil, fmt.Errorf("reading the ignore patterns of %s: %w", name, err)
		}
		return name, patterns, nil
	}
	return "", nil, nil
}

// drops tells whether name is left out, and what to remember for its children.
func (r *rules) drops(name string, parent matchInfo) (bool, matchInfo, error) {
	dropped, info, err := r.matcher.MatchesUsingParentResults(filepath.FromSlash(name), parent)
	if err != nil {
		return false, info, fmt.Errorf("applying the ignore patterns to %q: %w", name, err)
	}
	return dropped, info, nil
}

// mayKeepBelow tells whether an exception could match something inside the
// directory name, so that it has to be entered though it is left out.
func (r *rules) mayKeepBelow(name string) bool {
	parts := strings.Split(name, "/")
	for _, exception := range r.exceptions {
		if mayMatchBelow(exception, parts) {
			return true
		}
	}
	return false
}

func mayMatchBelow(pattern, dir []string) bool {
	for i, part := range dir {
		if i >= len(pattern) {
			return false // the pattern names a parent: handled when that was met
		}
		if strings.Contains(pattern[i], "**") {
			return true
		}
		if ok, err := path.Match(pattern[i], part); err != nil || !ok {
			return false
		}
	}
	return len(pattern) > len(dir)
}
