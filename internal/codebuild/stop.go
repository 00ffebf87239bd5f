package codebuild

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/report"
)

// State is what is kept of a build that runs, so that after_script can stop it
// when the bridge itself was killed.
type State struct {
	BuildID string `json:"buildId"`
	Region  string `json:"region"`
}

// saveState writes a file of its own for a build and returns what removes it.
func saveState(dir string, s State) (forget func(), err error) {
	if dir == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return func() {}, err
	}
	content, err := json.Marshal(s)
	if err != nil {
		return func() {}, err
	}
	name := strings.ReplaceAll(strings.ReplaceAll(s.BuildID, "/", "-"), ":", "-")
	file := filepath.Join(dir, name+".json")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return func() {}, err
	}
	return func() { os.Remove(file) }, nil
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
		path := filepath.Join(dir, f.Name())
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the saved builds: %w", err)
		}
		var s State
		if err := json.Unmarshal(content, &s); err != nil || s.BuildID == "" {
			continue // half written by a bridge that was killed: it knew of no build
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
		out, err := stopBuild(ctx, cfg, state.BuildID)
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

// stopLimit bounds the stopping of a build: after a SIGTERM there may be no
// more than a task's stopTimeout, 30 s.
const stopLimit = 10 * time.Second

// stopBuild stops a build for the bridge that followed it, with a context of
// its own, and tells whether that was accepted.
func (b *Bridge) stopBuild(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	out, err := stopBuild(ctx, b.cfg, id)
	if err != nil {
		b.say.Error("%v. It may go on; stop it with: codebuild-bridge stop %s", err, id)
		return false
	}
	if out.Complete && out.Status != build.Stopped {
		b.say.Warn("Build %s had already ended: %s", id, out.Status)
	} else {
		b.say.Info("Build %s is stopped.", id)
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
