package localaws

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

// start returns a running stand-in that ends with the test.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// config returns what the SDK's clients need to talk to s; one attempt a call,
// so that a test sees each answer.
func config(s *Server) aws.Config {
	return aws.Config{
		Region:           s.opts.Region,
		BaseEndpoint:     aws.String(s.URL()),
		Credentials:      credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
		RetryMaxAttempts: 1,
	}
}

func callerIdentity(ctx context.Context, s *Server) error {
	_, err := sts.NewFromConfig(config(s)).GetCallerIdentity(ctx, nil)
	return err
}

// wantCode fails the test unless err is AWS's error with this code, and returns it.
func wantCode(t *testing.T, err error, code, message string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), message) {
		t.Errorf("got %s: %s\nwant %s: %s", api.ErrorCode(), api.ErrorMessage(), code, message)
	}
}

func TestCallerIdentity(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	out, err := sts.NewFromConfig(config(s)).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(out.Account) != Account || !strings.Contains(aws.ToString(out.Arn), Account) {
		t.Errorf("got account %q, %q", aws.ToString(out.Account), aws.ToString(out.Arn))
	}
}

func TestUnsignedCallsAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	resp, err := http.Post(s.URL(), "application/x-www-form-urlencoded", strings.NewReader("Action=GetCallerIdentity"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("got %s, want 403", resp.Status)
	}
}

func TestUnknownOperationsAreRefused(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	_, err := sts.NewFromConfig(config(s)).GetSessionToken(t.Context(), nil)
	wantCode(t, err, "InvalidAction", `the stand-in has no action "GetSessionToken"`)
}

func TestRefusedCallsByNumber(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	s.Fault(Fault{Operation: "GetCallerIdentity", Skip: 1, Count: 2, Kind: Refused, Code: "AccessDenied"})
	var refused []bool
	for range 4 {
		err := callerIdentity(t.Context(), s)
		refused = append(refused, err != nil)
		if err != nil {
			wantCode(t, err, "AccessDenied", "is not authorized to perform: sts:GetCallerIdentity on resource")
		}
	}
	want := [4]bool{false, true, true, false}
	if [4]bool(refused) != want {
		t.Errorf("refused: %v, want %v", refused, want)
	}
	if n := len(s.Calls("sts:GetCallerIdentity")); n != 4 {
		t.Errorf("%d calls recorded, want 4", n)
	}
}

func TestFiveHundredsAreServerErrors(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	s.Fault(Fault{Kind: Refused, Code: "InternalFailure"})
	err := callerIdentity(t.Context(), s)
	wantCode(t, err, "InternalFailure", "")
	var api smithy.APIError
	if errors.As(err, &api); api.ErrorFault() == smithy.FaultClient {
		t.Errorf("the client is blamed: %v", err)
	}
}

func TestUnansweredIsDoneAndCut(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	f := s.Fault(Fault{Kind: Unanswered})
	err := callerIdentity(t.Context(), s)
	if err == nil || f.Hits() != 1 {
		t.Fatalf("got %v after %d hits, want a lost connection after 1", err, f.Hits())
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		t.Errorf("the call was answered: %v", err)
	}
	if call := s.Calls()[0]; call.Err != "not answered" {
		t.Errorf("recorded as %q", call.Err)
	}
}

func TestHangingCallsGoOnWhenReleased(t *testing.T) {
	t.Parallel()
	for _, kind := range []FaultKind{HangBefore, HangAfter} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := start(t, Options{})
			f := s.Fault(Fault{Kind: kind})
			result := make(chan error, 1)
			go func() { result <- callerIdentity(context.Background(), s) }()
			<-f.Reached()
			select {
			case err := <-result:
				t.Fatalf("answered before the release: %v", err)
			default:
			}
			f.Release()
			if err := <-result; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestClosingLetsHangingCallsGo(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	f := s.Fault(Fault{Kind: HangBefore})
	result := make(chan error, 1)
	go func() { result <- callerIdentity(context.Background(), s) }()
	<-f.Reached()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; err == nil {
		t.Error("answered by a closed server")
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := s.WaitCalls(ctx, "RunTask", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestBucketsAreSharedAndRefill(t *testing.T) {
	t.Parallel()
	b := newThrottle(true)
	clock := time.Now()
	b.now = func() time.Time { return clock }
	for i := range 100 {
		name := [2]string{"RunTask", "StopTask"}[i%2]
		if err := b.take("ecs", name, 1); err != nil {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	err := b.take("ecs", "RunTask", 1)
	if err == nil || err.Error() != "ThrottlingException: Rate exceeded" {
		t.Errorf("above the burst: %v", err)
	}
	clock = clock.Add(time.Second)
	for i := range 40 {
		if err := b.take("ecs", "StopTask", 1); err != nil {
			t.Fatalf("call %d after a second: %v", i, err)
		}
	}
	if b.take("ecs", "StopTask", 1) == nil {
		t.Error("more than 40 calls came back in a second")
	}
	if err := b.take("ecs", "DescribeTasks", 1); err != nil {
		t.Errorf("reads share the bucket of writes: %v", err)
	}
	if err := newThrottle(false).take("ecs", "RunTask", 1000); err != nil {
		t.Errorf("switched off: %v", err)
	}
}
