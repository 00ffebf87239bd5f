package upload

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

func start(t *testing.T) (*localaws.Server, aws.Config) {
	t.Helper()
	s, err := localaws.Start(localaws.Options{NoThrottle: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, aws.Config{
		Region:       localaws.Region,
		BaseEndpoint: aws.String(s.URL()),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	}
}

// noise is content of a size that does not compress.
func noise(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

func writer(content []byte) Writer {
	return func(_ context.Context, w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}

var place = Place{Bucket: localaws.SourceBucket, Key: "jobs/1/x.zip"}

func TestSmallAndLarge(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"empty": 0, "small": 100, "one part": partSize, "two parts": partSize + 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, cfg := start(t)
			content := noise(size)
			object, err := New(cfg).Source(t.Context(), place, "digest", writer(content))
			if err != nil {
				t.Fatal(err)
			}
			if object.Reused || object.Size != int64(size) || object.Location() != "build-source/jobs/1/x.zip" {
				t.Errorf("got %+v", object)
			}
			got, metadata, _ := s.Object(place.Bucket, place.Key)
			if !bytes.Equal(got, content) {
				t.Errorf("got %d bytes, want the same %d", len(got), size)
			}
			if metadata[digestKey] != "digest" {
				t.Errorf("got metadata %v", metadata)
			}
		})
	}
}

func TestReused(t *testing.T) {
	t.Parallel()
	s, cfg := start(t)
	if err := s.CreateBucket(place.Bucket, localaws.Bucket{Versioned: true}); err != nil {
		t.Fatal(err)
	}
	u := New(cfg)
	first, err := u.Source(t.Context(), place, "digest", writer([]byte("content")))
	if err != nil {
		t.Fatal(err)
	}
	if first.VersionID == "" {
		t.Error("no version of a versioned bucket")
	}
	again, err := u.Source(t.Context(), place, "digest", func(context.Context, io.Writer) error {
		t.Error("zipped again")
		return nil
	})
	if err != nil || !again.Reused || again.VersionID != first.VersionID {
		t.Errorf("got %+v %v, want %+v reused", again, err, first)
	}
	if n := len(s.Calls("PutObject")); n != 1 {
		t.Errorf("got %d uploads, want 1", n)
	}
}

func TestNotReused(t *testing.T) {
	t.Parallel()
	t.Run("about to expire", func(t *testing.T) {
		t.Parallel()
		s, cfg := start(t)
		for _, b := range []localaws.Bucket{{}, {ExpiresIn: 23 * time.Hour}} {
			if err := s.CreateBucket(place.Bucket, b); err != nil {
				t.Fatal(err)
			}
			if object, err := New(cfg).Source(t.Context(), place, "digest", writer([]byte("content"))); err != nil || object.Reused {
				t.Errorf("%+v: got %+v %v, want an upload", b, object, err)
			}
		}
		if err := s.CreateBucket(place.Bucket, localaws.Bucket{ExpiresIn: 25 * time.Hour}); err != nil {
			t.Fatal(err)
		}
		if object, err := New(cfg).Source(t.Context(), place, "digest", writer([]byte("content"))); err != nil || !object.Reused {
			t.Errorf("got %+v %v, want it reused", object, err)
		}
	})
	t.Run("put there by somebody else", func(t *testing.T) {
		t.Parallel()
		s, cfg := start(t)
		if _, err := New(cfg).Artifact(t.Context(), place, writer([]byte("poison"))); err != nil {
			t.Fatal(err)
		}
		object, err := New(cfg).Source(t.Context(), place, "digest", writer([]byte("content")))
		if err != nil || object.Reused {
			t.Fatalf("got %+v %v, want an upload", object, err)
		}
		if got, _, _ := s.Object(place.Bucket, place.Key); string(got) != "content" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("not allowed to look", func(t *testing.T) {
		t.Parallel()
		s, cfg := start(t)
		s.Fault(localaws.Fault{Service: "s3", Operation: "HeadObject", Count: -1, Kind: localaws.Refused, Code: "AccessDenied", Status: 403})
		for range 2 {
			if object, err := New(cfg).Source(t.Context(), place, "digest", writer([]byte("content"))); err != nil || object.Reused {
				t.Errorf("got %+v %v, want an upload", object, err)
			}
		}
	})
	t.Run("not allowed to list", func(t *testing.T) {
		t.Parallel()
		s, cfg := start(t)
		if err := s.CreateBucket(place.Bucket, localaws.Bucket{NoList: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := New(cfg).Source(t.Context(), place, "digest", writer([]byte("content"))); err != nil {
			t.Error(err)
		}
	})
}

// Two jobs upload the same content at once: both HEAD it before either has
// put it there.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"small": 10, "multipart": partSize + 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, cfg := start(t)
			content := noise(size)
			other := writer(content)
			object, err := New(cfg).Source(t.Context(), place, "digest", func(ctx context.Context, w io.Writer) error {
				p := place
				p.Metadata = map[string]string{digestKey: "digest"}
				if _, err := New(cfg).Artifact(ctx, p, other); err != nil {
					return err
				}
				_, err := w.Write(content)
				return err
			})
			if err != nil || !object.Reused {
				t.Errorf("got %+v %v, want the other's object", object, err)
			}
			wantNoUploads(t, s)
		})
	}
}

func wantNoUploads(t *testing.T, s *localaws.Server) {
	t.Helper()
	if n, err := s.OpenUploads(place.Bucket); n != 0 || err != nil {
		t.Errorf("got %d orphaned uploads, %v; want none", n, err)
	}
}

func TestFailuresLeaveNothing(t *testing.T) {
	t.Parallel()
	big := noise(partSize + 1<<20)
	t.Run("server errors in the middle", func(t *testing.T) {
		t.Parallel()
		s, cfg := start(t)
		s.Fault(localaws.Fault{Service: "s3", Operation: "UploadPart", Skip: 1, Count: -1, Kind: localaws.Refused, Code: "InternalError", Status: 500})
		cfg.RetryMaxAttempts = 2
		if _, err := New(cfg).Source(t.Context(), place, "digest", writer(big)); err == nil || !apierror.Passing(err) {
			t.Errorf("got %v, want an error worth another try", err)
		}
		wantNoUploads(t, s)
	})
	t.Run("one slow-down is survived", func(t *testing.T) {
		t.Parallel()
		s, cfg := start(t)
		s.Fault(localaws.Fault{Service: "s3", Operation: "UploadPart", Kind: localaws.Refused, Code: "SlowDown", Status: 503})
		if _, err := New(cfg).Source(t.Context(), place, "digest", writer(big)); err != nil {
			t.Error(err)
		}
		wantNoUploads(t, s)
	})
	t.Run("the archive fails", func(t *testing.T) {
		t.Parallel()
		s, cfg := start(t)
		broken := errors.New(`"a/file" changed while it was being read`)
		_, err := New(cfg).Source(t.Context(), place, "digest", func(_ context.Context, w io.Writer) error {
			if _, err := w.Write(big); err != nil {
				return err
			}
			return broken
		})
		if !errors.Is(err, broken) {
			t.Errorf("got %v, want the archive's error", err)
		}
		wantNoUploads(t, s)
		if _, _, ok := s.Object(place.Bucket, place.Key); ok {
			t.Error("half an archive is there")
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		s, cfg := start(t)
		hang := s.Fault(localaws.Fault{Service: "s3", Operation: "UploadPart", Skip: 1, Kind: localaws.HangBefore})
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("told to stop")
		go func() {
			<-hang.Reached()
			cancel(stop)
		}()
		if _, err := New(cfg).Source(ctx, place, "digest", writer(big)); !errors.Is(err, stop) {
			t.Errorf("got %v, want the cause", err)
		}
		wantNoUploads(t, s)
	})
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		bucket *localaws.Bucket
		place  Place
		want   string
	}{
		{name: "no such bucket", place: Place{Bucket: "none-here", Key: "k"}, want: "there is no such bucket"},
		{name: "another region", bucket: &localaws.Bucket{Region: "us-west-2"}, place: place, want: "in another region"},
		{name: "denied", bucket: &localaws.Bucket{Denied: true}, place: place, want: "needs s3:PutObject"},
		{name: "somebody else's", bucket: &localaws.Bucket{Owner: "999999999999"}, place: Place{Bucket: place.Bucket, Key: "k", Owner: localaws.Account}, want: "must own the bucket"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, cfg := start(t)
			if test.bucket != nil {
				if err := s.CreateBucket(test.place.Bucket, *test.bucket); err != nil {
					t.Fatal(err)
				}
			}
			_, err := New(cfg).Source(t.Context(), test.place, "digest", writer([]byte("content")))
			if err == nil || !strings.Contains(err.Error(), test.want) || apierror.Passing(err) {
				t.Errorf("got %v, want an error for good with %q", err, test.want)
			}
		})
	}
}
