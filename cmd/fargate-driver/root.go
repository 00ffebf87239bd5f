package main

import (
	"context"
	"fmt"
	"os"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/fargate-driver/fargate-driver/internal/awsconf"
	"github.com/fargate-driver/fargate-driver/internal/config"
	"github.com/fargate-driver/fargate-driver/internal/fargate"
	"github.com/fargate-driver/fargate-driver/internal/job"
	"github.com/fargate-driver/fargate-driver/internal/record"
)

// options are the flags of every command; they are those of the official driver.
type options struct {
	config          string
	debug           bool
	logLevel        string
	logFile         string
	logFormat       string
	taskDefinition  string
	platformVersion string
}

// defaultConfig is where a manager keeps the file. The official driver looks
// for config.toml in the current directory, which for a stage is a temporary
// one, so that nobody can have relied on it.
const defaultConfig = "/etc/gitlab-runner/fargate.toml"

func (p *program) root() *cobra.Command {
	o := &p.options
	root := &cobra.Command{
		Use:           "fargate-driver",
		Short:         "Run GitLab CI jobs in AWS Fargate tasks",
		Long:          "fargate-driver is a custom executor for GitLab Runner: each job runs in an AWS Fargate task of its own.\nIts stages (config, prepare, run, cleanup) are called by gitlab-runner; the other commands are for you.",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetIn(p.stdin)
	root.SetVersionTemplate("fargate-driver {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
	})
	flags := root.PersistentFlags()
	flags.StringVar(&o.config, "config", defaultConfig, "the configuration `file`")
	flags.BoolVar(&o.debug, "debug", false, "log at level debug")
	flags.StringVar(&o.logLevel, "log-level", "", "log `level`, instead of LogLevel of the file")
	flags.StringVar(&o.logFile, "log-file", "", "log `file`, instead of LogFile of the file")
	flags.StringVar(&o.logFormat, "log-format", "", "log `format`, instead of LogFormat of the file")
	flags.StringVar(&o.taskDefinition, "task-def", "", "`task definition` for every job, instead of TaskDefinition of the file and of FARGATE_TASK_DEFINITION of the job")
	flags.StringVar(&o.platformVersion, "platform-version", "", "Fargate platform `version` for every job, instead of PlatformVersion of the file and of FARGATE_PLATFORM_VERSION of the job")

	custom := &cobra.Command{
		Use: "custom", Aliases: []string{"c"}, Short: "The stages, as the official driver names them", Hidden: true,
		// A misspelt cleanup that succeeded would leave every task running.
		Args: func(c *cobra.Command, args []string) error {
			return &usageError{fmt.Errorf("%s wants a stage: config, prepare, run or cleanup, and got %q", c.CommandPath(), args)}
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	for _, stage := range p.stages() {
		custom.AddCommand(stage)
	}
	root.AddCommand(custom)
	root.AddGroup(&cobra.Group{ID: "stage", Title: "Stages, called by gitlab-runner:"}, &cobra.Group{ID: "operator", Title: "For the operator:"})
	for _, stage := range p.stages() {
		stage.GroupID = "stage"
		root.AddCommand(stage)
	}
	for _, c := range []*cobra.Command{p.check(), p.smoke(), p.ps(), p.reap(), p.attach(), p.version()} {
		c.GroupID = "operator"
		root.AddCommand(c)
	}
	root.AddCommand(p.taskState())
	return root
}

// load reads the configuration with the flags that change it.
func (p *program) load() (config.Config, []config.Problem, error) {
	c, warnings, err := config.Load(p.options.config)
	if err != nil {
		return c, warnings, err
	}
	o := p.options
	if o.taskDefinition != "" {
		c.Fargate.TaskDefinition = o.taskDefinition
	}
	if o.platformVersion != "" {
		c.Fargate.PlatformVersion = o.platformVersion
	}
	if o.logLevel != "" {
		c.LogLevel = o.logLevel
	}
	if o.debug {
		c.LogLevel = "debug"
	}
	if o.logFile != "" {
		c.LogFile = o.logFile
	}
	if o.logFormat != "" {
		c.LogFormat = o.logFormat
	}
	if _, err := logrus.ParseLevel(c.LogLevel); err != nil {
		return c, warnings, &usageError{fmt.Errorf("--log-level: %q is not known; use debug, info, warn, error, fatal or panic", c.LogLevel)}
	}
	if !config.IsLogFormat(c.LogFormat) {
		return c, warnings, &usageError{fmt.Errorf("--log-format: %q is not known; use text, text-simple or json", c.LogFormat)}
	}
	return c, warnings, nil
}

// open reads the configuration and opens its directory of task records.
func (p *program) open() (config.Config, record.Dir, error) {
	c, _, err := p.load()
	if err != nil {
		return c, record.Dir{}, err
	}
	records, err := record.Open(c.TaskMetadata.Directory)
	return c, records, err
}

// job reads the job that gitlab-runner calls a stage for.
func (p *program) job() (job.Job, error) {
	var j job.Job
	var err error
	if name := p.getenv("JOB_RESPONSE_FILE"); name != "" {
		f, openErr := os.Open(name)
		if openErr != nil {
			return j, fmt.Errorf("reading the job from JOB_RESPONSE_FILE: %w", openErr)
		}
		defer f.Close()
		j, err = job.Read(p.getenv, f)
	} else {
		j, err = job.Read(p.getenv, nil)
	}
	// What the operator fixed by a flag, a job does not change.
	if p.options.taskDefinition != "" {
		j.Request.TaskDefinition = ""
	}
	if p.options.platformVersion != "" {
		j.Request.PlatformVersion = ""
	}
	return j, err
}

// ecs makes the client for a Region; empty is the SDK's own choice.
func (p *program) ecs(ctx context.Context, region string) (*fargate.Client, error) {
	cfg, err := awsconf.Load(ctx, awsconf.Options{Region: region, Program: "fargate-driver", Version: version, CallLimit: awsCallLimit})
	if err != nil {
		return nil, err
	}
	return fargate.New(cfg), nil
}
