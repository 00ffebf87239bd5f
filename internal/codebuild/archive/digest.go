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
	err := each(ctx, t.root, len(t.Entries), run, func(ctx context.Context, r *reader, i int) (err error) {
		sums[i], err = t.Entries[i].digest(ctx, r)
		return err
	})
	if err != nil {
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

// readSize is how much of a large file is read at once.
const readSize = 128 << 10

// digest hashes an entry's content and notes its CRC for the archive.
func (e *Entry) digest(ctx context.Context, r *reader) (sum [sha256.Size]byte, err error) {
	if !e.Mode.IsRegular() {
		e.crc = crc32.ChecksumIEEE([]byte(e.Target))
		return sha256.Sum256([]byte(e.Target)), nil
	}
	if e.Size < readSize {
		content, err := r.whole(e)
		if err != nil {
			return sum, err
		}
		e.crc = crc32.ChecksumIEEE(content)
		return sha256.Sum256(content), nil
	}
	f, err := r.file(e)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	hash := sha256.New()
	buf := r.buffer(readSize)
	e.crc = 0
	for size := int64(0); ; {
		if ctx.Err() != nil {
			return sum, context.Cause(ctx)
		}
		n, err := f.Read(buf)
		hash.Write(buf[:n])
		e.crc = crc32.Update(e.crc, crc32.IEEETable, buf[:n])
		size += int64(n)
		if size > e.Size || err == io.EOF && size < e.Size {
			return sum, e.changed()
		}
		if err == io.EOF {
			return [sha256.Size]byte(hash.Sum(nil)), nil
		}
		if err != nil {
			return sum, err
		}
	}
}

// changed is the error for a file that is not what it was a moment ago.
func (e *Entry) changed() error {
	return fmt.Errorf("%q changed while it was being read; wait for what writes it, or leave it out with --exclude", e.Name)
}
