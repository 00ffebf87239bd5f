package archive

import (
	"archive/tar"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"

	"github.com/klauspost/compress/gzip"
)

// WriteTarGz writes the tree as a gzipped tar, for CodeDeploy revisions of
// bundle type tgz. It keeps modes and times, names no owner, and fails like
// WriteZip when a file is not what Digest has read. One core compresses.
func (t *Tree) WriteTarGz(ctx context.Context, w io.Writer, level int, progress Progress) error {
	if !t.digested {
		return errNotDigested
	}
	gz, err := gzip.NewWriterLevel(w, level)
	if err != nil {
		return fmt.Errorf("writing the tar.gz: %w", err)
	}
	tw := tar.NewWriter(gz)
	r := newReader(t.root)
	defer r.close()
	var read int64
	for i := range t.Entries {
		e := &t.Entries[i]
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("writing the tar.gz: %w", context.Cause(ctx))
		}
		if err := e.writeTar(tw, r); err != nil {
			return fmt.Errorf("writing the tar.gz: %w", err)
		}
		if read += e.Size; progress != nil {
			progress(read)
		}
	}
	if err := tw.Close(); err != nil {
		return fmt.Errorf("writing the tar.gz: %w", err)
	}
	if err := gz.Close(); err != nil {
		return fmt.Errorf("writing the tar.gz: %w", err)
	}
	return nil
}

func (e *Entry) writeTar(tw *tar.Writer, r *reader) error {
	h := &tar.Header{
		Name:    e.Name,
		Mode:    int64(e.Mode.Perm()),
		Size:    e.Size,
		ModTime: e.ModTime.Truncate(1e9),
		Format:  tar.FormatPAX,
	}
	switch {
	case e.Mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, e.Name+"/"
	case e.Mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
	default:
		h.Typeflag = tar.TypeReg
	}
	if err := tw.WriteHeader(h); err != nil || h.Typeflag != tar.TypeReg {
		return err
	}
	f, err := r.file(e)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := crc32.NewIEEE()
	n, err := io.Copy(io.MultiWriter(tw, sum), io.LimitReader(f, e.Size))
	if err != nil {
		return err
	}
	if n != e.Size || sum.Sum32() != e.crc || hasMore(f) {
		return e.changed()
	}
	return nil
}
