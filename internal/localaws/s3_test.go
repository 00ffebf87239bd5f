package localaws

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

func putText(t *testing.T, s *Server, bucket, key string, change func(*s3.PutObjectInput)) (*s3.PutObjectOutput, error) {
	t.Helper()
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("text")}
	if change != nil {
		change(in)
	}
	return s3.NewFromConfig(config(s)).PutObject(t.Context(), in)
}

func TestBucketsAreRefusedAsS3Does(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	for name, b := range map[string]Bucket{
		"elsewhere": {Region: "us-west-2"}, "foreign": {Owner: "999999999999"}, "denied": {Denied: true}, "nolist": {NoList: true},
	} {
		if err := s.CreateBucket(name, b); err != nil {
			t.Fatal(err)
		}
	}
	owner := func(in *s3.PutObjectInput) { in.ExpectedBucketOwner = aws.String(Account) }
	_, err := putText(t, s, "elsewhere", "k", nil)
	wantCode(t, err, "PermanentRedirect", "must be addressed using the specified endpoint")
	_, err = putText(t, s, "foreign", "k", owner)
	wantCode(t, err, "AccessDenied", "Access Denied")
	if _, err := putText(t, s, "foreign", "k", nil); err != nil {
		t.Errorf("without an owner to expect: %v", err)
	}
	_, err = putText(t, s, "denied", "k", nil)
	wantCode(t, err, "AccessDenied", "Access Denied")
	_, err = putText(t, s, "none-here", "k", nil)
	wantCode(t, err, "NoSuchBucket", "")

	for bucket, want := range map[string]int{"nolist": 403, SourceBucket: 404} {
		_, err := s3.NewFromConfig(config(s)).HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("none")})
		var answer *awshttp.ResponseError
		if !errors.As(err, &answer) || answer.HTTPStatusCode() != want {
			t.Errorf("%s: got %v, want %d for a key that is not there", bucket, err, want)
		}
	}
}

func TestConditionalWrites(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	ifNone := func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }
	if _, err := putText(t, s, SourceBucket, "k", ifNone); err != nil {
		t.Fatal(err)
	}
	_, err := putText(t, s, SourceBucket, "k", ifNone)
	wantCode(t, err, "PreconditionFailed", "")
	ifMatch := func(in *s3.PutObjectInput) { in.IfMatch = aws.String(`"0"`) }
	_, err = putText(t, s, SourceBucket, "none", ifMatch)
	wantCode(t, err, "NoSuchKey", "does not exist")

	client := s3.NewFromConfig(config(s))
	upload, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(SourceBucket), Key: aws.String("k")})
	if err != nil {
		t.Fatal(err)
	}
	part, err := client.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: aws.String(SourceBucket), Key: aws.String("k"), UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader([]byte("part")),
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.OpenUploads(SourceBucket); n != 1 || err != nil {
		t.Errorf("got %d open uploads, %v; want 1", n, err)
	}
	_, err = client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(SourceBucket), Key: aws.String("k"), UploadId: upload.UploadId, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}},
	})
	wantCode(t, err, "PreconditionFailed", "")
	if content, _, _ := s.Object(SourceBucket, "k"); string(content) != "text" {
		t.Errorf("got %q, want what was there", content)
	}
	if _, err := client.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(SourceBucket), Key: aws.String("k"), UploadId: upload.UploadId}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.OpenUploads(SourceBucket); n != 0 || err != nil {
		t.Errorf("got %d open uploads, %v; want none", n, err)
	}
}

func TestAnArtifactBecomesADeployment(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	s.PlanDeployments(DeployPlan{Event: time.Hour, Targets: 2})
	if _, err := putText(t, s, SourceBucket, "plain.zip", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := putText(t, s, SourceBucket, "app.zip", func(in *s3.PutObjectInput) {
		in.Metadata = map[string]string{deployApplication: "shop", deployGroup: "prod"}
	}); err != nil {
		t.Fatal(err)
	}
	client := codedeploy.NewFromConfig(config(s))
	list, err := client.ListDeployments(t.Context(), &codedeploy.ListDeploymentsInput{ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("prod")})
	if err != nil || len(list.Deployments) != 1 {
		t.Fatalf("got %v %v, want the one", list, err)
	}
	d, err := client.GetDeployment(t.Context(), &codedeploy.GetDeploymentInput{DeploymentId: &list.Deployments[0]})
	if err != nil || *d.DeploymentInfo.Revision.S3Location.Key != "app.zip" || d.DeploymentInfo.Status != "Created" {
		t.Errorf("got %+v %v", d, err)
	}
	_, err = client.ListDeploymentTargets(t.Context(), &codedeploy.ListDeploymentTargetsInput{DeploymentId: &list.Deployments[0]})
	wantCode(t, err, "DeploymentNotStartedException", "has not started")
	_, err = client.GetDeployment(t.Context(), &codedeploy.GetDeploymentInput{DeploymentId: aws.String("d-none")})
	wantCode(t, err, "DeploymentDoesNotExistException", "d-none")
	_, err = client.ListDeployments(t.Context(), &codedeploy.ListDeploymentsInput{ApplicationName: aws.String("shop")})
	wantCode(t, err, "DeploymentGroupNameRequiredException", "required")
}

// Where a deployment has got to follows from the time alone.
func TestDeploymentsTarget(t *testing.T) {
	t.Parallel()
	begun := time.Unix(1700000000, 0)
	d := &deployment{id: "d-1", created: begun, plan: DeployPlan{Event: time.Second, FailAt: "Install"}}
	for after, want := range map[time.Duration]string{
		0:                       "Created",
		1500 * time.Millisecond: "InProgress",
		4 * time.Second:         "Failed",
	} {
		if got := d.status(begun.Add(after)); got != want {
			t.Errorf("after %v: got %s, want %s", after, got, want)
		}
	}
	target := d.target("i-0000", true, begun.Add(time.Minute))
	events, ok := target["lifecycleEvents"].([]map[string]any)
	if !ok || target["status"] != "Failed" || events[3]["status"] != "Failed" || events[4]["status"] != "Skipped" {
		t.Errorf("got %v", target)
	}
	if other := d.target("i-0001", false, begun.Add(time.Minute)); other["status"] != "Succeeded" {
		t.Errorf("the other instance: got %v", other["status"])
	}
}
