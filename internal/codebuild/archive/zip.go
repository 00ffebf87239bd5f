package archive

//lint:file-ignore SA1019 CreateRaw writes the header as it is given, with the old fields too.

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"time"
	"unicode/utf8"
)

// Progress is told how many bytes of the files have been read so far. It is
// called often, from one goroutine, and must not block.
type Progress func(read int64)

// errNotDigested is a mistake of the caller: the archive needs each file's CRC.
var errNotDigested = errors.New("writing an archive: the tree has no digest yet")

// WriteZip writes the tree as a zip: entries in the order of their names,
// compressed on all cores with bounded memory, the same bytes from run to
// run. level is deflate's, 1 to 9, or 0 to store. It fails, naming the path,
// when a file is not what Digest has read.
func (t *Tree) WriteZip(ctx context.Context, w io.Writer, level int, progress Progress) error {
	if !t.digested {
		return errNotDigested
	}
	// zip.Writer would write every 4 KiB.
	out := bufio.NewWriterSize(w, writeSize)
	zw := zip.NewWriter(out)
	var read int64
	for p := range t.compress(ctx, level) {
		if p.err != nil {
			return fmt.Errorf("zipping the context directory: %w", p.err)
		}
		if err := p.write(zw); err != nil {
			return fmt.Errorf("writing the zip: %w", err)
		}
		if read += p.size; progress != nil {
			progress(read)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("zipping the context directory: %w", err)
	}
	if err := zw.Close(); err != nil {
		return fmt.Errorf("writing the zip: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the zip: %w", err)
	}
	return nil
}

// writeSize is how much of an archive is written at once.
const writeSize = 128 << 10

// write puts a piece into the zip.
func (p *piece) write(zw *zip.Writer) error {
	if p.part != nil {
		return p.part.write(zw, &p.entries[0], p.packed[0].method, *p.out)
	}
	begin := 0
	for i, packed := range p.packed {
		header := p.entries[i].header()
		header.Method = packed.method
		header.CompressedSize64 = uint64(packed.end - begin)
		w, err := zw.CreateRaw(header)
		if err != nil {
			return err
		}
		if _, err := w.Write((*p.out)[begin:packed.end]); err != nil {
			return err
		}
		begin = packed.end
	}
	return nil
}

// write puts a part of a large file into the zip. How long a deflated file
// gets is known after its last part only, and is said behind it.
func (p *part) write(zw *zip.Writer, e *Entry, method uint16, content []byte) error {
	if p.first {
		header := e.header()
		header.Method = method
		if uint64(e.Size) >= math.MaxUint32 {
			header.ReaderVersion = zip64Version
		}
		extra := header.Extra
		if method == zip.Deflate {
			header.Flags |= 0x8 // the sizes follow the data
			header.UncompressedSize64 = 0
		} else {
			header.CompressedSize64 = header.UncompressedSize64
			header.Extra = append(slices.Clone(extra), localZip64(header)...)
		}
		out, err := zw.CreateRaw(header)
		if err != nil {
			return err
		}
		header.Extra = extra // zip.Writer adds its own to the directory
		*p.file = zipFile{header: header, w: out}
	}
	n, err := p.file.w.Write(content)
	if err != nil {
		return err
	}
	p.file.compressed += uint64(n)
	if header := p.file.header; p.last && method == zip.Deflate {
		header.CompressedSize64 = p.file.compressed
		header.UncompressedSize64 = uint64(e.Size)
		header.CompressedSize = uint32(min(header.CompressedSize64, math.MaxUint32))
		header.UncompressedSize = uint32(min(header.UncompressedSize64, math.MaxUint32))
		if max(header.CompressedSize64, header.UncompressedSize64) >= math.MaxUint32 {
			header.CompressedSize, header.UncompressedSize = math.MaxUint32, math.MaxUint32
			header.ReaderVersion = zip64Version
		}
	}
	return nil
}

// zip64Version is what it takes to read an entry of 4 GiB or more.
const zip64Version = 45

// localZip64 is the extra field with which a header before the data says sizes
// of 4 GiB or more. zip.Writer leaves it out there.
func localZip64(h *zip.FileHeader) []byte {
	if h.UncompressedSize64 < math.MaxUint32 {
		return nil
	}
	b := binary.LittleEndian.AppendUint16(nil, 1)
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = binary.LittleEndian.AppendUint64(b, h.UncompressedSize64)
	return binary.LittleEndian.AppendUint64(b, h.CompressedSize64)
}

// zipFile is an entry that is being written.
type zipFile struct {
	header     *zip.FileHeader
	w          io.Writer
	compressed uint64
}

// header returns the zip's header of an entry with its known sizes.
func (e *Entry) header() *zip.FileHeader {
	h := &zip.FileHeader{
		Name:               e.Name,
		CRC32:              e.crc,
		UncompressedSize64: uint64(e.Size),
		ReaderVersion:      20,
	}
	if e.Mode&fs.ModeSymlink != 0 {
		h.UncompressedSize64 = uint64(len(e.Target))
	}
	if e.Mode.IsDir() {
		h.Name += "/"
		h.UncompressedSize64 = 0
	}
	h.SetMode(e.Mode)
	for i := range len(e.Name) {
		if e.Name[i] >= utf8.RuneSelf {
			h.Flags |= 0x800 // the name is UTF-8
			break
		}
	}
	// MS-DOS times begin in 1980 and have two seconds' resolution; the extended
	// timestamp has the second.
	modified := e.ModTime.UTC()
	h.ModifiedDate, h.ModifiedTime = dosTime(modified)
	h.Extra = binary.LittleEndian.AppendUint16(nil, 0x5455)
	h.Extra = binary.LittleEndian.AppendUint16(h.Extra, 5)
	h.Extra = append(h.Extra, 1) // only the time of modification
	h.Extra = binary.LittleEndian.AppendUint32(h.Extra, uint32(clampUnix(modified)))
	return h
}

func clampUnix(t time.Time) int32 {
	return int32(max(min(t.Unix(), math.MaxInt32), 0))
}

func dosTime(t time.Time) (date, clock uint16) {
	if t.Year() < 1980 {
		return 1<<5 | 1, 0
	}
	if t.Year() > 2107 {
		t = time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	}
	date = uint16(t.Day() + int(t.Month())<<5 + (t.Year()-1980)<<9)
	clock = uint16(t.Second()/2 + t.Minute()<<5 + t.Hour()<<11)
	return date, clock
}
