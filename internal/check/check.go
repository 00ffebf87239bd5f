// Package check looks at a set-up before a job does, and says of each thing
// whether it is well, why not, and what to do. It changes nothing but a
// temporary file that it removes.
package check

import (
	"fmt"
	"io"
)

// State is how a thing was found.
type State int

const (
	OK      State = iota
	Warning       // works, and somebody should know
	Failed
)

// Line is one finding.
type Line struct {
	State State
	What  string // "cluster ci"
	Found string // "ACTIVE, with FARGATE and FARGATE_SPOT", or why not
	Do    string // what to do; empty where nothing is to be done
}

func ok(what, format string, args ...any) Line {
	return Line{State: OK, What: what, Found: fmt.Sprintf(format, args...)}
}

func warning(what, do, format string, args ...any) Line {
	return Line{State: Warning, What: what, Found: fmt.Sprintf(format, args...), Do: do}
}

func failed(what, do, format string, args ...any) Line {
	return Line{State: Failed, What: what, Found: fmt.Sprintf(format, args...), Do: do}
}

// Write prints findings, one a line, with what to do below.
func Write(w io.Writer, lines []Line) {
	for _, l := range lines {
		word := map[State]string{OK: "ok     ", Warning: "warning", Failed: "FAILED "}[l.State]
		fmt.Fprintf(w, "%s  %s: %s\n", word, l.What, l.Found)
		if l.Do != "" {
			fmt.Fprintf(w, "         -> %s\n", l.Do)
		}
	}
}

// AnyFailed says whether one of the lines keeps jobs from running.
func AnyFailed(lines []Line) bool {
	for _, l := range lines {
		if l.State == Failed {
			return true
		}
	}
	return false
}
