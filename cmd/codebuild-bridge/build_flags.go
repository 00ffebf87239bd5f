package main

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/archive"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/report"
)

// register declares the flags of `build`.
func (b *buildFlags) register(cmd *cobra.Command, env environment) {
	f := cmd.Flags()
	f.SortFlags = false
	b.sourceFlags(f, env)
	b.dockerFlags(f)
	b.requestFlags(f)
	b.logFlags(f, env)
}

func (b *buildFlags) sourceFlags(f *pflag.FlagSet, env environment) {
	o := &b.options
	f.StringVar(&o.Request.Project, "project", "", "CodeBuild project (required)")
	f.StringVar(&o.Bucket, "bucket", "", "S3 bucket for the source, in the project's region (required)")
	f.StringVar(&o.Prefix, "prefix", defaultPrefix(env), "beginning of the source's key")
	f.StringVar(&o.BucketOwner, "bucket-owner", "", "`account` that must own the bucket")
	f.StringVar(&o.KMSKey, "kms-key", "", "KMS key that encrypts the source; default the bucket's own setting")
	f.BoolVar(&o.NoReuse, "no-reuse", false, "upload even if the same content is there")
	f.BoolVar(&o.NoSource, "no-source", false, "upload nothing, build the project's own source")
	f.StringVar(&o.Request.SourceVersion, "source-version", "", "with --no-source: the commit, branch, tag or version of the project's own source")
	archiveFlags(f, &o.Archive, &b.symlinks, &o.Level)
	f.Int64Var(&o.LargeContext, "large-context", 500_000_000, "list the largest files of a context over so many `bytes`")
	f.BoolVar(&o.ListLargest, "largest", false, "list the largest files of the context")
}

// archiveFlags declare what is taken of a directory, and how.
func archiveFlags(f *pflag.FlagSet, o *archive.Options, symlinks *string, level *int) {
	f.StringVar(&o.Dir, "context", ".", "`directory` to upload")
	f.StringArrayVar(&o.Exclude, "exclude", nil, "leave out what matches this `pattern` of .dockerignore's syntax")
	f.StringArrayVar(&o.Include, "include", nil, "take what matches this `pattern` though another drops it")
	f.BoolVar(&o.IncludeGit, "include-git", false, "take .git too")
	f.BoolVar(&o.NoIgnore, "no-ignore", false, "do not read .dockerignore")
	f.BoolVar(&o.GitFiles, "git-files", false, "take exactly what git tracks")
	f.StringVar(symlinks, "symlinks", "store", "what becomes of links: store, follow or fail")
	// 4 takes a quarter longer than 1 and makes a tenth less of source code; with
	// it, an archive is 6 % larger than Info-ZIP's.
	f.IntVar(level, "compression", 4, "0 (none) to 9 (smallest)")
}

// defaultPrefix keeps projects apart, and what unprotected branches upload from
// what protected ones build: who may push to a branch could otherwise put an
// archive where a release will look for its own.
func defaultPrefix(env environment) string {
	id := env.get("CI_PROJECT_ID")
	if id == "" {
		return "jobs/local"
	}
	if env.get("CI_COMMIT_REF_PROTECTED") == "true" {
		return "jobs/" + id + "/protected"
	}
	return "jobs/" + id + "/unprotected"
}

func (b *buildFlags) dockerFlags(f *pflag.FlagSet) {
	d := &b.docker
	f.StringVar(&b.options.Request.Buildspec, "buildspec", "", "buildspec `file` in the source, or builtin:docker; default the project's own")
	f.StringArrayVar(&d.Tags, "tag", nil, "builtin:docker: `REPOSITORY:TAG` to push")
	f.StringVar(&d.Dockerfile, "dockerfile", "Dockerfile", "the Dockerfile, relative to the context")
	f.StringVar(&d.Directory, "directory", "", "builtin:docker: docker's context, relative to --context; default all of it")
	f.StringArrayVar(&d.BuildArgs, "build-arg", nil, "builtin:docker: `NAME=VALUE`")
	f.StringArrayVar(&d.Secrets, "build-secret", nil, "builtin:docker: `id=ID,env=NAME`, NAME set by --env NAME=secret:...")
	f.StringArrayVar(&d.Labels, "label", nil, "builtin:docker: `NAME=VALUE`")
	f.StringVar(&d.Target, "target", "", "builtin:docker: the stage to build")
	f.StringArrayVar(&d.Platforms, "platform", nil, "builtin:docker: as linux/arm64")
	f.StringVar(&d.Cache, "cache-ref", "", "builtin:docker: image that keeps the layers; default the first tag's repository, :buildcache")
	f.BoolVar(&b.cache, "cache", true, "builtin:docker: keep the layers in the registry for the next build")
	f.StringVar(&d.Builder, "buildkit-image", "", "builtin:docker: `IMAGE` of BuildKit, as one of a pull-through cache; default docker's, from Docker Hub")
	f.StringArrayVar(&d.Args, "docker-arg", nil, "builtin:docker: one more `argument` of docker buildx build")
	f.BoolVar(&d.NoPush, "no-push", false, "builtin:docker: build only")
}

func (b *buildFlags) requestFlags(f *pflag.FlagSet) {
	r := &b.options.Request
	f.StringArrayVar(&b.variables.Set, "env", nil, "variable of the build: `NAME=VALUE`, NAME=ssm:PARAMETER, NAME=secret:ID, NAME of the job's, or a pattern as APP_*")
	f.BoolVar(&b.variables.NoDefaults, "no-default-env", false, "do not pass the CI_* variables")
	f.StringArrayVar(&b.variables.AllowSecrets, "allow-secret-env", nil, "`NAME` or pattern that may be sent in plain text though it looks like a secret")
	f.StringVar(&r.Image, "image", "", "build image")
	f.StringVar(&r.EnvironmentType, "environment-type", "", "as LINUX_CONTAINER or ARM_CONTAINER")
	f.StringVar(&r.ComputeType, "compute-type", "", "as BUILD_GENERAL1_LARGE")
	f.StringVar(&r.Fleet, "fleet", "", "`ARN` of a reserved fleet")
	f.StringVar(&b.privileged, "privileged", "", "true or false; docker needs true; default the project's")
	f.Lookup("privileged").NoOptDefVal = "true"
	f.StringVar(&r.ImageCredentials, "image-credentials", "", "who pulls the build image: CODEBUILD or SERVICE_ROLE")
	f.StringVar(&r.RegistryCredential, "registry-credential", "", "`ARN` of the secret to pull the build image with")
	f.StringVar(&r.ServiceRole, "service-role", "", "`ARN` of the role that the build has")
	f.StringVar(&r.EncryptionKey, "encryption-key", "", "KMS `key` for the build's output artifacts")
	f.StringVar(&r.Certificate, "certificate", "", "S3 `ARN` of a certificate for the source")
	f.StringVar(&r.ArtifactsType, "artifacts-type", "", "NO_ARTIFACTS or S3; S3 settings go into --override-json")
	f.StringVar(&r.CacheType, "cache-type", "", "CodeBuild's own cache: NO_CACHE, LOCAL or S3")
	f.StringVar(&r.CacheLocation, "cache-location", "", "`bucket/prefix` for --cache-type S3")
	f.StringArrayVar(&r.CacheModes, "cache-mode", nil, "for --cache-type LOCAL, as LOCAL_DOCKER_LAYER_CACHE")
	f.StringVar(&r.LogGroup, "log-group", "", "CloudWatch log group; replaces all of the project's log settings")
	f.StringVar(&r.LogStream, "log-stream", "", "beginning of the log stream's name, with --log-group")
	f.BoolVar(&r.DebugSession, "debug-session", false, "let a codebuild-breakpoint of the buildspec pause the build")
	f.IntVar(&r.AutoRetries, "auto-retries", 0, "how often CodeBuild builds again after a failure; the last build counts")
	f.DurationVar(&r.Timeout, "timeout", 0, "of the build, 5m to 36h; default what is left of the job's")
	f.DurationVar(&r.QueuedLimit, "queued-timeout", 0, "how long the build may be queued, 5m to 8h; default the project's")
	f.StringVar(&b.override, "override-json", "", "further members of StartBuild as `JSON`, or @FILE")
	f.DurationVar(&b.options.WaitForCapacity, "wait-for-capacity", 10*time.Minute, "how long to wait while the account has no free build")
	f.DurationVar(&b.stopBefore, "stop-before", time.Minute, "stop the build so long before the job's timeout; 0: never")
}

func (b *buildFlags) logFlags(f *pflag.FlagSet, env environment) {
	o := &b.options
	f.StringVar(&b.log, "log", "full", "what to show of the build's log: full, phases, failed (its end, if it failed) or off")
	// gitlab-runner shows 4 MiB of a job's log by default (output_limit).
	f.Int64Var(&o.Follow.MaxBytes, "max-log-bytes", 3<<20, "show so many `bytes` of the log at most, its beginning and its end; 0: all")
	f.StringVar(&o.DotenvFile, "dotenv", "", "write this dotenv report: build id, status, exported variables")
	f.IntVar(&o.DotenvVariables, "dotenv-variables", report.DotenvVariables, "how many variables GitLab takes of a dotenv report: 20, on GitLab.com 50 to 150 by the plan")
	f.StringVar(&o.AnnotationsFile, "annotations", "", "write this annotations report: links on the job's page")
	f.StringVar(&o.StateDir, "state-dir", defaultStateDir(env), "`directory` that keeps the ids of running builds, for stop")
}

// defaultStateDir is the same for all commands of a job, after_script too.
func defaultStateDir(env environment) string {
	job := env.get("CI_JOB_ID")
	if job == "" {
		job = "local"
	}
	dir := env.get("TMPDIR")
	if dir == "" {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "codebuild-bridge-"+strconv.Itoa(os.Getuid())+"-"+job)
}
