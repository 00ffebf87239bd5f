package archive

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

// digestVersion changes when the archive of the same tree would change in
// what a build sees.
const digestVersion = "codebuild-bridge archive 1\n"

// Digest reads every file once and returns the SHA-256, in hexadecimal, over
// the sorted paths, types, executable bits, sizes and contents. Times are left
// out of it, so that a fresh clone of the same commit has the same digest.
// WriteZip and WriteTarGz need it first: they refuse a file that has changed
// since.
func (t *Tree) Digest(ctx context.Context) (string, error) {
	sums := make([][sha256.Size]byte, len(t.Entries))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	// Hashing is bound by the processor; more readers than cores are slower.
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			buf := make([]byte, 128<<10)
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(t.Entries) {
					return
				}
				sum, err := t.Entries[i].digest(ctx, buf)
				if err != nil {
					cancel(err)
					return
				}
				sums[i] = sum
			}
		})
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return "", fmt.Errorf("hashing the context directory: %w", err)
	}

	all := sha256.New()
	io.WriteString(all, digestVersion)
	var numbers [12]byte
	for i := range t.Entries {
		e := &t.Entries[i]
		io.WriteString(all, e.Name)
		binary.BigEndian.PutUint64(numbers[:8], uint64(e.Size))
		binary.BigEndian.PutUint32(numbers[8:], uint32(e.Mode&(fs.ModeType|0o111)))
		all.Write([]byte{0})
		all.Write(numbers[:])
		all.Write(sums[i][:])
	}
	t.digested = true
	return hex.EncodeToString(all.Sum(nil)), nil
}

// digest hashes an entry's content and notes its CRC for the archive.
func (e *Entry) digest(ctx context.Context, buf []byte) ([sha256.Size]byte, error) {
	if !e.Mode.IsRegular() {
		e.crc = crc32.ChecksumIEEE([]byte(e.Target))
		return sha256.Sum256([]byte(e.Target)), nil
	}
	if e.Size < int64(len(buf)) {
		content, err := e.readWhole(buf)
		if err != nil {
			return [sha256.Size]byte{}, err
		}
		e.crc = crc32.ChecksumIEEE(content)
		return sha256.Sum256(content), nil
	}
	f, err := os.Open(e.source)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	defer f.Close()
	hash := sha256.New()
	e.crc = 0
	var size int64
	for {
		if err := ctx.Err(); err != nil {
			return [sha256.Size]byte{}, err
		}
		n, err := f.Read(buf)
		hash.Write(buf[:n])
		e.crc = crc32.Update(e.crc, crc32.IEEETable, buf[:n])
		if size += int64(n); size > e.Size {
			return [sha256.Size]byte{}, e.changed()
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return [sha256.Size]byte{}, err
		}
	}
	if size != e.Size {
		return [sha256.Size]byte{}, e.changed()
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}

// changed is the error for a file that is not what it was a moment ago.
func (e *Entry) changed() error {
	return fmt.Errorf("%q changed while it was being read; wait for what writes it, or leave it out with --exclude", e.Name)
}
