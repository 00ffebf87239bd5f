package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
)

func newPublish(c *common) *cobra.Command {
	var o codebuild.PublishOptions
	var symlinks, waitRole, waitRegion string
	cmd := &cobra.Command{
		Use:   "publish",
		Short: "upload a deployment artifact and follow its deployment",
		Long: `Archives a directory, uploads it with the metadata application-name and
deploymentgroup-name, from which the receiving side makes a CodeDeploy
deployment, and with --wait shows that deployment and ends as it ends.

Exit codes: 0 done, 1 the deployment failed, was rolled back or was not made,
2 usage or settings, 4 --wait-timeout is over, 5 stopped, 6 AWS refused or failed
before the artifact was uploaded, 7 lost contact.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(checkPublish(o), checkArchive(&o.Archive, symlinks, o.Level, 1)); err != nil {
				return err
			}
			bridge, err := c.bridge(cmd.Context())
			if err != nil {
				return err
			}
			if o.Deploy, err = c.deployConfig(cmd.Context(), waitRole, waitRegion); err != nil {
				return err
			}
			return bridge.Publish(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.Application, "application", "", "CodeDeploy application (required)")
	f.StringVar(&o.Group, "deployment-group", "", "CodeDeploy deployment group (required)")
	f.StringVar(&o.Bucket, "bucket", "", "S3 bucket that takes artifacts (required)")
	f.StringVar(&o.Key, "key", "", "key of the artifact (required)")
	f.StringVar(&o.BucketOwner, "bucket-owner", "", "`account` that must own the bucket")
	f.StringVar(&o.KMSKey, "kms-key", "", "KMS key that encrypts the artifact; default the bucket's own setting")
	f.StringVar(&o.Archive.Dir, "dir", ".", "`directory` to deploy, with its appspec.yml")
	f.StringVar(&o.Format, "format", "zip", "zip or tar.gz")
	f.IntVar(&o.Level, "compression", 6, "1 (fastest) to 9 (smallest)")
	f.StringArrayVar(&o.Archive.Exclude, "exclude", nil, "leave out what matches this `pattern` of .dockerignore's syntax")
	f.StringArrayVar(&o.Archive.Include, "include", nil, "take what matches this `pattern` though another drops it")
	f.StringVar(&symlinks, "symlinks", "store", "what becomes of links: store, follow or fail")
	f.BoolVar(&o.Wait, "wait", false, "follow the deployment that the artifact triggers")
	f.DurationVar(&o.Find, "find-timeout", 2*time.Minute, "how long to wait for the deployment to be made")
	f.DurationVar(&o.Limit, "wait-timeout", time.Hour, "how long to wait for the deployment in all; 0: as long as the job lasts")
	// CodeDeploy makes the deployment that rolls back within seconds of the alarm or
	// the failure.
	f.DurationVar(&o.Rollback, "rollback-window", 20*time.Second, "how long to watch for a rollback after the deployment's end, where the group rolls back by itself; 0: not at all")
	f.StringVar(&waitRole, "wait-role-arn", "", "`ARN` of a role of the account that deploys, to look with")
	f.StringVar(&waitRegion, "wait-region", "", "`region` that deploys; default the same")
	// An artifact is what it is: the ignore file of a docker build says nothing
	// about it.
	o.Archive.NoIgnore = true
	return cmd
}

func checkPublish(o codebuild.PublishOptions) error {
	var problems []error
	for _, required := range []struct{ flag, value string }{
		{"application", o.Application}, {"deployment-group", o.Group}, {"bucket", o.Bucket}, {"key", o.Key},
	} {
		if required.value == "" {
			problems = append(problems, fmt.Errorf("--%s is missing", required.flag))
		}
	}
	if o.Format != "zip" && o.Format != "tar.gz" {
		problems = append(problems, fmt.Errorf("--format %s is neither zip nor tar.gz", o.Format))
	}
	return errors.Join(problems...)
}

// deployConfig is how to look at CodeDeploy, if that is not how to upload.
func (c *common) deployConfig(ctx context.Context, role, region string) (*aws.Config, error) {
	if role == "" && region == "" {
		return nil, nil
	}
	other := *c
	if role != "" {
		other.roleARN = role
	}
	if region != "" {
		other.region = region
	}
	cfg, err := other.config(ctx)
	return &cfg, err
}
