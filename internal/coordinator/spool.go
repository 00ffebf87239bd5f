package coordinator

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"

	"github.com/fargate-driver/fargate-driver/internal/wire"
)

const (
	// memorySize is how much of a log stays in memory: more than a connection
	// has under way, so that a script with a reader never touches the disk. With
	// half of it the script waits for acknowledgements, a tenth of the throughput;
	// twice as much brings little and is a fifth of the agent's whole memory.
	memorySize = 1 << 20
	// smallSize is the memory of a log that has not needed more, as most scripts.
	smallSize = 64 << 10
	// reserve is room beyond the limits for notices and the exit code, which
	// must not wait for a reader. A log has a handful of them.
	reserve = 16 << 10
	// chunkSize is the most that a reader takes at once.
	chunkSize = 128 << 10
)

var (
	errSpoolClosed = errors.New("the log is closed")
	errTakenOver   = errors.New("a newer reader took over")
)

// spool is the log of one execution: whole frames in order, kept until they are
// acknowledged. Positions count every byte of it since the beginning.
//
// The oldest part is in a ring in memory. While nobody reads, what does not fit
// there goes to a file, a ring as well, up to the limit; then, or as soon as
// memory is full while somebody does read, writers wait, as on a pipe.
type spool struct {
	dir   string
	limit int64

	mu       sync.Mutex
	changed  sync.Cond
	base     int64 // what is before it was acknowledged
	end      int64
	fromFile int64 // from here on the log is in the file; -1 when none of it is
	ring     []byte
	file     *os.File
	reader   *cursor
	sealed   bool          // the last record is in
	last     []byte        // that record: it is given again to whoever comes later
	taken    chan struct{} // closed when all of it was acknowledged
}

// cursor is the one reader of a spool.
type cursor struct {
	spool *spool
	next  int64 // position after what was handed out
	gone  error
	buf   []byte
}

func newSpool(dir string, limit int64) *spool {
	s := &spool{dir: dir, limit: limit, fromFile: -1, taken: make(chan struct{})}
	s.changed.L = &s.mu
	return s
}

// write appends output, and waits for room.
func (s *spool) write(kind wire.Kind, payload []byte) error { return s.append(kind, payload, false) }

// note appends a record that does not wait for a reader, if it can be helped.
func (s *spool) note(kind wire.Kind, payload []byte) error { return s.append(kind, payload, true) }

func (s *spool) append(kind wire.Kind, payload []byte, urgent bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.sealed {
			return errSpoolClosed
		}
		size := int64(wire.HeaderSize + len(payload))
		after := s.end - s.base + size
		memory, disk := int64(memorySize), s.limit
		if urgent {
			memory, disk = memory+reserve, disk+reserve
		}
		// A limit smaller than one frame must not stop everything.
		fits := after <= disk || s.base == s.end
		switch {
		case fits && s.fromFile < 0 && after <= memory:
			s.put(kind, payload)
			s.end += size
			s.added(kind, payload)
			return nil
		case fits && (s.fromFile >= 0 || s.reader == nil || urgent):
			if s.putFile(kind, payload) == nil {
				if s.fromFile < 0 {
					s.fromFile = s.end
				}
				s.end += size
				s.added(kind, payload)
				return nil
			}
			// The disk is full. A reader makes room; until then this waits.
		}
		s.changed.Wait()
	}
}

// added wakes the reader.
func (s *spool) added(kind wire.Kind, payload []byte) {
	if kind == wire.Exit {
		s.sealed = true
		s.last = wire.AppendFrame(nil, kind, payload)
	}
	s.changed.Broadcast()
}

// put copies a frame into the ring.
func (s *spool) put(kind wire.Kind, payload []byte) {
	need := s.end - s.base + int64(wire.HeaderSize+len(payload))
	switch {
	case need <= int64(len(s.ring)):
	case need <= smallSize:
		s.ring = make([]byte, smallSize)
	default:
		s.grow()
	}
	var header [wire.HeaderSize]byte
	wire.PutHeader(header[:], kind, len(payload))
	copyIn(s.ring, s.end, header[:])
	copyIn(s.ring, s.end+wire.HeaderSize, payload)
}

// grow makes the ring as large as it may be. What a cursor handed out stays as
// it is, in the old one.
func (s *spool) grow() {
	old := s.ring
	s.ring = make([]byte, memorySize+reserve)
	for at := s.base; at < s.end; {
		part := old[at%int64(len(old)):]
		part = part[:min(int64(len(part)), s.end-at)]
		copyIn(s.ring, at, part)
		at += int64(len(part))
	}
}

// copyIn copies b to position at of a ring.
func copyIn(ring []byte, at int64, b []byte) {
	for len(b) > 0 {
		n := copy(ring[at%int64(len(ring)):], b)
		b = b[n:]
		at += int64(n)
	}
}

// putFile writes a frame to the file. A part of it that was written before an
// error is written again by the next try.
func (s *spool) putFile(kind wire.Kind, payload []byte) error {
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, "output-")
		if err != nil {
			return fmt.Errorf("making a file for the output: %w", err)
		}
		os.Remove(file.Name()) // the descriptor is enough, and leaves nothing behind
		s.file = file
	}
	frame := wire.AppendFrame(make([]byte, 0, wire.HeaderSize+len(payload)), kind, payload)
	at, size := s.end, s.fileSize()
	for len(frame) > 0 {
		part := frame[:min(int64(len(frame)), size-at%size)]
		if _, err := s.file.WriteAt(part, at%size); err != nil {
			return fmt.Errorf("writing output to the disk: %w", err)
		}
		frame = frame[len(part):]
		at += int64(len(part))
	}
	return nil
}

// fileSize is the ring in the file: all that may be unacknowledged, and a frame
// more for a limit that is smaller than one.
func (s *spool) fileSize() int64 { return s.limit + reserve + wire.MaxFrame }

// attach makes a reader from offset on, wire.FromOldest for all there is. The
// caller has seen to it that the reader before it is gone.
func (s *spool) attach(offset int64) (*cursor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := min(s.base, s.end-int64(len(s.last)))
	if offset == wire.FromOldest {
		offset = oldest
	}
	if offset < oldest || offset > s.end {
		return nil, fmt.Errorf("position %d is asked for, and kept is what is from %d to %d", offset, oldest, s.end)
	}
	c := &cursor{spool: s, next: offset}
	s.reader = c
	s.drop(offset)
	return c, nil
}

// detach ends a reader; read returns the reason from then on.
func (c *cursor) detach(reason error) {
	c.spool.mu.Lock()
	defer c.spool.mu.Unlock()
	if c.gone == nil {
		c.gone = reason
	}
	if c.spool.reader == c {
		c.spool.reader = nil
	}
	c.spool.changed.Broadcast()
}

// read waits for more of the log and returns a piece of it, whole frames not
// among its promises. The bytes stay as they are until they are acknowledged.
// At the end of the log it returns io.EOF.
func (c *cursor) read() ([]byte, error) {
	s := c.spool
	s.mu.Lock()
	for c.next == s.end && c.gone == nil && !s.sealed {
		s.changed.Wait()
	}
	if c.gone != nil {
		s.mu.Unlock()
		return nil, c.gone
	}
	if c.next == s.end {
		s.mu.Unlock()
		return nil, io.EOF
	}
	if s.collected() {
		piece := s.last[int64(len(s.last))-(s.end-c.next):]
		c.next = s.end
		s.mu.Unlock()
		return piece, nil
	}
	from, to := c.next, s.end
	if s.fromFile < 0 || from < s.fromFile {
		if s.fromFile >= 0 {
			to = s.fromFile
		}
		at := from % int64(len(s.ring))
		n := min(to-from, int64(len(s.ring))-at, chunkSize)
		c.next += n
		piece := s.ring[at : at+n]
		s.mu.Unlock()
		return piece, nil
	}
	at := from % s.fileSize()
	n := min(to-from, s.fileSize()-at, chunkSize)
	c.next += n
	file := s.file
	s.mu.Unlock()
	if c.buf == nil {
		c.buf = make([]byte, chunkSize)
	}
	if _, err := file.ReadAt(c.buf[:n], at); err != nil {
		return nil, fmt.Errorf("reading output from the disk: %w", err)
	}
	return c.buf[:n], nil
}

// ack drops what is before offset.
func (c *cursor) ack(offset int64) error {
	s := c.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.gone != nil {
		return c.gone
	}
	if offset > c.next {
		return fmt.Errorf("position %d is acknowledged, and sent was %d", offset, c.next)
	}
	s.drop(offset)
	return nil
}

func (s *spool) drop(offset int64) {
	if offset <= s.base {
		return
	}
	s.base = offset
	if s.fromFile >= 0 && s.base == s.end {
		s.fromFile = -1
		s.file.Truncate(0) // give the disk back; if that fails, later
	}
	if s.collected() {
		s.release()
		close(s.taken)
	}
	s.changed.Broadcast()
}

// discard drops the output that nobody came for. The last record stays.
func (s *spool) discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sealed && s.reader == nil {
		s.drop(s.end)
	}
}

// release gives memory and disk back once nobody can ask for more.
func (s *spool) release() {
	if len(s.ring) > smallSize {
		// At once, or the next script's comes on top of it.
		go debug.FreeOSMemory()
	}
	s.ring = nil
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
}

// collected reports whether all of the log was acknowledged.
func (s *spool) collected() bool { return s.sealed && s.base == s.end }
