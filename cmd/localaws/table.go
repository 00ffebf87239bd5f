package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/fargate-driver/fargate-driver/internal/joblog"
	"github.com/fargate-driver/fargate-driver/internal/rehearsal"
)

// printTable prints the end of the demo: job, result, exit code, and where the
// time went.
func printTable(w io.Writer, rows []row, colour bool) {
	fmt.Fprintf(w, "\n%s\n", heading("where the time went", colour))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "job\tresult\texit code\tprepare\tsources\tscript\tafter_script\tcleanup\tall\tas it should")
	for _, r := range rows {
		code := ""
		if r.result.FailureReason == rehearsal.ScriptFailure {
			code = strconv.Itoa(r.result.ExitCode)
		}
		verdict := "yes"
		if r.problem() != "" {
			verdict = "NO"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.job.Name, r.result.Status, code,
			r.took("prepare"), r.took("get_sources"), r.took("build_script"), r.took("after_script"), r.took("cleanup"),
			joblog.Duration(r.result.Took), verdict)
	}
	t.Flush()
}

// took is a stage's time, or "-" where it was not run.
func (r row) took(stage string) string {
	if d := r.result.Time(stage); d > 0 {
		return joblog.Duration(d)
	}
	return "-"
}
