package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (p *program) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			sdk := ""
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, m := range info.Deps {
					if m.Path == "github.com/aws/aws-sdk-go-v2/service/ecs" {
						sdk = ", ECS API " + m.Version
					}
				}
			}
			_, err := fmt.Fprintf(p.stdout, "fargate-driver %s (%s %s/%s%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH, sdk)
			return err
		},
	}
}
