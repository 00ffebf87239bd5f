package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"golang.org/x/time/rate"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/archive"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/upload"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// words makes text that compresses about as source code does, to a third.
func words(random *rand.Rand, size int) []byte {
	const vocabulary = 400
	out := make([]byte, 0, size+64)
	for len(out) < size {
		// Few phrases are frequent, as in any text.
		n := random.IntN(1 + random.IntN(1+random.IntN(vocabulary)))
		out = fmt.Appendf(out, "%s.name%d", [...]string{"return fmt", "if err", "context", "func main", "for range", "string"}[n%6], n*7)
		switch random.IntN(9) {
		case 0:
			out = append(out, '\n', '\t', '\t')
		case 1:
			out = append(out, '(', ')')
		default:
			out = append(out, ' ')
		}
	}
	return out[:size]
}

// sourceTree lays out files of 12 KB on average, as a large repository has.
func sourceTree(dir string, files int) error {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range files {
		name := filepath.Join(dir, fmt.Sprintf("package%03d", i/40), fmt.Sprintf("file%05d.go", i))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, words(random, 2000+random.IntN(20_000)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// measureZip compares the bridge's archive with Info-ZIP's, as whole
// processes that write a file.
func measureZip(ctx context.Context, b *bench) ([]row, error) {
	dir := filepath.Join(b.dir, "tree")
	if err := sourceTree(dir, b.count(10_000)); err != nil {
		return nil, err
	}
	out := filepath.Join(b.dir, "x.zip")
	rounds := 5
	var ours, peer, digest []time.Duration
	var peak int64
	for range rounds {
		cmd := exec.CommandContext(ctx, filepath.Join(b.programs, "codebuild-bridge"), "archive", "--context", dir, "--output", out)
		took, err := timed(cmd)
		if err != nil {
			return nil, fmt.Errorf("zipping: %w", err)
		}
		ours, peak = append(ours, took), max(peak, maxRSS(cmd))
		if took, err = timed(exec.CommandContext(ctx, filepath.Join(b.programs, "codebuild-bridge"), "archive", "--context", dir)); err != nil {
			return nil, fmt.Errorf("hashing: %w", err)
		}
		digest = append(digest, took)
		os.Remove(out)
		zip := exec.CommandContext(ctx, "zip", "-qr", out, ".")
		zip.Dir = dir
		if took, err = timed(zip); err != nil {
			return nil, fmt.Errorf("zipping with Info-ZIP, which must be installed: %w", err)
		}
		peer = append(peer, took)
		os.Remove(out)
	}
	large, err := largeTreePeak(ctx, b)
	if err != nil {
		return nil, err
	}
	faster := float64(median(peer)) / float64(median(ours))
	unchanged := float64(median(peer)) / float64(median(digest))
	return []row{
		{"zip of 10,000 files / 120 MB", ">= 5 x Info-ZIP's zip -qr", fmt.Sprintf("%.1f x (%s, zip %s)", faster, millis(median(ours)), millis(median(peer))), faster < 5},
		{"unchanged tree: hashed, not zipped", ">= 20 x zip -qr", fmt.Sprintf("%.1f x (%s)", unchanged, millis(median(digest))), unchanged < 20},
		{"peak memory of the zip", "<= 64 MiB", fmt.Sprintf("%.1f MiB", float64(peak)/1024), peak > 64*1024},
		{"peak memory of a zip of 2 GB", "<= 64 MiB", fmt.Sprintf("%.1f MiB", float64(large)/1024), large > 64*1024},
	}, nil
}

// largeTreePeak zips 2 GB, which are many names of the same few files.
func largeTreePeak(ctx context.Context, b *bench) (kib int64, err error) {
	dir := filepath.Join(b.dir, "large")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	first := filepath.Join(dir, "file000")
	if err := os.WriteFile(first, words(rand.New(rand.NewPCG(3, 4)), 10_000_000), 0o644); err != nil {
		return 0, err
	}
	for i := 1; i < b.count(200); i++ {
		if err := os.Link(first, filepath.Join(dir, fmt.Sprintf("file%03d", i))); err != nil {
			return 0, err
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(b.programs, "codebuild-bridge"), "archive", "--context", dir, "--output", os.DevNull)
	if _, err := timed(cmd); err != nil {
		return 0, fmt.Errorf("zipping 2 GB: %w", err)
	}
	return maxRSS(cmd), nil
}

// link is a slow way to S3, 100 Mbit/s: what is measured is whether compressing
// and sending overlap, not how fast the two cores of this machine are.
const link = 12.5e6 // bytes a second

// measureUpload measures how well compressing and sending overlap.
func measureUpload(ctx context.Context, b *bench) ([]row, error) {
	s, err := localaws.Start(localaws.Options{NoThrottle: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	u := upload.New(aws.Config{
		Region: localaws.Region, BaseEndpoint: aws.String(s.URL()),
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
		HTTPClient:  &http.Client{Transport: &http.Transport{DialContext: slowLink(link)}},
	})
	dir := filepath.Join(b.dir, "upload")
	if err := sourceTree(dir, b.count(10_000)); err != nil {
		return nil, err
	}
	tree, err := archive.Scan(ctx, archive.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	digest, err := tree.Digest(ctx)
	if err != nil {
		return nil, err
	}
	var zip, send, both, head []time.Duration
	var zipped bytes.Buffer
	for range 3 {
		key := fmt.Sprintf("%d", len(zip))
		for _, step := range []struct {
			took *[]time.Duration
			do   func() error
		}{
			{&zip, func() error {
				zipped.Reset()
				return tree.WriteZip(ctx, &zipped, 1, nil)
			}},
			{&send, func() error {
				return put(ctx, u, "alone"+key, digest, func(_ context.Context, w io.Writer) error {
					_, err := w.Write(zipped.Bytes())
					return err
				})
			}},
			{&both, func() error {
				return put(ctx, u, "both"+key, digest, func(ctx context.Context, w io.Writer) error { return tree.WriteZip(ctx, w, 1, nil) })
			}},
			{&head, func() error { return put(ctx, u, "both"+key, digest, nil) }},
		} {
			begun := time.Now()
			if err := step.do(); err != nil {
				return nil, err
			}
			*step.took = append(*step.took, time.Since(begun))
		}
	}
	over := float64(median(both)) / float64(max(median(zip), median(send)))
	return []row{
		{"zip and upload at once", "<= 1.15 x the slower alone", fmt.Sprintf("%.2f x (%s; zip %s, upload of %d MB %s)",
			over, millis(median(both)), millis(median(zip)), zipped.Len()/1e6, millis(median(send))), over > 1.15},
		{"upload of what is there", "one HEAD", millis(median(head)), median(head) > 200*time.Millisecond},
	}, nil
}

func put(ctx context.Context, u *upload.Uploader, key, digest string, write upload.Writer) error {
	_, err := u.Source(ctx, upload.Place{Bucket: localaws.SourceBucket, Key: key}, digest, write)
	return err
}

// slowLink dials connections that together send so many bytes a second.
func slowLink(bytesPerSecond float64) func(context.Context, string, string) (net.Conn, error) {
	const burst = 64 << 10
	limit := rate.NewLimiter(rate.Limit(bytesPerSecond), burst)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &slowConn{c, limit, burst}, nil
	}
}

type slowConn struct {
	net.Conn
	limit *rate.Limiter
	burst int
}

func (c *slowConn) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		piece := p[sent:min(len(p), sent+c.burst)]
		if err := c.limit.WaitN(context.Background(), len(piece)); err != nil {
			return sent, err
		}
		n, err := c.Conn.Write(piece)
		if sent += n; err != nil {
			return sent, err
		}
	}
	return sent, nil
}
