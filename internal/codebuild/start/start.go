// Package start starts one build: the request with every override it needs,
// and the call so that a lost answer never starts two.
package start

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/grace"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// Request is a build to start. What is empty is left as the project has it.
type Request struct {
	Project string

	SourceLocation string // bucket/key of the zip
	SourceVersion  string // of the object, where the bucket keeps versions
	// OwnSource builds what the project itself names, of which SourceVersion is
	// then a commit, branch, tag or version.
	OwnSource bool

	// Buildspec is a path in the source. BuildspecText replaces it by a text.
	// Either replaces the commands that the project's owner has written down, so
	// neither is sent unless asked for: an IAM policy may well forbid it.
	Buildspec     string
	BuildspecText string

	Environment []Variable

	Image                string
	EnvironmentType      string // LINUX_CONTAINER, ARM_CONTAINER ...
	ComputeType          string // BUILD_GENERAL1_SMALL ...
	Fleet                string // ARN
	Privileged           *bool
	ImageCredentials     string // CODEBUILD or SERVICE_ROLE
	RegistryCredential   string // ARN of a secret, to pull the build image
	ServiceRole          string
	EncryptionKey        string
	Certificate          string
	CacheType            string   // NO_CACHE, LOCAL, S3
	CacheLocation        string   // for S3
	CacheModes           []string // for LOCAL
	LogGroup, LogStream  string
	ArtifactsType        string // NO_ARTIFACTS, S3
	DebugSession         bool
	AutoRetries          int           // how often CodeBuild itself builds again after a failure
	Timeout, QueuedLimit time.Duration // rounded up to minutes; 0: the project's

	// OverrideJSON is merged into the request last: StartBuild's own members,
	// as `aws codebuild start-build --cli-input-json` takes them; Overrides says
	// which.
	OverrideJSON string
	// AllowSecrets are names, or patterns, of variables that OverrideJSON may send
	// as plain text though they look like secrets.
	AllowSecrets []string
}

// The limits of StartBuild, in minutes.
const (
	timeoutLeast, timeoutMost = 5, 2160
	queuedLeast, queuedMost   = 5, 480
)

// input makes the call's input, with a token that makes it idempotent for five
// minutes.
func (r Request) input() (*codebuild.StartBuildInput, error) {
	in := &codebuild.StartBuildInput{
		ProjectName:                      aws.String(r.Project),
		SourceVersion:                    optional(r.SourceVersion),
		EnvironmentVariablesOverride:     variables(r.Environment),
		ImageOverride:                    optional(r.Image),
		EnvironmentTypeOverride:          types.EnvironmentType(r.EnvironmentType),
		ComputeTypeOverride:              types.ComputeType(r.ComputeType),
		PrivilegedModeOverride:           r.Privileged,
		ImagePullCredentialsTypeOverride: types.ImagePullCredentialsType(r.ImageCredentials),
		ServiceRoleOverride:              optional(r.ServiceRole),
		EncryptionKeyOverride:            optional(r.EncryptionKey),
		CertificateOverride:              optional(r.Certificate),
		TimeoutInMinutesOverride:         minutes(r.Timeout, timeoutLeast, timeoutMost),
		QueuedTimeoutInMinutesOverride:   minutes(r.QueuedLimit, queuedLeast, queuedMost),
		// A project may be set up to build again by itself. Then the job would be
		// red while another build still runs and pushes; GitLab has retry: for that.
		AutoRetryLimitOverride: aws.Int32(int32(r.AutoRetries)),
		IdempotencyToken:       aws.String(token()),
	}
	if r.SourceLocation != "" {
		in.SourceTypeOverride = types.SourceTypeS3
		in.SourceLocationOverride = aws.String(r.SourceLocation)
	}
	switch {
	case r.BuildspecText != "":
		in.BuildspecOverride = aws.String(r.BuildspecText)
	case r.Buildspec != "":
		in.BuildspecOverride = aws.String(r.Buildspec)
	}
	if r.Fleet != "" {
		in.FleetOverride = &types.ProjectFleet{FleetArn: aws.String(r.Fleet)}
	}
	if r.RegistryCredential != "" {
		in.RegistryCredentialOverride = &types.RegistryCredential{
			Credential: aws.String(r.RegistryCredential), CredentialProvider: types.CredentialProviderTypeSecretsManager,
		}
	}
	if r.CacheType != "" {
		cache := &types.ProjectCache{Type: types.CacheType(r.CacheType), Location: optional(r.CacheLocation)}
		for _, mode := range r.CacheModes {
			cache.Modes = append(cache.Modes, types.CacheMode(mode))
		}
		in.CacheOverride = cache
	}
	if r.LogGroup != "" {
		in.LogsConfigOverride = &types.LogsConfig{CloudWatchLogs: &types.CloudWatchLogsConfig{
			Status: types.LogsConfigStatusTypeEnabled, GroupName: aws.String(r.LogGroup), StreamName: optional(r.LogStream),
		}}
	}
	if r.ArtifactsType != "" {
		in.ArtifactsOverride = &types.ProjectArtifacts{Type: types.ArtifactsType(r.ArtifactsType)}
	}
	if r.DebugSession {
		in.DebugSessionEnabled = aws.Bool(true)
	}
	if r.OverrideJSON != "" {
		if err := r.apply(in); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// Check tells what is wrong with a request without sending it.
func (r Request) Check() error {
	_, err := r.input()
	return err
}

// token is unique: a job may start several builds of the same content.
func token() string {
	var b [16]byte
	rand.Read(b[:])
	return "codebuild-bridge-" + hex.EncodeToString(b[:])
}

func minutes(d time.Duration, least, most int32) *int32 {
	if d <= 0 {
		return nil
	}
	m := int32(min((d+time.Minute-1)/time.Minute, time.Duration(most)))
	return aws.Int32(max(m, least))
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}

// Starter starts builds.
type Starter struct {
	client *codebuild.Client
	say    *joblog.Log
	cfg    aws.Config

	// WaitForCapacity bounds the wait while the account's limit of concurrent
	// builds is reached.
	WaitForCapacity time.Duration
	// Pause is how long to wait between two such attempts, at first; it grows to
	// six times as much.
	Pause time.Duration
	// Insist bounds for how long a StartBuild that is throttled or not answered is
	// repeated. It must stay well within the five minutes of the idempotency token,
	// after which a repetition would start a second build.
	Insist time.Duration
}

// New returns a Starter that tells the job log what it waits for.
func New(cfg aws.Config, say *joblog.Log) *Starter {
	// We repeat the call ourselves: the SDK would tell only how the last attempt
	// went, and an earlier one that was never answered may have been carried out.
	client := codebuild.NewFromConfig(cfg, func(o *codebuild.Options) { o.RetryMaxAttempts = 1 })
	return &Starter{client: client, say: say, cfg: cfg, Pause: 5 * time.Second, Insist: 3 * time.Minute}
}

// ErrUnanswered means that a build may have been started all the same: a call
// was made and not answered.
var ErrUnanswered = errors.New("it is not known whether it was started")

const (
	// callLimit bounds one attempt: StartBuild answers within a second or two.
	callLimit = 30 * time.Second
	// AnswerGrace is for how long an answer is waited for once we were told to
	// stop: the build may have been started, and to stop it we need its id.
	AnswerGrace = 3 * time.Second
)

// Start starts the build. A call that is on its way is not cut off when ctx
// ends, but given AnswerGrace, since the build might then run with nobody
// knowing of it: look at ctx after it returns, and stop the build if it has
// ended.
func (s *Starter) Start(ctx context.Context, r Request) (build.Build, error) {
	in, err := r.input()
	if err != nil {
		return build.Build{}, err
	}
	answer, cancel := grace.Period(ctx, AnswerGrace)
	defer cancel()
	full := time.Now().Add(s.WaitForCapacity)
	pause := s.Pause
	for told := false; ; {
		b, err := s.start(ctx, answer, in)
		if err == nil || apierror.Of(err) != apierror.Full {
			return b, err
		}
		if !time.Now().Before(full) {
			return build.Build{}, fmt.Errorf("%w; wait longer with --wait-for-capacity, or ask AWS for a higher quota of concurrent builds", err)
		}
		if !told {
			s.say.Info("The account has no free build; waiting up to %s (%v).", joblog.Duration(s.WaitForCapacity), apierror.Plain(errors.Unwrap(err)))
			told = true
		}
		select {
		case <-ctx.Done():
			return build.Build{}, fmt.Errorf("starting a build of project %s: %w", r.Project, context.Cause(ctx))
		case <-time.After(min(pause*4/5+mathrand.N(pause*2/5+1), time.Until(full)+time.Millisecond)):
		}
		pause = min(pause*3/2, 6*s.Pause)
		// A token of a refused call would be refused for good if anything differed,
		// and a fresh one costs nothing: no build was started.
		in.IdempotencyToken = aws.String(token())
	}
}

// start makes the call and repeats it, with the same token, while it is not
// known whether it was carried out. ctx ends when we are told to stop, answer
// when the call cannot be waited for any more.
func (s *Starter) start(ctx, answer context.Context, in *codebuild.StartBuildInput) (build.Build, error) {
	if ctx.Err() != nil {
		return build.Build{}, fmt.Errorf("starting a build of project %s: %w", aws.ToString(in.ProjectName), context.Cause(ctx))
	}
	first, unanswered, corrected := time.Now(), false, false
	unsure := func(err error) error {
		if unanswered {
			return fmt.Errorf("%w; %w", err, ErrUnanswered)
		}
		return err
	}
	for {
		out, err := s.call(answer, in)
		if err == nil {
			return build.From(out.Build), nil
		}
		kind := apierror.Of(err)
		if kind == apierror.Expired {
			apierror.Renew(s.cfg)
		}
		// An answer of 4xx is one: no build was started. Anything else leaves it
		// open, and only the same call with the same token can tell.
		status := apierror.Status(err)
		refused := status >= 400 && status < 500
		unanswered = unanswered || (!refused && !neverSent(err))
		if refused && ctx.Err() != nil && !unanswered {
			return build.Build{}, fmt.Errorf("starting a build of project %s: %w", aws.ToString(in.ProjectName), context.Cause(ctx))
		}
		again := kind == apierror.Lost || kind == apierror.Throttled || kind == apierror.Expired
		if !again && !corrected && strings.Contains(err.Error(), "InvalidSignatureException") {
			// Our clock is wrong; from the answer the client has learnt by how much.
			again, corrected = true, true
		}
		if !again || answer.Err() != nil || time.Since(first) > s.Insist {
			return build.Build{}, unsure(explain(aws.ToString(in.ProjectName), in, err))
		}
		pause := time.Second + mathrand.N(time.Second)
		if ctx.Err() != nil {
			pause /= 4 // there is little time left
		}
		select {
		case <-time.After(pause):
		case <-done(ctx):
		}
	}
}

// call makes the call once.
func (s *Starter) call(ctx context.Context, in *codebuild.StartBuildInput) (*codebuild.StartBuildOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return s.client.StartBuild(ctx, in)
}

// neverSent tells whether a call cannot have reached AWS.
func neverSent(err error) bool {
	if apierror.Unsigned(err) {
		return true
	}
	var network *net.OpError
	return errors.As(err, &network) && network.Op == "dial"
}

// done is closed when ctx ends, or nil if it has: then a pause is a pause.
func done(ctx context.Context) <-chan struct{} {
	if ctx.Err() != nil {
		return nil
	}
	return ctx.Done()
}

// explain says what a refused StartBuild means and what to do.
func explain(project string, in *codebuild.StartBuildInput, err error) error {
	hint := ""
	switch apierror.Of(err) {
	case apierror.Missing:
		hint = "; set --project to a CodeBuild project of this account and region"
	case apierror.Denied:
		hint = "; the job's role needs codebuild:StartBuild on the project"
		if in.BuildspecOverride != nil {
			hint += ", and its policy may forbid to replace the buildspec, which --buildspec does"
		}
		if in.ServiceRoleOverride != nil {
			hint += ", and --service-role needs iam:PassRole"
		}
	}
	return fmt.Errorf("starting a build of project %s: %w%s", project, apierror.Plain(err), hint)
}
