package coordinator

import (
	"errors"
	"os"
)

// findShell looks where gitlab-runner's docker executor looks, in its order
// (shells/bash.go), so that a job sees the shell that it sees there.
func findShell() (string, error) {
	for _, path := range []string{
		"/usr/local/bin/bash", "/usr/bin/bash", "/bin/bash",
		"/usr/local/bin/sh", "/usr/bin/sh", "/bin/sh", "/busybox/sh",
	} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", errors.New("looking for a shell: the image has neither bash nor sh where gitlab-runner looks for them; use an image with a shell")
}

// withDefaults adds what a container's environment may lack and every script
// relies on: scratch images have no PATH, and a runtime may leave HOME out.
func withDefaults(environ []string) []string {
	environ = append([]string(nil), environ...)
	if lookup(environ, "PATH") == "" {
		environ = append(environ, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	if lookup(environ, "HOME") == "" {
		home := "/"
		if os.Getuid() == 0 {
			home = "/root"
		}
		environ = append(environ, "HOME="+home)
	}
	return environ
}
