package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mixed is a tree with each kind of entry, and files around the piece size.
func mixed(t *testing.T) string {
	t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 3*partSize+17)
	random.Read(noise)
	return tree{
		"empty":       "",
		"run.sh":      "#!/bin/sh\necho hi\n",
		"dir/text":    strings.Repeat("the same line again\n", 1000),
		"dir/none/":   "",
		"link":        "-> dir/text",
		"loop":        "-> loop",
		"noise/big":   string(noise),
		"noise/small": string(noise[:5000]),
		"exact":       strings.Repeat("x", partSize),
		"one more":    strings.Repeat("y", partSize+1),
		"long":        strings.Repeat("a long text that goes on\n", 200_000),
		"größe":       "utf-8",
	}.lay(t)
}

func TestZipReadsBackTheSame(t *testing.T) {
	t.Parallel()
	for _, level := range []int{0, 1, 5, 9} {
		t.Run(fmt.Sprint("level ", level), func(t *testing.T) {
			t.Parallel()
			dir := mixed(t)
			tr := scan(t, Options{Dir: dir})
			data := zipped(t, tr, level)
			zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			if len(zr.File) != len(tr.Entries) {
				t.Errorf("got %d entries, want %d", len(zr.File), len(tr.Entries))
			}
			for i, f := range zr.File {
				want := tr.Entries[i]
				if strings.TrimSuffix(f.Name, "/") != want.Name || f.Mode() != want.Mode {
					t.Errorf("got %s %v, want %s %v", f.Name, f.Mode(), want.Name, want.Mode)
				}
				if !f.Modified.Equal(want.ModTime.Truncate(time.Second)) {
					t.Errorf("%s: got time %v, want %v", f.Name, f.Modified, want.ModTime)
				}
				r, err := f.Open()
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(r) // checks the CRC too
				if err != nil {
					t.Fatalf("%s: %v", f.Name, err)
				}
				if want.Mode.IsRegular() {
					content, err := os.ReadFile(filepath.Join(dir, want.Name))
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(got, content) {
						t.Errorf("%s: the content differs", f.Name)
					}
				} else if string(got) != want.Target {
					t.Errorf("%s: got %q, want %q", f.Name, got, want.Target)
				}
			}
		})
	}
}

func TestZipIsTheSameEveryTime(t *testing.T) {
	t.Parallel()
	dir := mixed(t)
	first := zipped(t, scan(t, Options{Dir: dir}), 1)
	for range 5 {
		if !bytes.Equal(zipped(t, scan(t, Options{Dir: dir}), 1), first) {
			t.Fatal("two zips of one tree differ")
		}
	}
}

// Info-ZIP is what people unpack with; it must restore modes and links.
func TestInfoZIPUnpacksModesAndLinks(t *testing.T) {
	t.Parallel()
	unzip, err := exec.LookPath("unzip")
	if err != nil {
		t.Skip("unzip is not installed")
	}
	dir := mixed(t)
	file := filepath.Join(t.TempDir(), "a.zip")
	if err := os.WriteFile(file, zipped(t, scan(t, Options{Dir: dir}), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	cmd := exec.Command(unzip, "-q", file, "-d", out)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	if msg, err := exec.Command("diff", "-r", "--no-dereference", dir, out).CombinedOutput(); err != nil {
		t.Errorf("the unpacked tree differs: %v\n%s", err, msg)
	}
	for name, want := range map[string]fs.FileMode{"run.sh": 0o755, "dir/text": 0o644, "link": fs.ModeSymlink | 0o777} {
		if info, err := os.Lstat(filepath.Join(out, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: got %v %v, want %v", name, info, err, want)
		}
	}
}

func TestTarGz(t *testing.T) {
	t.Parallel()
	dir := mixed(t)
	tr := scan(t, Options{Dir: dir})
	if _, err := tr.Digest(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := tr.WriteTarGz(t.Context(), &out, 6, nil); err != nil {
		t.Fatal(err)
	}
	gz, err := gzip.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(gz)
	for _, want := range tr.Entries {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSuffix(h.Name, "/") != want.Name || h.FileInfo().Mode().Perm() != want.Mode.Perm() || h.Linkname != want.Target {
			t.Errorf("got %+v, want %+v", h, want)
		}
		if want.Mode.IsRegular() {
			got, err := io.ReadAll(r)
			content, _ := os.ReadFile(filepath.Join(dir, want.Name))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s: the content differs (%v)", want.Name, err)
			}
		}
	}
}

func TestChangedFilesAreRefused(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", partSize/8)
	changes := map[string]func(path, content string) error{
		"grown":    func(p, c string) error { return os.WriteFile(p, []byte(c+"!"), 0o644) },
		"shrunk":   func(p, c string) error { return os.WriteFile(p, []byte(c[1:]), 0o644) },
		"edited":   func(p, c string) error { return os.WriteFile(p, []byte("X"+c[1:]), 0o644) },
		"vanished": func(p, c string) error { return os.Remove(p) },
	}
	for how, change := range changes {
		for kind, content := range map[string]string{"small": "some text", "big": big} {
			t.Run(how+" "+kind, func(t *testing.T) {
				t.Parallel()
				dir := tree{"a": "", "the file": content, "z": ""}.lay(t)
				tr := scan(t, Options{Dir: dir})
				if _, err := tr.Digest(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := change(filepath.Join(dir, "the file"), content); err != nil {
					t.Fatal(err)
				}
				for format, write := range map[string]func(context.Context, io.Writer, int, Progress) error{"zip": tr.WriteZip, "tar.gz": tr.WriteTarGz} {
					err := write(t.Context(), io.Discard, 1, nil)
					if err == nil || !strings.Contains(err.Error(), "the file") {
						t.Errorf("%s: got %v, want an error that names the file", format, err)
					}
				}
			})
		}
	}
}

func TestProgressIsOfTheBytesRead(t *testing.T) {
	t.Parallel()
	tr := scan(t, Options{Dir: mixed(t)})
	if _, err := tr.Digest(t.Context()); err != nil {
		t.Fatal(err)
	}
	for format, write := range map[string]func(context.Context, io.Writer, int, Progress) error{"zip": tr.WriteZip, "tar.gz": tr.WriteTarGz} {
		last, times := int64(0), 0
		err := write(t.Context(), io.Discard, 1, func(read int64) {
			if read < last {
				t.Errorf("%s: %d bytes after %d", format, read, last)
			}
			last, times = read, times+1
		})
		if err != nil || last != tr.Bytes || times < 5 {
			t.Errorf("%s: got %d bytes in %d steps, %v; want all %d", format, last, times, err, tr.Bytes)
		}
	}
}

func TestZipEnds(t *testing.T) {
	t.Parallel()
	tr := scan(t, Options{Dir: mixed(t)})
	if err := tr.WriteZip(t.Context(), io.Discard, 1, nil); !errors.Is(err, errNotDigested) {
		t.Errorf("without a digest: got %v", err)
	}
	if _, err := tr.Digest(t.Context()); err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left")
	if err := tr.WriteZip(t.Context(), failingWriter{full}, 1, nil); !errors.Is(err, full) {
		t.Errorf("to a full disk: got %v", err)
	}
	stop := errors.New("told to stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	err := tr.WriteZip(ctx, io.Discard, 1, func(int64) { cancel(stop) })
	if !errors.Is(err, stop) {
		t.Errorf("cancelled: got %v, want the cause", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

// More than 65,535 entries need zip64. TestLarge of cmd/codebuild-bridge has
// them, and 5 GB, as files.
func TestManyEntries(t *testing.T) {
	t.Parallel()
	tr := &Tree{digested: true}
	for i := range 200_000 {
		tr.Entries = append(tr.Entries, Entry{Name: fmt.Sprintf("d%06d", i), Mode: fs.ModeDir | 0o755})
	}
	data := zipped(t, tr, 1)
	zr, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil || len(zr.File) != 200_000 {
		t.Fatalf("got %d entries, %v; want 200,000", len(zr.File), err)
	}
}

// The header of a file of 5 GiB, without its 5 GiB: what makes zip64 of it is
// written from its sizes alone.
func TestZip64HeaderOfALargeFile(t *testing.T) {
	t.Parallel()
	const size = 5 << 30
	var out bytes.Buffer
	zw := zip.NewWriter(&out)
	e := &Entry{Name: "large", Mode: 0o644, Size: size}
	file := &zipFile{}
	for _, p := range []*part{{file: file, first: true}, {file: file, last: true}} {
		if p.last {
			file.compressed = size // as if so much had been written
		}
		if err := p.write(zw, e, zip.Deflate, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	content := []byte("z")
	after := &piece{entries: []Entry{{Name: "small", Mode: 0o644, Size: 1}}, out: &content, packed: []packed{{zip.Store, 1}}}
	if err := after.write(zw); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	zr, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if f := zr.File[0]; f.UncompressedSize64 != size || f.CompressedSize64 != size+1 || f.ReaderVersion != 45 {
		t.Errorf("got sizes %d and %d, version %d", f.UncompressedSize64, f.CompressedSize64, f.ReaderVersion)
	}
	if f := zr.File[1]; f.UncompressedSize64 != 1 || f.ReaderVersion != 20 {
		t.Errorf("got size %d, version %d of the file after it", f.UncompressedSize64, f.ReaderVersion)
	}
}

// Stored, a large file has its sizes before the data, where zip.Writer has no
// room for more than 4 GiB.
func TestZip64HeaderOfALargeStoredFile(t *testing.T) {
	t.Parallel()
	const size = 5 << 30
	var out bytes.Buffer
	zw := zip.NewWriter(&out)
	e := &Entry{Name: "large", Mode: 0o644, Size: size}
	p := &part{file: &zipFile{}, first: true, last: true}
	if err := p.write(zw, e, zip.Store, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	local := out.Bytes()
	if version, compressed := binary.LittleEndian.Uint16(local[4:]), binary.LittleEndian.Uint32(local[18:]); version != 45 || compressed != math.MaxUint32 {
		t.Errorf("got version %d and size %x before the data, want 45 and ffffffff", version, compressed)
	}
	want := localZip64(&zip.FileHeader{UncompressedSize64: size, CompressedSize64: size})
	extra := local[30+len(e.Name):][:binary.LittleEndian.Uint16(local[28:])]
	if !bytes.HasSuffix(extra, want) || len(want) != 20 {
		t.Errorf("got the extra field %x, want it to end in %x", extra, want)
	}
	zr, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if f := zr.File[0]; f.UncompressedSize64 != size || f.CompressedSize64 != size || len(f.Extra) != 9+28 {
		t.Errorf("got sizes %d and %d, extra field %x; want it to have the time and three sizes once", f.UncompressedSize64, f.CompressedSize64, f.Extra)
	}
}
