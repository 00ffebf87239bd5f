package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"localaws": main})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Condition: func(name string) (bool, error) {
			if name == "aws" {
				_, err := exec.LookPath("aws")
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve":  serveCommand,
			"let":    letCommand,
			"exit":   exitCommand,
			"status": statusCommand,
		},
	})
}

// serveCommand (serve [FLAGS]) starts `localaws serve` on a free port and sets
// what it prints to export. The server is told to end, and must, with the script.
func serveCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("serve cannot be negated")
	}
	file, err := exec.LookPath("localaws")
	ts.Check(err)
	cmd := exec.Command(file, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+ts.Getenv("TMPDIR"))
	log, err := os.Create(ts.MkAbs("serve.log")) // a file, as the script runs at the same time
	ts.Check(err)
	defer log.Close()
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			ts.Fatalf("localaws serve ended with %v: %s", err, ts.ReadFile("serve.log"))
		}
	})
	lines := bufio.NewScanner(stdout)
	for range 2 {
		if !lines.Scan() {
			ts.Fatalf("localaws serve printed no two lines: %s", ts.ReadFile("serve.log"))
		}
		assignments, ok := strings.CutPrefix(lines.Text(), "export ")
		if !ok {
			ts.Fatalf("not to be exported: %q", lines.Text())
		}
		for _, a := range strings.Fields(assignments) {
			name, value, _ := strings.Cut(a, "=")
			ts.Setenv(name, value)
		}
	}
}

// letCommand (let NAME stdout) keeps the last command's output in a variable.
func letCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: let NAME stdout")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile(args[1])))
}

// exitCommand (exit CODE COMMAND...) wants exactly this exit code.
func exitCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE COMMAND...")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		code = -1
		if e, ok := err.(*exec.ExitError); ok {
			code = e.ExitCode()
		}
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// statusCommand (status TASK WANT) waits until the CLI sees a task so.
func statusCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: status TASK WANT")
	}
	for {
		ts.Check(ts.Exec("aws", "ecs", "describe-tasks", "--cluster", "ci", "--tasks", args[0], "--query", "tasks[0].lastStatus", "--output", "text"))
		switch got := strings.TrimSpace(ts.ReadFile("stdout")); got {
		case args[1]:
			return
		case "STOPPED":
			ts.Fatalf("the task is %s, want %s", got, args[1])
		}
	}
}
