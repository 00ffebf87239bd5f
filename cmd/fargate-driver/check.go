package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/check"
	"github.com/fargate-driver/fargate-driver/internal/taskplan"
)

func (p *program) check() *cobra.Command {
	var withAWS bool
	c := &cobra.Command{
		Use: "check", Short: "Look for what would keep jobs from running", Args: noArgs,
		Long: "Look at the configuration file and this machine, and with --aws at everything on AWS that the file names.\n" +
			"Run it as the user that runs gitlab-runner. It exits with 1 when something is wrong.",
		RunE: func(c *cobra.Command, _ []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("finding this program: %w", err)
			}
			cfg, lines := check.Local(p.options.config, filepath.Join(filepath.Dir(self), runProgram))
			check.Write(p.stdout, lines)
			if cfg.Fargate.Cluster == "" {
				return errReported // the file could not be read
			}
			if withAWS {
				host, err := hostname()
				if err != nil {
					return err
				}
				ctx, cancel := context.WithTimeout(c.Context(), operatorLimit)
				defer cancel()
				ecs, err := p.ecs(ctx, cfg.Fargate.Region)
				if err != nil {
					return err
				}
				found := check.AWS(ctx, cfg, ecs, taskplan.StartedBy(cfg, host))
				check.Write(p.stdout, found)
				lines = append(lines, found...)
			}
			if check.AnyFailed(lines) {
				return errReported
			}
			return nil
		},
	}
	c.Flags().BoolVar(&withAWS, "aws", false, "also ask AWS, by reading calls")
	return c
}
