package codebuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/report"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/start"
)

// afterScriptLimit bounds how long `stop` tries to find and stop one build:
// after_script itself has five minutes.
const afterScriptLimit = time.Minute

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
		if err := b.stopSaved(ctx, file, state); err != nil {
			failed = errors.Join(failed, err)
		} else if len(ids) == 0 {
			os.Remove(file)
		}
	}
	if failed != nil {
		return &ExitError{report.ExitLost, failed}
	}
	return nil
}

// stopSaved stops the build of a state.
func (b *Bridge) stopSaved(ctx context.Context, file string, state State) error {
	ctx, cancel := context.WithTimeout(ctx, afterScriptLimit)
	defer cancel()
	cfg := b.cfg.Copy()
	if state.Region != "" {
		cfg.Region = state.Region
	}
	if state.BuildID == "" {
		id, err := findRecent(ctx, cfg, state, file)
		if err != nil {
			return err
		}
		if id == "" {
			b.say.Info("A build of project %s was about to be started, and was not.", state.Project)
			return nil
		}
		state.BuildID = id
	}
	out, err := stopLast(ctx, cfg, state.BuildID)
	if err != nil {
		return err
	}
	b.stopped(out)
	return nil
}

// stopped tells how a build was when StopBuild was answered.
func (b *Bridge) stopped(out build.Build) {
	if out.Complete && out.Status != build.Stopped {
		b.say.Info("Build %s had already ended: %s", out.ID, out.Status)
	} else {
		b.say.Info("Build %s is stopped.", out.ID)
	}
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

// stopBuild stops a build for the bridge that followed it and tells whether
// that was accepted. It returns the build as it then was, which may have ended
// before.
func (b *Bridge) stopBuild(end ending, id string) (build.Build, bool) {
	ctx, cancel := context.WithTimeout(end.stop, stopLimit)
	defer cancel()
	out, err := stopLast(ctx, b.cfg, id)
	if err != nil {
		b.say.Error("%v. It may go on; stop it with: codebuild-bridge stop %s", err, id)
		return build.Build{}, false
	}
	b.stopped(out)
	return out, true
}

// callLimit bounds one attempt of the calls that find and stop a build, which
// answer within a second; retryAfter is the time between two attempts.
const (
	callLimit  = 3 * time.Second
	retryAfter = 500 * time.Millisecond
)

// findLimit and stopLimit bound the two steps where nobody has told us to stop
// and there is time.
const (
	findLimit = 30 * time.Second
	stopLimit = 30 * time.Second
)

// client repeats a call once, by which the SDK corrects for a wrong clock of
// ours, and not after a pause of up to 20 s as it would by itself.
func client(cfg aws.Config) *codebuild.Client {
	return codebuild.NewFromConfig(cfg, func(o *codebuild.Options) {
		o.RetryMaxAttempts = 2
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxBackoff = retryAfter })
	})
}

// insist makes a call until it is answered, refused for good, or ctx ends.
func insist(ctx context.Context, cfg aws.Config, call func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, callLimit)
		err := call(attempt)
		cancel()
		if err == nil || ctx.Err() != nil || !apierror.Passing(err) {
			return err
		}
		if apierror.Of(err) == apierror.Expired {
			apierror.Renew(cfg)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryAfter):
		}
	}
}

// stopBuild makes the call until it is answered or the context ends.
func stopBuild(ctx context.Context, cfg aws.Config, id string) (build.Build, error) {
	var out *codebuild.StopBuildOutput
	err := insist(ctx, cfg, func(ctx context.Context) (err error) {
		out, err = client(cfg).StopBuild(ctx, &codebuild.StopBuildInput{Id: aws.String(id)})
		return err
	})
	switch {
	case err == nil:
		return build.From(out.Build), nil
	case apierror.Of(err) == apierror.Denied:
		return build.Build{}, fmt.Errorf("stopping build %s: %w; the job's role needs codebuild:StopBuild on the project", id, apierror.Plain(err))
	case ctx.Err() != nil && apierror.Status(err) == 0:
		return build.Build{}, fmt.Errorf("stopping build %s: AWS has not answered in time", id)
	}
	return build.Build{}, fmt.Errorf("stopping build %s: %w", id, apierror.Plain(err))
}

// findBuild looks for a build whose start was never answered, by its token. It
// is among the project's latest, of which one page has 100.
func findBuild(ctx context.Context, cfg aws.Config, s State) (id string, err error) {
	err = insist(ctx, cfg, func(ctx context.Context) error {
		list, err := client(cfg).ListBuildsForProject(ctx, &codebuild.ListBuildsForProjectInput{
			ProjectName: aws.String(s.Project), SortOrder: types.SortOrderTypeDescending,
		})
		if err != nil || len(list.Ids) == 0 {
			return err
		}
		got, err := client(cfg).BatchGetBuilds(ctx, &codebuild.BatchGetBuildsInput{Ids: list.Ids[:min(len(list.Ids), 100)]})
		if err == nil {
			id = withToken(got.Builds, s.Token)
		}
		return err
	})
	if err != nil && ctx.Err() != nil && apierror.Status(err) == 0 {
		return "", fmt.Errorf("looking for a build of project %s that may have been started: AWS has not answered in time", s.Project)
	}
	if err != nil {
		hint := ""
		if apierror.Of(err) == apierror.Denied {
			hint = "; the job's role needs codebuild:ListBuildsForProject for that"
		}
		return "", fmt.Errorf("looking for a build of project %s that may have been started: %w%s", s.Project, apierror.Plain(err), hint)
	}
	return id, nil
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
			if aws.ToString(v.Name) == start.TokenVariable && aws.ToString(v.Value) == token {
				return aws.ToString(b.Id)
			}
		}
	}
	return ""
}
