package upload

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// What protects an upload is said in headers that the stand-in does not look at.
func TestHeadersOfAnUpload(t *testing.T) {
	t.Parallel()
	puts := make(chan http.Header, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			puts <- r.Header
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	u := New(aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL),
		Credentials: credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
	})
	p := Place{Bucket: "b", Key: "k.zip", Owner: "123456789012", KMSKey: "arn:aws:kms:eu-central-1:123456789012:key/x"}
	if _, err := u.Source(t.Context(), p, "the digest", writer([]byte("content"))); err != nil {
		t.Fatal(err)
	}
	got := <-puts
	for name, want := range map[string]string{
		"X-Amz-Expected-Bucket-Owner":                     "123456789012",
		"X-Amz-Server-Side-Encryption":                    "aws:kms",
		"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id":     p.KMSKey,
		"X-Amz-Server-Side-Encryption-Bucket-Key-Enabled": "true",
		"X-Amz-Meta-Codebuild-Bridge-Digest":              "the digest",
		"If-None-Match":                                   "*",
		"Content-Type":                                    "application/zip",
	} {
		if got.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, got.Get(name), want)
		}
	}
	if got.Get("X-Amz-Checksum-Crc32") == "" && got.Get("X-Amz-Trailer") == "" {
		t.Error("the upload has no checksum")
	}
}
