package codebuild

import (
	"context"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/check"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/report"
)

// Check looks whether a job could build and writes a line for each thing.
func (b *Bridge) Check(ctx context.Context, o check.Options) error {
	wrong := 0
	for _, line := range check.Run(ctx, b.cfg, o) {
		write := b.say.Info
		switch line.Verdict {
		case check.Wrong:
			wrong++
			write = b.say.Error
		case check.Unclear:
			write = b.say.Warn
		}
		write("%-5s  %-30s %s", line.Verdict, line.What, line.Detail)
	}
	if wrong > 0 {
		return &ExitError{Code: report.ExitUsage}
	}
	return nil
}
