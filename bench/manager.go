package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
	"github.com/fargate-driver/fargate-driver/internal/record"
)

// manager is a manager with a stand-in for AWS.
type manager struct {
	*bench
	aws    *localaws.Server
	dir    string
	config string
	jobs   int
}

// The commands of a job's container: our agent, and Debian's OpenSSH server
// with a key of the same type as the agent's.
const (
	agentCommand = `exec %s/coordinator serve --listen $LOCALAWS_TASK_ADDRESS:2222`
	sshdCommand  = `mkdir -p /run/sshd .ssh && echo "$SSH_PUBLIC_KEY" > .ssh/keys && ssh-keygen -q -t ed25519 -N '' -f host_key && exec /usr/sbin/sshd -D -f /dev/null -h $PWD/host_key ` +
		`-o ListenAddress=$LOCALAWS_TASK_ADDRESS:2222 -o AuthorizedKeysFile=$PWD/.ssh/keys -o StrictModes=no -o UsePAM=no -o PidFile=none -o MaxStartups=1000`
)

func (b *bench) manager(o localaws.Options) (*manager, error) {
	server, err := localaws.Start(o)
	if err != nil {
		return nil, err
	}
	m := &manager{bench: b, aws: server}
	if m.dir, err = os.MkdirTemp(b.dir, "manager-"); err != nil {
		return nil, err
	}
	if err := server.AddCluster("ci", "FARGATE"); err != nil {
		return nil, err
	}
	for family, command := range map[string]string{"agent": fmt.Sprintf(agentCommand, b.programs), "sshd": sshdCommand} {
		if _, err := server.AddTaskDefinition(family, "ci-coordinator", "sh", "-c", command); err != nil {
			return nil, err
		}
	}
	m.config = filepath.Join(m.dir, "fargate.toml")
	text := fmt.Sprintf("LogFile = \"/dev/null\"\n[Fargate]\nCluster = \"ci\"\nRegion = %q\nSubnet = [%q, %q]\nSecurityGroup = %q\nTaskDefinition = \"agent\"\n[TaskMetadata]\nDirectory = %q\n[SSH]\nPort = 2222\n",
		localaws.Region, localaws.SubnetA, localaws.SubnetB, localaws.SecurityGroup, m.dir)
	return m, os.WriteFile(m.config, []byte(text), 0o600)
}

// aJob is a job as gitlab-runner hands it to the driver.
type aJob struct {
	*manager
	id  int
	dir string
	env []string
}

func (m *manager) job(definition string) (*aJob, error) {
	m.jobs++
	j := &aJob{manager: m, id: m.jobs}
	var err error
	if j.dir, err = os.MkdirTemp(m.dir, "job-"); err != nil {
		return nil, err
	}
	response, err := json.Marshal(map[string]any{
		"id": m.jobs, "job_info": map[string]any{"name": "bench", "project_id": 1, "pipeline_id": 1, "project_full_path": "bench/bench"},
		"git_info": map[string]any{"repo_url": "https://gitlab.example.com/bench/bench.git"}, "runner_info": map[string]any{"timeout": 3600},
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(j.dir, "response.json")
	if err := os.WriteFile(file, response, 0o600); err != nil {
		return nil, err
	}
	j.env = append(m.aws.Env(), "PATH="+os.Getenv("PATH"), "TMPDIR="+j.dir, "JOB_RESPONSE_FILE="+file, "BUILD_FAILURE_EXIT_CODE=1", "SYSTEM_FAILURE_EXIT_CODE=2",
		"BUILD_EXIT_CODE_FILE="+filepath.Join(j.dir, "code"), "CUSTOM_ENV_FARGATE_TASK_DEFINITION="+definition)
	return j, nil
}

// prepared is a job whose task is ready.
func (m *manager) prepared(ctx context.Context, definition string) (*aJob, error) {
	j, err := m.job(definition)
	if err != nil {
		return nil, err
	}
	return j, j.stage(ctx, "prepare")
}

func (j *aJob) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(j.programs, "fargate-driver"), append([]string{"--config", j.config, "custom"}, args...)...)
	cmd.Dir, cmd.Env = j.dir, j.env
	return cmd
}

func (j *aJob) stage(ctx context.Context, args ...string) error {
	var log bytes.Buffer
	cmd := j.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%v: %w\n%s", args, err, log.String())
	}
	return nil
}

// script writes a script where gitlab-runner would.
func (j *aJob) script(text string) (string, error) {
	dir, err := os.MkdirTemp(j.dir, "script")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "script")
	return name, os.WriteFile(name, []byte(text), 0o700)
}

// ssh is OpenSSH's client to the job's task, the peer of run, with the job's
// own key.
func (j *aJob) ssh(ctx context.Context, command ...string) (*exec.Cmd, error) {
	r, err := j.record()
	if err != nil {
		return nil, err
	}
	key := filepath.Join(j.dir, "key")
	if err := os.WriteFile(key, []byte(r.PrivateKey), 0o600); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(r.Address)
	if err != nil {
		return nil, err
	}
	args := []string{"-F", "/dev/null", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", "-p", port, "root@" + host}
	return exec.CommandContext(ctx, "ssh", append(args, command...)...), nil
}

func (j *aJob) record() (record.Record, error) {
	d, err := record.Open(j.manager.dir)
	if err != nil {
		return record.Record{}, err
	}
	all, err := d.All()
	if err != nil {
		return record.Record{}, err
	}
	for _, r := range all {
		if r.JobID == int64(j.id) {
			return r, nil
		}
	}
	return record.Record{}, fmt.Errorf("job %d has no record", j.id)
}

func median[T ~int64 | ~float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// timed runs a command and returns how long the whole process took.
func timed(cmd *exec.Cmd) (time.Duration, error) {
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return time.Since(begin), nil
}
