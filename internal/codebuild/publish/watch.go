package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// Artifact is what a deployment is looked for by.
type Artifact struct {
	Application, Group string
	Bucket, Key, ETag  string
}

// Watcher finds and follows a deployment.
type Watcher struct {
	client *codedeploy.Client
	cfg    aws.Config
	say    *joblog.Log

	// Every is the time between two looks; 0 means 5 s.
	Every time.Duration
	// Find bounds the wait for the deployment to be made.
	Find time.Duration
	// Rollback bounds the time in which a deployment that has ended is watched for
	// its being rolled back, where its group is set up for that.
	Rollback time.Duration
	// Lost bounds the time in which AWS may be out of reach; 0 means 10 minutes.
	Lost time.Duration

	told  map[string]string // the status last told, by target and event
	blind bool              // the steps cannot be looked at
}

// New returns a Watcher.
func New(cfg aws.Config, say *joblog.Log) *Watcher {
	return &Watcher{client: codedeploy.NewFromConfig(cfg), cfg: cfg, say: say, told: map[string]string{}}
}

var (
	// ErrNotMade means that no deployment of the artifact was made in time.
	ErrNotMade = errors.New("no deployment was made of the artifact")
	// ErrLost means that the deployment can no longer be looked at.
	ErrLost = errors.New("contact with the deployment is lost")
)

// recent is how far back deployments are looked at. It covers clocks that
// differ and a trigger that is faster than we are.
const recent = 10 * time.Minute

// Before lists the deployments that are there before the artifact is uploaded,
// so that an earlier one of the same artifact is not mistaken for its own.
func (w *Watcher) Before(ctx context.Context, a Artifact) ([]string, error) {
	ids, err := w.list(ctx, a, time.Now().Add(-recent))
	if err != nil {
		return nil, explain(a, err)
	}
	return ids, nil
}

func (w *Watcher) list(ctx context.Context, a Artifact, since time.Time) ([]string, error) {
	var ids []string
	pages := codedeploy.NewListDeploymentsPaginator(w.client, &codedeploy.ListDeploymentsInput{
		ApplicationName: aws.String(a.Application), DeploymentGroupName: aws.String(a.Group),
		CreateTimeRange: &types.TimeRange{Start: &since},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		ids = append(ids, page.Deployments...)
	}
	return ids, nil
}

// explain says what an error of CodeDeploy means and what to do.
func explain(a Artifact, err error) error {
	hint := ""
	switch code := apierror.Words(err); {
	case apierror.Of(err) == apierror.Denied:
		hint = "; --wait needs codedeploy:ListDeployments and GetDeployment on the deployment group, ListDeploymentTargets and BatchGetDeploymentTargets; for another account give a role of it with --wait-role-arn"
	case strings.Contains(code, "ApplicationDoesNotExist"), strings.Contains(code, "DeploymentGroupDoesNotExist"):
		hint = "; look at --application, --deployment-group, the region, and for another account --wait-role-arn"
	}
	return fmt.Errorf("looking for deployments of %s to %s: %w%s", a.Application, a.Group, apierror.Plain(err), hint)
}

// Follow waits for the deployment of the artifact and shows its steps to its
// end. before is what Before has returned.
func (w *Watcher) Follow(ctx context.Context, a Artifact, before []string) (Deployment, error) {
	if w.Every == 0 {
		w.Every = 5 * time.Second
	}
	if w.Lost == 0 {
		w.Lost = 10 * time.Minute
	}
	d, err := w.find(ctx, a, before)
	if err != nil {
		return Deployment{}, err
	}
	w.say.Info("Deployment %s of %s to %s is made.", d.ID, a.Application, a.Group)
	answered, ended := time.Now(), time.Time{}
	for {
		info, err := w.look(ctx, d.ID)
		if err == nil {
			answered, d = time.Now(), info
			err = w.steps(ctx, d.ID)
		}
		if err == nil && d.Ended() && d.RollbackBy == "" && d.MayBeRolledBack() {
			d.RollbackBy, err = w.rollback(ctx, a, d)
		}
		if err == nil && d.Ended() {
			if ended.IsZero() {
				ended = answered
				if d.MayBeRolledBack() && w.Rollback > 0 {
					w.say.Info("Deployment %s: %s; watching %s for its being rolled back.", d.ID, d.Status, joblog.Duration(w.Rollback))
				}
			}
			if !d.MayBeRolledBack() || answered.Sub(ended) >= w.Rollback {
				return d, nil
			}
		}
		if err := w.goOn(ctx, err, answered); err != nil {
			if !ended.IsZero() {
				return d, nil // how it has ended is known
			}
			return d, err
		}
	}
}

// rollback finds the deployment that rolls d back, if there is one. The one that
// is rolled back does not always tell of it.
func (w *Watcher) rollback(ctx context.Context, a Artifact, d Deployment) (string, error) {
	ids, err := w.list(ctx, a, d.Created)
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		if id == d.ID {
			continue
		}
		out, err := w.client.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: aws.String(id)})
		if err != nil {
			return "", err
		}
		if info := out.DeploymentInfo; info != nil && info.Creator == types.DeploymentCreatorCodeDeployRollback &&
			info.RollbackInfo != nil && aws.ToString(info.RollbackInfo.RollbackTriggeringDeploymentId) == d.ID {
			return id, nil
		}
	}
	return "", nil
}

// goOn waits for the next look, or returns why there is none.
func (w *Watcher) goOn(ctx context.Context, err error, answered time.Time) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		if apierror.Of(err) == apierror.Expired {
			apierror.Renew(w.cfg)
		}
		if !apierror.Passing(err) || time.Since(answered) > w.Lost {
			return fmt.Errorf("%w: %w", ErrLost, apierror.Plain(err))
		}
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(w.Every):
		return nil
	}
}

// find waits until a deployment of the artifact is there.
func (w *Watcher) find(ctx context.Context, a Artifact, before []string) (Deployment, error) {
	began, answered := time.Now(), time.Now()
	for {
		d, found, err := w.newOf(ctx, a, before)
		if err == nil {
			answered = time.Now()
			if found {
				return d, nil
			}
			if time.Since(began) > w.Find {
				return Deployment{}, fmt.Errorf("%w s3://%s/%s within %s: look whether the bucket's trigger runs and may create deployments of %s to %s",
					ErrNotMade, a.Bucket, a.Key, joblog.Duration(w.Find), a.Application, a.Group)
			}
		}
		if err := w.goOn(ctx, err, answered); err != nil {
			return Deployment{}, err
		}
	}
}

func (w *Watcher) newOf(ctx context.Context, a Artifact, before []string) (Deployment, bool, error) {
	ids, err := w.list(ctx, a, time.Now().Add(-recent))
	if err != nil {
		return Deployment{}, false, err
	}
	for _, id := range ids {
		if slices.Contains(before, id) {
			continue
		}
		out, err := w.client.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: aws.String(id)})
		if err != nil {
			return Deployment{}, false, err
		}
		if out.DeploymentInfo != nil && isOf(out.DeploymentInfo.Revision, a) {
			return from(out.DeploymentInfo), true, nil
		}
	}
	return Deployment{}, false, nil
}

// isOf tells whether a deployment deploys this artifact.
func isOf(r *types.RevisionLocation, a Artifact) bool {
	if r == nil || r.S3Location == nil {
		return false
	}
	s := r.S3Location
	unquoted := func(tag string) string { return strings.Trim(tag, `"`) }
	etag := unquoted(aws.ToString(s.ETag))
	return aws.ToString(s.Bucket) == a.Bucket && aws.ToString(s.Key) == a.Key && (etag == "" || a.ETag == "" || etag == unquoted(a.ETag))
}

func (w *Watcher) look(ctx context.Context, id string) (Deployment, error) {
	out, err := w.client.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: aws.String(id)})
	if err != nil {
		return Deployment{}, err
	}
	if out.DeploymentInfo == nil {
		return Deployment{}, fmt.Errorf("deployment %s is told without content", id)
	}
	return from(out.DeploymentInfo), nil
}

// steps shows the steps on the targets as long as they may be looked at. The
// deployment's own status decides, with or without them.
func (w *Watcher) steps(ctx context.Context, id string) error {
	if w.blind {
		return nil
	}
	err := w.targets(ctx, id)
	if err == nil || ctx.Err() != nil || apierror.Passing(err) {
		return err
	}
	w.blind = true
	w.say.Warn("The deployment's steps cannot be shown (%v); --wait needs codedeploy:ListDeploymentTargets and BatchGetDeploymentTargets on the deployment group.", apierror.Plain(err))
	return nil
}

// targetsAtOnce is what BatchGetDeploymentTargets takes.
const targetsAtOnce = 25

// targets shows what has changed on the deployment's targets.
func (w *Watcher) targets(ctx context.Context, id string) error {
	var ids []string
	for in := (&codedeploy.ListDeploymentTargetsInput{DeploymentId: aws.String(id)}); ; {
		page, err := w.client.ListDeploymentTargets(ctx, in)
		if err != nil {
			if strings.Contains(apierror.Words(err), "DeploymentNotStarted") {
				return nil
			}
			return err
		}
		ids = append(ids, page.TargetIds...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			break
		}
	}
	for batch := range slices.Chunk(ids, targetsAtOnce) {
		out, err := w.client.BatchGetDeploymentTargets(ctx, &codedeploy.BatchGetDeploymentTargetsInput{DeploymentId: aws.String(id), TargetIds: batch})
		if err != nil {
			return err
		}
		for _, t := range out.DeploymentTargets {
			w.tell(targetFrom(t))
		}
	}
	return nil
}

// tell shows the steps of a target that have ended since the last time.
func (w *Watcher) tell(t target) {
	for _, e := range t.events {
		key := t.id + " " + e.name
		if w.told[key] == e.status {
			continue
		}
		w.told[key] = e.status
		line := fmt.Sprintf("  %-22s %-20s %s", t.id, e.name, e.status)
		switch e.status {
		case string(types.LifecycleEventStatusSucceeded):
			w.say.Info("%s %s", line, joblog.Duration(e.took))
		case string(types.LifecycleEventStatusFailed):
			w.say.Error("%s %s", line, joblog.Defuse(e.problem))
			for l := range strings.SplitSeq(strings.TrimSpace(e.log), "\n") {
				if l != "" {
					w.say.Info("      %s", joblog.Defuse(l))
				}
			}
		}
	}
}
