package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
	"github.com/fargate-driver/fargate-driver/internal/rehearsal"
)

// demoFiles is the jobs and the project that they build.
//
//go:embed demo
var demoFiles embed.FS

func (p *program) demo() *cobra.Command {
	var only string
	var keep bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Play GitLab jobs through fargate-driver, all of it on this machine",
		Long: "demo starts the stand-in, makes a git repository and plays gitlab-runner's part for a few jobs, each in a task of\n" +
			"its own. It needs git, and fargate-driver and coordinator beside this program (make build puts them there).",
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return p.runDemo(c.Context(), only, keep) },
	}
	c.Flags().StringVar(&only, "only", "", "play only the job of this `name`")
	c.Flags().BoolVar(&keep, "keep", false, "keep the directory with all logs at the end")
	return c
}

// scene is the place of a demo: the stand-in and a manager that uses it.
type scene struct {
	dir       string
	buildsDir string // of the jobs' containers
	aws       *localaws.Server
	proxy     *proxy
	runner    rehearsal.Runner
	out       io.Writer
	colour    bool
}

func (p *program) runDemo(ctx context.Context, only string, keep bool) (err error) {
	jobs, err := demoJobs(only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "fargate-demo-")
	if err != nil {
		return fmt.Errorf("making the demo's directory: %w", err)
	}
	defer func() {
		if keep {
			fmt.Fprintln(p.stdout, "Everything is kept in", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	s, err := p.setScene(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	repository, commit, err := makeRepository(ctx, filepath.Join(dir, "project.git"), p.getenv("PATH"))
	if err != nil {
		return err
	}
	var rows []row
	for _, j := range jobs {
		j.Repository, j.Commit, j.Ref, j.Project = repository, commit, "main", "demo/project"
		rows = append(rows, s.play(ctx, j))
		if ctx.Err() != nil {
			return fmt.Errorf("playing %s: interrupted", j.Name)
		}
	}
	printTable(p.stdout, rows, s.colour)
	return s.judge(ctx, rows)
}

func demoJobs(only string) ([]rehearsal.Job, error) {
	file, err := demoFiles.Open("demo/jobs.yml")
	if err != nil {
		return nil, fmt.Errorf("opening the demo's jobs: %w", err)
	}
	defer file.Close()
	jobs, err := rehearsal.ReadJobs(file)
	if err != nil || only == "" {
		return jobs, err
	}
	var names []string
	for _, j := range jobs {
		if j.Name == only {
			return []rehearsal.Job{j}, nil
		}
		names = append(names, j.Name)
	}
	return nil, &usageError{fmt.Errorf("finding the job %q: the demo has %v", only, names)}
}

// play plays one job with its log on our output.
func (s *scene) play(ctx context.Context, j rehearsal.Job) row {
	fmt.Fprintf(s.out, "\n%s\n", heading("job "+j.Name, s.colour))
	view := joblog.NewView(s.out, s.colour)
	log := &trigger{w: view, text: j.Rehearse.At}
	// A Fargate task begins with an empty disk; here they share one.
	if err := os.RemoveAll(s.buildsDir); err != nil {
		view.Note(err.Error())
	}
	r := rehearsal.New(s.runner, j, log)
	log.do = func() {
		switch j.Rehearse.Do {
		case "cancel":
			view.Note("somebody presses GitLab's cancel button")
			r.Cancel()
		case "cut":
			view.Note("the connection between manager and task is cut, for two seconds")
			s.proxy.cut(2 * time.Second)
		}
	}
	result := r.Run(ctx)
	view.Flush()
	return row{j, result}
}

// judge fails the demo if a job did not end as it should or left something.
func (s *scene) judge(ctx context.Context, rows []row) error {
	var wrong []error
	for _, r := range rows {
		if problem := r.problem(); problem != "" {
			wrong = append(wrong, fmt.Errorf("job %s: %s", r.job.Name, problem))
		}
	}
	if left := s.aws.RunningTasks(); len(left) > 0 {
		wrong = append(wrong, fmt.Errorf("tasks are left running: %v", left))
	}
	idle, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return errors.Join(append(wrong, s.aws.WaitIdle(idle))...)
}
