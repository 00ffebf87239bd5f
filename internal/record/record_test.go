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
	if _, err := d.Read("k"); !errors.Is(err, ErrNone) {
		t.Fatalf("got %v", err)
	}
	if previous, err := d.Create(Record{Key: "k", JobID: 1, PrivateKey: "secret"}); err != nil || previous != nil {
		t.Fatalf("%v, %v", previous, err)
	}
	if err := d.Update("k", func(r *Record) { r.TaskARN = "arn" }); err != nil {
		t.Fatal(err)
	}
	r, err := d.Read("k")
	if err != nil || r.TaskARN != "arn" || r.PrivateKey != "secret" {
		t.Fatalf("%+v, %v", r, err)
	}
	info, err := os.Stat(d.file("k"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := d.Forget("k"); err != nil {
		t.Fatal(err)
	}
	if err := d.Forget("k"); err != nil {
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
	if _, err := d.Abandon("k"); !errors.Is(err, ErrNone) {
		t.Fatalf("got %v", err)
	}
	if _, err := d.Create(Record{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Abandon("k"); err != nil {
		t.Fatal(err)
	}
	if err := d.Update("k", func(r *Record) { r.TaskARN = "late" }); !errors.Is(err, ErrAbandoned) {
		t.Errorf("a stage went on after cleanup: %v", err)
	}
	if r, _ := d.Read("k"); r.TaskARN != "" {
		t.Error("the record was changed")
	}
	if err := d.Forget("k"); err != nil {
		t.Fatal(err)
	}
	if err := d.Update("k", func(*Record) {}); !errors.Is(err, ErrNone) {
		t.Errorf("a forgotten record came back: %v", err)
	}
}

func TestEarlierAttemptIsKeptUntilDealtWith(t *testing.T) {
	t.Parallel()
	d := open(t)
	if _, err := d.Create(Record{Key: "k", ClientToken: "k-aaaaaaaa-1", TaskARN: "old"}); err != nil {
		t.Fatal(err)
	}
	previous, err := d.Create(Record{Key: "k", ClientToken: "k-bbbbbbbb-1"})
	if err != nil || previous == nil || previous.TaskARN != "old" {
		t.Fatalf("%+v, %v", previous, err)
	}
	all, err := d.All()
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	if err := d.Forget(previous.Key); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Read("k"); err != nil || r.ClientToken != "k-bbbbbbbb-1" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWritersDoNotLoseEachOthersChanges(t *testing.T) {
	t.Parallel()
	d := open(t)
	if _, err := d.Create(Record{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := d.Update("k", func(r *Record) { r.JobID++ }); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := d.Read("k"); err != nil {
				t.Errorf("a reader saw half a record: %v", err)
			}
		})
	}
	wg.Wait()
	if r, _ := d.Read("k"); r.JobID != 20 {
		t.Errorf("%d of 20 changes arrived", r.JobID)
	}
}

func TestAlive(t *testing.T) {
	t.Parallel()
	d := open(t)
	if alive, last, err := d.Held("k"); alive || !last.IsZero() || err != nil {
		t.Fatalf("%v, %v, %v", alive, last, err)
	}
	first, err := d.Hold("k")
	if err != nil {
		t.Fatal(err)
	}
	second, err := d.Hold("k") // stages of a job may overlap
	if err != nil {
		t.Fatal(err)
	}
	first()
	if alive, _, err := d.Held("k"); !alive || err != nil {
		t.Errorf("a living stage is not seen: %v", err)
	}
	second()
	if alive, last, err := d.Held("k"); alive || time.Since(last) > time.Minute || err != nil {
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
	for name, text := range map[string]string{"half": `{"Key":`, "theirs": `{"TaskARN":"arn","ContainerIP":"10.0.0.1","PrivateKey":"x"}`} {
		if err := os.WriteFile(d.file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Read(name); err == nil || !strings.Contains(err.Error(), name+".json") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.Create(Record{Key: "good"}); err != nil {
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
