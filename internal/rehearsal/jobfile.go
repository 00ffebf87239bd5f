package rehearsal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// jobKeys are the keys of a job that a job file may have.
type jobKeys struct {
	Stage        string       `yaml:"stage"`
	Image        imageKey     `yaml:"image"`
	Services     []serviceKey `yaml:"services"`
	Variables    variablesKey `yaml:"variables"`
	Hooks        hooksKey     `yaml:"hooks"`
	BeforeScript linesKey     `yaml:"before_script"`
	Script       linesKey     `yaml:"script"`
	AfterScript  linesKey     `yaml:"after_script"`
	Artifacts    Artifacts    `yaml:"artifacts"`
	AllowFailure allowKey     `yaml:"allow_failure"`
	Timeout      timeoutKey   `yaml:"timeout"`
	Rehearse     Rehearse     `yaml:"rehearse"`
}

// ReadJobs reads the jobs of a file like .gitlab-ci.yml, in the file's order.
// It knows the keys that a rehearsal can play, at the top level `variables`,
// `default` and `stages` too, and refuses others by name; jobs whose names
// begin with a dot are left out.
func ReadJobs(r io.Reader) ([]Job, error) {
	var document yaml.Node
	if err := yaml.NewDecoder(r).Decode(&document); err != nil {
		return nil, fmt.Errorf("reading the job file: %w", err)
	}
	top := document.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, errors.New("reading the job file: it has no jobs")
	}
	var common jobKeys
	var jobs []Job
	for i := 0; i < len(top.Content); i += 2 {
		name, value := top.Content[i].Value, top.Content[i+1]
		var err error
		switch name {
		case "default":
			err = strictly(value, &common)
		case "variables":
			err = value.Decode(&common.Variables)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the job file: %s: %w", name, err)
		}
	}
	for i := 0; i < len(top.Content); i += 2 {
		name, value := top.Content[i].Value, top.Content[i+1]
		if name == "default" || name == "variables" || name == "stages" || strings.HasPrefix(name, ".") {
			continue
		}
		if slices.ContainsFunc(jobs, func(j Job) bool { return j.Name == name }) {
			return nil, fmt.Errorf("reading the job file: line %d: job %q is there twice", top.Content[i].Line, name)
		}
		j, err := readJob(name, value, common)
		if err != nil {
			return nil, fmt.Errorf("reading the job file: job %q, line %d: %w", name, top.Content[i].Line, err)
		}
		j.ID = int64(len(jobs) + 1)
		jobs = append(jobs, j)
	}
	return jobs, nil
}

func readJob(name string, value *yaml.Node, keys jobKeys) (Job, error) {
	common := keys.Variables
	keys.Variables = nil
	if err := strictly(value, &keys); err != nil {
		return Job{}, err
	}
	if len(keys.Script) == 0 {
		return Job{}, errors.New("it has no script")
	}
	if keys.Rehearse.Status == "" {
		keys.Rehearse.Status = Success
	}
	j := Job{
		Name: name, Stage: keys.Stage, Timeout: time.Duration(keys.Timeout),
		Image: keys.Image.image, PreGetSources: keys.Hooks.PreGetSources,
		BeforeScript: keys.BeforeScript, Script: keys.Script, AfterScript: keys.AfterScript,
		Artifacts: keys.Artifacts, AllowFailure: AllowFailure(keys.AllowFailure), Rehearse: keys.Rehearse,
	}
	// Of two values of a name the later counts: the job's own.
	j.Variables = slices.Concat(common, keys.Variables)
	for _, s := range keys.Services {
		j.Services = append(j.Services, Service(s))
	}
	return j, nil
}

// strictly decodes a mapping and refuses keys that v does not have.
func strictly(node *yaml.Node, v any) error {
	text, err := yaml.Marshal(node)
	if err != nil {
		return err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err = d.Decode(v)
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) {
		return errors.New(strings.Join(wrong.Errors, "; "))
	}
	return err
}

// linesKey is a list of commands, or one command; lists in lists are flattened.
type linesKey []string

func (l *linesKey) UnmarshalYAML(node *yaml.Node) error {
	*l = nil
	return l.add(node)
}

func (l *linesKey) add(node *yaml.Node) error {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.ScalarNode:
		*l = append(*l, node.Value)
		return nil
	case yaml.SequenceNode:
		for _, item := range node.Content {
			if err := l.add(item); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("line %d: a script is a list of commands", node.Line)
}

type imageKey struct{ image *Image }

func (k *imageKey) UnmarshalYAML(node *yaml.Node) error {
	k.image = &Image{}
	if node.Kind == yaml.ScalarNode {
		k.image.Name = node.Value
		return nil
	}
	return strictly(node, k.image)
}

type hooksKey struct {
	PreGetSources linesKey `yaml:"pre_get_sources_script"`
}

type serviceKey Service

func (k *serviceKey) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		k.Name = node.Value
		return nil
	}
	return strictly(node, (*Service)(k))
}

// variablesKey keeps the file's order. A value may be a mapping with `value`
// and, for us, `file` and `masked`, which in GitLab are settings of the project.
type variablesKey []Variable

func (k *variablesKey) UnmarshalYAML(node *yaml.Node) error {
	*k = nil
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: variables are names with values", node.Line)
	}
	for i := 0; i < len(node.Content); i += 2 {
		v := Variable{Key: node.Content[i].Value, Value: node.Content[i+1].Value}
		if node.Content[i+1].Kind == yaml.MappingNode {
			var long struct {
				Value        string
				Description  string
				File, Masked bool
			}
			if err := strictly(node.Content[i+1], &long); err != nil {
				return err
			}
			v.Value, v.File, v.Masked = long.Value, long.File, long.Masked
		}
		*k = append(*k, v)
	}
	return nil
}

type allowKey AllowFailure

func (k *allowKey) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return node.Decode(&k.All)
	}
	var codes struct {
		ExitCodes yaml.Node `yaml:"exit_codes"`
	}
	if err := strictly(node, &codes); err != nil {
		return err
	}
	if codes.ExitCodes.Kind == yaml.ScalarNode {
		k.ExitCodes = make([]int, 1)
		return codes.ExitCodes.Decode(&k.ExitCodes[0])
	}
	return codes.ExitCodes.Decode(&k.ExitCodes)
}

type timeoutKey time.Duration

// UnmarshalYAML takes what GitLab takes in practice: "90s", "1h 30m", "10 minutes".
func (k *timeoutKey) UnmarshalYAML(node *yaml.Node) error {
	text := strings.NewReplacer("seconds", "s", "second", "s", "minutes", "m", "minute", "m", "hours", "h", "hour", "h").Replace(node.Value)
	text = strings.ReplaceAll(text, " ", "")
	if _, err := strconv.Atoi(text); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return fmt.Errorf("line %d: timeout %q is no time; write it as 90s or 1h 30m", node.Line, node.Value)
	}
	*k = timeoutKey(d)
	return nil
}
