package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// imageWorld is a world whose jobs may name images. Their containers say which
// image they are by WHICH.
func imageWorld(t *testing.T, o localaws.Options, extra string) *world {
	t.Helper()
	o.Images = map[string]localaws.Image{
		"ci-coordinator":     {Env: []string{"WHICH=helper"}},
		"docker.io/alpine:3": {Env: []string{"WHICH=alpine"}, Entrypoint: []string{"/nonesuch"}},
		"docker.io/redis:7":  {Entrypoint: []string{"sh", "-c", "echo $MODE > $HOME/mode; exec sleep 600"}},
		"docker.io/debian":   {Env: []string{"WHICH=debian"}},
	}
	dir := t.TempDir()
	return newWorld(t, o, fmt.Sprintf(`
[Jobs]
BuildsDir = "%[1]s/builds"
CacheDir = "%[1]s/cache"
[Images]
Allowed = "docker.io/*"
Services = "docker.io/*"
AgentPath = "%[2]s/coordinator"
Port = 2223
%[3]s`, dir, programs, extra))
}

// A job runs in the image that it names, and what GitLab's own tools do beside
// it, in the operator's. The next job with the image needs no new definition.
func TestJobInItsOwnImage(t *testing.T) {
	t.Parallel()
	w := imageWorld(t, localaws.Options{}, "")
	for n, image := range []string{"docker.io/alpine:3", "docker.io/debian", "docker.io/alpine:3"} {
		j := w.job("CI_JOB_IMAGE=" + image)
		j.stage("prepare").want(t, succeeded, "The job runs in image "+image+", by task definition fargate-driver-image-")
		which := strings.TrimSuffix(strings.TrimPrefix(image, "docker.io/"), ":3")
		for subStage, want := range map[string]string{
			"prepare_script": "helper", "get_sources": "helper", "restore_cache": "helper", "archive_cache_on_failure": "helper",
			"upload_artifacts_on_success": "helper", "cleanup_file_variables": "helper",
			"build_script": which, "after_script": which, "step_release": which,
		} {
			j.stage("run", j.script("echo this is $WHICH"), subStage).want(t, succeeded, "this is "+want)
		}
		if code := j.run("exit 42").code; code != buildFailure || j.exitCodeFile() != "42" {
			t.Errorf("got %d and %q for a script that ends with 42", code, j.exitCodeFile())
		}
		j.stage("cleanup").want(t, succeeded)
		if got, want := len(w.aws.Calls("RegisterTaskDefinition")), min(n+1, 2); got != want {
			t.Errorf("%d definitions were registered after %d jobs, want %d", got, n+1, want)
		}
	}
	// What the helper clones, users of other images may change.
	j := w.job("CI_JOB_IMAGE=docker.io/debian")
	j.stage("prepare").want(t, succeeded)
	j.stage("run", j.script("umask"), "get_sources").want(t, succeeded, "0000\n")
	if r := j.run("umask"); strings.HasPrefix(r.stdout, "0000") {
		t.Errorf("the job's own umask: %s", r.stdout)
	}
	j.stage("cleanup").want(t, succeeded)
	// A job without an image runs as ever.
	j = w.job()
	j.stage("prepare").want(t, succeeded)
	j.run("echo this is $WHICH").want(t, succeeded, "this is helper")
	j.stage("cleanup").want(t, succeeded)
}

// What the job's image is given is what the operator's definition has, and no
// value of the job's own.
func TestDefinitionForAnImage(t *testing.T) {
	t.Parallel()
	w := imageWorld(t, localaws.Options{}, "")
	j := w.job("CI_JOB_IMAGE=docker.io/debian", "SECRET=planted-secret")
	j.stage("prepare").want(t, succeeded)
	calls := w.aws.Calls("RegisterTaskDefinition")
	if bytes.Contains(calls[0].Body, []byte("planted-secret")) || bytes.Contains(calls[0].Body, []byte("SSH_PUBLIC_KEY")) {
		t.Errorf("registered: %s", calls[0].Body)
	}
	j.stage("cleanup").want(t, succeeded)
}

func TestImagesThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		image    string
		services string
		fault    *localaws.Fault
		extra    string
		code     int
		want     []string
	}{
		"not allowed": {image: "quay.io/evil", code: buildFailure,
			want: []string{`image: "quay.io/evil" is not among the images that jobs may name (docker.io/*)`, "[Images] Allowed"}},
		"service not allowed": {services: `[{"name":"quay.io/evil"}]`, code: buildFailure,
			want: []string{`services: "quay.io/evil" is not among the services`, "[Images] Services"}},
		"service with a secret": {services: `[{"name":"docker.io/redis:7","variables":{"A":"1","PASSWORD":"x-masked-value"}}]`, code: buildFailure,
			want: []string{"variable PASSWORD of docker.io/redis:7 has the value of a masked variable", "ecs:DescribeTasks"}},
		"service with a strange name": {services: `[{"name":"docker.io/redis:7","alias":"a\nb"}]`, code: buildFailure, want: []string{"is not a host name"}},
		"image with a strange name":   {image: "docker.io/a\nb", code: buildFailure, want: []string{`image: "docker.io/a\nb" is not the name of an image`}},
		"service without a name":      {services: `[{}]`, code: buildFailure, want: []string{`services: "" is not the name of an image`}},
		"more services than fit": {services: "[" + strings.Repeat(`{"name":"docker.io/redis:7"},`, 7) + `{"name":"docker.io/redis:7"}]`, code: buildFailure,
			want: []string{"for its own image with 8 services from ci-job", "8 services, and there is room for 7"}},
		"more variables than fit": {services: `[{"name":"docker.io/redis:7","variables":{"A":"` + strings.Repeat("x", 8000) + `"}}]`, code: buildFailure,
			want: []string{"what the job's services are given is too long", "fewer or shorter variables"}},
		"services that are none": {services: `{`, code: systemFailure, want: []string{"CI_JOB_SERVICES"}},
		"no right to register": {image: "docker.io/debian", code: systemFailure,
			fault: &localaws.Fault{Operation: "RegisterTaskDefinition", Kind: localaws.Refused, Code: "AccessDeniedException",
				Message: "User: manager is not authorized to perform: ecs:RegisterTaskDefinition on resource: *"},
			want: []string{"making a task definition for image docker.io/debian from ci-job", "ecs:RegisterTaskDefinition"}},
		"throttled": {image: "docker.io/debian", code: succeeded,
			fault: &localaws.Fault{Operation: "RegisterTaskDefinition", Kind: localaws.Refused, Code: "ThrottlingException", Message: "Rate exceeded", Count: 4},
			want:  []string{"AWS asks for fewer calls", "The job runs in image docker.io/debian"}},
		"no agent in the operator's image": {image: "docker.io/debian", code: systemFailure, extra: "[Launch]\nDeadline = \"4s\"\n",
			want: []string{"the agent could not be put beside the job's image", "[Images] AgentPath"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := imageWorld(t, localaws.Options{}, test.extra)
			if test.fault != nil {
				w.aws.Fault(*test.fault)
			}
			if strings.HasPrefix(name, "no agent") {
				w.edit("/coordinator\"\nPort", "/nonesuch\"\nPort")
			}
			j := w.job("CI_JOB_IMAGE="+test.image, "CI_JOB_SERVICES="+test.services)
			j.stage("prepare").want(t, test.code, test.want...)
			j.stage("cleanup").want(t, succeeded)
			if left := w.records(); len(left) > 0 {
				t.Errorf("records are left: %v", left)
			}
		})
	}
}

// Services stand beside the job under their names, with their own variables,
// and end with it. A job without image: has them too.
func TestServices(t *testing.T) {
	t.Parallel()
	for _, image := range []string{"docker.io/debian", ""} {
		t.Run(image, func(t *testing.T) {
			t.Parallel()
			w := imageWorld(t, localaws.Options{}, "")
			j := w.job("CI_JOB_IMAGE="+image, "REGISTRY=docker.io",
				`CI_JOB_SERVICES=[{"name":"$REGISTRY/redis:7","alias":"cache","variables":{"MODE":"fast"}}]`)
			j.stage("prepare").want(t, succeeded, " with 1 service")
			j.run("cat $HOME/hosts $HOME/../ci-service-0/mode").want(t, succeeded, "127.0.0.1\tdocker.io__redis docker.io-redis cache\n", "fast\n")
			j.stage("cleanup").want(t, succeeded)
		})
	}
}

// The agents of a task stay as long as one of them is needed, and go together.
func TestIdleLimitWithAHelper(t *testing.T) {
	t.Parallel()
	w := imageWorld(t, localaws.Options{}, "[Agent]\nIdleLimit = \"10s\"\n")
	j := w.job("CI_JOB_IMAGE=docker.io/debian")
	j.stage("prepare").want(t, succeeded)
	j.run("sleep 14").want(t, succeeded)
	j.stage("run", j.script("echo here is $WHICH"), "archive_cache").want(t, succeeded, "here is helper")
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := w.aws.WaitIdle(ctx); err != nil {
		t.Error(err)
	}
	j.stage("cleanup").want(t, succeeded)
}

// What an operator asks before the first job with an image, and while it runs.
func TestOperatorsViewOfImages(t *testing.T) {
	t.Parallel()
	w := imageWorld(t, localaws.Options{Roles: []string{jobRole}}, "")
	w.command("check", "--aws").want(t, succeeded, "ok       images: a task definition can be made for each, with room for 7 services", "smoke --image")
	w.command("smoke", "--image", "docker.io/debian").want(t, succeeded, "The job runs in image docker.io/debian", "Job succeeded")
	w.command("smoke", "--image", "quay.io/evil").want(t, 1, "is not among the images that jobs may name")

	j := w.job("CI_JOB_IMAGE=docker.io/debian")
	j.stage("prepare").want(t, succeeded)
	shell := w.startWith(w.dir, w.aws.Env(), strings.NewReader("echo a shell in $WHICH; exit 7\n"), "--config", w.config, "attach", fmt.Sprint(j.id))
	w.finish(shell).want(t, 7, "a shell in debian")
	w.command("ps").want(t, succeeded, fmt.Sprint(j.id), "RUNNING")
	w.command("reap", "--dry-run").want(t, succeeded, "0 of 1 are orphans")
	j.stage("cleanup").want(t, succeeded)

	w.withRole("ci-job", jobRole, "ci-helper")
	w.command("check", "--aws").want(t, 1, "FAILED   images", "its container ci-helper has a name that the driver needs")
	j = w.job("CI_JOB_IMAGE=docker.io/debian")
	j.stage("prepare").want(t, systemFailure, "its container ci-helper has a name that the driver needs")
	j.stage("cleanup").want(t, succeeded)
}

// A helper that dies takes its task along: the stages that follow know why.
func TestHelperThatDies(t *testing.T) {
	t.Parallel()
	w := imageWorld(t, localaws.Options{}, "")
	j := w.job("CI_JOB_IMAGE=docker.io/debian")
	j.stage("prepare").want(t, succeeded)
	for _, subStage := range []string{"get_sources", "build_script"} {
		j.stage("run", j.script("kill -9 $PPID; sleep 60"), subStage).want(t, systemFailure, "running "+subStage, "its container ci-helper exited with code 137")
	}
	j.stage("cleanup").want(t, succeeded)
}
