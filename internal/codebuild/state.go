package codebuild

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// State is what is kept of a build, from before it is started until it has
// ended, so that after_script can stop it when the bridge itself was killed.
type State struct {
	Project string `json:"project"`
	Region  string `json:"region"`
	// Token is the value of start.TokenVariable in the build's environment.
	Token string `json:"token"`
	// BuildID is empty until StartBuild has answered.
	BuildID string `json:"buildId,omitempty"`
}

// stateFile is where a State is kept; the zero value keeps nothing.
type stateFile struct{ path string }

// newStateFile makes the directory. A build of its own has a file of its own: a
// job may start several.
func newStateFile(dir, token string) (stateFile, error) {
	if dir == "" {
		return stateFile{}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return stateFile{}, err
	}
	if err := ours(dir); err != nil {
		return stateFile{}, err
	}
	return stateFile{filepath.Join(dir, token+".json")}, nil
}

// save replaces the file as a whole: we may be killed at any time.
func (f stateFile) save(s State) error {
	if f.path == "" {
		return nil
	}
	content, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(f.path+".new", f.path)
}

func (f stateFile) forget() {
	if f.path != "" {
		os.Remove(f.path)
	}
}

// Saved lists the builds of which a state is kept, by their files.
func Saved(dir string) (map[string]State, error) {
	err := ours(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var files []os.DirEntry
	if err == nil {
		files, err = os.ReadDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the saved builds: %w", err)
	}
	found := map[string]State{}
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".json" {
			continue
		}
		path := filepath.Join(dir, f.Name())
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the saved builds: %w", err)
		}
		var s State
		if err := json.Unmarshal(content, &s); err != nil || (s.BuildID == "" && s.Token == "") {
			continue // none of ours
		}
		found[path] = s
	}
	return found, nil
}

// ours tells whether a directory is one that nobody but us can have written to.
// Its name in a shared /tmp can be guessed: what somebody else has put there
// would have us stop builds of his choice, or write where his link leads.
func ours(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a link, which may lead anywhere; remove it, or give a directory with --state-dir", dir)
	case !info.IsDir():
		return fmt.Errorf("%s is no directory; remove it, or give one with --state-dir", dir)
	case known && int(owner.Uid) != os.Getuid():
		return fmt.Errorf("%s belongs to user %d, and we are user %d; give a directory of your own with --state-dir", dir, owner.Uid, os.Getuid())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write to %s; `chmod go-w` it, or give another directory with --state-dir", dir)
	}
	return nil
}
