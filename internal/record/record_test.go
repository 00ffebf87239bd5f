package record

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// key is as job.Key makes it.
const key = "0123456789abcdef0123456789abcdef"

func open(t *testing.T) Dir {
	t.Helper()
	d, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRecordLivesFromIntentToForget(t *testing.T) {
	t.Parallel()
	d := open(t)
	if _, err := d.Read(key); !errors.Is(err, ErrNone) {
		t.Fatalf("got %v", err)
	}
	if previous, err := d.Create(Record{Key: key, JobID: 1, PrivateKey: "secret"}); err != nil || previous != nil {
		t.Fatalf("%v, %v", previous, err)
	}
	if err := d.Update(Record{Key: key}, func(r *Record) { r.TaskARN = "arn" }); err != nil {
		t.Fatal(err)
	}
	r, err := d.Read(key)
	if err != nil || r.TaskARN != "arn" || r.PrivateKey != "secret" {
		t.Fatalf("%+v, %v", r, err)
	}
	info, err := os.Stat(d.file(key))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := d.Forget(Record{Key: key}); err != nil {
		t.Fatal(err)
	}
	if err := d.Forget(Record{Key: key}); err != nil {
		t.Errorf("forgetting twice: %v", err)
	}
	left, err := os.ReadDir(d.path)
	if err != nil || len(left) != 1 || left[0].Name() != ".lock" {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAbandonedRecordsStopLivingStages(t *testing.T) {
	t.Parallel()
	d := open(t)
	if _, err := d.Abandon(key); !errors.Is(err, ErrNone) {
		t.Fatalf("got %v", err)
	}
	if _, err := d.Create(Record{Key: key}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Abandon(key); err != nil {
		t.Fatal(err)
	}
	if err := d.Update(Record{Key: key}, func(r *Record) { r.TaskARN = "late" }); !errors.Is(err, ErrAbandoned) {
		t.Errorf("a stage went on after cleanup: %v", err)
	}
	if r, _ := d.Read(key); r.TaskARN != "" {
		t.Error("the record was changed")
	}
	if err := d.Forget(Record{Key: key}); err != nil {
		t.Fatal(err)
	}
	if err := d.Update(Record{Key: key}, func(*Record) {}); !errors.Is(err, ErrNone) {
		t.Errorf("a forgotten record came back: %v", err)
	}
}

func TestEarlierAttemptIsKeptUntilDealtWith(t *testing.T) {
	t.Parallel()
	d := open(t)
	if _, err := d.Create(Record{Key: key, PublicKey: "old", TaskARN: "old"}); err != nil {
		t.Fatal(err)
	}
	previous, err := d.Create(Record{Key: key, PublicKey: "new"})
	if err != nil || previous == nil || previous.TaskARN != "old" {
		t.Fatalf("%+v, %v", previous, err)
	}
	all, err := d.All()
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	// The earlier attempt may still be dying: it touches nothing of the new one.
	old := Record{Key: key, PublicKey: "old"}
	if err := d.Update(old, func(r *Record) { r.TaskARN = "late" }); !errors.Is(err, ErrAbandoned) {
		t.Errorf("an earlier attempt changed its successor's record: %v", err)
	}
	if err := d.Forget(old); err != nil {
		t.Fatal(err)
	}
	if err := d.Forget(*previous); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Read(key); err != nil || r.PublicKey != "new" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWritersDoNotLoseEachOthersChanges(t *testing.T) {
	t.Parallel()
	d := open(t)
	if _, err := d.Create(Record{Key: key}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := d.Update(Record{Key: key}, func(r *Record) { r.JobID++ }); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := d.Read(key); err != nil {
				t.Errorf("a reader saw half a record: %v", err)
			}
		})
	}
	wg.Wait()
	if r, _ := d.Read(key); r.JobID != 20 {
		t.Errorf("%d of 20 changes arrived", r.JobID)
	}
}

// A kill in the middle of a write leaves a file with the private key.
func TestForgetRemovesHalfWrittenRecords(t *testing.T) {
	t.Parallel()
	d := open(t)
	half := filepath.Join(d.path, halfWritten+key+".123")
	if err := os.WriteFile(half, []byte("private"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Forget(Record{Key: key}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	t.Parallel()
	d := open(t)
	name := filepath.Join(d.path, "a1b2c3d4-"+strings.Repeat("0f", 32)+".json") // the official driver's
	if err := os.WriteFile(name, []byte(`{"TaskARN":"arn"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if all, err := d.All(); len(all) != 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
}

func TestAlive(t *testing.T) {
	t.Parallel()
	d := open(t)
	if alive, last, err := d.Held(key); alive || !last.IsZero() || err != nil {
		t.Fatalf("%v, %v, %v", alive, last, err)
	}
	first, err := d.Hold(key)
	if err != nil {
		t.Fatal(err)
	}
	second, err := d.Hold(key) // stages of a job may overlap
	if err != nil {
		t.Fatal(err)
	}
	first()
	if alive, _, err := d.Held(key); !alive || err != nil {
		t.Errorf("a living stage is not seen: %v", err)
	}
	second()
	if alive, last, err := d.Held(key); alive || time.Since(last) > time.Minute || err != nil {
		t.Errorf("%v, %v, %v", alive, last, err)
	}
}

func TestReclaimedIsRememberedForAWhile(t *testing.T) {
	t.Parallel()
	d := open(t)
	if d.WasReclaimed("job", time.Hour) {
		t.Error("remembers what never was")
	}
	if err := d.Reclaimed("job"); err != nil {
		t.Fatal(err)
	}
	if !d.WasReclaimed("job", time.Hour) || d.WasReclaimed("other", time.Hour) {
		t.Error("remembers the wrong job")
	}
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(d.path, "reclaimed", "job"), old, old); err != nil {
		t.Fatal(err)
	}
	if d.WasReclaimed("job", time.Hour) {
		t.Error("remembers for ever")
	}
	if left, _ := os.ReadDir(filepath.Join(d.path, "reclaimed")); len(left) != 0 {
		t.Error("what is old stays on the disk")
	}
}

func TestBadDirectoriesAndFiles(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none")
	if _, err := Open(missing); err == nil || !strings.Contains(err.Error(), "[TaskMetadata] Directory") {
		t.Errorf("got %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("got %v", err)
	}
	d := open(t)
	for name, text := range map[string]string{strings.Repeat("a", 32): `{"Key":`, strings.Repeat("b", 32): `{"TaskARN":"arn","ContainerIP":"10.0.0.1","PrivateKey":"x"}`} {
		if err := os.WriteFile(d.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Read(name); err == nil || !strings.Contains(err.Error(), name+".json") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.Create(Record{Key: key}); err != nil {
		t.Fatal(err)
	}
	all, err := d.All()
	if len(all) != 1 || err == nil {
		t.Errorf("one bad file hides the good ones, or itself: %v, %v", all, err)
	}
}

// A directory without room, as a real full file system says it.
func TestFullDirectory(t *testing.T) {
	t.Parallel()
	if got := explain(fmt.Errorf("x: %w", os.ErrPermission)).Error(); !strings.Contains(got, "runs gitlab-runner") {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.Write([]byte("x"))
	if got := explain(err).Error(); !strings.Contains(got, "make room") {
		t.Errorf("got %q", got)
	}
}
