package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/check"
)

func newCheck(c *common) *cobra.Command {
	o := check.Options{Docker: true}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "look whether this job could build, without building",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Project == "" {
				return errors.New("--project is missing: the CodeBuild project to look at")
			}
			bridge, err := c.bridge(cmd.Context())
			if err != nil {
				return err
			}
			return bridge.Check(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.Project, "project", "", "CodeBuild project (required)")
	f.StringVar(&o.Bucket, "bucket", "", "S3 bucket for the source")
	f.StringVar(&o.Prefix, "prefix", defaultPrefix(c.env), "beginning of the source's key")
	f.StringVar(&o.BucketOwner, "bucket-owner", "", "`account` that must own the bucket")
	f.StringVar(&o.KMSKey, "kms-key", "", "KMS key that encrypts the source")
	f.StringArrayVar(&o.Tags, "tag", nil, "`REPOSITORY:TAG` that is to be pushed")
	f.BoolVar(&o.Docker, "docker", true, "images are to be built, for which the project must be privileged")
	return cmd
}
