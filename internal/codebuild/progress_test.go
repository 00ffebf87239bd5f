package codebuild

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/archive"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// tell plays an upload of 100 MB that takes 20 s of a clock of its own.
func tell(t *testing.T, terminal bool) string {
	t.Helper()
	var out bytes.Buffer
	clock := time.Unix(1700000000, 0)
	b := &Bridge{out: &out, say: joblog.New(&out, true), terminal: terminal, now: func() time.Time { return clock }}
	p := b.newProgress(100e6)
	write := p.writer(func(_ context.Context, w io.Writer, _ int, progress archive.Progress) error {
		for step := range 20 {
			clock = clock.Add(time.Second)
			if _, err := w.Write(make([]byte, 2e6)); err != nil {
				return err
			}
			progress(int64(step+1) * 5e6)
		}
		return nil
	}, 1)
	if err := write(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	p.end()
	return out.String()
}

func TestProgressInAJobLogIsALineNowAndThen(t *testing.T) {
	t.Parallel()
	want := `Uploading: 25.0 MB of 100.0 MB read, 10.0 MB sent, 2.0 MB/s, about 15s left
Uploading: 50.0 MB of 100.0 MB read, 20.0 MB sent, 2.0 MB/s, about 10s left
Uploading: 75.0 MB of 100.0 MB read, 30.0 MB sent, 2.0 MB/s, about 5.0s left
Uploading: 100.0 MB of 100.0 MB read, 40.0 MB sent, 2.0 MB/s
`
	if got := tell(t, false); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestProgressOnATerminalIsDrawnInPlace(t *testing.T) {
	t.Parallel()
	got := tell(t, true)
	if n := strings.Count(got, "\r\x1b[K"); n != 21 {
		t.Errorf("drawn %d times, want 20 and once to clear", n)
	}
	if strings.Contains(got, "\n") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("got %q, want one line that is cleared at the end", got)
	}
}

// What was just begun gives no ground to guess from.
func TestProgressGuessesOnlyFromSomething(t *testing.T) {
	t.Parallel()
	begun := time.Unix(0, 0)
	p := &progress{total: 100e6, begun: begun}
	for read, guess := range map[int64]bool{512 << 10: false, 2e6: true, 100e6: false} {
		if line := p.line(read, begun.Add(5*time.Second)); strings.Contains(line, "left") != guess {
			t.Errorf("after %d bytes: %q", read, line)
		}
	}
}
