package settings

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // so that a machine without time zones judges alike

	"github.com/fargate-driver/fargate-driver/internal/task"
)

var taskNameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// imagePatternForm is what image names are made of, with stars.
var imagePatternForm = regexp.MustCompile(`^[A-Za-z0-9*][A-Za-z0-9*._/:@-]{0,254}$`)

// mostTasks keeps the manager's role below the 10,240 characters that IAM
// takes: each task definition adds about 250 to 4,000.
const mostTasks = 20

func (v *validator) runners(s Settings) {
	r := s.Runners
	v.between("runners.concurrent", r.Concurrent, 1, 5000, " jobs")
	v.form("runners.instance_type", r.InstanceType, typeForm, "an instance type such as t4g.micro")
	v.form("runners.gitlab_runner_version", r.Version, versionForm, "a full version such as 19.4.0")
	v.form("runners.gitlab_runner_sha256", r.SHA256, sha256Form, "a SHA-256 in 64 lower-case hexadecimal digits")
	if !strings.HasPrefix(r.Source, "https://") && !strings.HasPrefix(r.Source, "s3://") {
		v.problem("runners.gitlab_runner_source", "%q is neither https://... nor s3://bucket/prefix", r.Source)
	}
	if strings.ContainsAny(r.Source, " '\"$`\\") {
		v.problem("runners.gitlab_runner_source", "%q has a character that a shell would read", r.Source)
	}
	v.oneOf("runners.spot", r.Spot, "never", "prefer", "only")
	if r.CloneURL != "" {
		if u, err := url.Parse(r.CloneURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			v.problem("runners.clone_url", "%q is not an address such as https://gitlab.internal.example.com", r.CloneURL)
		}
	}
	v.between("runners.output_limit_kib", r.OutputLimit, 64, 1<<20, " KiB")
	v.between("runners.drain_minutes", r.DrainMinutes, 1, 2880, " minutes, the most that a lifecycle hook waits")
	v.between("runners.cache_days", r.CacheDays, 1, 3650, " days")
	if r.MetricsCIDR != "" {
		if p, err := netip.ParsePrefix(r.MetricsCIDR); err != nil || p.Masked() != p {
			v.problem("runners.metrics_cidr", "%q is not a range such as 10.60.0.0/16", r.MetricsCIDR)
		} else if p.Bits() < 8 {
			v.problem("runners.metrics_cidr", "%s is open to the world; metrics tell the names of projects", r.MetricsCIDR)
		}
	}
	if (r.ScheduleOn == "") != (r.ScheduleOff == "") {
		v.problem("runners.schedule_on", "schedule_on and schedule_off go together: set both, or none")
	}
	v.form("runners.schedule_on", r.ScheduleOn, cronForm, "five cron fields such as 0 8 * * 1-5")
	v.form("runners.schedule_off", r.ScheduleOff, cronForm, "five cron fields such as 0 20 * * 1-5")
	if _, err := time.LoadLocation(r.TimeZone); err != nil || !strings.Contains(r.TimeZone, "/") {
		v.problem("runners.time_zone", "%q is not a time zone such as Asia/Tokyo or Etc/UTC", r.TimeZone)
	}
	for _, list := range []struct {
		key    string
		images []string
	}{{"runners.images", r.Images}, {"runners.services", r.Services}} {
		for _, image := range list.images {
			v.form(list.key, image, imagePatternForm, "an image's name, with * for any characters, such as public.ecr.aws/docker/library/*")
		}
	}
	if (r.MaxCPU == 0) != (r.MaxMemory == 0) {
		v.problem("runners.max_cpu", "max_cpu and max_memory go together: a size is always both")
	}
}

func (v *validator) tasks(s Settings) {
	if len(s.Tasks) == 0 {
		v.problem("task", "there is none; jobs need at least one [[task]] with name and image")
	}
	if len(s.Tasks) > mostTasks {
		v.problem("task", "there are %d; the manager's role has room for %d", len(s.Tasks), mostTasks)
	}
	seen := map[string]bool{}
	for i, t := range s.Tasks {
		at := keyAt("task", i)
		v.form(at+"name", t.Name, taskNameForm, "1 to 31 of a-z, 0-9 and -")
		if seen[t.Name] {
			v.problem(at+"name", "%q is there twice", t.Name)
		}
		seen[t.Name] = true
		v.oneOf(at+"architecture", t.Architecture, "arm64", "x86-64")
		v.size(at, task.Size{CPU: t.CPU, Memory: t.Memory})
		if t.DiskGiB != 0 {
			v.between(at+"disk_gib", t.DiskGiB, task.MinEphemeralStorage, task.MaxEphemeralStorage, " GiB; leave it out for 20")
		}
		if strings.HasSuffix(t.Image, ":latest") || !strings.Contains(t.Image[strings.LastIndex(t.Image, "/")+1:], ":") && !strings.Contains(t.Image, "@sha256:") {
			v.problem(at+"image", "%q names no fixed version; add a tag other than latest, or a digest", t.Image)
		}
	}
}

// size checks the keys cpu and memory behind a prefix.
func (v *validator) size(prefix string, s task.Size) {
	if fit, why := task.CheckSize(s); fit != task.Fits {
		v.problem(prefix+"memory", "%s", why)
	}
}

func (v *validator) builds(s Settings) {
	b := s.Builds
	v.oneOf("builds.environment", b.Environment, "ARM_CONTAINER", "LINUX_CONTAINER")
	if arm := strings.Contains(b.Image, "aarch64"); strings.HasPrefix(b.Image, "aws/codebuild/") && arm != (b.Environment == "ARM_CONTAINER") {
		v.problem("builds.image", "%q is for the other architecture than environment = %q", b.Image, b.Environment)
	}
	if !slices.Contains([]string{"BUILD_GENERAL1_SMALL", "BUILD_GENERAL1_MEDIUM", "BUILD_GENERAL1_LARGE", "BUILD_GENERAL1_XLARGE", "BUILD_GENERAL1_2XLARGE"}, b.Compute) {
		v.problem("builds.compute", "%q is not known; use BUILD_GENERAL1_SMALL, _MEDIUM, _LARGE, _XLARGE or _2XLARGE", b.Compute)
	}
	v.between("builds.minutes", b.Minutes, 5, 2160, " minutes")
	v.between("builds.queued_minutes", b.QueuedMinutes, 5, 480, " minutes")
	v.oneOf("builds.cache", b.Cache, "registry", "local")
	if b.Cache == "local" && (b.InVPC || b.Compute == "BUILD_GENERAL1_2XLARGE") {
		v.problem("builds.cache", "CodeBuild keeps no layers on a machine with in_vpc or on BUILD_GENERAL1_2XLARGE; use registry")
	}
	v.between("builds.keep_images", b.KeepImages, 1, 10000, " images")
	for _, name := range b.Repositories {
		v.form("builds.repositories", name, repoForm, "a repository name such as app or team/app")
		if slices.Contains([]string{"coordinator", "job", "gitlab"}, name) || strings.HasPrefix(name, "docker-hub/") {
			v.problem("builds.repositories", "%q is a repository of this deployment already; take another name", name)
		}
	}
	for _, id := range b.PushFrom {
		v.form("builds.push_from_accounts", id, accountForm, "an account id of 12 digits")
	}
	if !b.Enabled {
		for i, t := range s.Tasks {
			if t.Builds && v.set[keyAt("task", i)+"builds"] {
				v.problem(keyAt("task", i)+"builds", "needs enabled = true in [builds]")
			}
		}
	}
}
