package record

import (
	"os"
	"path/filepath"
	"time"
)

// Reclaimed remembers that AWS took a job's Spot task back, so that its retry
// is launched on demand. What is remembered is a job's hash and a time.
func (d Dir) Reclaimed(recurring string) error {
	dir := filepath.Join(d.path, "reclaimed")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return explain(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, recurring), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return explain(err)
	}
	now := time.Now()
	if err := os.Chtimes(f.Name(), now, now); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// WasReclaimed says whether a job lost a Spot task less than memory ago, and
// forgets all that is older.
func (d Dir) WasReclaimed(recurring string, memory time.Duration) bool {
	dir := filepath.Join(d.path, "reclaimed")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false // nobody lost anything yet
	}
	found := false
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // another stage forgot it just now
		}
		if time.Since(info.ModTime()) > memory {
			os.Remove(filepath.Join(dir, e.Name()))
			continue
		}
		found = found || e.Name() == recurring
	}
	return found
}
