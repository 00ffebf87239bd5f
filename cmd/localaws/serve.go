package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// The names of what the stand-in has from the start.
const (
	clusterName = "ci"
	familyName  = "ci-job"
)

// sshPort is where the agent of a task listens. 22 would take root, and on a
// machine with sshd it may be taken on every address.
const sshPort = "2222"

func (p *program) serve() *cobra.Command {
	o := localaws.Options{Delays: localaws.HumanDelays()}
	var verbose bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Answer AWS calls until interrupted",
		Long: "serve prints the two lines that bring a shell's programs to the stand-in, and runs until it is interrupted:\n\n" +
			"    localaws serve > env &\n    . ./env\n    aws ecs list-tasks --cluster ci",
		Args: arguments(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			o.Path = p.getenv("PATH")
			if verbose {
				o.Log = p.stderr
			}
			return p.runServer(c, o)
		},
	}
	flags := c.Flags()
	flags.StringVar(&o.Addr, "listen", "127.0.0.1:4577", "loopback `address` to listen on; port 0 picks a free one")
	flags.StringVar(&o.Dir, "dir", "", "`directory` for the containers' logs, kept at the end (default: a temporary one)")
	flags.StringVar(&o.Region, "region", localaws.Region, "AWS `region` to be")
	flags.BoolVar(&o.NoThrottle, "no-throttle", false, "do not throttle calls as AWS does")
	flags.DurationVar(&o.Delays.Provisioning, "delay-provisioning", o.Delays.Provisioning, "`time` until a task has its network interface")
	flags.DurationVar(&o.Delays.Pull, "delay-pull", o.Delays.Pull, "`time` that an image pull takes")
	flags.DurationVar(&o.Delays.Activating, "delay-activating", o.Delays.Activating, "`time` between pull and start")
	flags.DurationVar(&o.Delays.Deprovisioning, "delay-deprovisioning", o.Delays.Deprovisioning, "`time` to take a task down")
	flags.DurationVar(&o.StopTimeout, "stop-timeout", 0, "`time` between SIGTERM and SIGKILL where a definition has none (default 30s)")
	flags.IntVar(&o.VCPUs, "vcpus", 0, "account's quota of vCPUs, `n` (default: none)")
	flags.BoolVar(&verbose, "verbose", false, "print a line for every call to standard error")
	return c
}

func (p *program) runServer(c *cobra.Command, o localaws.Options) (err error) {
	s, err := localaws.Start(o)
	if err != nil {
		return err
	}
	defer func() {
		if closing := s.Close(); err == nil {
			err = closing
		}
	}()
	if err := s.AddCluster(clusterName, "FARGATE"); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "# cluster %s; subnets %s %s %s; security group %s\n", clusterName, localaws.SubnetA, localaws.SubnetB, localaws.SubnetC, localaws.SecurityGroup)
	fmt.Fprintf(p.stderr, "# logs of containers in %s\n", filepath.Join(s.Dir(), "logs"))
	if agent, err := besideUs("coordinator"); err == nil {
		if err := addJobDefinition(s, familyName, agent, sshPort); err != nil {
			return err
		}
		fmt.Fprintf(p.stderr, "# task definition %s: container ci-coordinator, SSH on port %s\n", familyName, sshPort)
	} else {
		fmt.Fprintf(p.stderr, "# no task definition: %v\n", err)
	}
	fmt.Fprintf(p.stderr, "# CodeBuild project %s, bucket %s\n", localaws.ProjectName, localaws.SourceBucket)
	env := s.Env()
	fmt.Fprintf(p.stdout, "export %s\nexport %s\n", env[0], strings.Join(env[1:], " "))
	<-c.Context().Done()
	return nil
}

// addJobDefinition registers a definition whose container is our agent, which
// listens on this port of its task's address.
func addJobDefinition(s *localaws.Server, family, agent, port string) error {
	_, err := s.AddTaskDefinition(family, "ci-coordinator", "sh", "-c",
		`exec "$0" serve --listen "$LOCALAWS_TASK_ADDRESS:`+port+`"`, agent)
	return err
}

// besideUs finds another of our programs, which is installed where this one is.
func besideUs(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	file := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("finding %s beside this program: %w; build it there", name, err)
	}
	return file, nil
}
