package codebuild_test

import (
	"os"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/codebuild"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/check"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(w *world, o *check.Options)
		code   int
		words  []string
	}{
		{name: "all well", words: []string{
			"ok     project", "ok     privileged mode", "ok     codebuild:StopBuild", "ok     bucket", "ok     s3:PutObject",
			"ok     log group", "ok     codebuild:StartBuild           allowed, by simulation", "ok     s3:AbortMultipartUpload", "ok     s3:GetObject, ListBucket",
			"ok     service role", "may read the source, write the log, by simulation"}},
		{name: "no project", code: 2, words: []string{`wrong  project                        there is no CodeBuild project "none"`},
			change: func(_ *world, o *check.Options) { o.Project = "none" }},
		{name: "not privileged", code: 2, words: []string{"wrong  privileged mode", "--privileged"},
			change: func(w *world, _ *check.Options) {
				w.AWS.AddProject(localaws.Project{Name: localaws.ProjectName, SourceType: "GITLAB"})
			}},
		{name: "not privileged, no images", words: []string{"GITLAB, which every build replaces"},
			change: func(w *world, o *check.Options) {
				o.Docker = false
				w.AWS.AddProject(localaws.Project{Name: localaws.ProjectName, SourceType: "GITLAB"})
			}},
		{name: "no log", code: 2, words: []string{"wrong  log "},
			change: func(w *world, _ *check.Options) {
				w.AWS.AddProject(localaws.Project{Name: localaws.ProjectName, Privileged: true, LogsDisabled: true})
			}},
		{name: "no bucket", code: 2, words: []string{"there is no bucket none-here"},
			change: func(_ *world, o *check.Options) { o.Bucket = "none-here" }},
		{name: "bucket elsewhere", code: 2, words: []string{"wrong  bucket"},
			change: func(w *world, _ *check.Options) { bucket(w, localaws.Bucket{Region: "us-west-2"}) }},
		{name: "bucket denied", code: 2, words: []string{"?      bucket", "wrong  s3:PutObject"},
			change: func(w *world, _ *check.Options) { bucket(w, localaws.Bucket{Denied: true}) }},
		{name: "bucket versioned", words: []string{"versioning                     on"},
			change: func(w *world, _ *check.Options) { bucket(w, localaws.Bucket{Versioned: true}) }},
		{name: "AWS in trouble", code: 2, words: []string{"wrong  project", "?      the rest                       was not looked at"},
			change: func(w *world, _ *check.Options) {
				w.AWS.Fault(localaws.Fault{Service: "codebuild", Count: -1, Kind: localaws.Refused, Code: "InternalFailure", Status: 500})
			}},
		{name: "nothing allowed", code: 2, words: []string{"?      project", "wrong  codebuild:BatchGetBuilds", "wrong  codebuild:StopBuild", "wrong  logs:GetLogEvents"},
			change: func(w *world, _ *check.Options) {
				for _, service := range []string{"codebuild", "logs"} {
					w.AWS.Fault(localaws.Fault{Service: service, Count: -1, Kind: localaws.Refused, Code: "AccessDeniedException"})
				}
			}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			o := check.Options{Project: localaws.ProjectName, Bucket: localaws.SourceBucket, Prefix: "jobs/1", Docker: true}
			if test.change != nil {
				test.change(w, &o)
			}
			if code := w.code(codebuild.New(w.cfg, codebuild.Options{Out: w.log, Plain: true}).Check(t.Context(), o)); code != test.code {
				t.Errorf("got exit code %d, want %d", code, test.code)
			}
			w.wantLog(test.words...)
			if len(w.AWS.Builds()) != 0 || len(w.AWS.Objects(localaws.SourceBucket)) != 0 {
				t.Error("the check has changed something")
			}
		})
	}
}

// jobRole is the role that the stand-in takes every caller for.
const jobRole = "arn:aws:iam::123456789012:role/fargate-manager"

// What cannot be tried without doing it is told by IAM's simulator.
func TestCheckBySimulation(t *testing.T) {
	t.Parallel()
	const service = "codebuild-docker-build"
	read := func(t *testing.T, name string) string {
		text, err := os.ReadFile("../../configs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	tests := []struct {
		name   string
		job    string // its policy; empty: everything is allowed
		role   string // the service role's
		fault  localaws.Fault
		change func(o *check.Options)
		code   int
		words  []string
	}{
		{name: "the documented policies", job: read(t, "codebuild-bridge-job-policy.json"), role: read(t, "codebuild-bridge-service-role-policy.json"),
			change: func(o *check.Options) { o.Tags = []string{"123456789012.dkr.ecr.eu-central-1.amazonaws.com/app:v1"} },
			words: []string{
				"ok     codebuild:StartBuild           allowed, by simulation",
				"ok     service role                   arn:aws:iam::123456789012:role/codebuild-docker-build may read the source, write the log, push the images, by simulation"}},
		{name: "another repository", role: read(t, "codebuild-bridge-service-role-policy.json"), code: 2,
			change: func(o *check.Options) {
				o.Tags = []string{"123456789012.dkr.ecr.eu-central-1.amazonaws.com/other/app:v1"}
			},
			words: []string{"wrong  service role", "ecr:PutImage", "on arn:aws:ecr:eu-central-1:123456789012:repository/other/app"}},
		{name: "a public repository", role: read(t, "codebuild-bridge-service-role-policy.json"), code: 2,
			change: func(o *check.Options) { o.Tags = []string{"public.ecr.aws/x/app:v1"} },
			words:  []string{"wrong  service role", "needs ecr-public:GetAuthorizationToken, sts:GetServiceBearerToken on *"}},
		{name: "source not readable for the build", role: `{"Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}`, code: 2,
			words: []string{"wrong  service role", "needs s3:GetObject, s3:GetObjectVersion on arn:aws:s3:::build-source/jobs/1/"}},
		{name: "no right to start", job: `{"Statement": [{"Effect": "Allow", "Action": ["codebuild:Batch*", "s3:*", "logs:*"], "Resource": "*"}]}`, code: 2,
			words: []string{"wrong  codebuild:StartBuild           not allowed on arn:aws:codebuild:eu-central-1:123456789012:project/docker-build; the job's role needs it",
				"ok     codebuild:BatchGetBuilds       allowed"}},
		{name: "denied by a statement", job: `{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Sid": "No", "Effect": "Deny", "Action": "codebuild:StartBuild", "Resource": "*"}]}`, code: 2,
			words: []string{"wrong  codebuild:StartBuild", "by a Deny of role_fargate-manager_No"}},
		{name: "another project only", job: `{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "arn:aws:codebuild:*:*:project/other"}]}`, code: 2,
			words: []string{"wrong  codebuild:StartBuild"}},
		{name: "key not allowed", job: `{"Statement": [{"Effect": "Allow", "Action": ["codebuild:*", "s3:*", "logs:*"], "Resource": "*"}]}`, code: 2,
			change: func(o *check.Options) { o.KMSKey = "1234abcd-12ab-34cd-56ef-1234567890ab" },
			words:  []string{"wrong  kms:GenerateDataKey", "wrong  kms:Decrypt"}},
		{name: "key by its alias", change: func(o *check.Options) { o.KMSKey = "alias/source" },
			words: []string{"?      kms:Decrypt                    cannot be tried"}},
		{name: "refused though allowed", fault: localaws.Fault{Service: "s3", Operation: "PutObject", Code: "AccessDenied", Status: 403}, code: 2,
			words: []string{"wrong  s3:PutObject                   refused, though the policies of " + jobRole + " allow it"}},
		{name: "no right to simulate", fault: localaws.Fault{Operation: "SimulatePrincipalPolicy", Code: "AccessDenied", Status: 403},
			words: []string{"?      simulation                     not allowed (iam:SimulatePrincipalPolicy on " + jobRole + ")", "?      codebuild:StartBuild           cannot be tried",
				"ok     codebuild:StopBuild", "ok     s3:PutObject", "?      service role", "iam:SimulatePrincipalPolicy on it is not allowed"}},
		{name: "no right to look at the role", fault: localaws.Fault{Operation: "GetRole", Code: "AccessDenied", Status: 403},
			words: []string{"ok     codebuild:StartBuild           allowed, by simulation"}},
		{name: "identity not known", fault: localaws.Fault{Operation: "GetCallerIdentity", Code: "AccessDenied", Status: 403},
			words: []string{"?      identity", "?      codebuild:StartBuild           cannot be tried", "ok     codebuild:StopBuild"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for role, text := range map[string]string{localaws.CallerRole: test.job, service: test.role} {
				if text == "" {
					continue
				}
				if err := w.AWS.SetRolePolicy(role, text); err != nil {
					t.Fatal(err)
				}
			}
			if test.fault.Code != "" {
				test.fault.Kind, test.fault.Count = localaws.Refused, -1
				w.AWS.Fault(test.fault)
			}
			o := check.Options{Project: localaws.ProjectName, Bucket: localaws.SourceBucket, Prefix: "jobs/1", Docker: true}
			if test.change != nil {
				test.change(&o)
			}
			if code := w.code(codebuild.New(w.cfg, codebuild.Options{Out: w.log, Plain: true}).Check(t.Context(), o)); code != test.code {
				t.Errorf("got exit code %d, want %d", code, test.code)
			}
			w.wantLog(test.words...)
		})
	}
}

func bucket(w *world, b localaws.Bucket) {
	w.t.Helper()
	if err := w.AWS.CreateBucket(localaws.SourceBucket, b); err != nil {
		w.t.Fatal(err)
	}
}
