package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"golang.org/x/time/rate"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/archive"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/upload"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// sources is the tree that is archived: Go's own sources, of which every
// machine that runs this has some 11,000 files of 120 MB.
func sources(ctx context.Context, b *bench) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("looking for Go's sources: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src")
	if b.quick {
		dir = filepath.Join(dir, "internal")
	}
	return dir, nil
}

// bridge is a run of codebuild-bridge.
func (b *bench) bridge(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, filepath.Join(b.programs, "codebuild-bridge"), args...)
}

// measureZip compares the bridge's archive with Info-ZIP's, as whole
// processes that write a file.
func measureZip(ctx context.Context, b *bench) ([]row, error) {
	dir, err := sources(ctx, b)
	if err != nil {
		return nil, err
	}
	tree, err := archive.Scan(ctx, archive.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	our, their := filepath.Join(b.dir, "our.zip"), filepath.Join(b.dir, "their.zip")
	var ours, peer, digest []time.Duration
	for range 1 + b.count(7) {
		took, err := timed(b.bridge(ctx, "archive", "--context", dir, "--output", our))
		if err != nil {
			return nil, fmt.Errorf("zipping: %w", err)
		}
		ours = append(ours, took)
		if took, err = timed(b.bridge(ctx, "archive", "--context", dir)); err != nil {
			return nil, fmt.Errorf("hashing: %w", err)
		}
		digest = append(digest, took)
		os.Remove(their) // zip would add to it
		zip := exec.CommandContext(ctx, "zip", "-qr", their, ".")
		zip.Dir = dir
		if took, err = timed(zip); err != nil {
			return nil, fmt.Errorf("zipping with Info-ZIP, which must be installed: %w", err)
		}
		peer = append(peer, took)
	}
	// The first round reads from the disk.
	ours, peer, digest = ours[1:], peer[1:], digest[1:]
	size, err := sizes(our, their)
	if err != nil {
		return nil, err
	}
	small, err := peak(b.bridge(ctx, "archive", "--context", dir, "--output", our))
	if err != nil {
		return nil, err
	}
	if err := layLarge(ctx, b, dir); err != nil {
		return nil, err
	}
	large, err := peak(b.bridge(ctx, "archive", "--context", b.large(), "--output", os.DevNull))
	if err != nil {
		return nil, fmt.Errorf("zipping 2 GB: %w", err)
	}
	faster := float64(median(peer)) / float64(median(ours))
	unchanged := float64(median(peer)) / float64(median(digest))
	return []row{
		{fmt.Sprintf("zip of %d files / %d MB", tree.Files(), tree.Bytes/1e6), ">= 5 x Info-ZIP's zip -qr", fmt.Sprintf("%.1f x (%s, zip %s)", faster, millis(median(ours)), millis(median(peer))), faster < 5},
		{"size of that zip", "<= 1.08 x Info-ZIP's", fmt.Sprintf("%.3f x", size), size > 1.08},
		{"unchanged tree: hashed, not zipped", ">= 20 x zip -qr", fmt.Sprintf("%.1f x (%s)", unchanged, millis(median(digest))), unchanged < 20},
		{"peak memory of the zip", "<= 64 MiB", mib(small), small > 64<<10},
		{"peak memory of a zip of 2 GB", "<= 64 MiB", mib(large), large > 64<<10},
	}, nil
}

func mib(kib int) string { return fmt.Sprintf("%.1f MiB", float64(kib)/1024) }

// sizes returns how much larger one file is than another.
func sizes(ours, peer string) (float64, error) {
	our, err := os.Stat(ours)
	if err != nil {
		return 0, err
	}
	their, err := os.Stat(peer)
	if err != nil {
		return 0, err
	}
	return float64(our.Size()) / float64(their.Size()), nil
}

func (b *bench) large() string { return filepath.Join(b.dir, "large") }

// layLarge lays out 2 GB, which are many names of one file of 10 MB: the Go
// sources of a directory, one after another.
func layLarge(ctx context.Context, b *bench, from string) error {
	if err := os.RemoveAll(b.large()); err != nil {
		return err
	}
	if err := os.Mkdir(b.large(), 0o755); err != nil {
		return err
	}
	first := filepath.Join(b.large(), "file000")
	gather := exec.CommandContext(ctx, "sh", "-c", `find "$1" -name '*.go' -exec cat {} + | head -c 10000000 >"$2"`, "sh", from, first)
	if _, err := timed(gather); err != nil {
		return fmt.Errorf("gathering 10 MB of text: %w", err)
	}
	for i := 1; i < b.count(200); i++ {
		if err := os.Link(first, filepath.Join(b.large(), fmt.Sprintf("file%03d", i))); err != nil {
			return err
		}
	}
	spec := "version: 0.2\nphases:\n  build:\n    commands:\n      - \"true\"\n"
	return os.WriteFile(filepath.Join(b.large(), "buildspec.yml"), []byte(spec), 0o644)
}

// link is a slow way to S3, 100 Mbit/s: what is measured is whether compressing
// and sending overlap, not how fast the two cores of this machine are.
const link = 12.5e6 // bytes a second

// level is the bridge's default.
const level = 4

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
	dir, err := sources(ctx, b)
	if err != nil {
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
				return tree.WriteZip(ctx, &zipped, level, nil)
			}},
			{&send, func() error {
				return put(ctx, u, "alone"+key, digest, func(_ context.Context, w io.Writer) error {
					_, err := w.Write(zipped.Bytes())
					return err
				})
			}},
			{&both, func() error {
				return put(ctx, u, "both"+key, digest, func(ctx context.Context, w io.Writer) error { return tree.WriteZip(ctx, w, level, nil) })
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
	if err := layLarge(ctx, b, dir); err != nil {
		return nil, err
	}
	build := b.bridge(ctx, "build", "--project", localaws.ProjectName, "--bucket", localaws.SourceBucket, "--context", b.large(), "--log", "off")
	build.Env = append(os.Environ(), s.Env()...)
	memory, err := peak(build)
	if err != nil {
		return nil, fmt.Errorf("uploading 2 GB: %w", err)
	}
	over := float64(median(both)) / float64(max(median(zip), median(send)))
	return []row{
		{"zip and upload at once", "<= 1.15 x the slower alone", fmt.Sprintf("%.2f x (%s; zip %s, upload of %d MB %s)",
			over, millis(median(both)), millis(median(zip)), zipped.Len()/1e6, millis(median(send))), over > 1.15},
		{"upload of what is there", "one HEAD", millis(median(head)), median(head) > 200*time.Millisecond},
		{"peak memory of a build whose source is 2 GB", "<= 64 MiB", mib(memory), memory > 64<<10},
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
