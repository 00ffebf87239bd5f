// Package credentials finds the AWS credentials of a program inside a GitLab
// job: of the task's role even in an SSH session that does not have the
// container's environment, of a GitLab id_token, of another role. All of them
// renew themselves, so that a build may last longer than a token.
package credentials

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/fargate-driver/fargate-driver/internal/awsconf"
)

// Options says where to look.
type Options struct {
	Region  string // empty: from the environment, or the container's
	Program string
	Version string

	// RoleARN is a role to take on: with the web identity if there is one,
	// otherwise with the credentials found.
	RoleARN string
	// WebIdentityTokenEnv names the variable that holds a GitLab id_token.
	WebIdentityTokenEnv string
	// SessionName is seen in CloudTrail: at most 64 of [A-Za-z0-9_=,.@-].
	SessionName string

	Getenv func(string) string
	// InitEnviron is the environment of the container's first process,
	// /proc/1/environ; a file that cannot be read is as an empty one.
	InitEnviron string
	// Retries is the number of attempts of one call.
	Retries int
}

// The variables by which ECS and EKS tell a container where its credentials are.
const (
	relativeURI = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
	fullURI     = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	authToken   = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
	authFile    = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
)

// ecsEndpoint is where ECS serves the credentials of a task's role.
const ecsEndpoint = "http://169.254.170.2"

// Load returns the configuration for all calls.
func Load(ctx context.Context, o Options) (aws.Config, error) {
	env := o.environment()
	conf := awsconf.Options{Region: o.Region, Program: o.Program, Version: o.Version, Retries: o.Retries}
	if conf.Region == "" {
		conf.Region = first(env("AWS_REGION"), env("AWS_DEFAULT_REGION"))
	}
	if o.WebIdentityTokenEnv != "" {
		if o.RoleARN == "" {
			return aws.Config{}, errors.New("finding AWS credentials: --web-identity-token-env needs --role-arn, the role that trusts GitLab's tokens")
		}
		if o.Getenv(o.WebIdentityTokenEnv) == "" {
			return aws.Config{}, fmt.Errorf("finding AWS credentials: %s is empty; declare it under id_tokens: in the job", o.WebIdentityTokenEnv)
		}
	} else if o.Getenv("AWS_ACCESS_KEY_ID") == "" && o.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") == "" {
		// Asked for before the SDK's own search, in which a file left behind by an
		// image's entry point would win with keys that expire.
		conf.Credentials = container(env)
	}
	cfg, err := awsconf.Load(ctx, conf)
	// What the SDK would write on standard error by itself is not for a job log.
	cfg.Logger = logging.Nop{}
	if err != nil || o.RoleARN == "" {
		return cfg, err
	}
	// The SDK repeats the call for a token that STS refuses, too: with the pauses of
	// all our attempts a wrong token would be told of after minutes.
	client := sts.NewFromConfig(cfg, func(o *sts.Options) { o.RetryMaxAttempts = 3 })
	var provider aws.CredentialsProvider
	if o.WebIdentityTokenEnv != "" {
		provider = stscreds.NewWebIdentityRoleProvider(client, o.RoleARN, token(o.Getenv(o.WebIdentityTokenEnv)), func(w *stscreds.WebIdentityRoleOptions) {
			w.RoleSessionName = sessionName(o.SessionName)
		})
	} else {
		provider = stscreds.NewAssumeRoleProvider(client, o.RoleARN, func(a *stscreds.AssumeRoleOptions) {
			a.RoleSessionName = sessionName(o.SessionName)
		})
	}
	cfg.Credentials = cache(provider)
	return cfg, nil
}

// cache renews credentials well before they expire.
func cache(p aws.CredentialsProvider) *aws.CredentialsCache {
	return aws.NewCredentialsCache(p, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 2 * time.Minute })
}

// environment looks a variable up in our environment and then in the
// container's: sshd gives a session nothing of it.
func (o Options) environment() func(string) string {
	content, err := os.ReadFile(o.InitEnviron)
	if err != nil {
		return o.Getenv // without a container, or without the right to look
	}
	outer := map[string]string{}
	for v := range bytes.SplitSeq(content, []byte{0}) {
		name, value, _ := bytes.Cut(v, []byte("="))
		outer[string(name)] = string(value)
	}
	return func(name string) string { return first(o.Getenv(name), outer[name]) }
}

// container returns the provider of the container's role, or nil.
func container(env func(string) string) aws.CredentialsProvider {
	endpoint := env(fullURI)
	if relative := env(relativeURI); relative != "" {
		endpoint = ecsEndpoint + relative
	}
	if endpoint == "" {
		return nil
	}
	return cache(endpointcreds.New(endpoint, func(o *endpointcreds.Options) {
		// The endpoint is on this machine: a proxy must not see the request.
		o.HTTPClient = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
		o.AuthorizationToken = env(authToken)
		if file := env(authFile); file != "" {
			o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) {
				content, err := os.ReadFile(file)
				return strings.TrimSpace(string(content)), err
			})
		}
	}))
}

// token is a GitLab id_token. It lives as long as the job's timeout, so it
// serves to renew the credentials too.
type token string

// GetIdentityToken returns the token.
func (t token) GetIdentityToken() ([]byte, error) { return []byte(t), nil }

// sessionName leaves out what STS does not take.
func sessionName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("_=,.@-", r):
			return r
		}
		return '-'
	}, name)
	if len(name) < 2 {
		return "codebuild-bridge"
	}
	return name[:min(len(name), 64)]
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
