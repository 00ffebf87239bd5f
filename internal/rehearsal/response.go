package rehearsal

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a rehearsal says of its GitLab. The token is worth nothing, but looks
// like one, so that a test can search logs for it.
const (
	serverURL  = "https://gitlab.example.com"
	JobToken   = "glcbt-64_rehearsal-not-a-real-token"
	projectID  = 1
	pipelineID = 1
)

// response is JOB_RESPONSE_FILE: the job as GitLab's API gave it to the runner.
func (e *executor) response() ([]byte, error) {
	j := &e.job
	type variable struct {
		Key    string `json:"key"`
		Value  string `json:"value"`
		Public bool   `json:"public"`
		File   bool   `json:"file"`
		Masked bool   `json:"masked"`
		Raw    bool   `json:"raw"`
	}
	type service struct {
		Service
		Variables []variable `json:"variables,omitempty"`
	}
	type step struct {
		Name         string   `json:"name"`
		Script       []string `json:"script"`
		Timeout      int      `json:"timeout"`
		When         string   `json:"when"`
		AllowFailure bool     `json:"allow_failure"`
	}
	variables := []variable{}
	for _, v := range e.variables() {
		variables = append(variables, variable{v.Key, v.Value, !v.Masked, v.File, v.Masked, false})
	}
	services := []service{}
	for _, s := range j.Services {
		with := service{Service: s}
		for _, name := range slices.Sorted(maps.Keys(s.Variables)) {
			with.Variables = append(with.Variables, variable{Key: name, Value: s.Variables[name], Public: true})
		}
		services = append(services, with)
	}
	steps := []step{}
	for _, s := range j.steps() {
		steps = append(steps, step{s.name, s.lines, int(j.Timeout.Seconds()), "on_success", false})
	}
	if len(j.AfterScript) > 0 {
		steps = append(steps, step{"after_script", j.AfterScript, int(j.Timeout.Seconds()), "always", true})
	}
	type hook struct {
		Name   string   `json:"name"`
		Script []string `json:"script"`
	}
	hooks := []hook{}
	if len(j.PreGetSources) > 0 {
		hooks = append(hooks, hook{"pre_get_sources_script", j.PreGetSources})
	}
	image := j.Image
	if image == nil {
		image = &Image{}
	}
	text, err := json.Marshal(map[string]any{
		"id": j.ID, "token": JobToken, "allow_git_fetch": true,
		"job_info": map[string]any{
			"name": j.Name, "stage": j.Stage, "pipeline_id": pipelineID, "project_id": projectID,
			"project_name": j.projectName(), "project_full_path": j.project(), "namespace_id": 1, "root_namespace_id": 1, "user_id": 1,
		},
		"git_info": map[string]any{
			"repo_url": j.Repository, "ref": j.Ref, "sha": j.Commit, "before_sha": strings.Repeat("0", 40), "ref_type": "branch",
			"refspecs": []string{"+refs/heads/*:refs/remotes/origin/*"}, "depth": 20,
		},
		"runner_info":    map[string]any{"timeout": int(j.Timeout.Seconds())},
		"variables":      variables,
		"steps":          steps,
		"image":          image,
		"services":       services,
		"artifacts":      []any{},
		"cache":          []any{},
		"credentials":    []any{},
		"dependencies":   []any{},
		"features":       map[string]any{"trace_sections": true},
		"secrets":        map[string]any{},
		"hooks":          hooks,
		"policy_options": map[string]any{},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the job's response: %w", err)
	}
	return text, nil
}

// variables is all the variables that the job sees: GitLab's, the runner's,
// the job's own.
func (e *executor) variables() []Variable {
	j := &e.job
	all := []Variable{
		{Key: "CI", Value: "true"},
		{Key: "GITLAB_CI", Value: "true"},
		{Key: "CI_SERVER", Value: "yes"},
		{Key: "CI_SERVER_URL", Value: serverURL},
		{Key: "CI_SERVER_HOST", Value: "gitlab.example.com"},
		{Key: "CI_PIPELINE_ID", Value: strconv.Itoa(pipelineID)},
		{Key: "CI_PIPELINE_URL", Value: fmt.Sprintf("%s/%s/-/pipelines/%d", serverURL, j.project(), pipelineID)},
		{Key: "CI_PROJECT_ID", Value: strconv.Itoa(projectID)},
		{Key: "CI_PROJECT_NAME", Value: j.projectName()},
		{Key: "CI_PROJECT_PATH", Value: j.project()},
		{Key: "CI_PROJECT_URL", Value: serverURL + "/" + j.project()},
		{Key: "CI_JOB_ID", Value: strconv.FormatInt(j.ID, 10)},
		{Key: "CI_JOB_URL", Value: fmt.Sprintf("%s/%s/-/jobs/%d", serverURL, j.project(), j.ID)},
		{Key: "CI_JOB_NAME", Value: j.Name},
		{Key: "CI_JOB_STAGE", Value: j.Stage},
		{Key: "CI_JOB_TOKEN", Value: JobToken, Masked: true},
		{Key: "CI_JOB_TIMEOUT", Value: strconv.Itoa(int(j.Timeout / time.Second))},
		{Key: "CI_JOB_STATUS", Value: e.state.Load().(string)},
		{Key: "CI_COMMIT_SHA", Value: j.Commit},
		{Key: "CI_COMMIT_SHORT_SHA", Value: j.Commit[:min(8, len(j.Commit))]},
		{Key: "CI_COMMIT_REF_NAME", Value: j.Ref},
		{Key: "CI_COMMIT_BRANCH", Value: j.Ref},
		{Key: "CI_REPOSITORY_URL", Value: j.Repository},
		{Key: "CI_RUNNER_ID", Value: "1"},
		{Key: "CI_RUNNER_SHORT_TOKEN", Value: e.runner.ShortToken},
		{Key: "CI_CONCURRENT_ID", Value: "0"},
		{Key: "CI_CONCURRENT_PROJECT_ID", Value: "0"},
		{Key: "CI_BUILDS_DIR", Value: e.runner.BuildsDir},
		{Key: "CI_PROJECT_DIR", Value: e.projectDir()},
	}
	if j.Image != nil && j.Image.Name != "" {
		all = append(all, Variable{Key: "CI_JOB_IMAGE", Value: j.Image.Name})
	}
	return append(all, j.Variables...)
}

// projectDir is where the sources are. Where several managers share builds_dir,
// the runner and the job's slot are part of it.
func (e *executor) projectDir() string {
	if e.shared {
		return path.Join(e.runner.BuildsDir, e.runner.ShortToken, "0", e.job.project())
	}
	return path.Join(e.runner.BuildsDir, e.job.project())
}

// services is CI_JOB_SERVICES: JSON, or nothing where there are none.
func (e *executor) services() string {
	if len(e.job.Services) == 0 {
		return ""
	}
	type service struct {
		Name       string            `json:"name"`
		Alias      string            `json:"alias"`
		Entrypoint []string          `json:"entrypoint"`
		Command    []string          `json:"command"`
		Variables  map[string]string `json:"variables,omitempty"`
	}
	var all []service
	for _, s := range e.job.Services {
		// Several names may stand in alias; drivers are given the first.
		first := append(strings.FieldsFunc(s.Alias, func(r rune) bool { return r == ',' || r == ' ' }), "")[0]
		all = append(all, service{s.Name, first, s.Entrypoint, s.Command, s.Variables})
	}
	text, err := json.Marshal(all)
	if err != nil {
		return ""
	}
	return string(text)
}
