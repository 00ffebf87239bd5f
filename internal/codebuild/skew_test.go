package codebuild_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/bridgetest"
)

// ahead stands before AWS as if AWS's clock were an hour ahead of ours. Like
// the real one it refuses what is signed for more than five minutes off.
func ahead(t *testing.T, target string) (endpoint string, refused *atomic.Int64) {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	refused = new(atomic.Int64)
	now := func() time.Time { return time.Now().Add(time.Hour) }
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(r *http.Response) error {
		r.Header.Set("Date", now().UTC().Format(http.TimeFormat))
		return nil
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if off := now().Sub(signed); err == nil && off > -5*time.Minute && off < 5*time.Minute {
			proxy.ServeHTTP(w, r)
			return
		}
		refused.Add(1)
		w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
		if r.Header.Get("X-Amz-Target") != "" {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"__type": "InvalidSignatureException", "message": "Signature expired: it is now earlier than the request"}`)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>")
	}))
	t.Cleanup(server.Close)
	return server.URL, refused
}

// The SDK corrects for a wrong clock by the answers' dates; nothing of ours may
// give up before it has.
func TestClockSkewIsSurvived(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("echo the end"))
	endpoint, refused := ahead(t, w.AWS.URL())
	w.cfg.BaseEndpoint = aws.String(endpoint)
	w.cfg.RetryMaxAttempts = 3
	w.want(0, "\nthe end\n", "SUCCEEDED")
	if refused.Load() == 0 {
		t.Error("no call was refused; the clock is not wrong")
	}
}

// Nor may what stops a build, which has little time and clients of its own.
func TestClockSkewIsSurvivedWhileStopping(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "buildspec.yml", bridgetest.Commands("sleep 60"))
	endpoint, _ := ahead(t, w.AWS.URL())
	w.cfg.BaseEndpoint = aws.String(endpoint)
	w.cfg.RetryMaxAttempts = 3
	w.wantStoppedWhileStarting()
}
