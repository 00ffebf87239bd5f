package codebuild

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/archive"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/upload"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// How often progress is told: a job log keeps every line, a terminal is drawn
// over.
const (
	progressLine = 5 * time.Second
	progressDraw = 200 * time.Millisecond
)

// progress tells how far an upload has come. The size of the archive is not
// known before its end, so the share is that of the files read.
type progress struct {
	bridge *Bridge
	total  int64
	begun  time.Time
	told   time.Time
	drawn  bool
	sent   atomic.Int64
}

func (b *Bridge) newProgress(total int64) *progress {
	now := b.now()
	return &progress{bridge: b, total: total, begun: now, told: now}
}

// uploadGarbage is how much garbage, in per cent of what is in use, may gather
// during an upload. Its buffers are in use all the time and are most of the
// memory: with as much again, which is Go's own rule, a job's 64 MiB would not
// do.
const uploadGarbage = 25

type writeArchive func(ctx context.Context, w io.Writer, level int, progress archive.Progress) error

// writer makes an upload's writer of an archive's.
func (p *progress) writer(write writeArchive, level int) upload.Writer {
	return func(ctx context.Context, w io.Writer) error {
		defer debug.SetGCPercent(debug.SetGCPercent(uploadGarbage))
		return write(ctx, countingWriter{w, &p.sent}, level, p.read)
	}
}

type countingWriter struct {
	w io.Writer
	n *atomic.Int64
}

func (c countingWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n.Add(int64(n))
	return n, err
}

func (p *progress) read(read int64) {
	now := p.bridge.now()
	every := progressLine
	if p.bridge.terminal {
		every = progressDraw
	}
	if now.Sub(p.told) < every {
		return
	}
	p.told = now
	line := p.line(read, now)
	if p.bridge.terminal {
		p.drawn = true
		fmt.Fprintf(p.bridge.out, "\r\x1b[K%s", line)
		return
	}
	p.bridge.say.Info("%s", line)
}

func (p *progress) line(read int64, now time.Time) string {
	elapsed := now.Sub(p.begun)
	sent := p.sent.Load()
	line := fmt.Sprintf("Uploading: %s of %s read, %s sent, %s/s", size(read), size(p.total), size(sent), size(int64(float64(sent)/elapsed.Seconds())))
	// Of the first hundredth, little was sent: what is left could be anything.
	if read > p.total/100 && read < p.total {
		left := time.Duration(float64(elapsed) * float64(p.total-read) / float64(read))
		line += ", about " + joblog.Duration(left) + " left"
	}
	return line
}

// end clears what was drawn.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprint(p.bridge.out, "\r\x1b[K")
	}
}

// unique is a part of a key that nothing else has.
func unique() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
