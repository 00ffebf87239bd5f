package codebuild_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/bridgetest"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// Whatever AWS refuses before a build is started ends with 6, says what to do,
// and leaves nothing.
func TestRefusedBeforeTheBuild(t *testing.T) {
	t.Parallel()
	denied := localaws.Fault{Code: "AccessDenied", Status: 403}
	throttled := localaws.Fault{Code: "SlowDown", Status: 503, Message: "Please reduce your request rate."}
	broken := localaws.Fault{Code: "InternalError", Status: 500}
	expired := localaws.Fault{Code: "ExpiredToken", Status: 400, Message: "The provided token has expired."}
	tests := []struct {
		call  string
		fault localaws.Fault
		words []string
	}{
		{"s3:HeadObject", throttled, []string{"s3://build-source/jobs/1/"}},
		{"s3:HeadObject", expired, []string{"s3://build-source/jobs/1/"}},
		{"s3:PutObject", denied, []string{"s3:PutObject", "kms:GenerateDataKey"}},
		{"s3:PutObject", throttled, []string{"Please reduce your request rate"}},
		{"s3:PutObject", broken, []string{"uploading the archive"}},
		{"s3:PutObject", expired, []string{"The provided token has expired"}},
		{"s3:CreateMultipartUpload", denied, []string{"s3:PutObject"}},
		{"s3:CreateMultipartUpload", throttled, []string{"Please reduce your request rate"}},
		{"s3:UploadPart", denied, []string{"s3:PutObject"}},
		{"s3:UploadPart", throttled, []string{"Please reduce your request rate"}},
		{"s3:CompleteMultipartUpload", denied, []string{"s3:PutObject"}},
		{"s3:CompleteMultipartUpload", broken, []string{"uploading the archive"}},
		{"codebuild:StartBuild", localaws.Fault{Code: "AccessDeniedException"}, []string{"codebuild:StartBuild", "--buildspec", "iam:PassRole"}},
		{"codebuild:StartBuild", localaws.Fault{Code: "ThrottlingException"}, []string{"Rate exceeded"}},
		{"codebuild:StartBuild", localaws.Fault{Code: "ExpiredTokenException"}, []string{"expired"}},
		{"codebuild:StartBuild", localaws.Fault{Code: "InvalidInputException", Message: "Invalid fleet"}, []string{"Invalid fleet"}},
		{"codebuild:StartBuild", localaws.Fault{Code: "AccountLimitExceededException"}, []string{"--wait-for-capacity"}},
	}
	for _, test := range tests {
		t.Run(test.call+" "+test.fault.Code, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
			w.options.Request.Buildspec, w.options.Request.ServiceRole = "buildspec.yml", "arn:aws:iam::123456789012:role/other"
			w.options.Insist = 100 * time.Millisecond
			if strings.Contains(test.call, "Multipart") || strings.Contains(test.call, "Part") {
				w.WriteNoise()
			}
			f := test.fault
			f.Service, f.Operation, _ = strings.Cut(test.call, ":")
			f.Kind, f.Count = localaws.Refused, -1
			w.AWS.Fault(f)
			w.want(6, test.words...)
			w.NothingGoesOn()
			if n := len(w.AWS.Builds()); n != 0 {
				t.Errorf("got %d builds, want none", n)
			}
		})
	}
}

func TestThingsThatAreNotThere(t *testing.T) {
	t.Parallel()
	bucket := func(b localaws.Bucket) func(*world) {
		return func(w *world) {
			if err := w.AWS.CreateBucket(localaws.SourceBucket, b); err != nil {
				w.t.Error(err)
			}
		}
	}
	tests := []struct {
		name   string
		change func(w *world)
		want   string
	}{
		{"project", func(w *world) { w.options.Request.Project = "none" }, "set --project to a CodeBuild project of this account and region"},
		{"bucket", func(w *world) { w.options.Bucket = "none-here" }, "there is no such bucket"},
		{"bucket in this region", bucket(localaws.Bucket{Region: "us-west-2"}), "in another region"},
		{"bucket of this account", func(w *world) {
			w.options.BucketOwner = localaws.Account
			bucket(localaws.Bucket{Owner: "999999999999"})(w)
		}, "account 123456789012 must own the bucket (--bucket-owner)"},
		{"permission of any kind on the bucket", bucket(localaws.Bucket{Denied: true}), "s3:PutObject"},
		{"variable of that name", func(w *world) {
			w.options.Request.OverrideJSON = `{"environmentVariablesOverride": [{"name": "CODEBUILD_X", "value": "1"}]}`
		}, "reserved"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "buildspec.yml", bridgetest.Commands("true"))
			test.change(w)
			w.want(6, test.want)
			w.NothingGoesOn()
			if n := len(w.AWS.Builds()); n != 0 {
				t.Errorf("got %d builds, want none", n)
			}
		})
	}
}
