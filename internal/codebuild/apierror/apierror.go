// Package apierror tells what an error of an AWS call means for what to do
// next: try again, renew the credentials, or tell the user.
package apierror

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// Kind is what an error means.
type Kind int

const (
	// Lost: no answer, or one of a server in trouble; the same call may succeed
	// later. It also stands for what is in no list below.
	Lost Kind = iota
	// Throttled: too many calls; the same call succeeds later.
	Throttled
	// Expired: the credentials are no longer valid; new ones may be had.
	Expired
	// Denied: a permission is missing.
	Denied
	// Missing: what was named does not exist.
	Missing
	// Full: the account's limit of concurrent builds is reached.
	Full
	// Conflict: a condition of the call did not hold.
	Conflict
	// Refused: AWS does not take the call as it is.
	Refused
	// Cancelled: we ended the call ourselves.
	Cancelled
	// Unidentified: there are no credentials to make the call with, and there will
	// be none.
	Unidentified
)

// noCredentials is in an error of the SDK, which has no type for it, where a
// call could not be signed. What follows is why.
const noCredentials = "get credentials: "

// Unsigned tells whether a call was not made for lack of credentials.
func Unsigned(err error) bool { return err != nil && strings.Contains(err.Error(), noCredentials) }

// Of classifies an error. Nil is a mistake of the caller and Lost.
func Of(err error) Kind {
	kind := of(err)
	if !Unsigned(err) {
		return kind
	}
	switch {
	case kind == Denied, kind == Missing, kind == Refused, kind == Conflict:
		return Unidentified // what STS or the container's endpoint has refused, not the call itself
	case strings.Contains(err.Error(), "no EC2 IMDS role found"):
		return Unidentified // the last place where the SDK looks
	}
	return kind
}

func of(err error) Kind {
	if errors.Is(err, context.Canceled) {
		return Cancelled
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		if status := Status(err); status >= 400 && status < 500 {
			return ofStatus(status)
		}
		return Lost
	}
	code := api.ErrorCode()
	if _, ok := retry.DefaultThrottleErrorCodes[code]; ok {
		return Throttled
	}
	for _, class := range []struct {
		kind  Kind
		codes []string
	}{
		{Full, []string{"AccountLimitExceededException"}},
		{Expired, []string{"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidToken"}},
		{Denied, []string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "AllAccessDisabled", "KMS.AccessDeniedException", "Forbidden"}},
		{Missing, []string{"ResourceNotFoundException", "NoSuchBucket", "NoSuchKey", "NotFound", "NoSuchUpload"}},
		{Conflict, []string{"PreconditionFailed", "ConditionalRequestConflict"}},
		{Throttled, []string{"SlowDown", "LimitExceededException"}},
		{Refused, []string{"InvalidAccessKeyId", "SignatureDoesNotMatch"}}, // 403 as well, but no permission is missing
		{Lost, []string{"RequestTimeout", "ServiceUnavailable", "ServiceUnavailableException", "InternalError", "InternalFailure", "ServerException", "RequestTimeTooSkewed"}},
	} {
		if slices.Contains(class.codes, code) {
			return class.kind
		}
	}
	if api.ErrorFault() == smithy.FaultServer || Status(err) >= 500 {
		return Lost
	}
	if kind := ofStatus(Status(err)); kind != Refused {
		return kind // S3 answers HEAD without a body, so with its status alone
	}
	return Refused
}

func ofStatus(status int) Kind {
	switch status {
	case http.StatusForbidden, http.StatusUnauthorized:
		return Denied
	case http.StatusNotFound:
		return Missing
	case http.StatusPreconditionFailed, http.StatusConflict:
		return Conflict
	case http.StatusTooManyRequests:
		return Throttled
	}
	return Refused
}

// Status is the HTTP status of the answer, 0 if there was none.
func Status(err error) int {
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// Passing tells whether the same call may succeed if it is made again.
func Passing(err error) bool {
	switch Of(err) {
	case Lost, Throttled, Expired, Full:
		return true
	}
	return false
}

// Plain returns err with a text of only what AWS has said.
func Plain(err error) error {
	if err == nil {
		return nil
	}
	return plain{err}
}

type plain struct{ error }

func (p plain) Error() string { return Words(p.error) }
func (p plain) Unwrap() error { return p.error }

// Words is AWS's own message without the SDK's request ids and attempts.
func Words(err error) string {
	if Unsigned(err) {
		if Of(err) == Unidentified && strings.Contains(err.Error(), "no EC2 IMDS role found") {
			return "no AWS credentials were found: the task has no role that this process can see, and the job gives none " +
				"(AWS_ACCESS_KEY_ID, or an id_token by --web-identity-token-env and --role-arn)"
		}
		return "getting AWS credentials: " + words(err)
	}
	return words(err)
}

func words(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		if api.ErrorMessage() == "" || api.ErrorMessage() == api.ErrorCode() {
			return api.ErrorCode()
		}
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	text := err.Error()
	// "operation error CodeBuild: StartBuild, exceeded maximum number of attempts, 3, https response error StatusCode: 0, RequestID: , request send failed, Post ..."
	if _, after, found := strings.Cut(text, "request send failed, "); found {
		return after
	}
	if _, after, found := strings.Cut(text, noCredentials); found {
		return strings.TrimPrefix(after, "failed to refresh cached credentials, ")
	}
	return text
}

// Renew drops cached credentials, so that the next call gets new ones.
func Renew(cfg aws.Config) {
	if cache, ok := cfg.Credentials.(*aws.CredentialsCache); ok {
		cache.Invalidate()
	}
}
