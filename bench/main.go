// Bench measures the programs against their targets, each beside its peer in the
// same run on the same machine, with the real programs as whole processes. It
// prints a table, and says so where a target is missed.
//
//	go run ./bench              everything
//	go run ./bench -only run    the rows whose group begins with "run"
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
)

// row is one line of the table.
type row struct {
	what, target, figure string
	missed               bool
}

// group measures some rows that share a set-up.
type group struct {
	name    string
	measure func(context.Context, *bench) ([]row, error)
}

func groups() []group {
	return []group{
		{"run", measureRun},
		{"throughput", measureThroughput},
		{"memory", measureMemory},
		{"prepare", measurePrepare},
		{"burst", measureBurst},
		{"zip", measureZip},
		{"upload", measureUpload},
		{"follow", measureFollow},
	}
}

// bench has what every measurement needs.
type bench struct {
	programs string // directory of the programs, built for this
	dir      string
	quick    bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	only := flag.String("only", "", "measure only the group of this name (run, throughput, memory, prepare, burst, zip, upload, follow)")
	quick := flag.Bool("quick", false, "a tenth of everything, to try the bench itself")
	flag.Parse()
	if err := all(ctx, *only, *quick); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func all(ctx context.Context, only string, quick bool) error {
	dir, err := os.MkdirTemp("", "fargate-driver-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{programs: filepath.Join(dir, "bin"), dir: dir, quick: quick}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.programs+"/",
		"./cmd/fargate-driver", "./cmd/fargate-driver-run", "./cmd/coordinator", "./cmd/codebuild-bridge")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the programs: %w", err)
	}
	var rows []row
	for _, g := range groups() {
		if !strings.HasPrefix(g.name, only) {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s ...\n", g.name)
		measured, err := g.measure(ctx, b)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", g.name, err)
		}
		rows = append(rows, measured...)
	}
	return print(rows)
}

func print(rows []row) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tTARGET\tFIGURE\t")
	missed := 0
	for _, r := range rows {
		verdict := "met"
		if r.missed {
			verdict = "MISSED"
			missed++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.what, r.target, r.figure, verdict)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Printf("%d of %d targets met\n", len(rows)-missed, len(rows))
	return nil
}

// count is how often to measure, or a tenth of it with -quick.
func (b *bench) count(n int) int {
	if b.quick {
		return max(1, n/10)
	}
	return n
}
