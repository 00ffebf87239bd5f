package localaws

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// command is what to run as a container.
type command struct {
	argv   []string
	env    []string
	dir    string
	output *os.File // stdout and stderr
	path   string   // where argv[0] is looked for
	marker string   // the variable in env that only this task's processes have
}

// process is a container's first process and, with it, all its descendants.
type process struct {
	first  *os.Process
	exited chan struct{} // closed when the first process has ended
	code   int           // its exit code then: 128 and the signal if one killed it
	tree   processTree
}

// wait waits for the first process. Output goes to a file, so that a descendant
// that holds it open does not hold up the end.
func (p *process) wait(cmd *exec.Cmd) {
	cmd.Wait()
	p.code = cmd.ProcessState.ExitCode()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		p.code = 128 + int(status.Signal())
	}
	close(p.exited)
}

// terminate asks the first process to end, and only that, as ECS does.
func (p *process) terminate() {
	select {
	case <-p.exited:
	default:
		p.tree.remember()
		p.first.Signal(syscall.SIGTERM)
	}
}

// lookPath finds a program in the container's PATH, not in ours.
func lookPath(path, name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", name)
}
