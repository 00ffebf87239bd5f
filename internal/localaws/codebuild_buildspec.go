package localaws

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// buildspec is the part of a buildspec file that builds here follow.
type buildspec struct {
	Version string `yaml:"version"`
	Env     struct {
		Shell     string            `yaml:"shell"`
		Variables map[string]string `yaml:"variables"`
		Exported  []string          `yaml:"exported-variables"`
	} `yaml:"env"`
	Phases map[string]struct {
		Commands  []string `yaml:"commands"`
		Finally   []string `yaml:"finally"`
		OnFailure string   `yaml:"on-failure"`
	} `yaml:"phases"`
}

// shell is what runs the commands.
func (s *buildspec) shell() string {
	if s.Env.Shell == "bash" {
		return "bash"
	}
	return "/bin/sh"
}

// download unpacks the source and reads the buildspec.
func (b *build) download(spec *buildspec) outcome {
	failed := func(code, format string, args ...any) outcome {
		return outcome{status: "FAILED", code: code, message: fmt.Sprintf(format, args...)}
	}
	src, err := b.workDir()
	if err != nil {
		return failed("INTERNAL_ERROR", "%v", err)
	}
	bucket, key, _ := strings.Cut(b.Source.Location, "/")
	if b.Source.Type == "S3" {
		content, err := b.cb.server.storage.open(bucket, key, b.SourceVersion)
		if err != nil {
			return failed("CLIENT_ERROR", "%v for primary source", err)
		}
		if err := unpack(content, content.Size(), src); err != nil {
			return failed("CLIENT_ERROR", "Error unzipping the source: %v", err)
		}
	}
	text := b.Source.Buildspec
	if !strings.Contains(text, "\n") {
		name := text
		if name == "" {
			name = "buildspec.yml"
		}
		content, err := os.ReadFile(filepath.Join(src, name))
		if err != nil {
			return failed("YAML_FILE_ERROR", "stat /codebuild/output/src/%s: no such file or directory", name)
		}
		text = string(content)
	}
	if err := yaml.Unmarshal([]byte(text), spec); err != nil {
		return failed("YAML_FILE_ERROR", "YAML parse error: %v", err)
	}
	if spec.Version == "" {
		return failed("YAML_FILE_ERROR", "This build uses a buildspec file with an invalid version: it must be 0.1 or 0.2")
	}
	b.environment = b.variables(spec, src)
	return succeeded()
}

// unpack is unzip: with modes and links, and nothing outside of dir.
func unpack(r io.ReaderAt, size int64, dir string) error {
	zr, err := zip.NewReader(r, size)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, f := range zr.File {
		if err := unpackFile(root, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

func unpackFile(root *os.Root, f *zip.File) error {
	name := strings.TrimSuffix(f.Name, "/")
	if parent := filepath.Dir(name); parent != "." {
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	if f.Mode().IsDir() {
		return root.MkdirAll(name, f.Mode().Perm()|0o700)
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if f.Mode()&fs.ModeSymlink != 0 {
		target, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		return root.Symlink(string(target), name)
	}
	w, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_EXCL, f.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	if err := root.Chmod(name, f.Mode().Perm()); err != nil {
		return err
	}
	return root.Chtimes(name, f.Modified, f.Modified)
}

// variables is the environment of the build's commands: StartBuild's and the
// project's variables over the buildspec's, and CodeBuild's own.
func (b *build) variables(spec *buildspec, src string) []string {
	s := b.cb.server
	path := os.Getenv("PATH")
	if b.plan.Path != "" {
		path = b.plan.Path + ":" + path
	}
	env := []string{
		"PATH=" + filepath.Join(s.dir, "bin") + ":" + path, "HOME=" + b.dir, "TMPDIR=" + b.dir,
		"CODEBUILD_BUILD_ID=" + b.ID, "CODEBUILD_BUILD_ARN=" + b.ARN,
		"CODEBUILD_BUILD_NUMBER=" + strconv.FormatInt(b.BuildNumber, 10),
		"CODEBUILD_SRC_DIR=" + src, "CODEBUILD_LOG_PATH=" + b.uuid,
		"CODEBUILD_SOURCE_VERSION=" + b.SourceVersion, "CODEBUILD_INITIATOR=localaws",
	}
	for name, value := range spec.Env.Variables {
		env = append(env, name+"="+value)
	}
	for _, v := range b.Environment.Variables {
		value := v.Value
		if v.Type != "PLAINTEXT" {
			value = "value-of:" + v.Value // there is no store here; a reference stays visible
		}
		env = append(env, v.Name+"="+value)
	}
	return append(env, s.Env()...)
}

// The commands of a phase run in one shell. It leaves the number of the command
// it is at, and its variables and directory for the next phase.
const phaseHead = `trap 'code=$?; export -p >"$LOCALAWS_STATE/env"; pwd >"$LOCALAWS_STATE/cwd"; exit $code' EXIT
cd "$CODEBUILD_SRC_DIR"
if [ -f "$LOCALAWS_STATE/env" ]; then
	set -a; . "$LOCALAWS_STATE/env"; set +a
	cd "$(cat "$LOCALAWS_STATE/cwd")"
fi
set -a
CODEBUILD_BUILD_SUCCEEDING=%s
`

// commands runs a phase's commands.
func (b *build) commands(spec *buildspec, phase string) outcome {
	p, ok := spec.Phases[strings.ToLower(phase)]
	if !ok {
		return succeeded()
	}
	failed := b.script(spec, phase, p.Commands)
	if len(p.Finally) > 0 {
		if last := b.script(spec, phase, p.Finally); failed.status == "SUCCEEDED" {
			failed = last
		}
	}
	if failed.status == "FAILED" {
		failed.carryOn = phase == "BUILD" && p.OnFailure != "ABORT"
	}
	return failed
}

func (b *build) script(spec *buildspec, phase string, commands []string) outcome {
	state := filepath.Join(b.dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return outcome{status: "FAULT", code: "INTERNAL_ERROR", message: err.Error()}
	}
	succeeding := "1"
	b.cb.mu.Lock()
	for _, p := range b.Phases {
		if p.Status != "" && p.Status != "SUCCEEDED" {
			succeeding = "0"
		}
	}
	b.cb.mu.Unlock()
	var text strings.Builder
	fmt.Fprintf(&text, phaseHead, succeeding)
	for i, command := range commands {
		fmt.Fprintf(&text, "echo %d >\"$LOCALAWS_STATE/at\"\n", i)
		fmt.Fprintf(&text, "printf '%%s\\n' %s\n", shellQuote("[Container] "+stamp()+" Running command "+command))
		fmt.Fprintf(&text, "%s\n", command)
		fmt.Fprintf(&text, "localaws_code=$?; [ $localaws_code = 0 ] || exit $localaws_code\n")
	}
	file := filepath.Join(state, "script")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return outcome{status: "FAULT", code: "INTERNAL_ERROR", message: err.Error()}
	}
	cmd := exec.Command(spec.shell(), file)
	cmd.Env = append(append([]string{}, b.environment...), "LOCALAWS_STATE="+state)
	err := b.runLogged(cmd)
	if err == nil {
		return succeeded()
	}
	at, _ := os.ReadFile(filepath.Join(state, "at"))
	i, _ := strconv.Atoi(strings.TrimSpace(string(at)))
	reason := err.Error()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		reason = fmt.Sprintf("exit status %d", exit.ExitCode())
	}
	command := ""
	if i < len(commands) {
		command = commands[i]
	}
	b.logf("[Container] %s Command did not exit successfully %s %s\n", stamp(), command, reason)
	return outcome{status: "FAILED", code: "COMMAND_EXECUTION_ERROR",
		message: fmt.Sprintf("Error while executing command: %s. Reason: %s", command, reason)}
}

// runLogged runs a command with its output going to the build's log, an event
// a line.
func (b *build) runLogged(cmd *exec.Cmd) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	err = b.start(cmd)
	w.Close()
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(r, 256<<10)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			b.log(string(line))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			break
		}
	}
	return cmd.Wait()
}

// exported reads the exported variables as the last phase has left them.
func (b *build) exported(spec *buildspec) []envVar {
	if len(spec.Env.Exported) == 0 || b.dir == "" {
		return nil
	}
	values := map[string]string{}
	for _, v := range b.environment {
		name, value, _ := strings.Cut(v, "=")
		values[name] = value
	}
	if file := filepath.Join(b.dir, "state", "env"); fileExists(file) {
		// The same shell: each writes its variables in its own way.
		cmd := exec.Command(spec.shell(), "-c", `set -a; . "$1"; env -0`, "sh", file)
		cmd.Env = b.environment
		if out, err := cmd.Output(); err == nil {
			for v := range strings.SplitSeq(string(out), "\x00") {
				name, value, _ := strings.Cut(v, "=")
				values[name] = value
			}
		}
	}
	var list []envVar
	for _, name := range spec.Env.Exported {
		list = append(list, envVar{Name: name, Value: values[name]})
	}
	return list
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
