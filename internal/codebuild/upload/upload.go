// Package upload puts an archive on S3 while it is being made: under a key
// that names its content, and not at all when it is there already.
package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/grace"
)

const (
	// partSize is a part of a multipart upload, the smallest that S3 takes;
	// 10,000 parts of it are 50 GB.
	partSize = 5 << 20
	// concurrency is the parts on their way at once: enough for the network of
	// a Fargate task, and with the part being filled 20 MiB of memory.
	concurrency = 3
	// abortTime is for taking back an upload that failed or was cancelled: AWS
	// bills its parts until that is done, by the bucket's lifecycle rule at last.
	// With createGrace it is the 9 s that a cancelled job has.
	abortTime = 6 * time.Second
	// freshFor is how long an object that is there must still be kept by the
	// bucket's lifecycle rules to be used: a build may wait in a queue for 8 h.
	freshFor = 24 * time.Hour
)

// digestKey is the metadata that says which content an object was made of.
const digestKey = "codebuild-bridge-digest"

// Place is where to put an archive.
type Place struct {
	Bucket string
	Key    string
	// Owner is the account that must own the bucket; empty means any. With it, a
	// bucket of the same name that somebody else has made gets nothing.
	Owner string
	// KMSKey encrypts the object; empty means the bucket's own setting.
	KMSKey string
	// Metadata is put on the object.
	Metadata map[string]string
}

// Object is an archive on S3.
type Object struct {
	Bucket, Key string
	VersionID   string // empty where the bucket keeps no versions
	ETag        string
	Reused      bool  // it was there already
	Size        int64 // bytes sent; 0 if Reused
}

// Location is how CodeBuild wants it: bucket/key.
func (o Object) Location() string { return o.Bucket + "/" + o.Key }

// Uploader puts archives on S3.
type Uploader struct {
	client   *s3.Client
	transfer *transfermanager.Client
}

// New returns an Uploader.
func New(cfg aws.Config) *Uploader {
	client := s3.NewFromConfig(cfg)
	return &Uploader{client, transfermanager.New(knownUploads{client}, func(o *transfermanager.Options) {
		o.PartSizeBytes = partSize
		o.MultipartUploadThreshold = partSize
		o.Concurrency = concurrency
		o.FailTimeout = abortTime
	})}
}

// knownUploads waits a moment for the answer to a call that begins a multipart
// upload, though the context has ended meanwhile: an upload whose id we never
// learn cannot be taken back.
type knownUploads struct{ *s3.Client }

const (
	// createLimit bounds the call that begins an upload, createGrace what is left
	// of it when the context ends.
	createLimit = 30 * time.Second
	createGrace = 3 * time.Second
)

// CreateMultipartUpload begins an upload.
func (k knownUploads) CreateMultipartUpload(ctx context.Context, in *s3.CreateMultipartUploadInput, opts ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error) {
	ctx, cancel := grace.Period(ctx, createGrace)
	defer cancel()
	ctx, cancelCall := context.WithTimeout(ctx, createLimit)
	defer cancelCall()
	return k.Client.CreateMultipartUpload(ctx, in, opts...)
}

// Writer writes an archive; it must not write after an error.
type Writer func(ctx context.Context, w io.Writer) error

// Source puts the archive with this digest at p, unless it is there. Two jobs
// that do so at once both succeed: the content is the same.
func (u *Uploader) Source(ctx context.Context, p Place, digest string, write Writer) (Object, error) {
	p.Metadata = map[string]string{digestKey: digest}
	object, state, err := u.head(ctx, p, digest)
	if err != nil || state == present {
		return object, err
	}
	// Twice is enough: a conflict means that another upload of the same content
	// has ended, or will.
	for range 2 {
		object, err = u.put(ctx, p, write, state == absent)
		if apierror.Of(err) != apierror.Conflict {
			return object, err
		}
		found, now, headErr := u.head(ctx, p, digest)
		if headErr != nil || now == present {
			return found, headErr
		}
		// It is there, but may not be looked at, or is of somebody else's making:
		// replaced by the same content it is right whatever it was.
		state = stale
	}
	return object, err
}

// Artifact puts an archive at p, replacing what is there.
func (u *Uploader) Artifact(ctx context.Context, p Place, write Writer) (Object, error) {
	return u.put(ctx, p, write, false)
}

// state is what is at a place.
type state int

const (
	absent  state = iota
	present       // and of this content, and kept long enough
	stale         // of other content, or about to expire: to be replaced
)

// head looks whether the object is there and fit for use. Without the
// permission to list, S3 answers 403 for a missing key: that is as absent.
func (u *Uploader) head(ctx context.Context, p Place, digest string) (Object, state, error) {
	out, err := u.client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: aws.String(p.Bucket), Key: aws.String(p.Key), ExpectedBucketOwner: optional(p.Owner),
	})
	if err != nil {
		switch apierror.Of(err) {
		case apierror.Missing, apierror.Denied:
			return Object{}, absent, nil
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return Object{}, absent, explain(p, err)
	}
	object := Object{Bucket: p.Bucket, Key: p.Key, VersionID: version(out.VersionId), ETag: aws.ToString(out.ETag), Reused: true}
	if out.Metadata[digestKey] != digest || expiresSoon(aws.ToString(out.Expiration), time.Now()) {
		return object, stale, nil
	}
	return object, present, nil
}

// put streams what write makes to S3. A failure of either side ends the other,
// and no half upload is left.
func (u *Uploader) put(ctx context.Context, p Place, write Writer, onlyIfAbsent bool) (Object, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, w := io.Pipe()
	counted := &counter{r: r}
	written := make(chan error, 1)
	go func() {
		err := write(ctx, w)
		w.CloseWithError(err)
		written <- err
	}()
	in := &transfermanager.UploadObjectInput{
		Bucket: aws.String(p.Bucket), Key: aws.String(p.Key), Body: counted,
		ExpectedBucketOwner: optional(p.Owner), Metadata: p.Metadata,
		ContentType: aws.String("application/zip"),
	}
	if strings.HasSuffix(p.Key, "gz") {
		in.ContentType = aws.String("application/gzip")
	}
	if onlyIfAbsent {
		in.IfNoneMatch = aws.String("*")
	}
	if p.KMSKey != "" {
		in.ServerSideEncryption = tmtypes.ServerSideEncryptionAwsKms
		in.SSEKMSKeyID = aws.String(p.KMSKey)
		in.BucketKeyEnabled = aws.Bool(true) // fewer calls of KMS, so lower cost
	}
	out, err := u.transfer.UploadObject(ctx, in)
	r.CloseWithError(errors.New("the upload has ended"))
	writeErr := <-written
	if err == nil && writeErr == nil {
		return Object{
			Bucket: p.Bucket, Key: p.Key, VersionID: version(out.VersionID), ETag: aws.ToString(out.ETag), Size: counted.n,
		}, nil
	}
	// The archive's own error explains more than the upload that it ended. But an
	// upload that failed first has only closed the pipe.
	if cause := context.Cause(ctx); cause != nil {
		return Object{}, fmt.Errorf("uploading the archive to s3://%s/%s: %w", p.Bucket, p.Key, cause)
	}
	if writeErr != nil && !errors.Is(writeErr, io.ErrClosedPipe) && strings.Contains(fmt.Sprint(err), writeErr.Error()) {
		return Object{}, writeErr
	}
	return Object{}, explain(p, err)
}

// counter counts what is read through it.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

var expiryDate = regexp.MustCompile(`expiry-date="([^"]+)"`)

// expiresSoon reads S3's x-amz-expiration header.
func expiresSoon(header string, now time.Time) bool {
	match := expiryDate.FindStringSubmatch(header)
	if match == nil {
		return false
	}
	at, err := time.Parse(time.RFC1123, match[1])
	return err != nil || at.Before(now.Add(freshFor))
}

// version leaves out the "null" of buckets whose versioning is suspended.
func version(id *string) string {
	if v := aws.ToString(id); v != "null" {
		return v
	}
	return ""
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}

// explain says what an S3 error means and what to do.
func explain(p Place, err error) error {
	hint := ""
	switch kind := apierror.Of(err); {
	case apierror.Status(err) == 301 || strings.Contains(err.Error(), "PermanentRedirect") || strings.Contains(err.Error(), "AuthorizationHeaderMalformed"):
		hint = "the bucket is in another region; CodeBuild reads its source only from its own region, use a bucket there"
	case kind == apierror.Missing:
		hint = "there is no such bucket; set --bucket to the bucket for build sources"
	case kind == apierror.Denied && p.Owner != "":
		hint = fmt.Sprintf("the job's role needs s3:PutObject there, and account %s must own the bucket (--bucket-owner)", p.Owner)
	case kind == apierror.Denied:
		hint = "the job's role needs s3:PutObject there, and kms:GenerateDataKey and kms:Decrypt if the bucket is encrypted with a key of KMS"
	}
	if hint != "" {
		return fmt.Errorf("uploading the archive to s3://%s/%s: %w; %s", p.Bucket, p.Key, apierror.Plain(err), hint)
	}
	return fmt.Errorf("uploading the archive to s3://%s/%s: %w", p.Bucket, p.Key, apierror.Plain(err))
}
