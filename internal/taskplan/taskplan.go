// Package taskplan decides what task a job gets. It is pure: the operator's
// configuration and the job go in, a task.Spec comes out, and everything that
// a job may not have is refused here.
package taskplan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/config"
	"github.com/fargate-driver/fargate-driver/internal/job"
	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// Identity is what is new for each task.
type Identity struct {
	PublicKey   string // one authorized_keys line
	HostKeySeed string // hexadecimal
	Launched    time.Time
	Host        string // the manager's name, unless the operator set one
}

// Plan is a decision with its reasons.
type Plan struct {
	Spec task.Spec

	// SameRightsAs names the operator's task definition when the job named one
	// of its own that no allow-list covers. It may be used only if it gives no
	// rights that the operator's does not, which takes a look at AWS.
	SameRightsAs string
	CompareAWS   bool

	// Notes are for the job log: what was asked for and is not done.
	Notes []string
}

// Refused is a job that asks for what the operator does not allow. It is the
// job's own failure: trying again would change nothing.
type Refused struct {
	Variable string
	Reason   string
}

func (r *Refused) Error() string { return fmt.Sprintf("%s: %s", r.Variable, r.Reason) }

// Make plans the task of a job. avoidSpot leaves FARGATE_SPOT out, where
// something else remains.
func Make(c config.Config, j job.Job, id Identity, avoidSpot bool) (Plan, error) {
	p := Plan{Spec: task.Spec{
		Cluster:              c.Fargate.Cluster,
		TaskDefinition:       c.Fargate.TaskDefinition,
		Container:            wire.ContainerName,
		Subnets:              c.Fargate.Subnet,
		SecurityGroups:       c.Fargate.SecurityGroup,
		PublicIP:             c.Fargate.EnablePublicIP,
		CapacityProviders:    c.Launch.CapacityProviders,
		PlatformVersion:      c.Fargate.PlatformVersion,
		Size:                 task.Size{CPU: c.Launch.CPU, Memory: c.Launch.Memory},
		EphemeralStorage:     c.Launch.EphemeralStorage,
		TaskRole:             c.Launch.TaskRole,
		StartedBy:            StartedBy(c, id.Host),
		PropagateTags:        bool(c.Fargate.PropagateTags),
		EnableExecuteCommand: c.Fargate.EnableExecuteCommand,
		Environment:          environment(c, j, id),
		Tags:                 tags(c, j),
	}}
	if err := p.grant(c, j.Request); err != nil {
		return Plan{}, err
	}
	if avoidSpot {
		p.avoidSpot()
	}
	if p.Spec.TaskDefinition == "" {
		return Plan{}, &Refused{job.TaskDefinitionVariable, "the job names no task definition and fargate.toml has no [Fargate] TaskDefinition for it"}
	}
	if err := p.grantImage(c, j); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// grant applies what the job asks for, inside the operator's limits.
func (p *Plan) grant(c config.Config, r job.Request) error {
	if r.TaskDefinition != "" && r.TaskDefinition != c.Fargate.TaskDefinition {
		switch {
		case matches(c.Jobs.TaskDefinitions, r.TaskDefinition):
		case len(c.Jobs.TaskDefinitions) > 0:
			return &Refused{job.TaskDefinitionVariable, fmt.Sprintf("%q is not among the task definitions that jobs may name (%s); the operator allows more in [Jobs] TaskDefinitions of fargate.toml", r.TaskDefinition, strings.Join(c.Jobs.TaskDefinitions, ", "))}
		default:
			p.CompareAWS, p.SameRightsAs = true, c.Fargate.TaskDefinition
		}
		p.Spec.TaskDefinition = r.TaskDefinition
	}
	if r.PlatformVersion != "" && r.PlatformVersion != c.Fargate.PlatformVersion {
		if !matches(c.Jobs.PlatformVersions, r.PlatformVersion) {
			return &Refused{job.PlatformVersionVariable, fmt.Sprintf("%q is not among the platform versions that jobs may name (%s)", r.PlatformVersion, strings.Join(c.Jobs.PlatformVersions, ", "))}
		}
		p.Spec.PlatformVersion = r.PlatformVersion
	}
	if r.TaskRole != "" && r.TaskRole != c.Launch.TaskRole {
		if !matches(c.Jobs.TaskRoles, r.TaskRole) {
			return &Refused{job.TaskRoleVariable, fmt.Sprintf("%q is not a role that jobs may name; the operator allows roles in [Jobs] TaskRoles of fargate.toml", r.TaskRole)}
		}
		p.Spec.TaskRole = r.TaskRole
	}
	if r.CapacityProvider != "" {
		allowed := c.Jobs.CapacityProviders
		if len(allowed) == 0 {
			allowed = c.Launch.CapacityProviders
		}
		if !slices.Contains(allowed, r.CapacityProvider) {
			return &Refused{job.CapacityProviderVariable, fmt.Sprintf("%q is not among the capacity providers that jobs may name (%s)", r.CapacityProvider, orNone(allowed))}
		}
		p.Spec.CapacityProviders = []string{r.CapacityProvider}
	}
	return p.grantSize(c, r)
}

func (p *Plan) grantSize(c config.Config, r job.Request) error {
	if (r.CPU == "") != (r.Memory == "") {
		return &Refused{job.CPUVariable + " and " + job.MemoryVariable, "a job sets both or none"}
	}
	if r.CPU != "" {
		cpu, err := within(job.CPUVariable, r.CPU, "CPU units", 1, c.Jobs.MaxCPU, "MaxCPU")
		if err != nil {
			return err
		}
		memory, err := within(job.MemoryVariable, r.Memory, "MiB", 1, c.Jobs.MaxMemory, "MaxMemory")
		if err != nil {
			return err
		}
		size := task.Size{CPU: cpu, Memory: memory}
		fit, why := task.CheckSize(size)
		switch fit {
		case task.Impossible:
			return &Refused{job.CPUVariable + " and " + job.MemoryVariable, why}
		case task.Unknown:
			p.Notes = append(p.Notes, why+"; AWS decides")
		}
		p.Spec.Size = size
	}
	if r.EphemeralStorage != "" {
		gib, err := within(job.EphemeralStorageVariable, r.EphemeralStorage, "GiB", task.MinEphemeralStorage, c.Jobs.MaxEphemeralStorage, "MaxEphemeralStorage")
		if err != nil {
			return err
		}
		p.Spec.EphemeralStorage = gib
	}
	return nil
}

// within reads a number that a job asks for. most is the operator's limit; 0
// means that jobs may not choose.
func within(variable, text, unit string, least, most int, key string) (int, error) {
	if most == 0 {
		return 0, &Refused{variable, fmt.Sprintf("jobs may not choose this here; the operator allows it with [Jobs] %s in fargate.toml", key)}
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, &Refused{variable, fmt.Sprintf("%q is not a whole number of %s", text, unit)}
	}
	if n < least || n > most {
		return 0, &Refused{variable, fmt.Sprintf("%d %s is outside %d to %d, which [Jobs] %s of fargate.toml allows", n, unit, least, most, key)}
	}
	return n, nil
}

// avoidSpot drops FARGATE_SPOT. A Spot-only list becomes FARGATE: the job was
// reclaimed once, and coming through matters more than the price now.
func (p *Plan) avoidSpot() {
	left := slices.DeleteFunc(slices.Clone(p.Spec.CapacityProviders), func(name string) bool { return name == "FARGATE_SPOT" })
	if len(left) == len(p.Spec.CapacityProviders) && len(left) > 0 {
		return // there was no Spot
	}
	if len(left) == 0 {
		left = []string{"FARGATE"}
	}
	p.Spec.CapacityProviders = left
	p.Notes = append(p.Notes, "an earlier run of this job lost its Spot task, so this one is launched on demand")
}

// matches says whether one of the patterns, with * for any characters, covers
// the whole value.
func matches(patterns []string, value string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		// path.Match stops at slashes, which are ordinary in ARNs.
		ok, err := path.Match(flat(pattern), flat(value))
		return err == nil && ok
	})
}

func flat(s string) string { return strings.ReplaceAll(s, "/", "\x00") }

func orNone(all []string) string {
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// environment is the override of the job container. Everybody who may call
// ecs:DescribeTasks can read it, so nothing of the job's goes in.
func environment(c config.Config, j job.Job, id Identity) []task.Variable {
	env := []task.Variable{
		{Name: wire.EnvPublicKey, Value: id.PublicKey},
		{Name: wire.EnvHostKeySeed, Value: id.HostKeySeed},
		{Name: wire.EnvIdleLimit, Value: c.Agent.IdleLimit.String()},
		{Name: wire.EnvResumeLimit, Value: c.Run.ResumeLimit.String()},
		{Name: wire.EnvSpoolLimit, Value: strconv.Itoa(c.Agent.SpoolLimit)},
	}
	if j.Timeout > 0 {
		end := id.Launched.Add(c.Launch.Deadline.Duration + j.Timeout + c.Agent.DeadlineMargin.Duration)
		env = append(env, task.Variable{Name: wire.EnvDeadline, Value: strconv.FormatInt(end.Unix(), 10)})
	}
	return env
}

// Tags that name a job on its task.
const (
	ProjectTag  = "gitlab:project"
	PipelineTag = "gitlab:pipeline"
	JobTag      = "gitlab:job"
	JobNameTag  = "gitlab:job-name"
)

func tags(c config.Config, j job.Job) []task.Variable {
	all := []task.Variable{
		{Name: ProjectTag, Value: tagValue(j.ProjectPath)},
		{Name: PipelineTag, Value: strconv.FormatInt(j.PipelineID, 10)},
		{Name: JobTag, Value: strconv.FormatInt(j.ID, 10)},
		{Name: JobNameTag, Value: tagValue(j.Name)},
	}
	keys := make([]string, 0, len(c.Launch.Tags))
	for key := range c.Launch.Tags {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		all = append(all, task.Variable{Name: key, Value: tagValue(c.Launch.Tags[key])})
	}
	return all
}

// tagValue keeps the characters that every AWS service takes in a tag, 256 of
// them at most; a job's name may hold any.
func tagValue(s string) string {
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= 256 {
			break
		}
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" +-=._:/@", r):
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	return b.String()
}

// StartedBy is the name by which a manager finds its own tasks: the host and
// the directory of its records, because two gitlab-runners on one host may
// each have their own. ECS takes 128 letters, digits, - / and _.
func StartedBy(c config.Config, host string) string {
	if c.Reap.Manager != "" {
		return "fargate-driver/" + c.Reap.Manager
	}
	name := "fargate-driver/" + host + "/" + strings.Trim(c.TaskMetadata.Directory, "/")
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '/', r == '_':
			return r
		}
		return '_'
	}, name)
	if len(name) > 128 {
		sum := sha256.Sum256([]byte(name))
		name = name[:128-17] + "-" + hex.EncodeToString(sum[:8])
	}
	return name
}
