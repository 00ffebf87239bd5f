package taskplan

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fargate-driver/fargate-driver/internal/config"
	"github.com/fargate-driver/fargate-driver/internal/job"
	"github.com/fargate-driver/fargate-driver/internal/task"
	"github.com/fargate-driver/fargate-driver/internal/wire"
)

// grantImage runs the job in the image that it asks for, beside the services
// that it asks for, where the operator allows these at all.
func (p *Plan) grantImage(c config.Config, j job.Job) error {
	image := task.Image{
		Name: j.Image, Family: c.Images.Family, AgentPath: c.Images.AgentPath, Port: c.Images.Port,
		Shared: []string{c.Jobs.BuildsDir, c.Jobs.CacheDir},
	}
	switch {
	case j.Image == "":
	case len(c.Images.Allowed) == 0:
		p.Notes = append(p.Notes, fmt.Sprintf("image: %s is not used: the job runs in the image of task definition %s", j.Image, p.Spec.TaskDefinition))
		image.Name = ""
	case !imageName.MatchString(j.Image):
		return &Refused{"image", fmt.Sprintf("%q is not the name of an image", j.Image)}
	case !matches(c.Images.Allowed, j.Image):
		return &Refused{"image", fmt.Sprintf("%q is not among the images that jobs may name (%s); the operator allows more in [Images] Allowed of fargate.toml", j.Image, strings.Join(c.Images.Allowed, ", "))}
	}
	if len(c.Images.Services) > 0 {
		if j.ServicesErr != nil {
			return j.ServicesErr
		}
		services, err := grantServices(c, j.Services)
		if err != nil {
			return err
		}
		image.Services = services
	} else if len(j.Services) > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf("services: %d asked for and none started: the operator allows them in [Images] Services of fargate.toml, or puts them into the task definition as containers", len(j.Services)))
	}
	if image.Name == "" && len(image.Services) == 0 {
		return nil
	}
	p.Spec.Image = &image
	p.Spec.Environment = append(p.Spec.Environment, task.Variable{Name: wire.EnvContactFile, Value: wire.AgentDir + "/contact"})
	var hosts []string
	for _, s := range image.Services {
		hosts = append(hosts, s.Hosts...)
	}
	if len(hosts) > 0 {
		p.Spec.Environment = append(p.Spec.Environment, task.Variable{Name: wire.EnvHosts, Value: strings.Join(hosts, " ")})
	}
	return nil
}

// imageName has the characters of an image's name, which a registry and ECS
// look at more closely.
var imageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}$`)

// hostName is what may stand in /etc/hosts.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)

func grantServices(c config.Config, asked []job.Service) ([]task.Service, error) {
	var all []task.Service
	for n, s := range asked {
		switch {
		case !imageName.MatchString(s.Name):
			return nil, &Refused{"services", fmt.Sprintf("%q is not the name of an image", s.Name)}
		case !matches(c.Images.Services, s.Name):
			return nil, &Refused{"services", fmt.Sprintf("%q is not among the services that jobs may name (%s); the operator allows more in [Images] Services of fargate.toml", s.Name, strings.Join(c.Images.Services, ", "))}
		case s.Masked != "":
			return nil, &Refused{"services", fmt.Sprintf("variable %s of %s has the value of a masked variable, and would be readable by whoever may call ecs:DescribeTasks; give the service, which ends with the job, a value that is no secret", s.Masked, s.Name)}
		}
		granted := task.Service{Container: wire.ServicePrefix + strconv.Itoa(n), Image: s.Name, EntryPoint: s.Entrypoint, Command: s.Command}
		for _, host := range append(hostsOf(s.Name), s.Aliases...) {
			if !hostName.MatchString(host) {
				return nil, &Refused{"services", fmt.Sprintf("%q, an alias of %s, is not a host name", host, s.Name)}
			}
			granted.Hosts = append(granted.Hosts, host)
		}
		for _, name := range slices.Sorted(maps.Keys(s.Variables)) {
			granted.Environment = append(granted.Environment, task.Variable{Name: name, Value: s.Variables[name]})
		}
		all = append(all, granted)
	}
	return all, nil
}

// hostsOf are the names by which gitlab-runner's executors reach a service
// without an alias: its image without tag, digest and port, with two signs in
// the place of slashes.
func hostsOf(image string) []string {
	name, _, _ := strings.Cut(image, "@")
	registry, rest, nested := strings.Cut(name, "/")
	if nested {
		registry, _, _ = strings.Cut(registry, ":")
		name = registry + "/" + rest
	}
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		name = name[:colon]
	}
	if !strings.Contains(name, "/") {
		return []string{name}
	}
	return []string{strings.ReplaceAll(name, "/", "__"), strings.ReplaceAll(name, "/", "-")}
}
