package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

func (d Dir) aliveFile(key string) string { return filepath.Join(d.path, key+".alive") }

// Hold says, until release is called or the process ends in whatever way, that
// a stage of the job is alive. Several stages may hold one job.
func (d Dir) Hold(key string) (release func(), err error) {
	f, err := os.OpenFile(d.aliveFile(key), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("marking the job as alive: %w", explain(err))
	}
	if err := flock(f, syscall.LOCK_SH); err != nil {
		f.Close()
		return nil, fmt.Errorf("marking the job as alive: %w", err)
	}
	touch := func() { now := time.Now(); os.Chtimes(f.Name(), now, now) }
	touch()
	return func() { touch(); f.Close() }, nil
}

// Held says whether a stage of the job is alive now, and when the last one was
// seen. The time is zero where no stage ever was.
func (d Dir) Held(key string) (now bool, last time.Time, err error) {
	f, err := os.OpenFile(d.aliveFile(key), os.O_RDWR|syscall.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, time.Time{}, nil
	}
	if err != nil {
		return false, time.Time{}, fmt.Errorf("asking whether a job is alive: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, time.Time{}, err
	}
	err = flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return true, info.ModTime(), nil
	case err != nil:
		return false, time.Time{}, fmt.Errorf("asking whether a job is alive: %w", err)
	}
	return false, info.ModTime(), nil
}
