package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/reaper"
	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/taskplan"
)

// operatorLimit bounds ps and reap: a few calls each, with retries.
const operatorLimit = 5 * time.Minute

func (p *program) reap() *cobra.Command {
	var dryRun bool
	var olderThan time.Duration
	c := &cobra.Command{
		Use: "reap", Short: "Stop tasks that no job owns any more", Args: noArgs,
		Long: "Stop tasks of this manager that no job owns any more, and finish cleanups that could not be finished.\n" +
			"It is safe beside running jobs, and meant to be run by a timer.",
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), operatorLimit)
			defer cancel()
			r, verdicts, bad := p.look(ctx, olderThan)
			if bad != nil && verdicts == nil {
				return bad
			}
			return errors.Join(bad, p.stopOrphans(ctx, r, verdicts, dryRun))
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be stopped, and stop nothing")
	c.Flags().DurationVar(&olderThan, "older-than", 0, "the age of an orphan, instead of OlderThan of the file")
	return c
}

// look judges the tasks of this manager; olderThan 0 is the file's own limit.
// Where the verdicts are not nil, the error is about single records.
func (p *program) look(ctx context.Context, olderThan time.Duration) (reaper.Reaper, []reaper.Verdict, error) {
	cfg, records, err := p.open()
	if err != nil {
		return reaper.Reaper{}, nil, err
	}
	if olderThan == 0 {
		olderThan = cfg.Reap.OlderThan.Duration
	}
	ecs, err := p.ecs(ctx, cfg.Fargate.Region)
	if err != nil {
		return reaper.Reaper{}, nil, err
	}
	host, err := hostname()
	if err != nil {
		return reaper.Reaper{}, nil, err
	}
	r := reaper.Reaper{ECS: ecs, Records: records, Cluster: cfg.Fargate.Cluster, StartedBy: taskplan.StartedBy(cfg, host)}
	verdicts, err := r.Look(ctx, olderThan)
	return r, verdicts, err
}

// hostname is this manager's name where the operator gave it none.
func hostname() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("asking for this host's name: %w; set [Reap] Manager", err)
	}
	return host, nil
}

func (p *program) stopOrphans(ctx context.Context, r reaper.Reaper, verdicts []reaper.Verdict, dryRun bool) error {
	var failed []error
	orphans := 0
	for _, v := range verdicts {
		if !v.Orphan {
			continue
		}
		orphans++
		what := "task " + v.Task.ID()
		if v.Task.ARN == "" {
			what = "the record of task " + task.IDOf(v.Owner.Record.TaskARN)
			if v.Owner.Record.TaskARN == "" {
				what = "the record of a launch that left no task"
			}
		}
		if v.Owner != nil {
			what += fmt.Sprintf(" (job %d of %s)", v.Owner.Record.JobID, printable(v.Owner.Record.ProjectPath))
		}
		if dryRun {
			fmt.Fprintf(p.stdout, "would end %s: %s\n", what, v.Why)
			continue
		}
		if err := r.Stop(ctx, v); err != nil {
			failed = append(failed, err)
			continue
		}
		fmt.Fprintf(p.stdout, "ended %s: %s\n", what, v.Why)
	}
	fmt.Fprintf(p.stdout, "%d of %d are orphans\n", orphans, len(verdicts))
	return errors.Join(failed...)
}

func (p *program) ps() *cobra.Command {
	return &cobra.Command{
		Use: "ps", Short: "List the tasks of this manager's jobs", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), operatorLimit)
			defer cancel()
			_, verdicts, bad := p.look(ctx, 0)
			if verdicts == nil && bad != nil {
				return bad
			}
			table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "JOB\tNAME\tPROJECT\tTASK\tSTATE\tAGE\tSIZE\tCAPACITY\tOWNER")
			for _, v := range verdicts {
				fmt.Fprintln(table, psLine(v, time.Now()))
			}
			return errors.Join(bad, table.Flush())
		},
	}
}

func psLine(v reaper.Verdict, now time.Time) string {
	t := v.Task
	jobID, name, project := t.Tag(taskplan.JobTag), t.Tag(taskplan.JobNameTag), t.Tag(taskplan.ProjectTag)
	id, state, created := t.ID(), string(t.State), t.CreatedAt
	if v.Owner != nil {
		r := v.Owner.Record
		jobID, name, project = fmt.Sprint(r.JobID), r.JobName, r.ProjectPath
		if t.ARN == "" {
			id, state, created = task.IDOf(r.TaskARN), "none", r.Created
		}
	}
	size := "-"
	if t.Size != (task.Size{}) {
		size = t.Size.String()
	}
	owner := v.Why
	if v.Orphan {
		owner = "orphan: " + v.Why
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", dash(jobID), dash(printable(name)), dash(printable(project)), dash(id), state,
		joblog.Duration(max(0, now.Sub(created))), size, dash(firstOf(t.CapacityProvider, t.LaunchType)), owner)
}

// printable makes a name that a job's author chose harmless for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

func dash(s string) string { return firstOf(s, "-") }

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
