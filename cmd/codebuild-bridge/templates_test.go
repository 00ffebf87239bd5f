package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// playTemplate plays a component's only job: inputs put in, variables set, its
// script run by a shell. It returns the output.
func (j *job) playTemplate(name string, inputs map[string]string) string {
	j.t.Helper()
	text, err := os.ReadFile(filepath.Join("../../templates", name+".yml"))
	if err != nil {
		j.t.Fatal(err)
	}
	header, body, _ := strings.Cut(string(text), "\n---\n")
	var spec struct {
		Spec struct {
			Inputs map[string]struct {
				Default any `yaml:"default"`
			}
		}
	}
	if err := yaml.Unmarshal([]byte(header), &spec); err != nil {
		j.t.Fatal(err)
	}
	fill := func(s string) string {
		return interpolation.ReplaceAllStringFunc(s, func(m string) string {
			input := interpolation.FindStringSubmatch(m)[1]
			if value, given := inputs[input]; given {
				return value
			}
			return fmt.Sprint(spec.Spec.Inputs[input].Default)
		})
	}
	var jobs map[string]struct {
		Variables map[string]string
		Script    []string
	}
	if err := yaml.Unmarshal([]byte(body), &jobs); err != nil {
		j.t.Fatal(err)
	}
	bin := j.t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		j.t.Fatal(err)
	}
	if err := os.Symlink(exe, filepath.Join(bin, "codebuild-bridge")); err != nil {
		j.t.Fatal(err)
	}
	outer := environment{list: j.env}
	var out strings.Builder
	for _, played := range jobs {
		cmd := exec.Command("/bin/sh", "-e", "-c", fill(strings.Join(played.Script, "\n")))
		cmd.Dir = j.Dir
		cmd.Env = append(append([]string{}, j.env...), "PATH="+bin+":"+os.Getenv("PATH"))
		for name, value := range played.Variables {
			// GitLab expands variables in variables.
			cmd.Env = append(cmd.Env, name+"="+os.Expand(fill(value), outer.get))
		}
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			j.t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
	return out.String()
}

func TestDockerBuildTemplate(t *testing.T) {
	t.Parallel()
	j := newJob(t, "Dockerfile", "FROM alpine\n")
	j.env = append(j.env, "CI_COMMIT_SHA=abc123", "CI_COMMIT_REF_SLUG=main")
	const image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/app"
	out := j.playTemplate("docker-build", map[string]string{
		"image": image, "extra-tags": image + ":$CI_COMMIT_REF_SLUG\n" + image + ":latest", "build-args": "A=1\nB=2 3",
	})
	for _, want := range []string{
		"--tag " + image + ":abc123 --tag " + image + ":main --tag " + image + ":latest --build-arg A=1 --build-arg 'B=2 3'",
		"--cache-to ", "SUCCEEDED", "IMAGE_URI=" + image + ":abc123",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got no %q in\n%s", want, out)
		}
	}
	for _, report := range []string{"docker-build.env", "docker-build.json"} {
		if _, err := os.Stat(filepath.Join(j.Dir, report)); err != nil {
			t.Error(err)
		}
	}
	if out := j.playTemplate("docker-build", map[string]string{"image": image, "cache": "false"}); strings.Contains(out, "--cache-to") {
		t.Errorf("a cache is written:\n%s", out)
	}
}

func TestDeployTemplate(t *testing.T) {
	t.Parallel()
	j := newJob(t, "appspec.yml", "version: 0.0\n", "notes.md", "")
	j.env = append(j.env, "CI_COMMIT_SHA=abc123", "CI_PROJECT_PATH_SLUG=group-shop", envPrefix+"ARTIFACT_BUCKET=build-source",
		// What a group says of the bucket for sources is not meant for this one.
		envPrefix+"BUCKET_OWNER=999999999999", envPrefix+"COMPRESSION=0")
	out := j.playTemplate("deploy", map[string]string{"application": "shop", "deployment-group": "prod", "exclude": "*.md"})
	for _, want := range []string{"Artifact: 1 file,", "to s3://build-source/group-shop/abc123.zip", "Deployment d-000000001: Succeeded"} {
		if !strings.Contains(out, want) {
			t.Errorf("got no %q in\n%s", want, out)
		}
	}
}
