package main

import (
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

func TestJobFromStartToEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	j := w.job()
	r := j.stage("config")
	r.want(t, succeeded, `"driver":{"name":"fargate-driver","version":"dev"}`, `"hostname":"fargate-job-`)
	if strings.Contains(r.stdout, "builds_dir") {
		t.Error("config overrides builds_dir of config.toml without having been asked to")
	}
	j.stage("prepare").want(t, succeeded, "is ready after", "until SSH answered")
	j.run("echo hello from $PWD; exit 0\n").want(t, succeeded, "hello from")
	r = j.run("echo to stderr >&2; exit 42\n")
	r.want(t, buildFailure, "to stderr")
	if got := j.exitCodeFile(); got != "42" {
		t.Errorf("gitlab-runner reads exit code %q", got)
	}
	j.run("exit 0\n").want(t, succeeded)
	if got := j.exitCodeFile(); got != "" {
		t.Errorf("the exit code %s of an earlier sub-stage is left", got)
	}
	j.stage("cleanup").want(t, succeeded, "is being stopped")
	j.stage("cleanup").want(t, succeeded, "nothing to clean up")
	if left := w.records(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if calls := w.aws.Calls("ecs:"); len(calls) > 6 {
		t.Errorf("%d ECS calls, want 6 at most: %v", len(calls), calls)
	}
}
