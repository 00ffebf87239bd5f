package start

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Docker says what our own buildspec builds: one image, pushed under its tags.
type Docker struct {
	Dockerfile string   // relative to the source; empty means Dockerfile
	Directory  string   // the build context in the source; empty means all of it
	Tags       []string // REPOSITORY:TAG, at least one; the first names the image
	BuildArgs  []string // NAME=VALUE, or NAME for the build's own variable
	Secrets    []string // as `docker buildx build --secret` takes them
	Labels     []string // NAME=VALUE
	Target     string
	Platforms  []string
	// Cache is the reference that keeps the layers; empty means the first tag's
	// repository with the tag buildcache. NoCache does without.
	Cache   string
	NoCache bool
	Args    []string // more arguments of `docker buildx build`
	// Builder is the image of BuildKit; empty means docker's own choice, which is
	// on Docker Hub and so under its pull limit.
	Builder string
	NoPush  bool
}

// ImageVariables are what the buildspec exports: the first tag, the digest, and
// the two as one reference that never changes.
func ImageVariables() []string { return []string{"IMAGE_URI", "IMAGE_DIGEST", "IMAGE_REF"} }

var (
	ecrHost       = regexp.MustCompile(`^\d{12}\.dkr[.-]ecr(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(\.cn)?|on\.aws)$`)
	imageTag      = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.-]*(:\d+)?(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$`)
	digestPattern = `s/.*"containerimage.digest": *"\([^"]*\)".*/\1/p`
)

// Buildspec writes the buildspec. Every value is quoted for the shell, so that
// a branch's name cannot become a command.
func (d Docker) Buildspec() (string, error) {
	if len(d.Tags) == 0 {
		return "", errors.New("--buildspec builtin:docker needs at least one --tag, as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/app:v1")
	}
	for _, tag := range d.Tags {
		if !imageTag.MatchString(tag) {
			return "", fmt.Errorf("--tag %s is no image reference; write REGISTRY/REPOSITORY:TAG in lower case, with CI_COMMIT_REF_SLUG rather than CI_COMMIT_REF_NAME", tag)
		}
	}
	// The default driver can neither export a cache to a registry nor build for
	// several platforms.
	builder := "docker buildx create --name codebuild-bridge --driver docker-container --use"
	if d.Builder != "" {
		builder += " --driver-opt " + quote("image="+d.Builder)
	}
	before := append(d.logins(), builder)
	digest := "IMAGE_DIGEST=$(sed -n " + quote(digestPattern) + " " + metadataFile + ")"
	repository := repository(d.Tags[0])
	build := []string{
		d.command(),
		digest,
		"IMAGE_URI=" + quote(d.Tags[0]),
		// Nothing rather than half a reference where nothing was pushed.
		"IMAGE_REF=${IMAGE_DIGEST:+" + repository + "@$IMAGE_DIGEST}",
		"export IMAGE_DIGEST IMAGE_URI IMAGE_REF",
	}
	type phase struct {
		// POST_BUILD runs after a failed BUILD, where a push would then say
		// something misleading; everything is in BUILD, and the first failure ends it.
		OnFailure string   `yaml:"on-failure"`
		Commands  []string `yaml:"commands"`
	}
	type env struct {
		Shell    string   `yaml:"shell"`
		Exported []string `yaml:"exported-variables"`
	}
	text, err := yaml.Marshal(struct {
		Version string `yaml:"version"`
		Env     env    `yaml:"env"`
		Phases  struct {
			PreBuild phase `yaml:"pre_build"`
			Build    phase `yaml:"build"`
		} `yaml:"phases"`
	}{"0.2", env{"bash", ImageVariables()}, struct {
		PreBuild phase `yaml:"pre_build"`
		Build    phase `yaml:"build"`
	}{phase{"ABORT", before}, phase{"ABORT", build}}})
	return string(text), err
}

// logins are the commands that log in to the registries of ECR among the tags.
func (d Docker) logins() []string {
	var out []string
	seen := map[string]bool{}
	for _, reference := range append(slices.Clone(d.Tags), d.cache(), d.Builder) {
		host, _, _ := strings.Cut(reference, "/")
		if seen[host] {
			continue
		}
		seen[host] = true
		password := ""
		if m := ecrHost.FindStringSubmatch(host); m != nil {
			password = "aws ecr get-login-password --region " + m[2]
		} else if host == "public.ecr.aws" {
			// Its API is in one region only.
			password = "aws ecr-public get-login-password --region us-east-1"
		} else {
			continue
		}
		out = append(out, "set -o pipefail; "+password+" | docker login --username AWS --password-stdin "+host)
	}
	return out
}

func (d Docker) cache() string {
	if d.Cache != "" {
		return d.Cache
	}
	return repository(d.Tags[0]) + ":buildcache"
}

// repository is a reference without its tag.
func repository(tag string) string {
	slash := strings.LastIndexByte(tag, '/')
	if colon := strings.LastIndexByte(tag, ':'); colon > slash {
		return tag[:colon]
	}
	return tag
}

// command is the `docker buildx build`.
func (d Docker) command() string {
	file, directory := d.Dockerfile, d.Directory
	if file == "" {
		file = "Dockerfile"
	}
	if directory == "" {
		directory = "."
	}
	words := []string{"docker", "buildx", "build", "--progress=plain", "--provenance=false",
		"--file", file}
	add := func(flag string, values ...string) {
		for _, v := range values {
			words = append(words, flag, v)
		}
	}
	add("--tag", d.Tags...)
	add("--build-arg", d.BuildArgs...)
	add("--secret", d.Secrets...)
	add("--label", d.Labels...)
	if d.Target != "" {
		add("--target", d.Target)
	}
	if len(d.Platforms) > 0 {
		add("--platform", strings.Join(d.Platforms, ","))
	}
	if !d.NoCache {
		add("--cache-from", "type=registry,ref="+d.cache())
		if !d.NoPush {
			add("--cache-to", "type=registry,ref="+d.cache()+",mode=max,image-manifest=true,oci-mediatypes=true")
		}
	}
	if !d.NoPush {
		words = append(words, "--push")
	}
	words = append(append(words, d.Args...), directory)
	for i, word := range words {
		words[i] = quote(word)
	}
	return strings.Join(slices.Insert(words, 3, "--metadata-file", metadataFile), " ")
}

// metadataFile is where docker tells the digest; it is outside of the source,
// which a Dockerfile may copy whole.
const metadataFile = `"${TMPDIR:-/tmp}/codebuild-bridge.json"`

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote makes one word of a text for the shell.
func quote(s string) string {
	if plainWord.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
