package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/credentials"
)

// envPrefix begins the variables that stand in for flags: --max-log-bytes is
// CODEBUILD_BRIDGE_MAX_LOG_BYTES. GitLab can set them for a whole group.
const envPrefix = "CODEBUILD_BRIDGE_"

// attempts of one AWS call: with the SDK's backoff of up to 20 s they bridge
// about a minute of throttling.
const attempts = 8

// common is what all commands share.
type common struct {
	env    environment
	stdout io.Writer

	region, roleARN, webIdentity string
	noColour                     bool
}

func newRoot(env environment, stdout io.Writer) *cobra.Command {
	c := &common{env: env, stdout: stdout}
	root := &cobra.Command{
		Use:   "codebuild-bridge",
		Short: "run AWS CodeBuild from a GitLab job",
		Long: `Runs AWS CodeBuild from a GitLab job as if it ran in the job: uploads the
source, shows the build's log as it comes, and ends as the build ends.

Every flag can be set by a variable too: --max-log-bytes is
CODEBUILD_BRIDGE_MAX_LOG_BYTES; lists are separated by lines.`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return fromEnvironment(cmd.Flags(), env) },
	}
	f := root.PersistentFlags()
	f.StringVar(&c.region, "region", "", "AWS region; default AWS_REGION, or the container's")
	f.StringVar(&c.roleARN, "role-arn", "", "`ARN` of a role to take on")
	f.StringVar(&c.webIdentity, "web-identity-token-env", "", "`NAME` of the variable with a GitLab id_token for --role-arn")
	f.BoolVar(&c.noColour, "no-color", env.get("NO_COLOR") != "", "no colours in our own lines; default NO_COLOR")
	root.AddCommand(newBuild(c), newStop(c), newPublish(c), newCheck(c), newArchive(c), newVersion(stdout))
	return root
}

// fromEnvironment sets the flags that were not given from their variables.
func fromEnvironment(flags *pflag.FlagSet, env environment) error {
	all := env.all()
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value, ok := all[name]
		if !ok || value == "" || f.Changed || failed != nil {
			return
		}
		values := []string{value}
		if f.Value.Type() == "stringArray" {
			values = strings.Split(strings.TrimSpace(value), "\n")
		}
		for _, v := range values {
			if v = strings.TrimSpace(v); v == "" {
				continue
			}
			if err := flags.Set(f.Name, v); err != nil {
				failed = fmt.Errorf("reading the variable %s: %w", name, err)
			}
		}
	})
	return failed
}

// config finds the credentials that the flags ask for.
func (c *common) config(ctx context.Context) (aws.Config, error) {
	return credentials.Load(ctx, credentials.Options{
		Region:              c.region,
		Program:             "codebuild-bridge",
		Version:             version,
		RoleARN:             c.roleARN,
		WebIdentityTokenEnv: c.webIdentity,
		SessionName:         "gitlab-" + c.env.get("CI_PROJECT_ID") + "-" + c.env.get("CI_JOB_ID"),
		Getenv:              c.env.get,
		InitEnviron:         c.env.initEnviron,
		Retries:             attempts,
	})
}

// bridge makes the bridge.
func (c *common) bridge(ctx context.Context) (*codebuild.Bridge, error) {
	// Following a build for an hour in a small task beside the job's own
	// processes: garbage is collected early, which costs nothing that counts.
	debug.SetGCPercent(50)
	cfg, err := c.config(ctx)
	if err != nil {
		return nil, err
	}
	return codebuild.New(cfg, codebuild.Options{Out: c.stdout, Terminal: c.env.terminal, Plain: c.noColour}), nil
}

func newVersion(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  cobra.NoArgs,
		Run:   func(*cobra.Command, []string) { fmt.Fprintln(stdout, "codebuild-bridge", version) },
	}
}
