package codebuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/archive"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/publish"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/report"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/upload"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// PublishOptions says what to deploy where.
type PublishOptions struct {
	Archive archive.Options
	Format  string // zip or tar.gz
	Level   int

	Bucket, Key, BucketOwner, KMSKey string
	Application, Group               string

	Wait  bool
	Find  time.Duration // how long to wait for the deployment to be made
	Limit time.Duration // of the whole wait; 0: none
	// Rollback is how long to watch for a rollback after the deployment's end,
	// where its group rolls back by itself.
	Rollback time.Duration
	// Deploy are the credentials to look at CodeDeploy with, where it is in
	// another account; nil: the same as for the upload.
	Deploy *aws.Config
	Every  time.Duration // between two looks; 0: 5 s
}

// Publish uploads a deployment artifact and, if asked to, follows the
// deployment that it triggers.
func (b *Bridge) Publish(ctx context.Context, o PublishOptions) error {
	tree, err := archive.Scan(ctx, o.Archive)
	if err != nil {
		return notBegun(err)
	}
	for _, warning := range tree.Warnings {
		b.say.Warn("%s", warning)
	}
	if _, err := tree.Digest(ctx); err != nil {
		return notBegun(err)
	}
	artifact := publish.Artifact{Application: o.Application, Group: o.Group, Bucket: o.Bucket, Key: o.Key}
	cfg := b.cfg
	if o.Deploy != nil {
		cfg = *o.Deploy
	}
	watcher := publish.New(cfg, b.say)
	watcher.Every, watcher.Find, watcher.Rollback = o.Every, o.Find, o.Rollback
	var before []string
	if o.Wait {
		if before, err = watcher.Before(ctx, artifact); err != nil {
			return notBegun(err)
		}
	}
	write := tree.WriteZip
	if o.Format == "tar.gz" {
		write = tree.WriteTarGz
	}
	begun := b.now()
	p := b.newProgress(tree.Bytes)
	object, err := upload.New(b.cfg).Artifact(ctx, upload.Place{
		Bucket: o.Bucket, Key: o.Key, Owner: o.BucketOwner, KMSKey: o.KMSKey,
		Metadata: map[string]string{publish.MetadataApplication: o.Application, publish.MetadataGroup: o.Group},
	}, p.writer(func(ctx context.Context, w io.Writer, level int, progress archive.Progress) error {
		return write(ctx, w, level, progress)
	}, o.Level))
	p.end()
	if err != nil {
		return notBegun(err)
	}
	b.say.Info("Artifact: %s, %s, uploaded as %s to s3://%s/%s (%s)", files(tree.Files()), size(tree.Bytes), size(object.Size), o.Bucket, o.Key, joblog.Duration(b.now().Sub(begun)))
	if !o.Wait {
		return nil
	}
	artifact.ETag = object.ETag
	if o.Limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.Limit, fmt.Errorf("%w: --wait-timeout is over", ErrDeadline))
		defer cancel()
	}
	d, err := watcher.Follow(ctx, artifact, before)
	return b.deployed(d, err)
}

// deployed says how a deployment ended.
func (b *Bridge) deployed(d publish.Deployment, err error) error {
	switch {
	case errors.Is(err, publish.ErrNotMade):
		return &ExitError{report.ExitFailed, err}
	case errors.Is(err, publish.ErrLost):
		return &ExitError{report.ExitLost, err}
	case err != nil:
		code := report.ExitStopped
		if errors.Is(err, ErrDeadline) {
			code = report.ExitTimedOut
		}
		if d.ID != "" {
			// Half a deployment is worse than one that goes on without a spectator.
			b.say.Warn("Deployment %s is not stopped; it goes on.", d.ID)
		}
		return &ExitError{code, fmt.Errorf("following the deployment: %w", err)}
	case d.Succeeded():
		b.say.Good("Deployment %s: %s", d.ID, d.Status)
		return nil
	}
	b.say.Error("Deployment %s: %s", d.ID, d.Status)
	if d.Message != "" {
		b.say.Error("  Message: %s: %s", d.Code, joblog.Defuse(d.Message))
	}
	if d.RollbackBy != "" {
		b.say.Error("  Rolled back by deployment %s.", d.RollbackBy)
	}
	if d.Status == "Stopped" {
		return &ExitError{Code: report.ExitStopped}
	}
	return &ExitError{Code: report.ExitFailed}
}
