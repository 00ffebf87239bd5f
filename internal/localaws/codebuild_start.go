package localaws

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

type envVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Type  string `json:"type,omitempty"`
}

// startBuildInput has every member of the real one; what a build on this
// machine has no use for is taken and not looked at.
type startBuildInput struct {
	ProjectName                      string   `json:"projectName"`
	SourceVersion                    string   `json:"sourceVersion"`
	EnvironmentVariablesOverride     []envVar `json:"environmentVariablesOverride"`
	SourceTypeOverride               string   `json:"sourceTypeOverride"`
	SourceLocationOverride           string   `json:"sourceLocationOverride"`
	BuildspecOverride                string   `json:"buildspecOverride"`
	ReportBuildStatusOverride        *bool    `json:"reportBuildStatusOverride"`
	EnvironmentTypeOverride          string   `json:"environmentTypeOverride"`
	ImageOverride                    string   `json:"imageOverride"`
	ComputeTypeOverride              string   `json:"computeTypeOverride"`
	PrivilegedModeOverride           *bool    `json:"privilegedModeOverride"`
	TimeoutInMinutesOverride         *int     `json:"timeoutInMinutesOverride"`
	QueuedTimeoutInMinutesOverride   *int     `json:"queuedTimeoutInMinutesOverride"`
	IdempotencyToken                 string   `json:"idempotencyToken"`
	AutoRetryLimitOverride           *int     `json:"autoRetryLimitOverride"`
	ServiceRoleOverride              string   `json:"serviceRoleOverride"`
	EncryptionKeyOverride            string   `json:"encryptionKeyOverride"`
	ImagePullCredentialsTypeOverride string   `json:"imagePullCredentialsTypeOverride"`
	DebugSessionEnabled              *bool    `json:"debugSessionEnabled"`

	SecondarySourcesOverride        json.RawMessage `json:"secondarySourcesOverride,omitempty"`
	SecondarySourcesVersionOverride json.RawMessage `json:"secondarySourcesVersionOverride,omitempty"`
	ArtifactsOverride               json.RawMessage `json:"artifactsOverride,omitempty"`
	SecondaryArtifactsOverride      json.RawMessage `json:"secondaryArtifactsOverride,omitempty"`
	SourceAuthOverride              json.RawMessage `json:"sourceAuthOverride,omitempty"`
	GitCloneDepthOverride           json.RawMessage `json:"gitCloneDepthOverride,omitempty"`
	GitSubmodulesConfigOverride     json.RawMessage `json:"gitSubmodulesConfigOverride,omitempty"`
	InsecureSslOverride             json.RawMessage `json:"insecureSslOverride,omitempty"`
	BuildStatusConfigOverride       json.RawMessage `json:"buildStatusConfigOverride,omitempty"`
	CertificateOverride             json.RawMessage `json:"certificateOverride,omitempty"`
	CacheOverride                   json.RawMessage `json:"cacheOverride,omitempty"`
	LogsConfigOverride              json.RawMessage `json:"logsConfigOverride,omitempty"`
	RegistryCredentialOverride      json.RawMessage `json:"registryCredentialOverride,omitempty"`
	FleetOverride                   json.RawMessage `json:"fleetOverride,omitempty"`
	HostKernelOverride              json.RawMessage `json:"hostKernelOverride,omitempty"`
}

func (cb *codeBuild) startBuild(_ context.Context, in *startBuildInput) (*buildOutput, error) {
	cb.mu.Lock()
	defer cb.mu.Unlock()
	project, ok := cb.projects[in.ProjectName]
	if !ok {
		return nil, cb.noProject(in.ProjectName)
	}
	if err := in.validate(project); err != nil {
		return nil, err
	}
	request, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	if t, used := cb.tokens[in.IdempotencyToken]; used && in.IdempotencyToken != "" && time.Since(t.at) < tokenLife {
		if t.request != string(request) {
			return nil, refuse("InvalidInputException", "Idempotency token has already been used with different parameters")
		}
		return &buildOutput{t.build.describe()}, nil
	}
	if limit := cb.plan.AccountLimit; limit > 0 && cb.inProgress() >= limit {
		return nil, refuse("AccountLimitExceededException", "Cannot have more than %d builds in queue for the account", limit)
	}
	b := cb.newBuild(project, in)
	if in.IdempotencyToken != "" {
		cb.tokens[in.IdempotencyToken] = startToken{string(request), b, time.Now()}
	}
	// StartBuild's own answer names no log stream yet.
	return &buildOutput{b.describe()}, nil
}

func (cb *codeBuild) inProgress() int {
	n := 0
	for _, b := range cb.order {
		if !b.BuildComplete {
			n++
		}
	}
	return n
}

// validate refuses what the real StartBuild refuses.
func (in *startBuildInput) validate(p Project) error {
	sourceType := p.SourceType
	if in.SourceTypeOverride != "" {
		sourceType = in.SourceTypeOverride
	}
	location := in.SourceLocationOverride
	if location == "" {
		location = p.Location
	}
	if sourceType == "S3" {
		if strings.Contains(location, "://") || !strings.Contains(location, "/") {
			return refuse("InvalidInputException", "Invalid source location: %s. It must be bucket/path/object.zip", location)
		}
		if strings.HasSuffix(location, "/") && in.SourceVersion != "" {
			return refuse("InvalidInputException", "Source version should be empty for S3 folder source location")
		}
		if in.ReportBuildStatusOverride != nil && *in.ReportBuildStatusOverride {
			return refuse("InvalidInputException", "reportBuildStatus is not supported for source type S3")
		}
	}
	if t := in.TimeoutInMinutesOverride; t != nil && (*t < 5 || *t > 2160) {
		return refuse("InvalidInputException", "Invalid timeout: timeout must be between 5 and 2160 minutes")
	}
	if t := in.QueuedTimeoutInMinutesOverride; t != nil && (*t < 5 || *t > 480) {
		return refuse("InvalidInputException", "Invalid queued timeout: must be between 5 and 480 minutes")
	}
	for _, v := range in.EnvironmentVariablesOverride {
		if strings.HasPrefix(v.Name, "CODEBUILD_") {
			return refuse("InvalidInputException", "Environment variable name %s is reserved: names must not start with CODEBUILD_", v.Name)
		}
		if v.Type != "" && !slices.Contains([]string{"PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER"}, v.Type) {
			return refuse("InvalidInputException", "Invalid environment variable type: %s", v.Type)
		}
	}
	return nil
}

// newBuild makes a build and begins it.
func (cb *codeBuild) newBuild(p Project, in *startBuildInput) *build {
	cb.numbers[p.Name]++
	uuid := requestID()
	b := &build{
		cb: cb, plan: cb.plan, project: p, input: in, uuid: uuid,
		stopped: make(chan struct{}),

		ID:           p.Name + ":" + uuid,
		ARN:          cb.server.arn("codebuild", "build/"+p.Name+":"+uuid),
		BuildNumber:  cb.numbers[p.Name],
		ProjectName:  p.Name,
		BuildStatus:  "IN_PROGRESS",
		StartTime:    unixSeconds(time.Now()),
		CurrentPhase: "SUBMITTED",
		Source:       buildSource{Type: p.SourceType, Location: p.Location, Buildspec: p.Buildspec},
		Environment:  p.settings(),
	}
	b.SourceVersion = in.SourceVersion
	for _, override := range []struct{ to, from *string }{
		{&b.Source.Type, &in.SourceTypeOverride},
		{&b.Source.Location, &in.SourceLocationOverride},
		{&b.Source.Buildspec, &in.BuildspecOverride},
		{&b.Environment.Image, &in.ImageOverride},
		{&b.Environment.Type, &in.EnvironmentTypeOverride},
		{&b.Environment.ComputeType, &in.ComputeTypeOverride},
	} {
		if *override.from != "" {
			*override.to = *override.from
		}
	}
	if in.PrivilegedModeOverride != nil {
		b.Environment.PrivilegedMode = *in.PrivilegedModeOverride
	}
	b.Environment.Variables = mergeVariables(b.Environment.Variables, in.EnvironmentVariablesOverride)
	b.TimeoutInMinutes = 60
	if in.TimeoutInMinutesOverride != nil {
		b.TimeoutInMinutes = *in.TimeoutInMinutesOverride
	}
	retries := p.AutoRetryLimit
	if in.AutoRetryLimitOverride != nil {
		retries = *in.AutoRetryLimitOverride
	}
	b.retriesLeft = retries
	b.AutoRetryConfig = &autoRetry{Limit: retries}
	cb.builds[b.ID] = b
	cb.order = append(cb.order, b)
	cb.running.Go(b.run)
	return b
}

// mergeVariables puts StartBuild's variables over the project's.
func mergeVariables(project, override []envVar) []envVar {
	merged := map[string]envVar{}
	for _, list := range [][]envVar{project, override} {
		for _, v := range list {
			if v.Type == "" {
				v.Type = "PLAINTEXT"
			}
			merged[v.Name] = v
		}
	}
	return slices.SortedFunc(maps.Values(merged), func(a, b envVar) int { return strings.Compare(a.Name, b.Name) })
}

func (p Project) settings() buildSettings {
	s := buildSettings{
		Type:           "LINUX_CONTAINER",
		Image:          "aws/codebuild/amazonlinux-x86_64-standard:5.0",
		ComputeType:    "BUILD_GENERAL1_SMALL",
		PrivilegedMode: p.Privileged,
		Variables:      []envVar{},
	}
	for name, value := range p.Environment {
		s.Variables = append(s.Variables, envVar{name, value, "PLAINTEXT"})
	}
	return s
}
