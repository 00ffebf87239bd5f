package main

import (
	"github.com/spf13/cobra"
)

func newStop(c *common) *cobra.Command {
	var stateDir string
	cmd := &cobra.Command{
		Use:   "stop [BUILD_ID...]",
		Short: "stop the builds that this job has left running, or the ones named",
		Long: `Stops the builds that a killed or cancelled codebuild-bridge of the same job has
left running; for after_script. It succeeds when there is none.`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			bridge, err := c.bridge(cmd.Context())
			if err != nil {
				return err
			}
			return bridge.Stop(cmd.Context(), stateDir, ids...)
		},
	}
	cmd.Flags().StringVar(&stateDir, "state-dir", defaultStateDir(c.env), "`directory` in which build keeps the ids")
	return cmd
}
