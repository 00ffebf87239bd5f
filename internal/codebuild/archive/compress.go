package archive

import (
	"archive/zip"
	"context"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"
)

const (
	// pieceSize is how much of a file is compressed at once. A larger file is
	// cut into pieces that all cores compress; the cut costs 5 bytes and a
	// window of 32 KiB, under 1 % of a piece.
	pieceSize = 1 << 20
	// inFlight bounds the pieces between the reader and the writer, and with
	// them the memory: at most twice pieceSize each.
	inFlight = 8
)

// piece is a file, or a part of a large one, on its way into the archive.
type piece struct {
	entry       *Entry
	first, last bool // of its entry
	file        *zipFile

	raw     []byte // read by the reader for a part; by the worker for a whole file
	rawSize int
	out     []byte // what goes into the zip
	method  uint16
	err     error

	done    chan struct{}
	buffers *buffers
	in, c   *[]byte // the pooled buffers behind raw and out
}

// buffers are reused from piece to piece.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[]byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		*p = (*p)[:0]
		return p
	}
	return new([]byte)
}

// free gives the piece's buffers back.
func (p *piece) free() {
	if p.in != nil {
		*p.in = p.raw
		p.buffers.pool.Put(p.in)
	}
	if p.c != nil {
		p.buffers.pool.Put(p.c)
	}
	p.raw, p.out, p.in, p.c = nil, nil, nil, nil
}

// compress returns the pieces in the order of the entries, each ready to be
// written. One goroutine cuts, the workers compress, the caller writes. When
// the context ends the channel is closed early.
func compress(ctx context.Context, cancel context.CancelCauseFunc, entries []Entry, level int) <-chan *piece {
	work := make(chan *piece, inFlight)
	order := make(chan *piece, inFlight)
	out := make(chan *piece)
	go func() {
		defer close(work)
		defer close(order)
		c := cutter{ctx: ctx, work: work, order: order, buffers: new(buffers)}
		for i := range entries {
			if err := c.entry(&entries[i]); err != nil {
				cancel(err)
				return
			}
		}
	}()
	for range runtime.GOMAXPROCS(0) {
		go func() {
			d := newDeflater(level)
			for p := range work {
				p.err = d.piece(p)
				close(p.done)
			}
		}()
	}
	go func() {
		defer close(out)
		for p := range order {
			select {
			case <-p.done:
			case <-ctx.Done():
				return
			}
			select {
			case out <- p:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// cutter makes the pieces.
type cutter struct {
	ctx         context.Context
	work, order chan<- *piece
	buffers     *buffers
}

func (c *cutter) entry(e *Entry) error {
	if !e.Mode.IsRegular() || e.Size <= pieceSize {
		return c.send(&piece{entry: e, first: true, last: true, file: new(zipFile), rawSize: int(e.Size)})
	}
	f, err := os.Open(e.source)
	if err != nil {
		return err
	}
	defer f.Close()
	file := new(zipFile)
	crc := uint32(0)
	for at := int64(0); at < e.Size; {
		size := min(pieceSize, e.Size-at)
		in := c.buffers.get()
		raw, err := readFull(f, *in, int(size))
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return e.changed()
		}
		if err != nil {
			return err
		}
		crc = crc32.Update(crc, crc32.IEEETable, raw)
		p := &piece{entry: e, first: at == 0, last: at+size == e.Size, file: file, raw: raw, rawSize: len(raw), in: in}
		at += size
		if p.last && (crc != e.crc || hasMore(f)) {
			return e.changed()
		}
		if err := c.send(p); err != nil {
			return err
		}
	}
	return nil
}

func (c *cutter) send(p *piece) error {
	p.done = make(chan struct{})
	p.buffers = c.buffers
	for _, to := range []chan<- *piece{c.order, c.work} {
		select {
		case to <- p:
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
	}
	return nil
}

// deflater compresses pieces with one compressor that it keeps: making one
// costs more than compressing a small file.
type deflater struct {
	w     *flate.Writer
	level int
	err   error
}

func newDeflater(level int) *deflater {
	d := &deflater{level: level}
	if level > 0 {
		d.w, d.err = flate.NewWriter(io.Discard, level)
	}
	return d
}

// piece fills in what goes into the archive.
func (d *deflater) piece(p *piece) error {
	if d.err != nil {
		return d.err
	}
	p.method = zip.Deflate
	whole := p.first && p.last
	if whole {
		if err := p.readWhole(); err != nil {
			return err
		}
	}
	if whole && (d.level == 0 || len(p.raw) == 0) {
		p.method, p.out = zip.Store, p.raw
		return nil
	}
	p.c = p.buffers.get()
	sink := &appender{to: *p.c}
	if err := d.deflate(sink, p); err != nil {
		return err
	}
	*p.c = sink.to
	p.out = sink.to
	if whole && len(p.out) >= len(p.raw) {
		p.method, p.out = zip.Store, p.raw // it does not compress
	}
	return nil
}

// deflate writes the piece as a part of a deflate stream: parts end at a byte
// (a sync marker), only the last one ends the stream, so that their
// concatenation is one stream.
func (d *deflater) deflate(sink *appender, p *piece) error {
	w := d.w
	if w == nil { // stored, but a large file still is a deflate stream
		var err error
		if w, err = flate.NewWriter(sink, flate.NoCompression); err != nil {
			return err
		}
	} else {
		w.Reset(sink)
	}
	if _, err := w.Write(p.raw); err != nil {
		return err
	}
	if p.last {
		return w.Close()
	}
	return w.Flush()
}

// readWhole reads a small file, checked against what Digest has read.
func (p *piece) readWhole() error {
	e := p.entry
	if e.Mode&fs.ModeSymlink != 0 {
		p.raw = []byte(e.Target)
		return nil
	}
	if !e.Mode.IsRegular() {
		return nil
	}
	p.in = p.buffers.get()
	raw, err := e.readWhole(*p.in)
	if err != nil {
		return err
	}
	if p.raw = raw; crc32.ChecksumIEEE(raw) != e.crc {
		return e.changed()
	}
	return nil
}

// readFull reads size bytes into buf, which it grows as needed.
func readFull(r io.Reader, buf []byte, size int) ([]byte, error) {
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	_, err := io.ReadFull(r, buf)
	return buf, err
}

// hasMore tells whether the file goes on after what was read.
func hasMore(r io.Reader) bool {
	n, _ := r.Read(make([]byte, 1))
	return n > 0
}

// appender is a writer into a slice.
type appender struct{ to []byte }

func (a *appender) Write(b []byte) (int, error) {
	a.to = append(a.to, b...)
	return len(b), nil
}
