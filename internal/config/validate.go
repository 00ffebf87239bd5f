package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/fargate-driver/fargate-driver/internal/task"
)

var (
	subnetID = regexp.MustCompile(`^subnet-[0-9a-z]+$`)
	groupID  = regexp.MustCompile(`^sg-[0-9a-z]+$`)
	roleARN  = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/.+$`)
	// A family has 255 characters, and a hyphen and a hash of 32 follow.
	familyStart = regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}$`)

	manager = regexp.MustCompile(`^[A-Za-z0-9/_-]{1,64}$`)
)

var logFormats = []string{"text", "text-simple", "json"}

// IsLogFormat says whether LogFormat may have this value.
func IsLogFormat(s string) bool { return slices.Contains(logFormats, strings.ToLower(s)) }

// validate says what is wrong with a decoded configuration. It is pure: what
// files and AWS have to say is the business of `fargate-driver check`.
func validate(c Config, lines map[string]int) []Problem {
	v := validator{lines: lines}
	for _, k := range Keys() {
		if _, set := lines[k.String()]; k.Required && !set {
			v.problem(k.String(), "is required, for example %s = %s", k.Name, k.Example)
		} else if k.Required && field(&c, k).Len() == 0 {
			v.problem(k.String(), "is empty, but it is required, for example %s = %s", k.Name, k.Example)
		}
		if d, ok := field(&c, k).Interface().(Duration); ok && d.Duration == 0 && k.Name != "OnDemandAfter" {
			v.problem(k.String(), "must be longer than 0s; every wait has a limit")
		}
		if field(&c, k).Kind() == reflect.Int && field(&c, k).Int() < 0 {
			v.problem(k.String(), "must not be negative")
		}
	}

	v.oneOf("LogLevel", c.LogLevel, "debug", "info", "warn", "warning", "error", "fatal", "panic")
	v.oneOf("LogFormat", c.LogFormat, logFormats...)
	v.oneOf("[Jobs] Shell", c.Jobs.Shell, "", "bash", "sh")

	v.each("[Fargate] Subnet", c.Fargate.Subnet, 16, subnetID, "a subnet id such as subnet-0a1b2c3d")
	v.each("[Fargate] SecurityGroup", c.Fargate.SecurityGroup, 5, groupID, "a security group id such as sg-0123abcd")
	if c.Fargate.UsePublicIP && !c.Fargate.EnablePublicIP {
		v.problem("[Fargate] UsePublicIP", "needs EnablePublicIP = true: the task would have no public address to connect to")
	}
	if dir := c.TaskMetadata.Directory; dir != "" && !filepath.IsAbs(dir) {
		v.problem("[TaskMetadata] Directory", "%q must be an absolute path: gitlab-runner starts each stage in a directory of its own", dir)
	}
	if c.SSH.Port < 1 || c.SSH.Port > 65535 {
		v.problem("[SSH] Port", "%d is not a port; use 1 to 65535", c.SSH.Port)
	}
	if c.SSH.Username == "" {
		v.problem("[SSH] Username", "must not be empty; the usual one is \"root\"")
	}

	v.launch(c.Launch)
	v.jobs(c)
	v.images(c)
	if m := c.Reap.Manager; m != "" && !manager.MatchString(m) {
		v.problem("[Reap] Manager", "%q must be 1 to 64 of the characters A-Z a-z 0-9 - / _", m)
	}
	if c.Agent.SpoolLimit < 64<<10 {
		v.problem("[Agent] SpoolLimit", "%d bytes is too little; use 65536 or more", c.Agent.SpoolLimit)
	}
	return v.problems
}

type validator struct {
	lines    map[string]int
	problems []Problem
}

func (v *validator) problem(key, format string, args ...any) {
	v.problems = append(v.problems, Problem{Line: v.lines[key], Key: key, Message: fmt.Sprintf(format, args...)})
}

func (v *validator) oneOf(key, value string, allowed ...string) {
	if slices.Contains(allowed, strings.ToLower(value)) {
		return
	}
	words := slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return s == "" })
	v.problem(key, "%q is not known; use %s", value, strings.Join(words, ", "))
}

func (v *validator) each(key string, values Strings, most int, form *regexp.Regexp, want string) {
	if len(values) > most {
		v.problem(key, "has %d entries, and ECS takes %d at most", len(values), most)
	}
	for _, value := range values {
		if !form.MatchString(value) {
			v.problem(key, "%q is not %s", value, want)
		}
	}
}

func (v *validator) launch(l Launch) {
	if (l.CPU == 0) != (l.Memory == 0) {
		v.problem(oneSet("[Launch] CPU", "[Launch] Memory", l.CPU != 0), "CPU and Memory go together: set both, or none to keep the task definition's size")
	} else if l.CPU != 0 {
		v.size("[Launch] Memory", "[Launch] CPU", task.Size{CPU: l.CPU, Memory: l.Memory})
	}
	v.storage("[Launch] EphemeralStorage", l.EphemeralStorage)
	if l.TaskRole != "" && !roleARN.MatchString(l.TaskRole) {
		v.problem("[Launch] TaskRole", "%q is not an IAM role's ARN such as arn:aws:iam::123456789012:role/ci-job", l.TaskRole)
	}
	// RunTask takes 50 tags, of which this driver sets four.
	if len(l.Tags) > 46 {
		v.problem("[Launch] Tags", "has %d tags, and there is room for 46", len(l.Tags))
	}
	for _, key := range slices.Sorted(maps.Keys(l.Tags)) {
		switch {
		case key == "" || len(key) > 128 || len(l.Tags[key]) > 256:
			v.problem("[Launch] Tags", "%q: a key has 1 to 128 characters, a value 256 at most", key)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			v.problem("[Launch] Tags", "%q: AWS keeps keys that begin with aws: for itself", key)
		case strings.HasPrefix(key, "gitlab:"):
			v.problem("[Launch] Tags", "%q: the driver sets the keys that begin with gitlab: itself", key)
		}
	}
}

func (v *validator) size(key, unknownKey string, s task.Size) {
	fit, why := task.CheckSize(s)
	switch fit {
	case task.Impossible:
		v.problem(key, "%s", why)
	case task.Unknown:
		v.problem(unknownKey, "%s; AWS decides", why)
		v.problems[len(v.problems)-1].Warning = true
	}
}

func (v *validator) storage(key string, gib int) {
	if gib != 0 && (gib < task.MinEphemeralStorage || gib > task.MaxEphemeralStorage) {
		v.problem(key, "%d GiB cannot be had; use %d to %d, or leave it out for %d", gib, task.MinEphemeralStorage, task.MaxEphemeralStorage, task.DefaultEphemeralStorage)
	}
}

func (v *validator) jobs(c Config) {
	if (c.Jobs.MaxCPU == 0) != (c.Jobs.MaxMemory == 0) {
		v.problem(oneSet("[Jobs] MaxCPU", "[Jobs] MaxMemory", c.Jobs.MaxCPU != 0), "MaxCPU and MaxMemory go together: a size is always both")
	}
	v.storage("[Jobs] MaxEphemeralStorage", c.Jobs.MaxEphemeralStorage)
	for _, role := range c.Jobs.TaskRoles {
		if !strings.HasPrefix(role, "arn:") {
			v.problem("[Jobs] TaskRoles", "%q is not an ARN or a pattern of ARNs such as arn:aws:iam::123456789012:role/ci-*", role)
		}
	}
	for _, dir := range []struct{ key, path string }{{"[Jobs] BuildsDir", c.Jobs.BuildsDir}, {"[Jobs] CacheDir", c.Jobs.CacheDir}} {
		if dir.path != "" && !filepath.IsAbs(dir.path) {
			v.problem(dir.key, "%q must be an absolute path in the task", dir.path)
		}
	}
}

func (v *validator) images(c Config) {
	i := c.Images
	if i.Port < 1 || i.Port > 65535 {
		v.problem("[Images] Port", "%d is not a port; use 1 to 65535", i.Port)
	}
	used := len(i.Allowed)+len(i.Services) > 0
	if used && i.Port == c.SSH.Port {
		v.problem("[Images] Port", "%d is the helper's ([SSH] Port) already: containers of a task share one address", i.Port)
	}
	if !familyStart.MatchString(i.Family) {
		v.problem("[Images] Family", "%q must be 1 to 200 of the characters A-Z a-z 0-9 - _", i.Family)
	}
	if !filepath.IsAbs(i.AgentPath) {
		v.problem("[Images] AgentPath", "%q must be an absolute path in the image", i.AgentPath)
	}
	if used && (c.Jobs.BuildsDir == "" || c.Jobs.CacheDir == "") {
		v.problem(oneSet("[Images] Allowed", "[Images] Services", len(i.Allowed) > 0), "needs [Jobs] BuildsDir and CacheDir, for example /builds and /cache: the job's container and its helper share them")
	}
}

func oneSet(a, b string, aSet bool) string {
	if aSet {
		return a
	}
	return b
}
