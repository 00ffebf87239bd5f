package localaws

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Image is what a container image would have said of itself.
type Image struct {
	Entrypoint []string
	Cmd        []string
	Env        []string // NAME=value
}

// runContainer runs one container to its end.
func (e *ecsService) runContainer(t *task, c *container) {
	defer close(c.exited)
	if !e.awaitDependencies(t, c) {
		e.change(t, func() { c.status = "STOPPED" })
		close(c.started)
		return
	}
	if t.fate.kind == ExitAtOnce && c.definition.essential() {
		close(c.started)
		e.containerExited(t, c, t.fate.exitCode)
		return
	}
	p, err := e.startProcess(t, c)
	if err != nil {
		reason := fmt.Sprintf("CannotStartContainerError: Error response from daemon: failed to create task for container: %v", err)
		e.mu.Lock()
		c.status, c.reason = "STOPPED", reason
		if c.definition.essential() {
			e.requestStop(t, "TaskFailedToStart", reason)
		}
		e.mu.Unlock()
		close(c.started)
		return
	}
	e.change(t, func() {
		c.process, c.status = p, "RUNNING"
		if t.outOfMemory && c.definition.essential() {
			go p.kill() // KillForMemory came before us
		}
	})
	close(c.started)
	if c.definition.HealthCheck != nil {
		e.running.Add(1)
		go func() {
			defer e.running.Done()
			e.watchHealth(t, c)
		}()
	}
	<-p.exited
	p.kill() // the rest of its tree, as with the end of a container's first process
	e.containerExited(t, c, p.code)
}

func (e *ecsService) containerExited(t *task, c *container, code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.status, c.exitCode = "STOPPED", &code
	if t.outOfMemory && c.definition.essential() {
		c.reason = "OutOfMemoryError: Container killed due to memory usage"
	}
	if c.definition.essential() {
		e.requestStop(t, "EssentialContainerExited", "Essential container in task exited")
	}
	e.server.bell.ring()
}

// stopContainer asks a container to end, and makes it.
func (e *ecsService) stopContainer(t *task, c *container) {
	<-c.started
	e.mu.Lock()
	p := c.process
	e.mu.Unlock()
	if p != nil {
		p.terminate()
		timer := time.NewTimer(e.stopTimeout(c))
		defer timer.Stop()
		select {
		case <-c.exited:
		case <-timer.C:
		case <-e.server.done:
		}
		p.kill()
	}
	<-c.exited
}

func (e *ecsService) stopTimeout(c *container) time.Duration {
	if c.definition.StopTimeout > 0 {
		return time.Duration(c.definition.StopTimeout) * time.Second
	}
	// Fargate's own default, from the Amazon ECS task definition parameters.
	return cmp.Or(e.server.opts.StopTimeout, 30*time.Second)
}

// awaitDependencies waits for what dependsOn names, and says whether the
// container may start.
func (e *ecsService) awaitDependencies(t *task, c *container) bool {
	for _, dep := range c.definition.DependsOn {
		on := t.containers[slices.IndexFunc(t.containers, func(o *container) bool { return o.definition.Name == dep.ContainerName })]
		happened, never := on.exited, (chan struct{})(nil)
		switch dep.Condition {
		case "START":
			happened = on.started
		case "HEALTHY":
			happened, never = on.healthy, on.exited
		}
		select {
		case <-happened:
		case <-never:
			e.failToStart(t, fmt.Sprintf("Container %s exited before it was healthy, and %s depends on its health", on.definition.Name, c.definition.Name))
			return false
		case <-t.end:
			return false
		case <-e.server.done:
			return false
		}
		if dep.Condition == "SUCCESS" && !e.succeeded(on) {
			e.failToStart(t, fmt.Sprintf("Container %s exited with a code other than 0, and %s depends on its success", on.definition.Name, c.definition.Name))
			return false
		}
	}
	select {
	case <-t.end:
		return false
	default:
		return true
	}
}

func (e *ecsService) succeeded(c *container) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return c.exitCode != nil && *c.exitCode == 0
}

// taskDir holds a task's working directories; they go with the task.
func (e *ecsService) taskDir(t *task) string {
	// Short, because sockets are made below it and their names are limited.
	return filepath.Join(e.server.dir, "tasks", t.id[:12])
}

func (e *ecsService) containerDir(t *task, name string) string {
	return filepath.Join(e.taskDir(t), name)
}

func (e *ecsService) volumeDir(t *task, name string) string {
	return filepath.Join(e.taskDir(t), "volumes", name)
}

// LogFile is where a container's output goes. It stays when the task ends.
func (s *Server) LogFile(task, container string) string {
	id := lastPart(task)
	return filepath.Join(s.dir, "logs", id[:min(12, len(id))]+"-"+container+".log")
}

func (e *ecsService) makeTaskDirs(t *task) error {
	dirs := []string{filepath.Join(e.server.dir, "logs")}
	for _, c := range t.containers {
		dirs = append(dirs, filepath.Join(e.containerDir(t, c.definition.Name), "tmp"))
	}
	for _, v := range t.definition.Volumes {
		dirs = append(dirs, e.volumeDir(t, v.Name))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// startProcess starts what the container would run.
func (e *ecsService) startProcess(t *task, c *container) (*process, error) {
	image := e.server.opts.Images[c.definition.Image]
	argv := c.argv(image)
	if len(argv) == 0 {
		return nil, fmt.Errorf("the stand-in runs no images, and container %q has neither entryPoint nor command", c.definition.Name)
	}
	log, err := os.OpenFile(e.server.LogFile(t.arn, c.definition.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	mounted := e.mounts(t, c)
	env := e.environment(t, c, image)
	for i := range env {
		name, value, _ := strings.Cut(env[i], "=")
		env[i] = name + "=" + mounted(value)
	}
	for i := range argv {
		argv[i] = t.onAddress(mounted(argv[i]))
	}
	dir := e.containerDir(t, c.definition.Name)
	if in := mounted(c.definition.WorkingDirectory); in != c.definition.WorkingDirectory {
		dir = in
	}
	return e.spawn.start(command{argv: argv, env: env, dir: dir, output: log, path: e.path(), marker: markerName + "=" + t.id})
}

// argv is what docker would run: the definition's entry point sets aside the
// image's command too.
func (c *container) argv(image Image) []string {
	entryPoint, cmd := image.Entrypoint, image.Cmd
	if len(c.definition.EntryPoint) > 0 {
		entryPoint, cmd = c.definition.EntryPoint, nil
	}
	if len(c.definition.Command) > 0 {
		cmd = c.definition.Command
	}
	if len(c.override.Command) > 0 {
		cmd = c.override.Command
	}
	return slices.Concat(entryPoint, cmd)
}

// mounts returns the stand-in's form of mounting volumes: a path below a mount
// point, given as an argument or as a variable's whole value, becomes the path
// below the volume's directory.
func (e *ecsService) mounts(t *task, c *container) func(string) string {
	return func(s string) string {
		for _, m := range c.definition.MountPoints {
			at := strings.TrimSuffix(m.ContainerPath, "/")
			if rest, ok := strings.CutPrefix(s, at); ok && at != "" && (rest == "" || rest[0] == '/') {
				return e.volumeDir(t, m.SourceVolume) + rest
			}
		}
		return s
	}
}

// onAddress returns the stand-in's form of a network of the task's own: an
// argument like :2222, by which programs listen on all addresses, gets the only
// one that is the task's.
func (t *task) onAddress(arg string) string {
	port, ok := strings.CutPrefix(arg, ":")
	if _, err := strconv.ParseUint(port, 10, 16); !ok || err != nil {
		return arg
	}
	return t.address + arg
}

// markerName is the variable by which a task's processes are told from others.
const markerName = "LOCALAWS_TASK"

// environment is the container's whole environment: little of its own, then
// the image's, the definition's and the override's variables.
func (e *ecsService) environment(t *task, c *container, image Image) []string {
	s := e.server
	dir := e.containerDir(t, c.definition.Name)
	env := []string{
		"PATH=" + e.path(),
		"HOME=" + dir,
		"TMPDIR=" + filepath.Join(dir, "tmp"),
		"AWS_ENDPOINT_URL=" + s.url,
		"AWS_REGION=" + s.opts.Region,
		"AWS_DEFAULT_REGION=" + s.opts.Region,
		"AWS_EC2_METADATA_DISABLED=true",
		"AWS_EXECUTION_ENV=AWS_ECS_FARGATE",
		"ECS_CONTAINER_METADATA_URI_V4=" + s.url + metadataPath(t.id),
		"LOCALAWS_TASK_ADDRESS=" + t.address,
		// The machine's own /etc/hosts is nobody's in a task.
		"COORDINATOR_HOSTS_FILE=" + filepath.Join(dir, "hosts"),
	}
	if t.taskRole() != "" {
		env = append(env, "AWS_CONTAINER_CREDENTIALS_FULL_URI="+s.url+credentialsPath(t.id))
	}
	env = append(env, image.Env...)
	for _, set := range [][]keyValue{c.definition.Environment, c.override.Environment} {
		for _, v := range set {
			env = append(env, v.Name+"="+v.Value)
		}
	}
	return lastWins(append(env, markerName+"="+t.id))
}

func (e *ecsService) path() string {
	return cmp.Or(e.server.opts.Path, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}

func (t *task) taskRole() string {
	return cmp.Or(t.overrides.TaskRoleArn, t.definition.TaskRoleArn)
}

// lastWins keeps the last value of each variable.
func lastWins(env []string) []string {
	var kept []string
	seen := map[string]bool{}
	for _, v := range slices.Backward(env) {
		if name, _, _ := strings.Cut(v, "="); !seen[name] {
			seen[name] = true
			kept = append(kept, v)
		}
	}
	slices.Reverse(kept)
	return kept
}
