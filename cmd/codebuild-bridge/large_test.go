package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// What only size brings out: the program itself, on trees as large as we say
// it takes. It writes some gigabytes of nothing to the disk's cache, so it has a
// command of its own: make test-large.
func TestLarge(t *testing.T) {
	t.Parallel()
	if raceEnabled {
		t.Skip("the race detector makes it take minutes; run make test-large")
	}
	if _, err := exec.LookPath("unzip"); err != nil {
		t.Skip("unzip is not installed")
	}
	program := filepath.Join(t.TempDir(), "codebuild-bridge")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	t.Run("5 GB file", func(t *testing.T) { t.Parallel(); largeFile(t, program) })
	t.Run("200,000 files", func(t *testing.T) { t.Parallel(); manyFiles(t, program) })
	t.Run("memory of an upload", func(t *testing.T) { t.Parallel(); uploadMemory(t, program) })
}

// largeFile zips 5 GB, which need zip64 for their size, and a file whose place
// is behind them.
func largeFile(t *testing.T, program string) {
	const size = 5 << 30
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "image.raw"))
	if err != nil {
		t.Fatal(err)
	}
	// Not only zeros: its end is compressed too.
	if _, err := f.WriteAt([]byte("the end"), size-7); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "run.sh"), []byte("#!/bin/sh\necho behind it\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	files := archived(t, program, dir, 64)
	if len(files) != 2 || files[0].UncompressedSize64 != size || files[0].ReaderVersion != 45 || files[0].CompressedSize64 > size/500 {
		t.Errorf("got %d entries, the first %+v; want 5 GiB of zip64", len(files), files[0])
	}
	if got, mode := content(t, files[1]), files[1].Mode(); got != "#!/bin/sh\necho behind it\n" || mode != 0o755 {
		t.Errorf("got %q, mode %v of the file behind it", got, mode)
	}
}

// manyFiles zips more files than a zip's end has room to count.
func manyFiles(t *testing.T, program string) {
	const directories, files = 400, 500
	dir := t.TempDir()
	for i := range directories {
		sub := filepath.Join(dir, fmt.Sprintf("directory%03d", i))
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		first := filepath.Join(sub, "file000")
		if err := os.WriteFile(first, fmt.Appendf(nil, "files of directory %d\n", i), 0o644); err != nil {
			t.Fatal(err)
		}
		for j := 1; j < files; j++ {
			if err := os.Link(first, filepath.Join(sub, fmt.Sprintf("file%03d", j))); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Names and attributes are what it keeps, about 300 bytes an entry.
	entries := archived(t, program, dir, 128)
	if len(entries) != directories*(files+1) {
		t.Fatalf("got %d entries, want %d", len(entries), directories*(files+1))
	}
	last := entries[len(entries)-1]
	if got := content(t, last); last.Name != "directory399/file499" || got != "files of directory 399\n" {
		t.Errorf("got %q in %s", got, last.Name)
	}
}

// archived zips a directory, with so many MiB of memory at most, has Info-ZIP
// check the zip, and returns its entries.
func archived(t *testing.T, program, dir string, mib int) []*zip.File {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.zip")
	peak := peakMemory(t, exec.Command(program, "archive", "--context", dir, "--output", file))
	if peak > mib<<10 {
		t.Errorf("it took %d KiB of memory, want %d MiB at most", peak, mib)
	}
	t.Logf("peak memory %.1f MiB", float64(peak)/1024)
	if out, err := exec.Command("unzip", "-tqq", file).CombinedOutput(); err != nil {
		t.Errorf("unzip -t: %v\n%s", err, out)
	}
	r, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r.File
}

func content(t *testing.T, f *zip.File) string {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return string(all)
}

// uploadMemory has `build` upload 130 MB that do not compress: all parts of the
// upload are under way at once.
func uploadMemory(t *testing.T, program string) {
	j := newJob(t, "buildspec.yml", "version: 0.2\nphases:\n  build:\n    commands:\n      - \"true\"\n")
	noise := rand.NewChaCha8([32]byte{1})
	block := make([]byte, 10_000_000)
	for i := range 13 {
		noise.Read(block)
		if err := os.WriteFile(filepath.Join(j.Dir, fmt.Sprintf("noise%02d", i)), block, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "build")
	cmd.Dir, cmd.Env = j.Dir, j.env
	peak := peakMemory(t, cmd)
	if peak > 64<<10 {
		t.Errorf("it took %d KiB of memory, want 64 MiB at most", peak)
	}
	t.Logf("peak memory %.1f MiB", float64(peak)/1024)
	key := j.AWS.Objects(localaws.SourceBucket)[0]
	if object, _, _ := j.AWS.Object(localaws.SourceBucket, key); len(object) < 13*len(block) {
		t.Errorf("%d bytes were uploaded", len(object))
	}
}

// peakMemory runs a command and returns the largest resident set that was
// seen, in KiB. What wait(2) says would do, but that it is no less than that of
// the process which starts another.
func peakMemory(t *testing.T, cmd *exec.Cmd) (kib int) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
			if n, err := strconv.Atoi(strings.Fields(after)[0]); err == nil {
				kib = n
			}
		}
		select {
		case err := <-ended:
			if err != nil || kib == 0 {
				t.Fatalf("%v: %v, %d KiB seen\n%s", cmd.Args, err, kib, out.String())
			}
			return kib
		case <-look.C:
		}
	}
}
