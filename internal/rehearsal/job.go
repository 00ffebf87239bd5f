package rehearsal

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Job is one job of a pipeline, and what GitLab would add to it.
type Job struct {
	ID      int64 // GitLab's number of it (default 1)
	Name    string
	Stage   string // of the pipeline (default "test")
	Timeout time.Duration

	Image    *Image
	Services []Service

	Variables    []Variable // in this order
	BeforeScript []string
	// PreGetSources is hooks:pre_get_sources_script: it runs with get_sources.
	PreGetSources []string
	Script        []string
	AfterScript   []string
	Artifacts     Artifacts
	AllowFailure  AllowFailure

	// Repository is what git can clone inside the job, a URL or a path; empty
	// means a job without sources. Commit is the commit's full id, Ref the
	// branch it is on.
	Repository, Ref, Commit string
	// Project is the project's path, as group/name.
	Project string

	// Rehearse is what a demonstration does to the job and expects of it.
	Rehearse Rehearse

	hostname string // by config_exec
}

// Image is the job's image.
type Image struct {
	Name       string   `yaml:"name" json:"name"`
	Entrypoint []string `yaml:"entrypoint" json:"entrypoint,omitempty"`
}

// Service is a service container of the job.
type Service struct {
	Name       string            `yaml:"name" json:"name"`
	Alias      string            `yaml:"alias" json:"alias,omitempty"`
	Entrypoint []string          `yaml:"entrypoint" json:"entrypoint,omitempty"`
	Command    []string          `yaml:"command" json:"command,omitempty"`
	Variables  map[string]string `yaml:"variables" json:"-"`
}

// Variable is a CI/CD variable. One of type file is given to the script as the
// path of a file with the value in it.
type Variable struct {
	Key, Value string
	File       bool
	Masked     bool
}

// Artifacts says what to keep of the project's directory.
type Artifacts struct {
	Paths []string `yaml:"paths"`
	When  string   `yaml:"when"` // on_success (default), on_failure, always
}

// AllowFailure says which failures do not fail the pipeline: all of them, or
// those with these exit codes.
type AllowFailure struct {
	All       bool
	ExitCodes []int
}

func (a AllowFailure) allows(code int) bool { return a.All || slices.Contains(a.ExitCodes, code) }

// Rehearse is the key of that name in a job file, which GitLab does not know.
type Rehearse struct {
	// At is a text; when it appears in the job log, Do happens.
	At string `yaml:"at"`
	// Do is a word for whoever plays the job, as cancel.
	Do string `yaml:"do"`
	// Status, ExitCode and FailureReason are how the job shall end (default
	// success).
	Status        Status `yaml:"status"`
	ExitCode      int    `yaml:"exit_code"`
	FailureReason string `yaml:"failure_reason"`
}

// step is one of the user's scripts but the after_script.
type step struct {
	name  string
	lines []string
}

func (j *Job) steps() []step {
	return []step{{"script", slices.Concat(j.BeforeScript, j.Script)}}
}

func (j *Job) variable(name string) string {
	for _, v := range slices.Backward(j.Variables) {
		if v.Key == name {
			return v.Value
		}
	}
	return ""
}

// getSourcesAttempts is between 1 and 10, as with gitlab-runner.
func (j *Job) getSourcesAttempts() int {
	n, err := strconv.Atoi(j.variable("GET_SOURCES_ATTEMPTS"))
	if err != nil {
		return 1
	}
	return max(1, min(10, n))
}

// duration reads a limit that the job may set by a variable.
func (j *Job) duration(name string, otherwise time.Duration) time.Duration {
	d, err := time.ParseDuration(j.variable(name))
	if err != nil || d <= 0 {
		return otherwise
	}
	return d
}

func (j *Job) project() string {
	if j.Project == "" {
		return "rehearsal/project"
	}
	return j.Project
}

func (j *Job) projectName() string { return j.project()[strings.LastIndex(j.project(), "/")+1:] }
