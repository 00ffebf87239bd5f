// Package render writes the files that the deployed hosts read: config.toml of
// gitlab-runner, fargate.toml of the driver, GitLab's own settings, and the
// scripts by which a host sets itself up. It is pure; a value may be a
// CloudFormation reference, which is filled in as the stack is deployed.
package render

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/fargate-driver/fargate-driver/internal/config"

	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
)

//go:embed files
var files embed.FS

// Manager is what the manager's files need beyond the settings.
type Manager struct {
	GitLabURL     string
	Cluster       string
	Subnets       []string
	SecurityGroup string
	TaskFamilies  []string // the first is the default
	CacheBucket   string
	CacheKey      string // KMS key ARN, or ""
}

// TokenMark stands in config.toml for the runner authentication token, which
// the manager puts there from Secrets Manager.
const TokenMark = "@RUNNER_TOKEN@"

// Paths on the manager.
const (
	driverPath      = "/usr/local/bin/fargate-driver"
	fargateTOMLPath = "/etc/gitlab-runner/fargate.toml"
	recordsPath     = "/var/lib/gitlab-runner/tasks"
	driverLog       = "/var/log/fargate-driver/fargate-driver.log"
)

// Directories in a job's task.
const (
	buildsDir = "/builds"
	cacheDir  = "/cache"
)

// ImageFamily is how the families of task definitions begin that the driver
// makes for the images of jobs.
func ImageFamily(s settings.Settings) string { return s.Name + "-image" }

// killGrace is the time that a cancelled script gets between TERM and KILL.
// gitlab-runner's graceful_kill_timeout must be longer.
const killGrace = 30 * time.Second

// FargateTOML is the driver's configuration.
func FargateTOML(s settings.Settings, m Manager) string {
	c := config.Default()
	// A file, because the CloudWatch agent ships files.
	c.LogFile, c.LogFormat = driverLog, "json"
	c.Fargate.Cluster = m.Cluster
	c.Fargate.Region = s.Region
	c.Fargate.Subnet = m.Subnets
	c.Fargate.SecurityGroup = config.Strings{m.SecurityGroup}
	c.Fargate.TaskDefinition = m.TaskFamilies[0]
	c.Fargate.EnableExecuteCommand = s.Runners.ExecIntoTask
	c.TaskMetadata.Directory = recordsPath
	switch s.Runners.Spot {
	case "never":
		c.Launch.CapacityProviders = config.Strings{"FARGATE"}
	case "prefer":
		c.Launch.CapacityProviders = config.Strings{"FARGATE_SPOT", "FARGATE"}
	case "only":
		c.Launch.CapacityProviders = config.Strings{"FARGATE_SPOT"}
	}
	c.Jobs.TaskDefinitions = m.TaskFamilies
	if s.Runners.NamesImages() {
		c.Images.Allowed, c.Images.Services = s.Runners.Images, s.Runners.Services
		c.Images.Family = ImageFamily(s)
		c.Jobs.BuildsDir, c.Jobs.CacheDir = buildsDir, cacheDir
	}
	c.Jobs.MaxCPU, c.Jobs.MaxMemory = s.Runners.MaxCPU, s.Runners.MaxMemory
	c.Run.KillGrace = config.Duration{Duration: killGrace}
	// The name outlives the host: a new manager reaps what a dead one left. One
	// that still drains is safe beside it, because a task without a record here
	// is left alone until the deadline of its job.
	c.Reap.Manager = s.Name + "-manager"
	return config.Render(c)
}

// runnerConfig is the part of gitlab-runner's config.toml that is used here.
type runnerConfig struct {
	Concurrent    int      `toml:"concurrent"`
	CheckInterval int      `toml:"check_interval"`
	LogFormat     string   `toml:"log_format"`
	ListenAddress string   `toml:"listen_address"`
	Shutdown      int      `toml:"shutdown_timeout"`
	Runners       []runner `toml:"runners"`
}

type runner struct {
	Name               string       `toml:"name"`
	URL                string       `toml:"url"`
	CloneURL           string       `toml:"clone_url,omitempty"`
	Token              string       `toml:"token"`
	Executor           string       `toml:"executor"`
	Shell              string       `toml:"shell"`
	BuildsDir          string       `toml:"builds_dir"`
	CacheDir           string       `toml:"cache_dir"`
	OutputLimit        int          `toml:"output_limit"`
	RequestConcurrency int          `toml:"request_concurrency"`
	Custom             customConfig `toml:"custom"`
	Cache              cacheConfig  `toml:"cache"`
}

type customConfig struct {
	ConfigExec  string   `toml:"config_exec"`
	ConfigArgs  []string `toml:"config_args"`
	PrepareExec string   `toml:"prepare_exec"`
	PrepareArgs []string `toml:"prepare_args"`
	RunExec     string   `toml:"run_exec"`
	RunArgs     []string `toml:"run_args"`
	CleanupExec string   `toml:"cleanup_exec"`
	CleanupArgs []string `toml:"cleanup_args"`
	GracefulEnd int      `toml:"graceful_kill_timeout"`
	ForceEnd    int      `toml:"force_kill_timeout"`
}

type cacheConfig struct {
	Type   string  `toml:"Type"`
	Shared bool    `toml:"Shared"`
	S3     s3Cache `toml:"s3"`
}

type s3Cache struct {
	ServerAddress        string
	BucketName           string
	BucketLocation       string
	AuthenticationType   string
	ServerSideEncryption string
	KeyID                string `toml:"ServerSideEncryptionKeyID,omitempty"`
}

// ConfigTOML is gitlab-runner's configuration, with TokenMark for the token.
func ConfigTOML(s settings.Settings, m Manager) string {
	args := func(stage string) []string { return []string{"--config", fargateTOMLPath, "custom", stage} }
	listen := "127.0.0.1:9252"
	if s.Runners.MetricsCIDR != "" {
		listen = ":9252"
	}
	cache := s3Cache{ServerAddress: "s3." + s.Region + ".amazonaws.com", BucketName: m.CacheBucket, BucketLocation: s.Region, AuthenticationType: "iam", ServerSideEncryption: "S3"}
	if m.CacheKey != "" {
		cache.ServerSideEncryption, cache.KeyID = "KMS", m.CacheKey
	}
	c := runnerConfig{
		Concurrent: s.Runners.Concurrent,
		// Three seconds is gitlab-runner's default, written down because a
		// shorter one would make 200 idle runners a load on GitLab.
		CheckInterval: 3,
		LogFormat:     "json",
		ListenAddress: listen,
		Shutdown:      s.Runners.DrainMinutes * 60,
		Runners: []runner{{
			Name: s.Name + "-fargate", URL: m.GitLabURL, CloneURL: s.Runners.CloneURL, Token: TokenMark,
			Executor: "custom", Shell: "bash", BuildsDir: buildsDir, CacheDir: cacheDir,
			OutputLimit: s.Runners.OutputLimit,
			// Four requests for jobs in flight: one would take a burst of jobs
			// one by one, each after GitLab's answer to the one before.
			RequestConcurrency: 4,
			Custom: customConfig{
				ConfigExec: driverPath, ConfigArgs: args("config"),
				PrepareExec: driverPath, PrepareArgs: args("prepare"),
				RunExec: driverPath, RunArgs: args("run"),
				CleanupExec: driverPath, CleanupArgs: args("cleanup"),
				GracefulEnd: int(killGrace.Seconds()) + 30, ForceEnd: 30,
			},
			Cache: cacheConfig{Type: "s3", Shared: true, S3: cache},
		}},
	}
	var b bytes.Buffer
	e := toml.NewEncoder(&b)
	e.Indent = ""
	if err := e.Encode(c); err != nil {
		panic("render: encoding config.toml: " + err.Error()) // plain structs; every test would see it
	}
	return b.String()
}

// script fills in one of the embedded scripts. Marks are [[ ]], because shell
// and Docker both have braces of their own.
func script(name string, data any) string {
	t := template.Must(template.New(name).Delims("[[", "]]").Funcs(template.FuncMap{"quote": quote}).ParseFS(files, "files/*"))
	var b strings.Builder
	if err := t.Option("missingkey=error").Execute(&b, data); err != nil {
		panic(fmt.Sprintf("render: filling in %s: %v", name, err)) // embedded templates over plain structs; every test would see it
	}
	return b.String()
}

// quote makes one word for a POSIX shell. A CloudFormation reference inside
// must not bring a quote of its own: ids, ARNs and host names have none.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
