package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// programs is where TestMain has put the real programs, which the tests start
// as gitlab-runner does.
var programs string

func TestMain(m *testing.M) { os.Exit(withPrograms(m)) }

func withPrograms(m *testing.M) int {
	dir, err := os.MkdirTemp("", "fargate-driver-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	args := []string{"build", "-o", dir + "/"}
	if raceDetector {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, ".", "../fargate-driver-run", "../coordinator")...)
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building the programs:", err)
		return 1
	}
	programs = dir
	return m.Run()
}

// soon ends whatever hangs, long before the test binary's own limit.
const soon = 90 * time.Second

// world is a manager and an AWS account of a test's own.
type world struct {
	t      *testing.T
	aws    *localaws.Server
	dir    string
	config string
	nextID int
}

// newWorld starts a stand-in whose jobs run in our agent. extra is added to
// fargate.toml.
func newWorld(t *testing.T, o localaws.Options, extra string) *world {
	t.Helper()
	if o.StopTimeout == 0 {
		o.StopTimeout = 5 * time.Second
	}
	server, err := localaws.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, aws: server, dir: t.TempDir(), nextID: 4711}
	t.Cleanup(func() {
		if t.Failed() {
			w.tellLogs()
		}
		if left := server.RunningTasks(); len(left) > 0 {
			t.Errorf("tasks are left running: %v", left)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := server.AddCluster("ci", "FARGATE"); err != nil {
		t.Fatal(err)
	}
	w.definition("ci-job", "exec "+programs+"/coordinator serve --listen $LOCALAWS_TASK_ADDRESS:2222")
	w.config = filepath.Join(w.dir, "fargate.toml")
	w.configure(extra)
	return w
}

// tellLogs shows what the containers and the driver wrote, for a failed test.
func (w *world) tellLogs() {
	for _, task := range w.aws.Tasks() {
		log, err := os.ReadFile(w.aws.LogFile(task.ARN, "ci-coordinator"))
		w.t.Logf("container of %s (%v):\n%s", task.ARN, err, log)
	}
	w.t.Logf("driver:\n%s", w.log())
}

// definition registers a task definition whose job container runs a shell script.
func (w *world) definition(family, script string) {
	w.t.Helper()
	if _, err := w.aws.AddTaskDefinition(family, "ci-coordinator", "sh", "-c", script); err != nil {
		w.t.Fatal(err)
	}
}

// configure writes fargate.toml anew.
func (w *world) configure(extra string) {
	w.t.Helper()
	records := filepath.Join(w.dir, "records")
	if err := os.MkdirAll(records, 0o700); err != nil {
		w.t.Fatal(err)
	}
	text := fmt.Sprintf(`LogLevel = "debug"
LogFile = %q
[Fargate]
Cluster = "ci"
Region = %q
Subnet = [%q, %q]
SecurityGroup = %q
TaskDefinition = "ci-job"
[TaskMetadata]
Directory = %q
[SSH]
Port = 2222
%s
`, filepath.Join(w.dir, "driver.log"), localaws.Region, localaws.SubnetA, localaws.SubnetB, localaws.SecurityGroup, records, extra)
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// records lists the job's files that are left in the metadata directory.
func (w *world) records() []string {
	w.t.Helper()
	entries, err := os.ReadDir(filepath.Join(w.dir, "records"))
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != ".lock" {
			names = append(names, e.Name())
		}
	}
	return names
}

// log is the driver's own log.
func (w *world) log() string {
	data, err := os.ReadFile(filepath.Join(w.dir, "driver.log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	return string(data)
}

// command is a call of the driver by a person.
func (w *world) command(args ...string) result {
	w.t.Helper()
	return w.finish(w.start(w.dir, w.aws.Env(), append([]string{"--config", w.config}, args...)...))
}

// aJob is one job as gitlab-runner sees it: its directory and environment.
type aJob struct {
	*world
	id      int
	tempDir string
	env     []string
	scripts int
}

// job makes a job; variables are NAME=value, as its author may set them.
func (w *world) job(variables ...string) *aJob {
	w.t.Helper()
	w.nextID++
	j := &aJob{world: w, id: w.nextID, tempDir: w.t.TempDir()}
	response, err := json.Marshal(map[string]any{
		"id": j.id, "token": "glcbt-job-token",
		"job_info":    map[string]any{"name": "unit", "stage": "test", "project_id": 7, "pipeline_id": 99, "project_full_path": "team/app"},
		"git_info":    map[string]any{"repo_url": "https://gitlab-ci-token:glcbt-job-token@gitlab.example.com/team/app.git"},
		"runner_info": map[string]any{"timeout": 3600},
		"variables":   []map[string]any{{"key": "MASKED", "value": "masked-value", "masked": true}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(j.tempDir, "response.json")
	if err := os.WriteFile(file, response, 0o600); err != nil {
		w.t.Fatal(err)
	}
	j.env = append(w.aws.Env(), "PATH="+os.Getenv("PATH"), "TMPDIR="+j.tempDir, "JOB_RESPONSE_FILE="+file,
		"BUILD_FAILURE_EXIT_CODE=71", "SYSTEM_FAILURE_EXIT_CODE=72", "BUILD_EXIT_CODE_FILE="+filepath.Join(j.tempDir, "build_exit_code"))
	for _, v := range variables {
		j.env = append(j.env, "CUSTOM_ENV_"+v)
	}
	return j
}

// The exit codes that the tests' gitlab-runner asks for: not the usual ones,
// so that a constant in the driver would show.
const (
	succeeded     = 0
	buildFailure  = 71
	systemFailure = 72
)

// script writes a sub-stage's script where gitlab-runner would.
func (j *aJob) script(text string) string {
	j.t.Helper()
	j.scripts++
	dir := filepath.Join(j.tempDir, fmt.Sprintf("script%03d", j.scripts))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		j.t.Fatal(err)
	}
	name := filepath.Join(dir, "script")
	if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
		j.t.Fatal(err)
	}
	return name
}

// stage calls a stage and waits for it.
func (j *aJob) stage(args ...string) result {
	j.t.Helper()
	return j.finish(j.begin(args...))
}

// run runs a script as build_script.
func (j *aJob) run(text string) result {
	j.t.Helper()
	return j.stage("run", j.script(text), "build_script")
}

// begin calls a stage in a process group of its own, as gitlab-runner does.
func (j *aJob) begin(args ...string) *stage {
	j.t.Helper()
	return j.start(j.tempDir, j.env, append([]string{"--config", j.config, "custom"}, args...)...)
}

// exitCodeFile is what gitlab-runner would read of the script's exit code.
func (j *aJob) exitCodeFile() string {
	data, err := os.ReadFile(filepath.Join(j.tempDir, "build_exit_code"))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		j.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// stage is a running process of the driver.
type stage struct {
	cmd            *exec.Cmd
	stdout, stderr *watched
}

type result struct {
	code           int // -1: killed by a signal
	stdout, stderr string
	took           time.Duration
}

func (r result) log() string { return r.stdout + r.stderr }

func (w *world) start(dir string, env []string, args ...string) *stage {
	w.t.Helper()
	return w.startWith(dir, env, nil, args...)
}

func (w *world) startWith(dir string, env []string, stdin io.Reader, args ...string) *stage {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	w.t.Cleanup(cancel)
	s := &stage{cmd: exec.CommandContext(ctx, filepath.Join(programs, "fargate-driver"), args...), stdout: newWatched(), stderr: newWatched()}
	s.cmd.Dir, s.cmd.Env = dir, env
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = stdin, s.stdout, s.stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.WaitDelay = 10 * time.Second
	if err := s.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) finish(s *stage) result {
	w.t.Helper()
	begin := time.Now()
	err := s.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("waiting for %v: %v", s.cmd.Args, err)
	}
	r := result{code: s.cmd.ProcessState.ExitCode(), stdout: s.stdout.String(), stderr: s.stderr.String(), took: time.Since(begin)}
	if strings.Contains(r.log(), "DATA RACE") || strings.Contains(r.log(), "goroutine 1 [") {
		w.t.Errorf("the driver broke:\n%s", r.log())
	}
	return r
}

// signal sends a signal to the whole process group, as gitlab-runner does.
func (s *stage) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-s.cmd.Process.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
}

// watched is a buffer that a test can wait for words in.
type watched struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func newWatched() *watched { return &watched{changed: make(chan struct{}, 1)} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
	return w.text.Write(p)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// await waits until the process has printed a text.
func (w *watched) await(t *testing.T, text string) {
	t.Helper()
	limit := time.After(soon)
	for !strings.Contains(w.String(), text) {
		select {
		case <-w.changed:
		case <-limit:
			t.Fatalf("%q was not printed, only:\n%s", text, w.String())
		}
	}
}

func (r result) want(t *testing.T, code int, parts ...string) {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d:\n%s", r.code, code, r.log())
	}
	for _, part := range parts {
		if !strings.Contains(r.log(), part) {
			t.Errorf("%q is missing in:\n%s", part, r.log())
		}
	}
}

// edit changes fargate.toml.
func (w *world) edit(old, new string) {
	w.t.Helper()
	data, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.config, []byte(strings.ReplaceAll(string(data), old, new)), 0o600); err != nil {
		w.t.Fatal(err)
	}
}
