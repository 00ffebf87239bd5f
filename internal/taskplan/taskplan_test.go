package taskplan

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/config"
	"github.com/fargate-driver/fargate-driver/internal/job"
	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

func configured(change func(*config.Config)) config.Config {
	c := config.Default()
	c.Fargate.Cluster, c.Fargate.Subnet, c.Fargate.TaskDefinition = "ci", config.Strings{"subnet-a"}, "ci-job:7"
	c.TaskMetadata.Directory = "/var/lib/metadata"
	if change != nil {
		change(&c)
	}
	return c
}

var launched = time.Unix(1_700_000_000, 0)

func make1(t *testing.T, c config.Config, r job.Request) (Plan, error) {
	t.Helper()
	j := job.Job{ID: 4711, Name: "unit tests: 1/2", ProjectPath: "team/app", PipelineID: 9, Timeout: time.Hour, Request: r}
	return Make(c, j, Identity{PublicKey: "ssh-ed25519 AAAA", HostKeySeed: "00ff", Launched: launched, Host: "manager-1.internal"}, false)
}

func TestOperatorDecidesWithoutRequests(t *testing.T) {
	t.Parallel()
	p, err := make1(t, configured(func(c *config.Config) {
		c.Launch.Tags = map[string]string{"Team": "ci", "Cost": "42"}
	}), job.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Spec.TaskDefinition != "ci-job:7" || p.CompareAWS || p.Spec.Size != (task.Size{}) || len(p.Spec.CapacityProviders) != 0 {
		t.Errorf("got %+v", p.Spec)
	}
	want := []task.Variable{{Name: "gitlab:project", Value: "team/app"}, {Name: "gitlab:pipeline", Value: "9"}, {Name: "gitlab:job", Value: "4711"},
		{Name: "gitlab:job-name", Value: "unit tests: 1/2"}, {Name: "Cost", Value: "42"}, {Name: "Team", Value: "ci"}}
	if !reflect.DeepEqual(p.Spec.Tags, want) {
		t.Errorf("tags %v", p.Spec.Tags)
	}
	if got := p.Spec.StartedBy; got != "fargate-driver/manager-1_internal/var/lib/metadata" {
		t.Errorf("startedBy %q", got)
	}
	// The launch's 10 minutes, the job's hour and the agent's margin of 15 minutes.
	if got := task.Lookup(p.Spec.Environment, wire.EnvDeadline); got != "1700005100" {
		t.Errorf("deadline %s", got)
	}
}

func TestOverrideHoldsNothingOfTheJobs(t *testing.T) {
	t.Parallel()
	p, err := make1(t, configured(nil), job.Request{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range p.Spec.Environment {
		if v.Name != wire.EnvPublicKey && !strings.HasPrefix(v.Name, "COORDINATOR_") {
			t.Errorf("%s is readable by everybody who may call ecs:DescribeTasks", v.Name)
		}
	}
}

func TestRequestsInsideTheLimitsAreGranted(t *testing.T) {
	t.Parallel()
	c := configured(func(c *config.Config) {
		c.Jobs.TaskDefinitions = config.Strings{"ci-*"}
		c.Jobs.TaskRoles = config.Strings{"arn:aws:iam::123456789012:role/ci/*"}
		c.Jobs.MaxCPU, c.Jobs.MaxMemory, c.Jobs.MaxEphemeralStorage = 4096, 16384, 100
		c.Launch.CapacityProviders = config.Strings{"FARGATE_SPOT", "FARGATE"}
	})
	p, err := make1(t, c, job.Request{TaskDefinition: "ci-arm:3", PlatformVersion: "1.4.0", CPU: "2048", Memory: "8192", EphemeralStorage: "50",
		TaskRole: "arn:aws:iam::123456789012:role/ci/deploy/prod", CapacityProvider: "FARGATE"})
	if err != nil {
		t.Fatal(err)
	}
	s := p.Spec
	if s.TaskDefinition != "ci-arm:3" || p.CompareAWS || s.PlatformVersion != "1.4.0" || s.Size != (task.Size{CPU: 2048, Memory: 8192}) ||
		s.EphemeralStorage != 50 || !strings.HasSuffix(s.TaskRole, "deploy/prod") || !reflect.DeepEqual(s.CapacityProviders, []string{"FARGATE"}) {
		t.Errorf("got %+v", s)
	}
}

func TestRequestsOutsideTheLimitsAreRefused(t *testing.T) {
	t.Parallel()
	limited := configured(func(c *config.Config) {
		c.Jobs.TaskDefinitions = config.Strings{"ci-*"}
		c.Jobs.MaxCPU, c.Jobs.MaxMemory, c.Jobs.MaxEphemeralStorage = 1024, 4096, 50
		c.Launch.CapacityProviders = config.Strings{"FARGATE"}
	})
	for name, test := range map[string]struct {
		c    config.Config
		r    job.Request
		want string
	}{
		"task definition not listed":   {limited, job.Request{TaskDefinition: "admin:1"}, "[Jobs] TaskDefinitions"},
		"pattern covers the whole":     {limited, job.Request{TaskDefinition: "xci-job"}, "[Jobs] TaskDefinitions"},
		"role without a list":          {limited, job.Request{TaskRole: "arn:aws:iam::123456789012:role/admin"}, "[Jobs] TaskRoles"},
		"size without limits":          {configured(nil), job.Request{CPU: "512", Memory: "1024"}, "[Jobs] MaxCPU"},
		"storage without limit":        {configured(nil), job.Request{EphemeralStorage: "30"}, "[Jobs] MaxEphemeralStorage"},
		"too much CPU":                 {limited, job.Request{CPU: "2048", Memory: "4096"}, "outside 1 to 1024"},
		"too much memory":              {limited, job.Request{CPU: "1024", Memory: "8192"}, "outside 1 to 4096"},
		"too much storage":             {limited, job.Request{EphemeralStorage: "51"}, "outside 21 to 50"},
		"half a size":                  {limited, job.Request{CPU: "512"}, "both or none"},
		"impossible size":              {limited, job.Request{CPU: "256", Memory: "4096"}, "512, 1024, 2048 MiB"},
		"no number":                    {limited, job.Request{CPU: "lots", Memory: "4096"}, `"lots" is not a whole number`},
		"platform version not listed":  {limited, job.Request{PlatformVersion: "0.9"}, "LATEST, 1.*"},
		"provider not listed":          {limited, job.Request{CapacityProvider: "FARGATE_SPOT"}, "FARGATE"},
		"provider without any listed":  {configured(nil), job.Request{CapacityProvider: "FARGATE"}, "none"},
		"no task definition at all":    {configured(func(c *config.Config) { c.Fargate.TaskDefinition = "" }), job.Request{}, "no task definition"},
		"negative size":                {limited, job.Request{CPU: "-1", Memory: "-1"}, "outside"},
		"list does not fall through":   {limited, job.Request{TaskDefinition: "other"}, "[Jobs] TaskDefinitions"},
		"storage that is not a number": {limited, job.Request{EphemeralStorage: "50GB"}, "whole number of GiB"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := make1(t, test.c, test.r)
			var refused *Refused
			if !errors.As(err, &refused) {
				t.Fatalf("granted: %+v, error %v", p.Spec, err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q does not say %q", err, test.want)
			}
		})
	}
}

func TestUnlistedTaskDefinitionNeedsTheSameRights(t *testing.T) {
	t.Parallel()
	p, err := make1(t, configured(nil), job.Request{TaskDefinition: "ruby:2"})
	if err != nil || !p.CompareAWS || p.SameRightsAs != "ci-job:7" || p.Spec.TaskDefinition != "ruby:2" {
		t.Errorf("%+v, %v", p, err)
	}
	// What the operator configured needs no look.
	if p, err = make1(t, configured(nil), job.Request{TaskDefinition: "ci-job:7"}); err != nil || p.CompareAWS {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestReclaimedJobsAvoidSpot(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ providers, want []string }{
		"both":            {[]string{"FARGATE_SPOT", "FARGATE"}, []string{"FARGATE"}},
		"Spot alone":      {[]string{"FARGATE_SPOT"}, []string{"FARGATE"}},
		"cluster default": {nil, []string{"FARGATE"}},
		"no Spot":         {[]string{"FARGATE"}, []string{"FARGATE"}},
	} {
		c := configured(func(c *config.Config) { c.Launch.CapacityProviders = test.providers })
		p, err := Make(c, job.Job{ID: 1}, Identity{}, true)
		if err != nil || !reflect.DeepEqual(p.Spec.CapacityProviders, test.want) {
			t.Errorf("%s: got %v, %v", name, p.Spec.CapacityProviders, err)
		}
	}
}

func TestNamesFitAWS(t *testing.T) {
	t.Parallel()
	c := configured(func(c *config.Config) { c.TaskMetadata.Directory = "/" + strings.Repeat("long/", 60) })
	p, err := Make(c, job.Job{ID: 1, Name: strings.Repeat("日本語 & <x>", 100)}, Identity{Host: "host"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Spec.StartedBy); n > 128 {
		t.Errorf("startedBy has %d characters", n)
	}
	other := configured(func(c *config.Config) { c.TaskMetadata.Directory = "/" + strings.Repeat("long/", 61) })
	if StartedBy(c, "host") == StartedBy(other, "host") {
		t.Error("two managers share a name")
	}
	for _, tag := range p.Spec.Tags {
		if len(tag.Value) > 256 || strings.ContainsAny(tag.Value, "&<>日") {
			t.Errorf("tag %q", tag.Value)
		}
	}
	if got := StartedBy(configured(func(c *config.Config) { c.Reap.Manager = "blue" }), "host"); got != "fargate-driver/blue" {
		t.Errorf("got %q", got)
	}
}

func TestHostsOfServices(t *testing.T) {
	t.Parallel()
	for image, want := range map[string][]string{
		"postgres":                           {"postgres"},
		"postgres:17":                        {"postgres"},
		"postgres@sha256:0123":               {"postgres"},
		"tutum/wordpress:latest":             {"tutum__wordpress", "tutum-wordpress"},
		"registry.example.com:5000/a/b:1":    {"registry.example.com__a__b", "registry.example.com-a-b"},
		"registry.example.com/a/b@sha256:01": {"registry.example.com__a__b", "registry.example.com-a-b"},
	} {
		if got := hostsOf(image); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", image, got, want)
		}
	}
}

// Without the operator's leave nothing changes but a line in the job log; with
// it, the job gets no more than the lists say.
func TestImagesAndServices(t *testing.T) {
	t.Parallel()
	allowing := func(images, services config.Strings) config.Config {
		return configured(func(c *config.Config) {
			c.Images.Allowed, c.Images.Services = images, services
			c.Jobs.BuildsDir, c.Jobs.CacheDir = "/builds", "/cache"
		})
	}
	asks := job.Job{Image: "golang:1.26", Services: []job.Service{{Name: "redis:7", Aliases: []string{"cache"}, Variables: map[string]string{"B": "2", "A": "1"}}}}
	redis := task.Service{Container: "ci-service-0", Image: "redis:7", Hosts: []string{"redis", "cache"}, Environment: []task.Variable{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}}
	for name, test := range map[string]struct {
		c     config.Config
		image string
		with  []task.Service
		notes int
	}{
		"neither":       {allowing(nil, nil), "none", nil, 2},
		"images only":   {allowing(config.Strings{"golang:*"}, nil), "golang:1.26", nil, 1},
		"services only": {allowing(nil, config.Strings{"redis:*"}), "", []task.Service{redis}, 1},
		"both":          {allowing(config.Strings{"*"}, config.Strings{"*"}), "golang:1.26", []task.Service{redis}, 0},
	} {
		p, err := Make(test.c, asks, Identity{}, false)
		if err != nil || len(p.Notes) != test.notes {
			t.Errorf("%s: %v, notes %q", name, err, p.Notes)
			continue
		}
		if p.Spec.Image == nil {
			if test.image != "none" {
				t.Errorf("%s: no image", name)
			}
			continue
		}
		if p.Spec.Image.Name != test.image || !reflect.DeepEqual(p.Spec.Image.Services, test.with) {
			t.Errorf("%s: got %+v", name, p.Spec.Image)
		}
		wantHosts := ""
		if test.with != nil {
			wantHosts = "redis cache"
		}
		if got := task.Lookup(p.Spec.Environment, wire.EnvHosts); got != wantHosts {
			t.Errorf("%s: hosts %q", name, got)
		}
	}
}
