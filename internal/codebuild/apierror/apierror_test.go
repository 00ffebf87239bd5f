package apierror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// answered is an error as the SDK makes it of an answer.
func answered(status int, code, message string) error {
	var err error = &smithy.GenericAPIError{Code: code, Message: message}
	if code == "" {
		err = errors.New("no body")
	}
	return &smithy.OperationError{ServiceID: "CodeBuild", OperationName: "StartBuild", Err: &awshttp.ResponseError{
		RequestID:     "id",
		ResponseError: &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: err},
	}}
}

// unsigned is an error as the SDK makes it where there are no credentials.
func unsigned(why error) error {
	return &smithy.OperationError{ServiceID: "S3", OperationName: "HeadObject",
		Err: fmt.Errorf("get identity: get credentials: failed to refresh cached credentials, %w", why)}
}

func TestOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err     error
		want    Kind
		passing bool
	}{
		{answered(400, "ThrottlingException", "Rate exceeded"), Throttled, true},
		{answered(503, "SlowDown", ""), Throttled, true},
		{answered(400, "AccountLimitExceededException", ""), Full, true},
		{answered(400, "ExpiredTokenException", ""), Expired, true},
		{answered(403, "ExpiredToken", ""), Expired, true},
		{answered(400, "AccessDeniedException", ""), Denied, false},
		{answered(403, "AccessDenied", ""), Denied, false},
		{answered(403, "", ""), Denied, false}, // HEAD has no body
		{answered(404, "NotFound", ""), Missing, false},
		{answered(404, "", ""), Missing, false},
		{answered(400, "ResourceNotFoundException", ""), Missing, false},
		{answered(412, "PreconditionFailed", ""), Conflict, false},
		{answered(409, "ConditionalRequestConflict", ""), Conflict, false},
		{answered(400, "InvalidInputException", ""), Refused, false},
		{answered(301, "PermanentRedirect", ""), Refused, false},
		{answered(500, "InternalError", ""), Lost, true},
		{answered(502, "", ""), Lost, true},
		{answered(500, "SomethingNew", ""), Lost, true},
		{answered(403, "RequestTimeTooSkewed", ""), Lost, true},
		{&smithy.OperationError{Err: errors.New("dial tcp: connection refused")}, Lost, true},
		{fmt.Errorf("wrapped: %w", context.Canceled), Cancelled, false},
		{context.DeadlineExceeded, Lost, true},
		{answered(403, "InvalidAccessKeyId", ""), Refused, false},
		{unsigned(answered(403, "AccessDenied", "")), Unidentified, false},
		{unsigned(answered(503, "ServiceUnavailable", "")), Lost, true},
		{unsigned(answered(400, "Throttling", "")), Throttled, true},
		{unsigned(errors.New("no EC2 IMDS role found, operation error ec2imds: GetMetadata")), Unidentified, false},
		{unsigned(errors.New("dial tcp 169.254.170.2:80: i/o timeout")), Lost, true},
	}
	for _, test := range tests {
		if got := Of(test.err); got != test.want || Passing(test.err) != test.passing {
			t.Errorf("%v: got %d, passing %v; want %d, %v", test.err, got, Passing(test.err), test.want, test.passing)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"AccessDenied: Access Denied": answered(403, "AccessDenied", "Access Denied"),
		"SlowDown":                    answered(503, "SlowDown", ""),
		"dial tcp 127.0.0.1:1: connect: connection refused": fmt.Errorf("operation error S3: PutObject, https response error StatusCode: 0, RequestID: , request send failed, dial tcp 127.0.0.1:1: connect: connection refused"),
		"getting AWS credentials: AccessDenied: not yours":  unsigned(answered(403, "AccessDenied", "not yours")),
		"getting AWS credentials: dial tcp: i/o timeout":    unsigned(errors.New("dial tcp: i/o timeout")),
		"no answer in time": &smithy.OperationError{ServiceID: "S3", Err: fmt.Errorf("canceled, %w", context.DeadlineExceeded)},
		"there is no build docker-build:1 among those started": errors.New("there is no build docker-build:1 among those started"),
	} {
		if got := Words(err); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if plain := Plain(err); plain.Error() != want || !errors.Is(plain, err) {
			t.Errorf("got %q, which is no longer the error", plain)
		}
	}
	if Plain(nil) != nil {
		t.Error("nil is no longer nil")
	}
}

func TestRenew(t *testing.T) {
	t.Parallel()
	asked := 0
	cfg := aws.Config{Credentials: aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		asked++
		return aws.Credentials{AccessKeyID: "A", SecretAccessKey: "s"}, nil
	}))}
	for range 2 {
		if _, err := cfg.Credentials.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	Renew(cfg)
	if _, err := cfg.Credentials.Retrieve(t.Context()); err != nil || asked != 2 {
		t.Errorf("asked %d times, %v; want new credentials once", asked, err)
	}
	Renew(aws.Config{}) // nothing to renew
}
