// Package bridgetest is what the tests of the bridge begin with, those that
// call it and those that run the program: a stand-in for AWS and a source tree.
// No program imports it.
package bridgetest

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// Site is a stand-in and a source tree.
type Site struct {
	AWS *localaws.Server
	Dir string // of the source

	t testing.TB
}

// patience is how long a busy machine may take for what takes a second.
const patience = 30 * time.Second

// New starts a stand-in that does not throttle and lays out files, each name
// followed by its content.
func New(t testing.TB, files ...string) *Site {
	t.Helper()
	s, err := localaws.Start(localaws.Options{NoThrottle: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	site := &Site{AWS: s, Dir: t.TempDir(), t: t}
	for i := 0; i < len(files); i += 2 {
		site.Write(files[i], files[i+1])
	}
	return site
}

// Write writes a file of the source.
func (s *Site) Write(name, content string) {
	s.t.Helper()
	file := filepath.Join(s.Dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// WriteNoise adds a file to the source that makes it an upload in two parts.
func (s *Site) WriteNoise() {
	s.t.Helper()
	noise := make([]byte, 6<<20)
	rand.NewChaCha8([32]byte{3}).Read(noise)
	s.Write("noise", string(noise))
}

// Commands is a buildspec that runs these in its build phase.
func Commands(lines ...string) string {
	spec := "version: 0.2\nphases:\n  build:\n    commands:\n"
	for _, l := range lines {
		spec += "      - |\n        " + strings.ReplaceAll(l, "\n", "\n        ") + "\n"
	}
	return spec
}

// Wait waits until condition holds in the stand-in.
func (s *Site) Wait(what string, condition func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := s.AWS.Wait(ctx, condition); err != nil {
		s.t.Fatalf("waiting until %s: %v", what, err)
	}
}

// NothingGoesOn checks that nothing is left: no build, no half upload.
func (s *Site) NothingGoesOn() {
	s.t.Helper()
	for _, b := range s.AWS.Builds() {
		if !s.ends(b.ID) {
			s.t.Errorf("build %s goes on in %s", b.ID, b.Phase)
		}
	}
	if n, err := s.AWS.OpenUploads(localaws.SourceBucket); n != 0 || err != nil {
		s.t.Errorf("got %d orphaned uploads, %v; want none", n, err)
	}
}

// ends waits a moment for a build that was stopped to be so.
func (s *Site) ends(id string) bool {
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	return s.AWS.Wait(ctx, func() bool {
		for _, b := range s.AWS.Builds() {
			if b.ID == id {
				return b.Done
			}
		}
		return false
	}) == nil
}

// Buffer may be read while it is written.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends to the buffer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// ReadFrom appends what r has, as it comes.
func (b *Buffer) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{b}, r)
}

// String is what was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
