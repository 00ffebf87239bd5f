package codebuild_test

import (
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
			"ok     log group", "?      codebuild:StartBuild"}},
		{name: "no project", code: 2, words: []string{`wrong  project                    there is no CodeBuild project "none"`},
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
		{name: "bucket versioned", words: []string{"versioning                 on"},
			change: func(w *world, _ *check.Options) { bucket(w, localaws.Bucket{Versioned: true}) }},
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

func bucket(w *world, b localaws.Bucket) {
	w.t.Helper()
	if err := w.AWS.CreateBucket(localaws.SourceBucket, b); err != nil {
		w.t.Fatal(err)
	}
}
