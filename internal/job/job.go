// Package job is what GitLab says of a job: who it is, from the trusted
// JOB_RESPONSE_FILE, what its author asks for, from the CUSTOM_ENV_ variables
// that the author may set at will, and how its end is reported.
package job

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gitlab.com/gitlab-org/gitlab-runner/executors/custom/api"
)

// Job is one CI job as the stages see it.
type Job struct {
	ID          int64
	Name        string
	PipelineID  int64
	ProjectID   int64
	ProjectPath string
	ProjectURL  string // where the project is, without credentials
	Timeout     time.Duration

	// Image and Services say what .gitlab-ci.yml asks for. ServicesErr is why
	// Services could not be read: only who starts them has to fail for it.
	Image       string
	Services    []Service
	ServicesErr error

	Request Request

	// Trusted says that identity and timeout come from the JOB_RESPONSE_FILE.
	Trusted bool
}

// Service is a container that the job wants beside its own. Nothing in it is to
// be trusted.
type Service struct {
	Name       string   // of its image
	Aliases    []string // host names by which the job reaches it, besides those made of Name
	Entrypoint []string
	Command    []string
	Variables  map[string]string
	// Masked names a variable with the value of a masked variable of the job; "" without.
	Masked string
}

// Request is what the job's author asks for by variables. Whether it is
// granted is the operator's decision.
type Request struct {
	TaskDefinition   string
	PlatformVersion  string
	CPU              string
	Memory           string
	EphemeralStorage string
	TaskRole         string
	CapacityProvider string
}

// The variables of a job that make its Request. The first two are the
// official driver's.
const (
	TaskDefinitionVariable   = "FARGATE_TASK_DEFINITION"
	PlatformVersionVariable  = "FARGATE_PLATFORM_VERSION"
	CPUVariable              = "FARGATE_CPU"
	MemoryVariable           = "FARGATE_MEMORY"
	EphemeralStorageVariable = "FARGATE_EPHEMERAL_STORAGE"
	TaskRoleVariable         = "FARGATE_TASK_ROLE"
	CapacityProviderVariable = "FARGATE_CAPACITY_PROVIDER"
)

// response is the part of the job response that we read. It also holds
// tokens, so no more of it than this is ever decoded.
type response struct {
	ID      int64 `json:"id"`
	JobInfo struct {
		Name        string `json:"name"`
		PipelineID  int64  `json:"pipeline_id"`
		ProjectID   int64  `json:"project_id"`
		ProjectPath string `json:"project_full_path"`
	} `json:"job_info"`
	GitInfo struct {
		RepoURL string `json:"repo_url"`
	} `json:"git_info"`
	RunnerInfo struct {
		Timeout int64 `json:"timeout"`
	} `json:"runner_info"`
	Image struct {
		Name string `json:"name"`
	} `json:"image"`
	Services []struct {
		Alias string `json:"alias"`
	} `json:"services"`
	Variables []struct {
		Value  string `json:"value"`
		Masked bool   `json:"masked"`
	} `json:"variables"`
}

// Read puts a job together. file is the content of JOB_RESPONSE_FILE, or nil
// for a gitlab-runner older than 14.1, whose CUSTOM_ENV_ variables are then
// all there is. It fails when the job cannot be told from others.
func Read(getenv func(string) string, file io.Reader) (Job, error) {
	variable := func(name string) string { return getenv("CUSTOM_ENV_" + name) }
	j := Job{
		Image: variable("CI_JOB_IMAGE"),
		Request: Request{
			TaskDefinition:   variable(TaskDefinitionVariable),
			PlatformVersion:  variable(PlatformVersionVariable),
			CPU:              variable(CPUVariable),
			Memory:           variable(MemoryVariable),
			EphemeralStorage: variable(EphemeralStorageVariable),
			TaskRole:         variable(TaskRoleVariable),
			CapacityProvider: variable(CapacityProviderVariable),
		},
	}
	j.Services, j.ServicesErr = services(variable)
	if file == nil {
		return fromVariables(j, variable)
	}
	var r response
	if err := json.NewDecoder(file).Decode(&r); err != nil {
		return Job{}, fmt.Errorf("reading the job from JOB_RESPONSE_FILE: %w", err)
	}
	if r.ID == 0 {
		return Job{}, errors.New("reading the job from JOB_RESPONSE_FILE: it has no job id")
	}
	j.ID, j.Trusted = r.ID, true
	j.Name = r.JobInfo.Name
	j.PipelineID, j.ProjectID, j.ProjectPath = r.JobInfo.PipelineID, r.JobInfo.ProjectID, r.JobInfo.ProjectPath
	j.ProjectURL = withoutCredentials(r.GitInfo.RepoURL)
	j.Timeout = time.Duration(r.RunnerInfo.Timeout) * time.Second
	if j.Image == "" {
		j.Image = r.Image.Name
	}
	for i := range min(len(j.Services), len(r.Services)) {
		j.Services[i].Aliases = words(r.Services[i].Alias)
	}
	for _, v := range r.Variables {
		for i := range j.Services {
			if v.Masked && v.Value != "" {
				j.Services[i].mask(v.Value)
			}
		}
	}
	// Older job responses lack these; they decide about nothing but names.
	if j.PipelineID == 0 {
		j.PipelineID, _ = strconv.ParseInt(variable("CI_PIPELINE_ID"), 10, 64)
	}
	if j.ProjectPath == "" {
		j.ProjectPath = variable("CI_PROJECT_PATH")
	}
	return j, nil
}

func fromVariables(j Job, variable func(string) string) (Job, error) {
	var err error
	if j.ID, err = strconv.ParseInt(variable("CI_JOB_ID"), 10, 64); err != nil {
		return Job{}, errors.New("reading the job: neither JOB_RESPONSE_FILE nor CUSTOM_ENV_CI_JOB_ID is set; gitlab-runner sets them when it starts a custom executor's stage")
	}
	j.Name = variable("CI_JOB_NAME")
	j.PipelineID, _ = strconv.ParseInt(variable("CI_PIPELINE_ID"), 10, 64)
	j.ProjectID, _ = strconv.ParseInt(variable("CI_PROJECT_ID"), 10, 64)
	j.ProjectPath, j.ProjectURL = variable("CI_PROJECT_PATH"), variable("CI_PROJECT_URL")
	if seconds, err := strconv.ParseInt(variable("CI_JOB_TIMEOUT"), 10, 64); err == nil {
		j.Timeout = time.Duration(seconds) * time.Second
	}
	return j, nil
}

func withoutCredentials(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User = nil
	return strings.TrimSuffix(u.String(), ".git")
}

// Key names the job among all jobs of all GitLabs that a manager serves. It is
// a hash, so that it fits any file name whatever a token or path looks like.
func (j Job) Key() string {
	return hash(j.ProjectURL, strconv.FormatInt(j.ProjectID, 10), strconv.FormatInt(j.ID, 10))
}

// Recurring names the job together with its retries: project, pipeline and
// job name, but not the id of its own, which each retry gets anew.
func (j Job) Recurring() string {
	return hash(j.ProjectURL, strconv.FormatInt(j.ProjectID, 10), strconv.FormatInt(j.PipelineID, 10), j.Name)
}

func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// ExitCodes are the numbers by which gitlab-runner tells whose fault an end
// was. They come with each stage's environment.
type ExitCodes struct {
	Build  int    // the job's own failure
	System int    // anything else; gitlab-runner may retry it
	File   string // BUILD_EXIT_CODE_FILE: where the script's own code goes; may be empty
}

// ReadExitCodes reads them; without them a stage could not report its end.
func ReadExitCodes(getenv func(string) string) (ExitCodes, error) {
	codes := ExitCodes{File: getenv(api.BuildCodeFileVariable)}
	for _, v := range []struct {
		name string
		to   *int
	}{{api.BuildFailureExitCodeVariable, &codes.Build}, {api.SystemFailureExitCodeVariable, &codes.System}} {
		n, err := strconv.Atoi(getenv(v.name))
		if err != nil {
			return ExitCodes{}, fmt.Errorf("reading %s from the environment: %q is not a number; gitlab-runner sets it, so this stage was probably started by hand", v.name, getenv(v.name))
		}
		*v.to = n
	}
	return codes, nil
}
