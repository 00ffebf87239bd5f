package codebuild_test

import (
	"archive/zip"
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/archive"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// publishWorld is a world with an application to deploy.
func publishWorld(t *testing.T) (*world, codebuild.PublishOptions) {
	t.Helper()
	w := newWorld(t, "appspec.yml", "version: 0.0\n", "bin/app", "binary")
	if err := w.AWS.CreateBucket("artifacts", localaws.Bucket{}); err != nil {
		t.Fatal(err)
	}
	return w, codebuild.PublishOptions{
		Archive: archive.Options{Dir: w.Dir, NoIgnore: true}, Format: "zip", Level: 6,
		Bucket: "artifacts", Key: "shop/1.zip", Application: "shop", Group: "prod",
		Wait: true, Find: 5 * time.Second, Every: 20 * time.Millisecond,
	}
}

func (w *world) publish(ctx context.Context, o codebuild.PublishOptions) int {
	w.t.Helper()
	return w.code(codebuild.New(w.cfg, codebuild.Options{Out: w.log, Plain: true}).Publish(ctx, o))
}

func TestPublish(t *testing.T) {
	t.Parallel()
	w, o := publishWorld(t)
	w.AWS.PlanDeployments(localaws.DeployPlan{Trigger: 50 * time.Millisecond, Event: 20 * time.Millisecond, Targets: 30})
	if code := w.publish(t.Context(), o); code != 0 {
		t.Errorf("got exit code %d", code)
	}
	w.wantLog("Artifact: 2 files", "Deployment d-000000001 of shop to prod is made", "ValidateService      Succeeded", "d-000000001: Succeeded")
	if n := strings.Count(w.log.String(), "ApplicationStart     Succeeded"); n != 30 {
		t.Errorf("got %d targets' steps, want each of 30 once", n)
	}
	content, metadata, _ := w.AWS.Object("artifacts", "shop/1.zip")
	if metadata["application-name"] != "shop" || metadata["deploymentgroup-name"] != "prod" {
		t.Errorf("got metadata %v", metadata)
	}
	if zr, err := zip.NewReader(bytes.NewReader(content), int64(len(content))); err != nil || len(zr.File) != 3 {
		t.Errorf("got no zip of 2 files and a directory: %v", err)
	}
}

func TestPublishAgainFindsTheNewDeployment(t *testing.T) {
	t.Parallel()
	w, o := publishWorld(t)
	w.AWS.PlanDeployments(localaws.DeployPlan{Event: time.Millisecond, FailAt: "Install"})
	if code := w.publish(t.Context(), o); code != 1 {
		t.Errorf("got exit code %d, want 1", code)
	}
	// The same bytes under the same key: only its id tells the second from the first.
	w.AWS.PlanDeployments(localaws.DeployPlan{Event: time.Millisecond, Trigger: 100 * time.Millisecond})
	if code := w.publish(t.Context(), o); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}

func TestPublishFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		plan   localaws.DeployPlan
		change func(w *world, o *codebuild.PublishOptions)
		code   int
		words  []string
	}{
		{name: "a step fails", plan: localaws.DeployPlan{Event: 10 * time.Millisecond, FailAt: "ValidateService"}, code: 1,
			words: []string{"ValidateService      Failed Script at specified location", "Failed to connect to localhost", "d-000000001: Failed", "HEALTH_CONSTRAINTS"}},
		{name: "rolled back", plan: localaws.DeployPlan{Event: 10 * time.Millisecond, FailAt: "Install", Rollback: true}, code: 1,
			words: []string{"d-000000001: Failed", "Rolled back by deployment d-000000002"}},
		{name: "rolled back a moment later", plan: localaws.DeployPlan{Event: 10 * time.Millisecond, FailAt: "Install", Rollback: true}, code: 1,
			change: func(w *world, o *codebuild.PublishOptions) {
				o.Rollback = time.Minute
				// The deployment that rolls back is not there yet when the failure is seen.
				w.AWS.Fault(localaws.Fault{Operation: "GetDeployment", Match: "d-000000002", Count: 2, Kind: localaws.Refused, Code: "ThrottlingException"})
			},
			words: []string{"d-000000001: Failed", "Rolled back by deployment d-000000002"}},
		{name: "rolled back after it has succeeded", plan: localaws.DeployPlan{Event: 10 * time.Millisecond, Alarm: 300 * time.Millisecond}, code: 1,
			change: func(_ *world, o *codebuild.PublishOptions) { o.Rollback = time.Minute },
			words:  []string{"Deployment d-000000001: Succeeded\n", "Rolled back by deployment d-000000002"}},
		{name: "not rolled back though it may be", plan: localaws.DeployPlan{Event: 10 * time.Millisecond, AutoRollback: []string{"DEPLOYMENT_STOP_ON_ALARM"}}, code: 0,
			change: func(_ *world, o *codebuild.PublishOptions) { o.Rollback = 200 * time.Millisecond },
			words:  []string{"d-000000001: Succeeded; watching 200ms", "Deployment d-000000001: Succeeded"}},
		{name: "rolls back on failure alone", plan: localaws.DeployPlan{Event: 10 * time.Millisecond, AutoRollback: []string{"DEPLOYMENT_FAILURE"}}, code: 0,
			change: func(_ *world, o *codebuild.PublishOptions) { o.Rollback = time.Hour },
			words:  []string{"Deployment d-000000001: Succeeded"}},
		{name: "contact lost while watching for a rollback", plan: localaws.DeployPlan{Event: 10 * time.Millisecond, AutoRollback: []string{"DEPLOYMENT_STOP_ON_ALARM"}}, code: 0,
			change: func(w *world, o *codebuild.PublishOptions) {
				o.Rollback = time.Hour
				w.AWS.Fault(localaws.Fault{Operation: "ListDeployments", Skip: 20, Count: -1, Kind: localaws.Refused, Code: "AccessDeniedException"})
			},
			words: []string{"Deployment d-000000001: Succeeded"}},
		{name: "not made", plan: localaws.DeployPlan{Ignore: true}, code: 1,
			change: func(_ *world, o *codebuild.PublishOptions) { o.Find = 100 * time.Millisecond },
			words:  []string{"no deployment was made", "look whether the bucket's trigger runs"}},
		{name: "takes too long", plan: localaws.DeployPlan{Event: time.Hour}, code: 4,
			change: func(_ *world, o *codebuild.PublishOptions) { o.Limit = 3 * time.Second },
			words:  []string{"--wait-timeout is over", "it goes on"}},
		{name: "bucket of somebody else", code: 6,
			change: func(w *world, o *codebuild.PublishOptions) {
				o.BucketOwner = localaws.Account
				if err := w.AWS.CreateBucket("artifacts", localaws.Bucket{Owner: "999999999999"}); err != nil {
					w.t.Error(err)
				}
			}, words: []string{"must own the bucket"}},
		{name: "may not look", code: 6,
			change: func(w *world, _ *codebuild.PublishOptions) {
				w.AWS.Fault(localaws.Fault{Service: "codedeploy", Count: -1, Kind: localaws.Refused, Code: "AccessDeniedException"})
			}, words: []string{"codedeploy:ListDeployments", "--wait-role-arn"}},
		{name: "may not see the steps", plan: localaws.DeployPlan{Event: 10 * time.Millisecond}, code: 0,
			change: func(w *world, _ *codebuild.PublishOptions) {
				w.AWS.Fault(localaws.Fault{Operation: "BatchGetDeploymentTargets", Count: -1, Kind: localaws.Refused, Code: "AccessDeniedException"})
			}, words: []string{"codedeploy:ListDeploymentTargets", "Succeeded"}},
		{name: "may not look any more", plan: localaws.DeployPlan{Event: 10 * time.Millisecond}, code: 7,
			change: func(w *world, _ *codebuild.PublishOptions) {
				w.AWS.Fault(localaws.Fault{Operation: "GetDeployment", Skip: 1, Count: -1, Kind: localaws.Refused, Code: "AccessDeniedException"})
			}, words: []string{"contact with the deployment is lost"}},
		{name: "throttled now and then", plan: localaws.DeployPlan{Event: 10 * time.Millisecond}, code: 0,
			change: func(w *world, _ *codebuild.PublishOptions) {
				w.AWS.Fault(localaws.Fault{Service: "codedeploy", Skip: 2, Count: 5, Kind: localaws.Refused, Code: "ThrottlingException"})
			}, words: []string{"Succeeded"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, o := publishWorld(t)
			w.AWS.PlanDeployments(test.plan)
			if test.change != nil {
				test.change(w, &o)
			}
			if code := w.publish(t.Context(), o); code != test.code {
				t.Errorf("got exit code %d, want %d", code, test.code)
			}
			w.wantLog(test.words...)
		})
	}
}

func TestPublishTarGzWithoutWaiting(t *testing.T) {
	t.Parallel()
	w, o := publishWorld(t)
	o.Format, o.Key, o.Wait = "tar.gz", "shop/1.tar.gz", false
	if code := w.publish(t.Context(), o); code != 0 {
		t.Errorf("got exit code %d", code)
	}
	content, _, _ := w.AWS.Object("artifacts", "shop/1.tar.gz")
	if !bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		t.Error("got no gzip")
	}
	if n := len(w.AWS.Calls("codedeploy:")); n != 0 {
		t.Errorf("asked CodeDeploy %d times without --wait", n)
	}
}
