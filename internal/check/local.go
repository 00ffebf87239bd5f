package check

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fargate-driver/fargate-driver/internal/config"
	"github.com/fargate-driver/fargate-driver/internal/record"
)

// Local looks at the file and at this machine. runProgram is where the small
// program of the run stage should be.
func Local(file, runProgram string) (config.Config, []Line) {
	c, problems, err := config.Load(file)
	var lines []Line
	for _, w := range problems {
		lines = append(lines, failed("configuration", "correct or remove it; jobs run in spite of it", "%s", w.Describe(file)))
	}
	var mistakes *config.Error
	switch {
	case errors.As(err, &mistakes):
		for _, p := range mistakes.Problems {
			lines = append(lines, failed("configuration", "correct it; no job runs until then", "%s", p.Describe(file)))
		}
		return c, lines
	case err != nil:
		return c, append(lines, failed("configuration", "", "%v", err))
	case len(problems) == 0:
		lines = append(lines, ok("configuration", "%s", file))
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o022 != 0 {
		lines = append(lines, failed("permissions", "chmod go-w "+file, "%s may be written by others than its owner: they could decide which role jobs get", file))
	}
	lines = append(lines, directory(c.TaskMetadata.Directory), logFile(c))
	if _, err := os.Stat(runProgram); err != nil {
		lines = append(lines, warning("run program", "copy fargate-driver-run beside fargate-driver", "%s is not there: each running job takes about 5 MiB more of the manager's memory", runProgram))
	} else {
		lines = append(lines, ok("run program", "%s", runProgram))
	}
	return c, lines
}

func directory(path string) Line {
	what := "task records"
	do := fmt.Sprintf("as root: install -d -m 0700 -o gitlab-runner %s (or the user that runs gitlab-runner), and run this check as that user", path)
	if _, err := record.Open(path); err != nil {
		return failed(what, do, "%v", err)
	}
	f, err := os.CreateTemp(path, ".check-*")
	if err != nil {
		return failed(what, do, "%v", err)
	}
	_, err = f.Write(make([]byte, 4096)) // about a record
	err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
	if err != nil {
		return failed(what, "make room there", "%v", err)
	}
	info, err := os.Stat(path)
	if err == nil && info.Mode()&os.ModeSticky != 0 {
		return warning(what, "make a directory of its own, and set [TaskMetadata] Directory to it", "%s is shared with other programs", path)
	}
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return warning(what, "chmod 0700 "+path, "%s can be listed by other users; the records in it are for their owner alone", path)
	}
	return ok(what, "%s can be written", path)
}

func logFile(c config.Config) Line {
	path := c.LogFile
	if path == "" {
		if _, err := os.Stat("/dev/log"); err != nil {
			return ok("log", "%s, because this machine has no system log", filepath.Join(c.TaskMetadata.Directory, "fargate-driver.log"))
		}
		return ok("log", "the system log (journalctl -t fargate-driver)")
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		info, dirErr := os.Stat(filepath.Dir(path))
		if dirErr == nil && info.IsDir() {
			return warning("log", "touch it as the user that runs gitlab-runner, if that user may not create it", "%s does not exist yet", path)
		}
	}
	if err != nil {
		return failed("log", "let the user that runs gitlab-runner write it; until then the log goes to the system log", "%v", err)
	}
	f.Close()
	return ok("log", "%s", path)
}
