package codebuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/report"
)

// State is what is kept of a build, from before it is started until it has
// ended, so that after_script can stop it when the bridge itself was killed.
type State struct {
	Project string `json:"project"`
	Region  string `json:"region"`
	// Token is the value of tokenVariable in the build's environment.
	Token string `json:"token"`
	// BuildID is empty until StartBuild has answered.
	BuildID string `json:"buildId,omitempty"`
}

// tokenVariable is a variable of every build that we start, by which it is
// found again if its id was never learnt.
const tokenVariable = "BRIDGE_TOKEN"

// stateFile is where a State is kept; the zero value keeps nothing.
type stateFile struct{ path string }

// newStateFile makes the directory. A build of its own has a file of its own: a
// job may start several.
func newStateFile(dir, token string) (stateFile, error) {
	if dir == "" {
		return stateFile{}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return stateFile{}, err
	}
	return stateFile{filepath.Join(dir, token+".json")}, nil
}

// save replaces the file as a whole: we may be killed at any time.
func (f stateFile) save(s State) error {
	if f.path == "" {
		return nil
	}
	content, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(f.path+".new", f.path)
}

func (f stateFile) forget() {
	if f.path != "" {
		os.Remove(f.path)
	}
}

// Saved lists the builds of which a state is kept, by their files.
func Saved(dir string) (map[string]State, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the saved builds: %w", err)
	}
	found := map[string]State{}
	for _, f := range files {
		if filepath.Ext(f.Name()) != ".json" {
			continue
		}
		path := filepath.Join(dir, f.Name())
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the saved builds: %w", err)
		}
		var s State
		if err := json.Unmarshal(content, &s); err != nil || (s.BuildID == "" && s.Token == "") {
			continue // none of ours
		}
		found[path] = s
	}
	return found, nil
}

// Stop stops builds: those given, or those of which a state is kept in dir. A
// build that has ended already is no failure.
func (b *Bridge) Stop(ctx context.Context, dir string, ids ...string) error {
	saved, err := Saved(dir)
	if err != nil {
		return usage(err)
	}
	if len(ids) > 0 {
		saved = map[string]State{}
		for _, id := range ids {
			saved[id] = State{BuildID: id}
		}
	}
	if len(saved) == 0 {
		b.say.Info("No build of this job is left to be stopped.")
		return nil
	}
	var failed error
	for file, state := range saved {
		cfg := b.cfg.Copy()
		if state.Region != "" {
			cfg.Region = state.Region
		}
		if state.BuildID == "" {
			id, err := findRecent(ctx, cfg, state, file)
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			if id == "" {
				b.say.Info("A build of project %s was about to be started, and was not.", state.Project)
				os.Remove(file)
				continue
			}
			state.BuildID = id
		}
		out, err := stopLast(ctx, cfg, state.BuildID)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if out.Complete && out.Status != build.Stopped {
			b.say.Info("Build %s had already ended: %s", out.ID, out.Status)
		} else {
			b.say.Info("Build %s is stopped.", out.ID)
		}
		if len(ids) == 0 {
			os.Remove(file)
		}
	}
	if failed != nil {
		return &ExitError{report.ExitLost, failed}
	}
	return nil
}

// stopLast stops a build, or the one that CodeBuild has begun in its place.
func stopLast(ctx context.Context, cfg aws.Config, id string) (build.Build, error) {
	for {
		out, err := stopBuild(ctx, cfg, id)
		if err != nil || !out.Complete || out.Next == "" {
			return out, err
		}
		id = out.Next
	}
}

// stopLimit bounds the stopping of a build: after a SIGTERM there may be no
// more than a task's stopTimeout, 30 s.
const stopLimit = 10 * time.Second

// stopBuild stops a build for the bridge that followed it, with a context of
// its own, and tells whether that was accepted.
func (b *Bridge) stopBuild(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	out, err := stopLast(ctx, b.cfg, id)
	if err != nil {
		b.say.Error("%v. It may go on; stop it with: codebuild-bridge stop %s", err, id)
		return false
	}
	if out.Complete && out.Status != build.Stopped {
		b.say.Warn("Build %s had already ended: %s", out.ID, out.Status)
	} else {
		b.say.Info("Build %s is stopped.", out.ID)
	}
	return true
}

// stopBuild makes the call until it is answered or the context ends.
func stopBuild(ctx context.Context, cfg aws.Config, id string) (build.Build, error) {
	client := codebuild.NewFromConfig(cfg)
	for {
		out, err := client.StopBuild(ctx, &codebuild.StopBuildInput{Id: aws.String(id)})
		if err == nil {
			return build.From(out.Build), nil
		}
		if apierror.Of(err) == apierror.Expired {
			apierror.Renew(cfg)
		}
		if ctx.Err() != nil || !apierror.Passing(err) {
			hint := ""
			if apierror.Of(err) == apierror.Denied {
				hint = "; the job's role needs codebuild:StopBuild on the project"
			}
			return build.Build{}, fmt.Errorf("stopping build %s: %w%s", id, apierror.Plain(err), hint)
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// findBuild looks for a build whose start was never answered, by its token. It
// is among the project's latest, of which one page has 100.
func findBuild(ctx context.Context, cfg aws.Config, s State) (id string, err error) {
	client := codebuild.NewFromConfig(cfg)
	list, err := client.ListBuildsForProject(ctx, &codebuild.ListBuildsForProjectInput{
		ProjectName: aws.String(s.Project), SortOrder: types.SortOrderTypeDescending,
	})
	if err == nil && len(list.Ids) > 0 {
		var got *codebuild.BatchGetBuildsOutput
		got, err = client.BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: list.Ids[:min(len(list.Ids), 100)]})
		if err == nil {
			return withToken(got.Builds, s.Token), nil
		}
	}
	if err != nil {
		hint := ""
		if apierror.Of(err) == apierror.Denied {
			hint = "; the job's role needs codebuild:ListBuildsForProject for that"
		}
		return "", fmt.Errorf("looking for a build of project %s that may have been started: %w%s", s.Project, apierror.Plain(err), hint)
	}
	return "", nil
}

// A start that was on its way when the bridge was killed may be carried out, and
// be listed, a moment later.
const (
	startsWithin = time.Minute
	listedWithin = 10 * time.Second
)

// findRecent is findBuild for a state that was perhaps written just now.
func findRecent(ctx context.Context, cfg aws.Config, s State, file string) (id string, err error) {
	info, err := os.Stat(file)
	fresh := err == nil && time.Since(info.ModTime()) < startsWithin
	for limit := time.Now().Add(listedWithin); ; {
		id, err = findBuild(ctx, cfg, s)
		if id != "" || err != nil || !fresh || !time.Now().Before(limit) {
			return id, err
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("looking for a build of project %s that may have been started: %w", s.Project, context.Cause(ctx))
		case <-time.After(2 * time.Second):
		}
	}
}

func withToken(builds []types.Build, token string) string {
	for _, b := range builds {
		if b.Environment == nil {
			continue
		}
		for _, v := range b.Environment.EnvironmentVariables {
			if aws.ToString(v.Name) == tokenVariable && aws.ToString(v.Value) == token {
				return aws.ToString(b.Id)
			}
		}
	}
	return ""
}
