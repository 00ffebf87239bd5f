package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/rehearsal"
)

// smokeScript tells what somebody wants to know of a job's image and network
// before the first real job. What is missing is told, and fails nothing.
var smokeScript = []string{
	`echo "$(id -un) on $(uname -srm), $(nproc) CPUs, $(df -hP / | awk 'NR==2 {print $4}') of disk free"`,
	`for tool in bash git git-lfs gitlab-runner; do if command -v $tool > /dev/null; then echo "$tool: $($tool --version 2>&1 | head -n 1)"; else echo "$tool: not in the image"; fi; done`,
	`if [ -n "${AWS_CONTAINER_CREDENTIALS_RELATIVE_URI:-}" ]; then echo "task role: its credentials are there"; else echo "task role: none"; fi`,
}

func (p *program) smoke() *cobra.Command {
	var limit time.Duration
	var image string
	c := &cobra.Command{
		Use: "smoke", Short: "Play a small job on the configured AWS, with timings", Args: noArgs,
		Long: "Play a small job as gitlab-runner would, with all stages, on the AWS that the configuration names. It starts one task,\n" +
			"which costs a minute of it, and stops it in any case.",
		RunE: func(c *cobra.Command, _ []string) error {
			if _, _, err := p.load(); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), limit)
			defer cancel()
			return p.playSmoke(ctx, image)
		},
	}
	c.Flags().DurationVar(&limit, "limit", 15*time.Minute, "end the job after this `time`, whatever it waits for")
	c.Flags().StringVar(&image, "image", "", "run the job in this `image`, which [Images] Allowed must cover")
	return c
}

func (p *program) playSmoke(ctx context.Context, image string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	dir, err := os.MkdirTemp("", "fargate-driver-smoke-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, err := filepath.Abs(p.options.config) // each stage starts in a directory of its own
	if err != nil {
		return err
	}
	runner := rehearsal.Driver(self, "--config", file)
	runner.Environ, runner.TempDir = os.Environ(), dir
	// The image's own directories may not be writable for its user.
	runner.BuildsDir, runner.CacheDir = "/tmp/builds", "/tmp/cache"
	job := rehearsal.Job{
		ID: time.Now().Unix(), Name: "smoke", Project: "fargate-driver/smoke", Timeout: 5 * time.Minute, Script: smokeScript,
		AfterScript: []string{`echo "after_script runs in the same task"`},
	}
	if image != "" {
		job.Image = &rehearsal.Image{Name: image}
	}
	view := joblog.NewView(p.stdout, isTerminal(p.stdout))
	result := rehearsal.New(runner, job, view).Run(ctx)
	view.Flush()
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nSTAGE\tTIME")
	for _, stage := range result.Stages {
		fmt.Fprintf(table, "%s\t%s\n", stage.Name, joblog.Duration(stage.Took))
	}
	fmt.Fprintf(table, "all\t%s\n", joblog.Duration(result.Took))
	if err := table.Flush(); err != nil {
		return err
	}
	if result.Status != rehearsal.Success {
		return fmt.Errorf("the job ended as %s (%s)", result.Status, result.FailureReason)
	}
	for _, stage := range result.Stages {
		if stage.Name == "cleanup" && stage.Err != nil {
			return errors.New("the job succeeded, but its task could not be stopped; see `fargate-driver ps` and `fargate-driver reap`: " + result.Cleanup)
		}
	}
	return nil
}
