//go:build !linux

package localaws

import (
	"os/exec"
	"syscall"
)

// spawner starts processes. Without Linux's /proc and namespaces a container's
// processes are those of its process group, and one that leaves it is missed.
type spawner struct{}

func newSpawner(bool) *spawner { return &spawner{} }
func (s *spawner) close()      {}

func (s *spawner) start(c command) (*process, error) {
	name, err := lookPath(c.path, c.argv[0])
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(name)
	cmd.Args, cmd.Env, cmd.Dir = c.argv, c.env, c.dir
	cmd.Stdout, cmd.Stderr = c.output, c.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{first: cmd.Process, exited: make(chan struct{})}
	go p.wait(cmd)
	return p, nil
}

func (p *process) kill() { syscall.Kill(-p.first.Pid, syscall.SIGKILL) }

type processTree struct{}

func (*processTree) remember() {}
