package localaws

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// Project is a CodeBuild project. CodeBuild's own defaults fill what is empty.
type Project struct {
	Name       string
	Buildspec  string // of the project itself; empty means buildspec.yml of the source
	SourceType string // empty means S3
	Location   string // of the project's own source, bucket/key
	Privileged bool
	// Environment is the project's own variables.
	Environment map[string]string
	// AutoRetryLimit makes CodeBuild build again after a failure.
	AutoRetryLimit int
	// LogGroup replaces /aws/codebuild/NAME.
	LogGroup string
	// LogsDisabled has the build's log kept nowhere.
	LogsDisabled bool
}

// BuildPlan says how builds go that are started from now on. The zero value
// is a build without any delay.
type BuildPlan struct {
	// Queue, Provision and Finalize are how long these phases take.
	Queue     time.Duration `json:"queue,omitempty"`
	Provision time.Duration `json:"provision,omitempty"`
	Finalize  time.Duration `json:"finalize,omitempty"`
	// LateStream is how long after PROVISIONING the log stream appears.
	LateStream time.Duration `json:"lateStream,omitempty"`
	// LateLog is how long each event takes to become visible.
	LateLog time.Duration `json:"lateLog,omitempty"`
	// Silence is how long nothing of the log is shown, from its first event on;
	// then all of it comes at once, as it does from reserved fleets.
	Silence time.Duration `json:"silence,omitempty"`
	// NoLogGroup has the build write no log though it names one.
	NoLogGroup bool `json:"noLogGroup,omitempty"`
	// LateRetry is how long after a failed build's end CodeBuild's own retry of
	// it begins.
	LateRetry time.Duration `json:"lateRetry,omitempty"`
	// Fault ends builds with FAULT in this phase, as an error of AWS's own.
	Fault string `json:"fault,omitempty"`
	// PullFailure ends builds in PROVISIONING: the build image cannot be had.
	PullFailure bool `json:"pullFailure,omitempty"`
	// Minute is how long a minute of the timeouts is; 0 means a minute.
	Minute time.Duration `json:"minute,omitempty"`
	// AccountLimit is how many builds may be in progress; 0 means no limit.
	AccountLimit int `json:"accountLimit,omitempty"`
	// Path comes before the PATH of the builds' commands.
	Path string `json:"path,omitempty"`
}

// serviceRolePrefix begins the name of every project's service role.
const serviceRolePrefix = "codebuild-"

// ProjectName is there from the start, so that a person can begin at once.
const ProjectName = "docker-build"

// codeBuild is the stand-in's CodeBuild.
type codeBuild struct {
	server *Server

	mu       sync.Mutex
	projects map[string]Project
	plan     BuildPlan
	builds   map[string]*build // by id
	order    []*build
	numbers  map[string]int64
	tokens   map[string]startToken
	running  sync.WaitGroup
}

// startToken remembers a StartBuild for its idempotency token's five minutes.
type startToken struct {
	request string
	build   *build
	at      time.Time
}

const tokenLife = 5 * time.Minute

func addCodeBuild(s *Server) error {
	cb := &codeBuild{
		server:   s,
		projects: map[string]Project{},
		builds:   map[string]*build{},
		numbers:  map[string]int64{},
		tokens:   map[string]startToken{},
	}
	s.codeBuild = cb
	s.AddProject(Project{Name: ProjectName, Privileged: true})
	addCodeBuildControl(s)
	if err := addTools(s); err != nil {
		return err
	}
	s.onClose(cb.close)
	s.addJSON(&jsonService{name: "codebuild", target: "CodeBuild_20161006", operations: map[string]operation{
		"StartBuild":           typed(cb.startBuild),
		"StopBuild":            typed(cb.stopBuild),
		"BatchGetBuilds":       typed(cb.batchGetBuilds),
		"BatchGetProjects":     typed(cb.batchGetProjects),
		"ListBuildsForProject": typed(cb.listBuildsForProject),
	}})
	return nil
}

// AddProject makes a project, or replaces the one of the same name.
func (s *Server) AddProject(p Project) {
	if p.SourceType == "" {
		p.SourceType = "S3"
	}
	if p.Location == "" && p.SourceType == "S3" {
		p.Location = SourceBucket + "/" + p.Name + ".zip"
	}
	if p.LogGroup == "" {
		p.LogGroup = "/aws/codebuild/" + p.Name
	}
	s.codeBuild.mu.Lock()
	defer s.codeBuild.mu.Unlock()
	s.codeBuild.projects[p.Name] = p
}

// PlanBuilds says how builds go that are started from now on.
func (s *Server) PlanBuilds(p BuildPlan) {
	if p.Minute == 0 {
		p.Minute = time.Minute
	}
	s.codeBuild.mu.Lock()
	defer s.codeBuild.mu.Unlock()
	s.codeBuild.plan = p
}

// BuildInfo is what a test asks of a build.
type BuildInfo struct {
	ID, Project, Status, Phase string
	Environment                map[string]string // of StartBuild and the project
	Done                       bool
}

// Builds lists all builds, the oldest first.
func (s *Server) Builds() []BuildInfo {
	s.codeBuild.mu.Lock()
	defer s.codeBuild.mu.Unlock()
	var list []BuildInfo
	for _, b := range s.codeBuild.order {
		list = append(list, BuildInfo{ID: b.ID, Project: b.ProjectName, Status: b.BuildStatus, Phase: b.CurrentPhase, Environment: b.plainEnvironment(), Done: b.BuildComplete})
	}
	return list
}

// close stops every build and waits for its processes.
func (cb *codeBuild) close() {
	cb.mu.Lock()
	for _, b := range cb.order {
		b.stop("STOPPED")
	}
	cb.mu.Unlock()
	cb.running.Wait()
}

func (s *Server) arn(service, resource string) string {
	return fmt.Sprintf("arn:aws:%s:%s:%s:%s", service, s.opts.Region, Account, resource)
}

type batchGetBuildsInput struct {
	IDs []string `json:"ids"`
}

type batchGetBuildsOutput struct {
	Builds         []json.RawMessage `json:"builds"`
	BuildsNotFound []string          `json:"buildsNotFound"`
}

func (cb *codeBuild) batchGetBuilds(_ context.Context, in *batchGetBuildsInput) (*batchGetBuildsOutput, error) {
	if len(in.IDs) == 0 || len(in.IDs) > 100 {
		return nil, refuse("InvalidInputException", "1 validation error detected: Value at 'ids' failed to satisfy constraint: Member must have length between 1 and 100")
	}
	cb.mu.Lock()
	defer cb.mu.Unlock()
	out := &batchGetBuildsOutput{Builds: []json.RawMessage{}}
	for _, id := range in.IDs {
		b := cb.find(id)
		if b == nil {
			out.BuildsNotFound = append(out.BuildsNotFound, id)
			continue
		}
		out.Builds = append(out.Builds, b.describe())
	}
	return out, nil
}

type stopBuildInput struct {
	ID string `json:"id"`
}

type buildOutput struct {
	Build json.RawMessage `json:"build"`
}

func (cb *codeBuild) stopBuild(_ context.Context, in *stopBuildInput) (*buildOutput, error) {
	cb.mu.Lock()
	defer cb.mu.Unlock()
	b := cb.find(in.ID)
	if b == nil {
		return nil, refuse("ResourceNotFoundException", "Build %s does not exist", in.ID)
	}
	b.stop("STOPPED")
	return &buildOutput{b.describe()}, nil
}

type batchGetProjectsInput struct {
	Names []string `json:"names"`
}

type batchGetProjectsOutput struct {
	Projects         []projectOutput `json:"projects"`
	ProjectsNotFound []string        `json:"projectsNotFound"`
}

type projectOutput struct {
	Name           string        `json:"name"`
	ARN            string        `json:"arn"`
	ServiceRole    string        `json:"serviceRole"`
	Source         buildSource   `json:"source"`
	Environment    buildSettings `json:"environment"`
	LogsConfig     any           `json:"logsConfig"`
	AutoRetryLimit int           `json:"autoRetryLimit,omitempty"`
}

func (cb *codeBuild) batchGetProjects(_ context.Context, in *batchGetProjectsInput) (*batchGetProjectsOutput, error) {
	cb.mu.Lock()
	defer cb.mu.Unlock()
	out := &batchGetProjectsOutput{Projects: []projectOutput{}}
	for _, name := range in.Names {
		p, ok := cb.projects[name]
		if !ok {
			out.ProjectsNotFound = append(out.ProjectsNotFound, name)
			continue
		}
		status := "ENABLED"
		if p.LogsDisabled {
			status = "DISABLED"
		}
		out.Projects = append(out.Projects, projectOutput{
			Name:           p.Name,
			ARN:            cb.server.arn("codebuild", "project/"+p.Name),
			ServiceRole:    roleARN(serviceRolePrefix + p.Name),
			Source:         buildSource{Type: p.SourceType, Location: p.Location, Buildspec: p.Buildspec},
			Environment:    p.settings(),
			LogsConfig:     map[string]any{"cloudWatchLogs": map[string]string{"status": status, "groupName": p.LogGroup}},
			AutoRetryLimit: p.AutoRetryLimit,
		})
	}
	return out, nil
}

type listBuildsForProjectInput struct {
	ProjectName string `json:"projectName"`
	SortOrder   string `json:"sortOrder"`
	NextToken   string `json:"nextToken"`
}

type listBuildsForProjectOutput struct {
	IDs []string `json:"ids"`
}

func (cb *codeBuild) listBuildsForProject(_ context.Context, in *listBuildsForProjectInput) (*listBuildsForProjectOutput, error) {
	cb.mu.Lock()
	defer cb.mu.Unlock()
	if _, ok := cb.projects[in.ProjectName]; !ok {
		return nil, cb.noProject(in.ProjectName)
	}
	out := &listBuildsForProjectOutput{IDs: []string{}}
	for _, b := range cb.order {
		if b.ProjectName != in.ProjectName {
			continue
		}
		if in.SortOrder == "ASCENDING" {
			out.IDs = append(out.IDs, b.ID)
		} else {
			out.IDs = append([]string{b.ID}, out.IDs...)
		}
	}
	return out, nil
}

func (cb *codeBuild) noProject(name string) *Error {
	return refuse("ResourceNotFoundException", "Project cannot be found: %s", cb.server.arn("codebuild", "project/"+name))
}

// find looks a build up by its id or ARN.
func (cb *codeBuild) find(id string) *build {
	if b := cb.builds[id]; b != nil {
		return b
	}
	for _, b := range cb.order {
		if b.ARN == id {
			return b
		}
	}
	return nil
}
