package follow_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/follow"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/start"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// BenchmarkFollow follows a build that has ended and whose log of 100,000
// lines waits to be read, on pages as long as CloudWatch makes them and on
// shorter ones.
func BenchmarkFollow(b *testing.B) {
	for _, events := range []int{10_000, 1_000, 100} {
		b.Run(fmt.Sprintf("%d a page", events), func(b *testing.B) { benchmarkFollow(b, events) })
	}
}

func benchmarkFollow(b *testing.B, events int) {
	s, err := localaws.Start(localaws.Options{NoThrottle: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	cfg := aws.Config{
		Region: localaws.Region, BaseEndpoint: aws.String(s.URL()),
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	}
	s.AddProject(localaws.Project{Name: "quiet", SourceType: "NO_SOURCE", Buildspec: "version: 0.2\nphases: {}\n"})
	s.PlanBuilds(localaws.BuildPlan{NoLogGroup: true})
	say := joblog.New(io.Discard, true)
	started, err := start.New(cfg, say).Start(b.Context(), start.Request{Project: "quiet"})
	if err != nil {
		b.Fatal(err)
	}
	_, stream, _ := strings.Cut(started.ID, ":")
	var lines []string
	size := 0
	for i := range 100_000 {
		line := fmt.Sprintf("#%d %d.%03d  Compiling package number %d of the whole project, as a long build does it\n", i%40, i/1000, i%1000, i)
		lines = append(lines, line)
		size += len(line)
	}
	lines = append(lines, "[Container] 2026/01/01 00:00:00.000000 Phase complete: UPLOAD_ARTIFACTS State: SUCCEEDED\n",
		"[Container] 2026/01/01 00:00:00.000000 Phase context status code:  Message: \n")
	s.PutLogEvents("/aws/codebuild/quiet", stream, 0, lines...)
	if err := s.Wait(b.Context(), func() bool { return s.Builds()[0].Done }); err != nil {
		b.Fatal(err)
	}
	s.SetLogPages(localaws.LogPages{Events: events})
	b.SetBytes(int64(size))
	for b.Loop() {
		result, err := follow.New(cfg, io.Discard, say, follow.Options{}).Follow(b.Context(), started.ID)
		if err != nil || result.Lines != int64(len(lines)) {
			b.Fatalf("got %d lines, %v", result.Lines, err)
		}
	}
}
