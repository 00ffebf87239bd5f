package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/follow"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/start"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// measureFollow measures the bridge while it follows a build.
func measureFollow(ctx context.Context, b *bench) ([]row, error) {
	fast, err := followRate(ctx, b, 10_000)
	if err != nil {
		return nil, err
	}
	short, err := followRate(ctx, b, 500)
	if err != nil {
		return nil, err
	}
	late, rss, err := followProcess(ctx, b)
	if err != nil {
		return nil, err
	}
	return []row{
		{"100,000 log lines followed", ">= 20 MB/s", fmt.Sprintf("%.1f MB/s", fast/1e6), fast < 20e6},
		{"the same on pages of 500 lines", ">= 20 MB/s", fmt.Sprintf("%.1f MB/s", short/1e6), short < 20e6},
		{"end of the build to exit", "<= 2 s", millis(late), late > 2*time.Second},
		{"resident memory while following", "<= 20 MiB", fmt.Sprintf("%.1f MiB", float64(rss)/1024), rss > 20*1024},
	}, nil
}

// followRate follows a build that has ended and whose log waits on pages of so
// many lines, and returns bytes of log a second.
func followRate(ctx context.Context, b *bench, page int) (float64, error) {
	s, err := localaws.Start(localaws.Options{NoThrottle: true})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	cfg := aws.Config{
		Region: localaws.Region, BaseEndpoint: aws.String(s.URL()),
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
		// A server in the same process answers before the client has put its request
		// away, and then a connection breaks now and then in a long answer. The SDK's
		// pause of up to 2 s before it asks again is not what is measured.
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 10 * time.Millisecond })
		},
	}
	s.AddProject(localaws.Project{Name: "quiet", SourceType: "NO_SOURCE", Buildspec: "version: 0.2\nphases: {}\n"})
	s.PlanBuilds(localaws.BuildPlan{NoLogGroup: true})
	say := joblog.New(io.Discard, true)
	started, err := start.New(cfg, say).Start(ctx, start.Request{Project: "quiet"})
	if err != nil {
		return 0, err
	}
	_, stream, _ := strings.Cut(started.ID, ":")
	var lines []string
	for i := range b.count(100_000) {
		lines = append(lines, fmt.Sprintf("#%d %d.%03d  Compiling package number %d of the whole project, as a long build does it\n", i%40, i/1000, i%1000, i))
	}
	lines = append(lines, "[Container] 2026/01/01 00:00:00.000000 Phase complete: UPLOAD_ARTIFACTS State: SUCCEEDED\n",
		"[Container] 2026/01/01 00:00:00.000000 Phase context status code:  Message: \n")
	s.SetLogPages(localaws.LogPages{Events: page})
	s.PutLogEvents("/aws/codebuild/quiet", stream, 0, lines...)
	if err := s.Wait(ctx, func() bool { return s.Builds()[0].Done }); err != nil {
		return 0, err
	}
	var took []time.Duration
	size := 0
	for range 5 {
		var out bytes.Buffer
		begun := time.Now()
		result, err := follow.New(cfg, &out, say, follow.Options{}).Follow(ctx, started.ID)
		took = append(took, time.Since(begun))
		if err != nil || result.Lines != int64(len(lines)) {
			return 0, fmt.Errorf("following: %d of %d lines: %w", result.Lines, len(lines), err)
		}
		size = out.Len()
	}
	return float64(size) / median(took).Seconds(), nil
}

// followProcess runs the whole program on a build that sleeps, and returns how
// long after the build's end it exits, and its resident memory meanwhile in
// KiB.
func followProcess(ctx context.Context, b *bench) (late time.Duration, rss int64, err error) {
	s, err := localaws.Start(localaws.Options{NoThrottle: true})
	if err != nil {
		return 0, 0, err
	}
	defer s.Close()
	dir := filepath.Join(b.dir, "follow")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, 0, err
	}
	spec := "version: 0.2\nphases:\n  build:\n    commands:\n      - for i in $(seq 1 30); do echo step $i; sleep 0.2; done\n"
	if err := os.WriteFile(filepath.Join(dir, "buildspec.yml"), []byte(spec), 0o644); err != nil {
		return 0, 0, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(b.programs, "codebuild-bridge"), "build",
		"--project", localaws.ProjectName, "--bucket", localaws.SourceBucket, "--context", dir)
	cmd.Env = append(s.Env(), "PATH="+os.Getenv("PATH"), "TMPDIR="+b.dir)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	ended := make(chan time.Time, 1)
	go func() {
		if s.Wait(ctx, func() bool { builds := s.Builds(); return len(builds) == 1 && builds[0].Done }) == nil {
			ended <- time.Now()
		}
	}()
	if err := s.WaitCalls(ctx, "GetLogEvents", 5); err != nil {
		return 0, 0, err
	}
	if rss, err = resident(cmd.Process.Pid); err != nil {
		return 0, 0, err
	}
	if err := cmd.Wait(); err != nil {
		return 0, 0, fmt.Errorf("following: %w: %s", err, output.Bytes())
	}
	return time.Since(<-ended), rss, nil
}

// resident is a process's resident set in KiB.
func resident(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmRSS", pid)
}
