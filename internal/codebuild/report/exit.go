// Package report says how a build has ended: an exit code for the job, a
// summary for the person, and the reports that GitLab reads.
package report

import "github.com/fargate-driver/fargate-driver/internal/codebuild/build"

// The exit codes, one per ending, for allow_failure:exit_codes and
// retry:exit_codes.
const (
	ExitSucceeded = 0
	ExitFailed    = 1 // the build failed
	ExitUsage     = 2 // flags, files or settings are wrong, as can be seen without AWS
	ExitFault     = 3 // CodeBuild itself failed
	ExitTimedOut  = 4 // the build, or the job's own time, was up
	ExitStopped   = 5 // somebody stopped the build, or the job was cancelled
	ExitNotBegun  = 6 // AWS refused or failed before a build was started; nothing was
	ExitLost      = 7 // the build may still run
)

// ExitCode is the exit code for a final status.
func ExitCode(s build.Status) int {
	switch s {
	case build.Succeeded:
		return ExitSucceeded
	case build.Failed:
		return ExitFailed
	case build.Fault:
		return ExitFault
	case build.TimedOut:
		return ExitTimedOut
	case build.Stopped:
		return ExitStopped
	}
	// The API may learn new words; none of them means success.
	return ExitFailed
}
