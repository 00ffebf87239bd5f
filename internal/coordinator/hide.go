package coordinator

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// envSettings names the descriptor from which a re-executed agent reads its
// settings. It means nothing to anybody else.
const envSettings = "COORDINATOR_SETTINGS_FD"

// Hide makes the settings disappear from where other processes can see them.
// /proc/1/environ shows what a process was started with, whatever it unsets
// later; so the agent starts itself a second time, in the same process, with an
// environment without them, and hands them over through a pipe that is empty
// afterwards. In the first life Hide does not return but for an error; in the
// second it returns the settings.
//
// The second life is also marked as not dumpable, so that only a process with
// CAP_SYS_PTRACE, which Fargate's containers have not got by default, reads its
// memory, root's included.
func Hide(environ []string) (getenv func(string) string, err error) {
	hidden := map[string]string{}
	lookup := func(name string) string { return hidden[name] }
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if name == envSettings {
			if hidden, err = receive(value); err != nil {
				return nil, fmt.Errorf("reading the settings from the first start: %w", err)
			}
			break
		}
		if slices.Contains(secrets(), name) {
			hidden[name] = value
		}
	}
	if len(hidden) == 0 || slices.ContainsFunc(environ, func(e string) bool { return strings.HasPrefix(e, envSettings+"=") }) {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("hiding the agent's memory: %w", err)
		}
		return lookup, nil
	}
	return nil, again(environ, hidden)
}

// again replaces this process by itself.
func again(environ []string, hidden map[string]string) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], 0); err != nil {
		return fmt.Errorf("opening a pipe for the settings: %w", err)
	}
	unix.CloseOnExec(pipe[1])
	var text strings.Builder
	for name, value := range hidden {
		text.WriteString(name + "=" + value + "\x00")
	}
	// A pipe takes 64 KiB without a reader; an override has 8 KiB at most.
	if text.Len() > 32<<10 {
		return fmt.Errorf("hiding the settings: %d bytes of them are too many", text.Len())
	}
	if _, err := unix.Write(pipe[1], []byte(text.String())); err != nil {
		return fmt.Errorf("writing the settings to a pipe: %w", err)
	}
	env := append(WithoutSecrets(environ), envSettings+"="+strconv.Itoa(pipe[0]))
	// By its name, so that ps does not show a process called exe; a file that
	// was replaced meanwhile is still found through /proc.
	if path, err := os.Executable(); err == nil {
		unix.Exec(path, os.Args, env)
	}
	return fmt.Errorf("starting anew without the settings in the environment: %w", unix.Exec("/proc/self/exe", os.Args, env))
}

func receive(descriptor string) (map[string]string, error) {
	fd, err := strconv.Atoi(descriptor)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s=%q is not a descriptor", envSettings, descriptor)
	}
	pipe := os.NewFile(uintptr(fd), "settings")
	defer pipe.Close()
	text, err := io.ReadAll(pipe)
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for entry := range strings.SplitSeq(string(text), "\x00") {
		if name, value, ok := strings.Cut(entry, "="); ok {
			settings[name] = value
		}
	}
	return settings, nil
}
