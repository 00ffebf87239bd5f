package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
	"github.com/fargate-driver/fargate-driver/internal/rehearsal"
)

// agentPort is where the agent of a task listens that has a proxy before it.
const agentPort = "2022"

// imagePort is where the agent listens in the container of a job's own image.
const imagePort = "2223"

// proxiedFamily is the definition whose tasks have a proxy on their SSH port.
const proxiedFamily = "ci-job-behind-a-proxy"

// setScene starts the stand-in and writes a manager's configuration.
func (p *program) setScene(ctx context.Context, dir string) (s *scene, err error) {
	driver, err := besideUs("fargate-driver")
	if err != nil {
		return nil, err
	}
	agent, err := besideUs("coordinator")
	if err != nil {
		return nil, err
	}
	if _, err := besideUs("codebuild-bridge"); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	s = &scene{dir: dir, out: p.stdout}
	if f, ok := p.stdout.(*os.File); ok {
		s.colour = term.IsTerminal(int(f.Fd()))
	}
	s.aws, err = localaws.Start(localaws.Options{
		Dir: filepath.Join(dir, "aws"), Delays: localaws.HumanDelays(), StopTimeout: 10 * time.Second,
		// A job's image has codebuild-bridge on its PATH.
		Path:   filepath.Dir(agent) + ":" + p.getenv("PATH"),
		Images: demoImages(self),
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := s.aws.AddCluster(clusterName, "FARGATE"); err != nil {
		return nil, err
	}
	if err := addJobDefinition(s.aws, familyName, agent, sshPort); err != nil {
		return nil, err
	}
	if err := addJobDefinition(s.aws, proxiedFamily, agent, agentPort); err != nil {
		return nil, err
	}
	s.proxy = newProxy(ctx, s.aws)
	return s, s.addManager(driver, agent, p.getenv("PATH"))
}

// demoImages are the images of the job with its own; only the service's has
// something to run.
func demoImages(self string) map[string]localaws.Image {
	image := func(name string, entryPoint ...string) localaws.Image {
		return localaws.Image{Env: []string{"CONTAINER_IMAGE=" + name}, Entrypoint: entryPoint}
	}
	return map[string]localaws.Image{
		"ci-coordinator":                image("ci-coordinator"), // of the task definition
		"docker.io/library/golang:1.26": image("docker.io/library/golang:1.26"),
		"docker.io/library/redis:7":     image("docker.io/library/redis:7", self, "answer", ":6379"),
	}
}

// answer is the service of the demo: it tells everybody who connects one line.
func (p *program) answer() *cobra.Command {
	return &cobra.Command{
		Use: "answer ADDRESS", Hidden: true, Args: arguments(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			listener, err := net.Listen("tcp", args[0])
			if err != nil {
				return fmt.Errorf("listening as the demo's service: %w", err)
			}
			context.AfterFunc(c.Context(), func() { listener.Close() })
			for {
				conn, err := listener.Accept()
				if err != nil {
					return nil // it is closed
				}
				fmt.Fprintln(conn, p.getenv("ANSWER"))
				conn.Close()
			}
		},
	}
}

// addManager makes what a manager's host has: directories and fargate.toml.
func (s *scene) addManager(driver, agent, path string) error {
	manager := filepath.Join(s.dir, "manager")
	s.buildsDir = filepath.Join(manager, "builds")
	for _, name := range []string{"metadata", "home", "tmp", "artifacts"} {
		if err := os.MkdirAll(filepath.Join(manager, name), 0o700); err != nil {
			return fmt.Errorf("making the manager's directories: %w", err)
		}
	}
	config := filepath.Join(manager, "fargate.toml")
	text := fmt.Sprintf(`LogFile = %q

[Fargate]
Cluster = %q
Region = %q
Subnet = %q
SecurityGroup = %q
TaskDefinition = %q

[Launch]
TaskRole = "arn:aws:iam::123456789012:role/ci-job"

[TaskMetadata]
Directory = %q

[SSH]
Username = "root"
Port = %s

[Jobs]
BuildsDir = %q
CacheDir = %q

[Images]
Allowed = "docker.io/library/*"
Services = "docker.io/library/*"
AgentPath = %q
Port = %s
`, filepath.Join(manager, "fargate-driver.log"), clusterName, localaws.Region, localaws.SubnetA, localaws.SecurityGroup, familyName,
		filepath.Join(manager, "metadata"), sshPort, s.buildsDir, filepath.Join(manager, "cache"), agent, imagePort)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing the manager's fargate.toml: %w", err)
	}
	s.runner = rehearsal.Driver(driver, "--config", config)
	s.runner.ArtifactsDir = filepath.Join(manager, "artifacts")
	s.runner.TempDir = filepath.Join(manager, "tmp")
	s.runner.GracefulKillTimeout = time.Minute
	s.runner.FinishTimeout = 2 * time.Minute
	s.runner.ShortToken = "demo"
	s.runner.Environ = append(s.aws.Env(), "PATH="+path, "HOME="+filepath.Join(manager, "home"))
	return nil
}

func (s *scene) close() error {
	if s.proxy != nil {
		s.proxy.close()
	}
	return s.aws.Close()
}

// makeRepository makes a bare-bones git repository of the demo's project.
func makeRepository(ctx context.Context, dir, path string) (repository, commit string, err error) {
	project, err := fs.Sub(demoFiles, "demo/project")
	if err != nil {
		return "", "", fmt.Errorf("reading the demo's project: %w", err)
	}
	if err := os.CopyFS(dir, project); err != nil {
		return "", "", fmt.Errorf("writing the demo's project: %w", err)
	}
	// An embedded file has no mode of its own.
	if err := os.Chmod(filepath.Join(dir, "build.sh"), 0o755); err != nil {
		return "", "", fmt.Errorf("writing the demo's project: %w", err)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch", "main"},
		{"add", "--all"},
		{"commit", "--quiet", "--message", "a project to build"},
		{"rev-parse", "HEAD"},
	} {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
		cmd.Env = []string{
			"PATH=" + path, "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1",
			"GIT_AUTHOR_NAME=demo", "GIT_AUTHOR_EMAIL=demo@example.com", "GIT_COMMITTER_NAME=demo", "GIT_COMMITTER_EMAIL=demo@example.com",
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", "", fmt.Errorf("making the demo's repository: git %s: %w: %s", args[0], err, out)
		}
		commit = strings.TrimSpace(string(out))
	}
	return dir, commit, nil
}
