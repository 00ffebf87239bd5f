// Package record keeps the task record: the driver's file about one job's
// task, by which the stages of a job, cleanup and the reaper find each other.
//
// Files are written whole or not at all, with mode 0600, and changed only
// under the directory's lock, so that stages of one job may run at the same
// time and be killed at any instant. A record is written before the AWS call
// that it describes.
package record

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// Record is what the driver must remember of a job's task.
type Record struct {
	Format int // of this file; see format

	Key         string // the job's, and the file's name
	JobID       int64
	JobName     string
	PipelineID  int64
	ProjectPath string
	Recurring   string // the job's name among its retries

	Created time.Time // when prepare wrote the intent

	Cluster   string
	Region    string
	Container string
	StartedBy string

	// The intent: with these the launch can be found, or repeated without
	// starting a second task.
	ClientToken string
	Place       string
	PublicKey   string // the one authorized_keys line; unique to this task

	TaskARN string
	Size    string // "0.25 vCPU, 512 MiB", for people

	// How to log in.
	Address    string // host:port
	JobAddress string // of a job in its own image, whose helper has Address; or empty
	Username   string
	PrivateKey string // PEM
	HostKey    string // authorized_keys form; empty until the first connection to an OpenSSH image
	Agent      string // version of the agent; empty for OpenSSH

	Run Settings

	Ready bool   // SSH answered; scripts can be run
	Ended string // why the task is known to be gone; later stages fail at once with this

	// Abandoned says that cleanup has begun: no stage may launch or run
	// anything any more.
	Abandoned time.Time
}

// Settings is what the run stage needs of fargate.toml, so that it does not
// have to read it.
type Settings struct {
	ConnectTimeout time.Duration
	KeepAlive      time.Duration
	ResumeLimit    time.Duration
	KillGrace      time.Duration
}

// format is the version of the file's layout.
const format = 1

// ErrNone says that there is no record of a job.
var ErrNone = errors.New("no task record")

// ErrAbandoned says that cleanup has taken the job's record over.
var ErrAbandoned = errors.New("the job was cleaned up meanwhile")

// Dir is the directory of records.
type Dir struct{ path string }

// Open checks that the directory is there; it creates nothing.
func Open(path string) (Dir, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Dir{}, fmt.Errorf("opening the directory of task records: %w; create it for the user that runs gitlab-runner, or correct [TaskMetadata] Directory", err)
	}
	if !info.IsDir() {
		return Dir{}, fmt.Errorf("opening the directory of task records: %s is not a directory; correct [TaskMetadata] Directory", path)
	}
	return Dir{path}, nil
}

func (d Dir) file(key string) string { return filepath.Join(d.path, key+".json") }

// Create writes a new record. One that is left of an earlier attempt is
// returned as well, and kept under another name until it is dealt with.
func (d Dir) Create(r Record) (previous *Record, err error) {
	r.Format = format
	err = d.locked(func() error {
		old, err := d.read(r.Key)
		switch {
		case err == nil:
			old.Abandoned = time.Now()
			moved := old
			sum := sha256.Sum256([]byte(old.PublicKey))
			moved.Key = old.Key + "-" + hex.EncodeToString(sum[:4])
			if err := d.write(moved); err != nil {
				return err
			}
			previous = &moved
		case !errors.Is(err, ErrNone):
			return err
		}
		return d.write(r)
	})
	if err != nil {
		return nil, fmt.Errorf("writing the task record of job %d: %w", r.JobID, explain(err))
	}
	return previous, nil
}

// Read returns a job's record, or ErrNone.
func (d Dir) Read(key string) (Record, error) { return d.read(key) }

// Update changes the record of an attempt, which its public key names. It
// returns ErrAbandoned when cleanup has begun or another attempt has taken the
// job over, and ErrNone when cleanup has ended.
func (d Dir) Update(attempt Record, change func(*Record)) error {
	err := d.locked(func() error {
		r, err := d.read(attempt.Key)
		if err != nil {
			return err
		}
		if !r.Abandoned.IsZero() || r.PublicKey != attempt.PublicKey {
			return ErrAbandoned
		}
		change(&r)
		return d.write(r)
	})
	return wrap(err)
}

// Abandon marks a record so that no living stage goes on with it, and returns
// it. ErrNone where there is none.
func (d Dir) Abandon(key string) (Record, error) {
	var r Record
	err := d.locked(func() error {
		var err error
		if r, err = d.read(key); err != nil {
			return err
		}
		if r.Abandoned.IsZero() {
			r.Abandoned = time.Now()
			return d.write(r)
		}
		return nil
	})
	return r, wrap(err)
}

// Forget removes the record of an attempt and all that belongs to it. It leaves
// the record of another attempt alone; forgetting nothing succeeds.
func (d Dir) Forget(attempt Record) error {
	err := d.locked(func() error {
		r, err := d.read(attempt.Key)
		if err == nil && r.PublicKey != attempt.PublicKey {
			return nil
		}
		if err != nil && !errors.Is(err, ErrNone) {
			return err
		}
		// What a kill in the middle of a write has left holds the private key.
		halves, err := filepath.Glob(filepath.Join(d.path, halfWritten+attempt.Key+".*"))
		if err != nil {
			return err
		}
		for _, name := range append(halves, d.file(attempt.Key), d.aliveFile(attempt.Key)) {
			if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
	return wrap(err)
}

// halfWritten begins the name of a record that is being written.
const halfWritten = ".record-"

// recordName is what Key makes of a job, and Create of its earlier attempts.
// Other files are not ours: the official driver's in the same directory, say.
var recordName = regexp.MustCompile(`^[0-9a-f]{32}(-[0-9a-f-]+)?\.json$`)

// All returns every record. Files that cannot be read as records are named in
// the error, and the others returned all the same.
func (d Dir) All() ([]Record, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("reading the task records: %w", err)
	}
	var all []Record
	var bad []error
	for _, entry := range entries {
		if !recordName.MatchString(entry.Name()) {
			continue
		}
		r, err := d.read(strings.TrimSuffix(entry.Name(), ".json"))
		switch {
		case err == nil:
			all = append(all, r)
		case !errors.Is(err, ErrNone): // ErrNone: forgotten since the listing
			bad = append(bad, err)
		}
	}
	return all, errors.Join(bad...)
}

func (d Dir) read(key string) (Record, error) {
	data, err := os.ReadFile(d.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, ErrNone
	}
	if err != nil {
		return Record{}, fmt.Errorf("reading a task record: %w", err)
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("reading the task record %s: %w", d.file(key), err)
	}
	if r.Format != format {
		return Record{}, fmt.Errorf("reading the task record %s: it is of format %d and this version writes %d; the official driver's files can be deleted when its jobs have ended", d.file(key), r.Format, format)
	}
	return r, nil
}

// write replaces a record's file in one step that a kill cannot divide.
func (d Dir) write(r Record) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(d.path, halfWritten+r.Key+".*") // CreateTemp's mode is 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // does nothing after the rename
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), d.file(r.Key))
}

// locked runs change while no other process of this directory changes
// anything. Changes are a few file operations each, so that waiting is short.
func (d Dir) locked(change func() error) error {
	f, err := os.OpenFile(filepath.Join(d.path, ".lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock(f, syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	return change()
}

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err != syscall.EINTR {
			return err
		}
	}
}

func wrap(err error) error {
	if err == nil || errors.Is(err, ErrNone) || errors.Is(err, ErrAbandoned) {
		return err
	}
	return fmt.Errorf("changing a task record: %w", explain(err))
}

func explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w; make room on the disk of [TaskMetadata] Directory", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w; the user that runs gitlab-runner must be able to write to [TaskMetadata] Directory", err)
	}
	return err
}
