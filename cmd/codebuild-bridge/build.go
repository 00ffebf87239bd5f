package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/follow"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/start"
)

// builtinDocker names the buildspec that we bring with us.
const builtinDocker = "builtin:docker"

// buildFlags is what `build` is told.
type buildFlags struct {
	options    codebuild.BuildOptions
	docker     start.Docker
	variables  start.EnvironmentOptions
	privileged string
	symlinks   string
	log        string
	stopBefore time.Duration
	override   string
	cache      bool
}

func newBuild(c *common) *cobra.Command {
	b := &buildFlags{}
	cmd := &cobra.Command{
		Use:   "build",
		Short: "upload the source, run a build, show its log, end as it ends",
		Long: `Zips the context directory, uploads it to S3 (unless the same content is there),
starts a build of a CodeBuild project, shows its log and waits for its end.

Exit codes: 0 SUCCEEDED, 1 FAILED, 2 usage or settings, 3 FAULT, 4 TIMED_OUT,
5 STOPPED, 6 AWS refused or failed before the build was started, 7 lost contact.`,
		Example: `  codebuild-bridge build --project docker-build --bucket build-source \
    --buildspec builtin:docker --tag "$ECR/app:$CI_COMMIT_SHA" --dotenv build.env`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel, err := b.complete(cmd, c.env)
			if err != nil {
				return err
			}
			defer cancel()
			bridge, err := c.bridge(ctx)
			if err != nil {
				return err
			}
			return bridge.Build(ctx, b.options)
		},
	}
	b.register(cmd, c.env)
	return cmd
}

// complete checks the flags and works out what follows from them and the job.
// The context it returns ends shortly before the job's own time is up.
func (b *buildFlags) complete(cmd *cobra.Command, env environment) (context.Context, context.CancelFunc, error) {
	o := &b.options
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if o.Request.Project == "" {
		problem("--project is missing: the CodeBuild project to build")
	}
	if o.Bucket == "" && !o.NoSource {
		problem("--bucket is missing: the S3 bucket for the source, in the project's region")
	}
	if o.Request.SourceVersion != "" && !o.NoSource {
		problem("--source-version needs --no-source: what the bridge uploads has no version but its content")
	}
	if err := checkArchive(&o.Archive, b.symlinks, o.Level, 0); err != nil {
		problems = append(problems, err)
	}
	switch o.Follow.Mode = follow.Mode(b.log); o.Follow.Mode {
	case follow.Full, follow.Phases, follow.Failed, follow.Off:
	default:
		problem("--log %s is none of full, phases, failed, off", b.log)
	}
	if o.DotenvVariables < 1 {
		problem("--dotenv-variables %d is not 1 or more", o.DotenvVariables)
	}
	switch b.privileged {
	case "":
	case "true", "false":
		on := b.privileged == "true"
		o.Request.Privileged = &on
	default:
		problem("--privileged %s is neither true nor false", b.privileged)
	}
	if err := b.buildspec(cmd); err != nil {
		problems = append(problems, err)
	}
	if err := b.readOverride(); err != nil {
		problems = append(problems, err)
	}
	var leftOut []string
	var err error
	b.variables.Job = env.all()
	o.Request.AllowSecrets = b.variables.AllowSecrets
	if o.Request.Environment, leftOut, err = start.Environment(b.variables); err != nil {
		problems = append(problems, err)
	}
	if len(leftOut) > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "Left out because they look like secrets (--allow-secret-env sends them): %s\n", strings.Join(leftOut, " "))
	}
	o.Prefix = strings.Trim(o.Prefix, "/")
	b.keepReportsOut(env)
	end, ok, err := jobEnd(env)
	if err != nil {
		problems = append(problems, err)
	}
	if len(problems) > 0 {
		return nil, nil, errors.Join(problems...)
	}
	if !ok {
		return cmd.Context(), func() {}, nil
	}
	if o.Request.Timeout == 0 {
		// CodeBuild ends the build by itself if nobody is left to stop it.
		o.Request.Timeout = max(time.Until(end), time.Minute)
	}
	if b.stopBefore == 0 {
		return cmd.Context(), func() {}, nil
	}
	ctx, cancel := context.WithDeadlineCause(cmd.Context(), end.Add(-b.stopBefore), codebuild.ErrDeadline)
	return ctx, cancel, nil
}

// buildspec turns --buildspec into what is sent.
func (b *buildFlags) buildspec(cmd *cobra.Command) error {
	o := &b.options
	spec := o.Request.Buildspec
	if spec == builtinDocker {
		file := path.Clean(b.docker.Dockerfile)
		if b.docker.Directory != "" && !cmd.Flags().Changed("dockerfile") {
			file = path.Join(b.docker.Directory, file)
		}
		b.docker.Dockerfile = file
		o.Archive.Dockerfile = file
		o.MustExist = append(o.MustExist, file)
		for _, arg := range b.docker.BuildArgs {
			name, value, given := strings.Cut(arg, "=")
			if given && start.LooksSecret(name, value) && !b.variables.Allows(name) {
				return fmt.Errorf("--build-arg %s looks like a secret: whoever may look at the build could read it, and it would stay in the image; "+
					"pass it by --env %s=secret:ID and --build-secret id=%s,env=%s, or say --allow-secret-env %s", name, name, name, name, name)
			}
		}
		o.Request.Buildspec, b.docker.NoCache = "", !b.cache
		var err error
		o.Request.BuildspecText, err = b.docker.Buildspec()
		return err
	}
	for _, name := range []string{"tag", "build-arg", "build-secret", "label", "target", "platform", "cache-ref", "cache", "buildkit-image", "docker-arg", "no-push"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s needs --buildspec %s", name, builtinDocker)
		}
	}
	o.Archive.Dockerfile = b.docker.Dockerfile
	// The project's own buildspec may be this file.
	o.Archive.Keep = append(o.Archive.Keep, "buildspec.yml")
	if spec != "" && !strings.HasPrefix(spec, "arn:") && !strings.HasPrefix(spec, "s3://") {
		o.Archive.Keep = append(o.Archive.Keep, spec)
		if !o.NoSource {
			o.MustExist = append(o.MustExist, filepath.ToSlash(filepath.Clean(spec)))
		}
	}
	return nil
}

// readOverride takes --override-json from a file if it begins with @.
func (b *buildFlags) readOverride() error {
	b.options.Request.OverrideJSON = b.override
	name, isFile := strings.CutPrefix(b.override, "@")
	if !isFile {
		return nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("reading --override-json: %w", err)
	}
	b.options.Request.OverrideJSON = string(content)
	return nil
}

// keepReportsOut leaves out of the archive what is not part of the source: the
// reports of an earlier build, which would make every source a new one, and
// the directory in which gitlab-runner keeps file variables, secrets often.
func (b *buildFlags) keepReportsOut(env environment) {
	root, err := filepath.Abs(b.options.Archive.Dir)
	if err != nil {
		return
	}
	files := []string{b.options.DotenvFile, b.options.AnnotationsFile}
	if dir := env.get("CI_PROJECT_DIR"); dir != "" {
		files = append(files, dir+".tmp")
	}
	for _, file := range files {
		path, err := filepath.Abs(file)
		if err != nil || file == "" {
			continue
		}
		if rel, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(rel) && rel != "." {
			b.options.Archive.Exclude = append(b.options.Archive.Exclude, filepath.ToSlash(rel))
		}
	}
}

// jobEnd is when GitLab ends the job, if that is known.
func jobEnd(env environment) (end time.Time, ok bool, err error) {
	started, limit := env.get("CI_JOB_STARTED_AT"), env.get("CI_JOB_TIMEOUT")
	if started == "" || limit == "" {
		return time.Time{}, false, nil
	}
	at, err := time.Parse(time.RFC3339, started)
	if err != nil {
		return time.Time{}, false, fmt.Errorf("reading CI_JOB_STARTED_AT: %w", err)
	}
	seconds, err := time.ParseDuration(limit + "s")
	if err != nil {
		return time.Time{}, false, fmt.Errorf("reading CI_JOB_TIMEOUT: %w", err)
	}
	return at.Add(seconds), true, nil
}
