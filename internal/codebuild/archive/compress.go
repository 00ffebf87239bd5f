package archive

import (
	"archive/zip"
	"context"
	"hash/crc32"
	"io"
	"iter"
	"runtime"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
)

const (
	// partSize is how much of a large file is compressed at once. A larger one
	// is cut into parts, which all cores compress; a cut costs 5 bytes and a
	// window of 32 KiB, about 1 % of a part of text.
	partSize = 512 << 10
	// batchSize is about how much of small files one core takes at once: enough
	// that handing them over costs nothing beside compressing them.
	batchSize = 256 << 10
	// entryCost is what opening and closing a file takes, in bytes that could
	// be compressed meanwhile.
	entryCost = 2 << 10
)

// inFlight bounds the pieces between the reader and the writer, and with them
// the memory, at most twice partSize each: one for each core, and two that wait
// to be compressed or written.
func inFlight() int { return runtime.GOMAXPROCS(0) + 2 }

// piece is what one core compresses at once: some entries that follow each
// other, or a part of a large file.
type piece struct {
	entries []Entry
	part    *part // nil: the entries whole
	size    int64 // of what is read

	out    *[]byte  // what goes into the zip, one entry after another
	packed []packed // where in it each entry is
	err    error
	done   chan struct{} // closed when it is compressed
}

// add notes that what was added to out is one more entry, or a part of one.
func (p *piece) add(method uint16) { p.packed = append(p.packed, packed{method, len(*p.out)}) }

// packed is an entry's content as it goes into the zip.
type packed struct {
	method uint16
	end    int // in piece.out
}

// part is a part of a large file.
type part struct {
	file        *zipFile
	raw         *[]byte
	first, last bool
}

// pool keeps buffers for the next piece.
type pool struct{ sync.Pool }

func (p *pool) get() *[]byte {
	if b, ok := p.Get().(*[]byte); ok {
		*b = (*b)[:0]
		return b
	}
	return new([]byte)
}

// compress returns the pieces of a tree in its order, each ready to be
// written, until one has an error or the context ends. One goroutine cuts, the
// workers compress, the caller writes.
func (t *Tree) compress(ctx context.Context, level int) iter.Seq[*piece] {
	return func(yield func(*piece) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var group sync.WaitGroup
		defer group.Wait()
		defer cancel()
		c := &cutter{
			ctx: ctx, tree: t, buffers: new(pool),
			work: make(chan *piece, inFlight()), order: make(chan *piece, inFlight()),
		}
		group.Go(c.all)
		for range runtime.GOMAXPROCS(0) {
			group.Go(func() { c.deflate(level) })
		}
		for p := range c.order {
			select {
			case <-p.done:
			case <-ctx.Done():
				return
			}
			if ctx.Err() != nil || !yield(p) || p.err != nil {
				return
			}
			c.buffers.Put(p.out)
		}
	}
}

// cutter makes the pieces.
type cutter struct {
	ctx         context.Context
	tree        *Tree
	buffers     *pool
	work, order chan *piece
}

// all cuts the whole tree.
func (c *cutter) all() {
	defer close(c.order)
	defer close(c.work)
	r := newReader(c.tree.root)
	defer r.close()
	for entries := c.tree.Entries; len(entries) > 0; {
		n := batch(entries)
		if n > 0 {
			if !c.send(&piece{entries: entries[:n]}) {
				return
			}
		} else {
			n = 1
			if err := c.parts(r, entries[:1]); err != nil {
				c.send(&piece{err: err})
				return
			}
		}
		entries = entries[n:]
	}
}

// batch returns how many of the entries make one piece; 0 if the first is a
// large file.
func batch(entries []Entry) int {
	size := int64(0)
	for i := range entries {
		if entries[i].Size > partSize || size > batchSize {
			return i
		}
		size += entries[i].Size + entryCost
	}
	return len(entries)
}

// parts cuts a large file.
func (c *cutter) parts(r *reader, entry []Entry) error {
	e := &entry[0]
	f, err := r.file(e)
	if err != nil {
		return err
	}
	defer f.Close()
	file, crc := new(zipFile), uint32(0)
	for at := int64(0); at < e.Size; at += partSize {
		size := min(partSize, e.Size-at)
		raw := c.buffers.get()
		*raw = slices.Grow(*raw, int(size))[:size]
		if _, err := io.ReadFull(f, *raw); err == io.EOF || err == io.ErrUnexpectedEOF {
			return e.changed()
		} else if err != nil {
			return err
		}
		crc = crc32.Update(crc, crc32.IEEETable, *raw)
		last := at+size == e.Size
		if last && (crc != e.crc || hasMore(f)) {
			return e.changed()
		}
		if !c.send(&piece{entries: entry, size: size, part: &part{file: file, raw: raw, first: at == 0, last: last}}) {
			return nil
		}
	}
	return nil
}

// send hands a piece to a worker and to the writer, which waits for it.
func (c *cutter) send(p *piece) bool {
	p.done = make(chan struct{})
	for _, to := range []chan<- *piece{c.order, c.work} {
		select {
		case to <- p:
		case <-c.ctx.Done():
			return false
		}
	}
	return true
}

// deflate compresses pieces until there are no more.
func (c *cutter) deflate(level int) {
	d := &deflater{reader: newReader(c.tree.root), buffers: c.buffers}
	defer d.reader.close()
	var err error
	if level > 0 {
		d.w, err = flate.NewWriter(nil, level)
	}
	for p := range c.work {
		if p.err == nil {
			p.err = err
		}
		if p.err == nil && c.ctx.Err() == nil {
			p.err = d.piece(p)
		}
		close(p.done)
	}
}

// deflater compresses pieces with one compressor that it keeps: making one
// costs more than compressing a small file.
type deflater struct {
	reader  *reader
	buffers *pool
	w       *flate.Writer // nil: everything is stored
}

// piece fills in what goes into the archive.
func (d *deflater) piece(p *piece) error {
	if p.part != nil && d.w == nil {
		p.out, p.part.raw = p.part.raw, nil
		p.add(zip.Store)
		return nil
	}
	p.out = d.buffers.get()
	if p.part != nil {
		defer d.buffers.Put(p.part.raw)
		return d.deflate(p, *p.part.raw, p.part.last)
	}
	for i := range p.entries {
		if err := d.whole(p, &p.entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// whole adds an entry, checked against what Digest has read.
func (d *deflater) whole(p *piece, e *Entry) error {
	content := []byte(e.Target)
	if e.Mode.IsRegular() {
		var err error
		if content, err = d.reader.whole(e); err != nil {
			return err
		}
		if crc32.ChecksumIEEE(content) != e.crc {
			return e.changed()
		}
	}
	p.size += e.Size
	begin := len(*p.out)
	if d.w != nil && len(content) > 0 {
		if err := d.deflate(p, content, true); err != nil {
			return err
		}
		if len(*p.out)-begin < len(content) {
			return nil
		}
		// It does not compress.
		*p.out, p.packed = (*p.out)[:begin], p.packed[:len(p.packed)-1]
	}
	*p.out = append(*p.out, content...)
	p.add(zip.Store)
	return nil
}

// deflate adds content as a deflate stream or as a part of one: parts end at a
// byte (a sync marker), only the last one ends the stream, so that they make
// one stream together.
func (d *deflater) deflate(p *piece, content []byte, last bool) error {
	d.w.Reset((*appender)(p.out))
	if _, err := d.w.Write(content); err != nil {
		return err
	}
	end := d.w.Flush
	if last {
		end = d.w.Close
	}
	if err := end(); err != nil {
		return err
	}
	p.add(zip.Deflate)
	return nil
}

// appender is a writer into a slice.
type appender []byte

func (a *appender) Write(b []byte) (int, error) {
	*a = append(*a, b...)
	return len(b), nil
}
