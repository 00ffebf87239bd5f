package main

import (
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/executor"
	"github.com/fargate-driver/fargate-driver/internal/executor/run"
)

// taskState answers the run stage, which has no AWS client of its own.
func (p *program) taskState() *cobra.Command {
	var settle time.Duration
	c := &cobra.Command{
		Use: "task-state KEY", Short: "Say whether a job's task lives, for the run stage", Hidden: true, Args: exactArgs("a record's key", 1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, records, err := p.open()
			if err != nil {
				return err
			}
			r, err := records.Read(args[0])
			if err != nil {
				return err
			}
			ecs, err := p.ecs(c.Context(), r.Region)
			if err != nil {
				return err
			}
			dead, err := executor.TaskState(c.Context(), ecs, records, args[0], settle)
			if dead != "" {
				newLogger(cfg).WithField("record", args[0]).Warn("a job's task has ended: " + dead)
			}
			if err != nil {
				newLogger(cfg).WithError(err).Warn("asking ECS about a task")
				if dead == "" {
					return err
				}
			}
			return json.NewEncoder(p.stdout).Encode(run.State{Dead: dead})
		},
	}
	c.Flags().DurationVar(&settle, "settle", 0, "how long to wait for the reason of an end that is under way")
	return c
}
