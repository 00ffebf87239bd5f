package start

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"gopkg.in/yaml.v3"
)

func TestEnvironment(t *testing.T) {
	t.Parallel()
	job := map[string]string{
		"CI": "true", "CI_COMMIT_SHA": "abc", "CI_JOB_TOKEN": "t", "CI_REPOSITORY_URL": "https://gitlab-ci-token:t@host/x",
		"APP_NAME": "shop", "APP_API_KEY": "k", "AWS_SECRET_ACCESS_KEY": "s", "OTHER": "o", "CODEBUILD_X": "x",
		"DATABASE_URL": "postgres://shop:hunter2@db/shop", "DOCKER_AUTH_CONFIG": "{}", "DOCS_URL": "https://host:8443/a@b",
	}
	tests := []struct {
		name    string
		options EnvironmentOptions
		want    string
		leftOut string
		err     string
	}{
		{name: "defaults", want: "CI=true CI_COMMIT_SHA=abc"},
		{name: "none", options: EnvironmentOptions{NoDefaults: true}, want: ""},
		{name: "value", options: EnvironmentOptions{NoDefaults: true, Set: []string{"A=b=c", "B="}}, want: "A=b=c B="},
		{name: "the job's own", options: EnvironmentOptions{NoDefaults: true, Set: []string{"OTHER"}}, want: "OTHER=o"},
		{name: "not in the job", options: EnvironmentOptions{Set: []string{"NONE"}}, err: "the job has no such variable"},
		{name: "pattern", options: EnvironmentOptions{NoDefaults: true, Set: []string{"APP_*"}}, want: "APP_NAME=shop", leftOut: "APP_API_KEY"},
		{name: "everything", options: EnvironmentOptions{NoDefaults: true, Set: []string{"*"}}, want: "APP_NAME=shop CI=true CI_COMMIT_SHA=abc DOCS_URL=https://host:8443/a@b OTHER=o",
			leftOut: "APP_API_KEY AWS_SECRET_ACCESS_KEY CI_JOB_TOKEN CI_REPOSITORY_URL DATABASE_URL DOCKER_AUTH_CONFIG"},
		{name: "a key by its value", options: EnvironmentOptions{Set: []string{"A=-----BEGIN RSA PRIVATE KEY-----"}}, err: "--allow-secret-env A"},
		{name: "pattern with a secret allowed", options: EnvironmentOptions{NoDefaults: true, Set: []string{"APP_*"}, AllowSecrets: []string{"APP_*"}}, want: "APP_API_KEY=k APP_NAME=shop"},
		{name: "parameter", options: EnvironmentOptions{NoDefaults: true, Set: []string{"DB_PASSWORD=ssm:/prod/db"}}, want: "DB_PASSWORD=/prod/db(PARAMETER_STORE)"},
		{name: "secret", options: EnvironmentOptions{NoDefaults: true, Set: []string{"NPM_TOKEN=secret:npm:token"}}, want: "NPM_TOKEN=npm:token(SECRETS_MANAGER)"},
		{name: "secret without a name", options: EnvironmentOptions{Set: []string{"NPM_TOKEN=secret:"}}, err: "needs a name after it"},
		{name: "looks like a secret", options: EnvironmentOptions{Set: []string{"CI_JOB_TOKEN"}}, err: "--allow-secret-env CI_JOB_TOKEN"},
		{name: "value that looks like one", options: EnvironmentOptions{Set: []string{"DB_PASSWORD=x"}}, err: "looks like a secret"},
		{name: "URL with the token", options: EnvironmentOptions{Set: []string{"CI_REPOSITORY_URL"}}, err: "looks like a secret"},
		{name: "credentials", options: EnvironmentOptions{Set: []string{"AWS_SECRET_ACCESS_KEY"}}, err: "looks like a secret"},
		{name: "reserved", options: EnvironmentOptions{Set: []string{"CODEBUILD_X=1"}}, err: "CodeBuild's own"},
		{name: "the bridge's own", options: EnvironmentOptions{Set: []string{"BRIDGE_TOKEN=1"}}, err: "the bridge's own"},
		{name: "no name", options: EnvironmentOptions{Set: []string{"1A=b"}}, err: "no name of a variable"},
		{name: "no pattern", options: EnvironmentOptions{Set: []string{"[A"}}, err: "syntax error in pattern"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.options.Job = job
			list, leftOut, err := Environment(test.options)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %v, want an error with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range list {
				text := v.Name + "=" + v.Value
				if v.Type != Plain {
					text += "(" + string(v.Type) + ")"
				}
				got = append(got, text)
			}
			if strings.Join(got, " ") != test.want || strings.Join(leftOut, " ") != test.leftOut {
				t.Errorf("got  %v, left out %v\nwant %s, left out %s", got, leftOut, test.want, test.leftOut)
			}
		})
	}
}

func TestEveryOverrideIsExplicit(t *testing.T) {
	t.Parallel()
	in, err := Request{Project: "p", SourceLocation: "b/k.zip", SourceVersion: "v"}.input()
	if err != nil {
		t.Fatal(err)
	}
	if in.SourceTypeOverride != types.SourceTypeS3 || aws.ToString(in.SourceLocationOverride) != "b/k.zip" || aws.ToString(in.SourceVersion) != "v" {
		t.Errorf("got source %v %v %v", in.SourceTypeOverride, in.SourceLocationOverride, in.SourceVersion)
	}
	if in.BuildspecOverride != nil || in.TimeoutInMinutesOverride != nil || in.ImageOverride != nil || in.LogsConfigOverride != nil {
		t.Errorf("got overrides that were not asked for: %+v", in)
	}
	if in.AutoRetryLimitOverride == nil || *in.AutoRetryLimitOverride != 0 {
		t.Error("the project's own retries are not switched off")
	}
	again, err := Request{Project: "p"}.input()
	if err != nil || *again.IdempotencyToken == *in.IdempotencyToken {
		t.Error("two requests have the same token")
	}
	if again.SourceTypeOverride != "" {
		t.Error("the project's own source is replaced")
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	yes := true
	in, err := Request{
		Project: "p", Buildspec: "ci/spec.yml", Image: "img", EnvironmentType: "ARM_CONTAINER", ComputeType: "BUILD_GENERAL1_LARGE",
		Fleet: "arn:fleet", Privileged: &yes, ImageCredentials: "SERVICE_ROLE", RegistryCredential: "arn:secret", ServiceRole: "arn:role",
		EncryptionKey: "arn:key", Certificate: "arn:cert", CacheType: "LOCAL", CacheModes: []string{"LOCAL_DOCKER_LAYER_CACHE"},
		LogGroup: "g", LogStream: "s", ArtifactsType: "NO_ARTIFACTS", DebugSession: true, AutoRetries: 1,
		Timeout: 61 * time.Second, QueuedLimit: 24 * time.Hour,
		OverrideJSON: `{"gitCloneDepthOverride": 1, "insecureSslOverride": true}`,
	}.input()
	if err != nil {
		t.Fatal(err)
	}
	if *in.BuildspecOverride != "ci/spec.yml" || *in.FleetOverride.FleetArn != "arn:fleet" || !*in.PrivilegedModeOverride ||
		*in.RegistryCredentialOverride.Credential != "arn:secret" || *in.LogsConfigOverride.CloudWatchLogs.StreamName != "s" ||
		in.ArtifactsOverride.Type != types.ArtifactsTypeNoArtifacts || !*in.DebugSessionEnabled {
		t.Errorf("got %+v", in)
	}
	if *in.TimeoutInMinutesOverride != 5 || *in.QueuedTimeoutInMinutesOverride != 480 {
		t.Errorf("got timeouts %d and %d, want what the API takes", *in.TimeoutInMinutesOverride, *in.QueuedTimeoutInMinutesOverride)
	}
	if *in.GitCloneDepthOverride != 1 || !*in.InsecureSslOverride {
		t.Errorf("the JSON is not in it: %+v", in)
	}
	for _, bad := range []string{`{"noSuchOverride": 1}`, `{`, `[]`, `{} {}`, `{"environmentVariablesOverride": [{"name": "A"}]}`} {
		if err := (Request{Project: "p", OverrideJSON: bad}).Check(); err == nil || !strings.Contains(err.Error(), "--override-json") {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

// Variables of the JSON join ours and win over them; none inherits the type of
// one whose place it takes.
func TestOverriddenVariables(t *testing.T) {
	t.Parallel()
	in, err := Request{
		Project:      "p",
		Environment:  []Variable{{"A", "param", Parameter}, {"B", "ours", Plain}, {"BRIDGE_TOKEN", "t", Plain}},
		OverrideJSON: `{"environmentVariablesOverride": [{"name": "B", "value": "theirs"}, {"name": "C", "value": "c"}]}`,
	}.input()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range in.EnvironmentVariablesOverride {
		got = append(got, *v.Name+"="+*v.Value+" "+string(v.Type))
	}
	if want := []string{"A=param PARAMETER_STORE", "BRIDGE_TOKEN=t PLAINTEXT", "B=theirs ", "C=c "}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDockerBuildspec(t *testing.T) {
	t.Parallel()
	text, err := Docker{
		Dockerfile: "docker/prod file", Directory: "app",
		Tags:      []string{"123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1", "public.ecr.aws/x/app:v1", "registry.example.com:5000/app"},
		BuildArgs: []string{"A=it's; rm -rf /"}, Secrets: []string{"id=npm,env=NPM_TOKEN"}, Labels: []string{"a=b"}, Target: "prod",
		Platforms: []string{"linux/amd64", "linux/arm64"}, Args: []string{"--ulimit", "nofile=1024"},
	}.Buildspec()
	if err != nil {
		t.Fatal(err)
	}
	var spec struct {
		Version string
		Env     struct {
			Exported []string `yaml:"exported-variables"`
		}
		Phases map[string]struct {
			OnFailure string `yaml:"on-failure"`
			Commands  []string
		}
	}
	if err := yaml.Unmarshal([]byte(text), &spec); err != nil {
		t.Fatal(err)
	}
	if spec.Version != "0.2" || !slices.Equal(spec.Env.Exported, ImageVariables()) {
		t.Errorf("got %+v", spec)
	}
	if len(spec.Phases) != 2 {
		t.Errorf("got phases %v; POST_BUILD would run after a failed BUILD", spec.Phases)
	}
	for name, phase := range spec.Phases {
		if phase.OnFailure != "ABORT" {
			t.Errorf("%s goes on after a failure", name)
		}
	}
	before := strings.Join(spec.Phases["pre_build"].Commands, "\n")
	for _, want := range []string{
		"aws ecr get-login-password --region eu-west-1 | docker login --username AWS --password-stdin 123456789012.dkr.ecr.eu-west-1.amazonaws.com",
		"aws ecr-public get-login-password --region us-east-1 | docker login --username AWS --password-stdin public.ecr.aws",
		"--driver docker-container",
	} {
		if !strings.Contains(before, want) {
			t.Errorf("pre_build has no %q:\n%s", want, before)
		}
	}
	if strings.Contains(before, "registry.example.com") {
		t.Error("logs in to a registry that is not ECR")
	}
	want := `docker buildx build --metadata-file "${TMPDIR:-/tmp}/codebuild-bridge.json" --progress=plain --provenance=false --file 'docker/prod file'` +
		` --tag 123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:v1 --tag public.ecr.aws/x/app:v1 --tag registry.example.com:5000/app` +
		` --build-arg 'A=it'\''s; rm -rf /' --secret id=npm,env=NPM_TOKEN --label a=b --target prod --platform linux/amd64,linux/arm64` +
		` --cache-from type=registry,ref=123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:buildcache` +
		` --cache-to type=registry,ref=123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:buildcache,mode=max,image-manifest=true,oci-mediatypes=true` +
		` --push --ulimit nofile=1024 app`
	if got := spec.Phases["build"].Commands[0]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDockerTags(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "app; reboot", "host/App:v1", "host/app:a/b", "$(x)/y"} {
		if _, err := (Docker{Tags: []string{bad}}).Buildspec(); err == nil || !strings.Contains(err.Error(), "--tag") {
			t.Errorf("%q: got %v, want it refused", bad, err)
		}
	}
	if _, err := (Docker{}).Buildspec(); err == nil {
		t.Error("no tag: not refused")
	}
	text, err := Docker{Tags: []string{"h/app:v1"}, NoCache: true, NoPush: true}.Buildspec()
	if err != nil || strings.Contains(text, "cache-to") || strings.Contains(text, "--push") {
		t.Errorf("got %v\n%s", err, text)
	}
	const mirror = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/hub/moby/buildkit:v0.20.0"
	text, err = Docker{Tags: []string{"h/app:v1"}, Builder: mirror}.Buildspec()
	if err != nil || !strings.Contains(text, "--driver-opt image="+mirror) || !strings.Contains(text, "get-login-password --region eu-west-1") {
		t.Errorf("got %v\n%s", err, text)
	}
	if !strings.Contains(text, "IMAGE_REF=${IMAGE_DIGEST:+h/app@$IMAGE_DIGEST}") {
		t.Errorf("a reference without a digest is half a one:\n%s", text)
	}
	text, err = Docker{Tags: []string{"h/app:v1"}, Cache: "h/cache:app"}.Buildspec()
	if err != nil || !strings.Contains(text, "ref=h/cache:app,") {
		t.Errorf("got %v\n%s", err, text)
	}
}
