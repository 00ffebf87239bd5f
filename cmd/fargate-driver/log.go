package main

import (
	"io"
	"log/syslog"
	"os"
	"path/filepath"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/fargate-driver/fargate-driver/internal/config"
)

// newLogger opens the driver's log: the configured file, else the system log,
// else a file beside the task records. Never the job log, which stderr of a
// stage is. A log that cannot be written must not stop a fleet: then there is
// none, and `check` says so.
func newLogger(c config.Config) *logrus.Logger {
	log := logrus.New()
	if level, err := logrus.ParseLevel(c.LogLevel); err == nil { // load has checked it
		log.SetLevel(level)
	}
	log.SetOutput(logOutput(c))
	switch strings.ToLower(c.LogFormat) {
	case "json":
		log.SetFormatter(&logrus.JSONFormatter{})
	case "text-simple":
		log.SetFormatter(&logrus.TextFormatter{DisableColors: true, DisableTimestamp: true})
	default:
		log.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})
	}
	return log
}

func logOutput(c config.Config) io.Writer {
	if c.LogFile != "" {
		if f, err := openLog(c.LogFile); err == nil {
			return f
		}
	}
	if w, err := syslog.New(syslog.LOG_INFO|syslog.LOG_DAEMON, "fargate-driver"); err == nil {
		return w
	}
	if f, err := openLog(filepath.Join(c.TaskMetadata.Directory, "fargate-driver.log")); err == nil {
		return f
	}
	return io.Discard
}

func openLog(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
}
