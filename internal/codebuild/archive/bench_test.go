package archive

import (
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkGoroot archives Go's own sources, about 11,000 files of 120 MB:
//
//	go test -run - -bench Goroot ./internal/codebuild/archive
//	time zip -qr - $(go env GOROOT)/src >/dev/null
func BenchmarkGoroot(b *testing.B) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Skip("Go's sources are not installed")
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src")
	load := func(b *testing.B) *Tree {
		tr, err := Scan(b.Context(), Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := tr.Digest(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(tr.Bytes)
		return tr
	}
	b.Run("scan and digest", func(b *testing.B) {
		for b.Loop() {
			load(b)
		}
	})
	b.Run("zip", func(b *testing.B) {
		for b.Loop() {
			if err := load(b).WriteZip(b.Context(), io.Discard, 1, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
