package codebuild

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/archive"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/follow"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/report"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/start"
	"github.com/fargate-driver/fargate-driver/internal/codebuild/upload"
	"github.com/fargate-driver/fargate-driver/internal/joblog"
)

// BuildOptions says what to build and how.
type BuildOptions struct {
	// Archive is the source. NoSource builds what the project itself names.
	Archive  archive.Options
	NoSource bool
	// MustExist are paths of the context that the build cannot do without.
	MustExist []string
	Level     int // of compression, 0 to 9
	// LargeContext is from where on the largest files are listed; 0: never.
	LargeContext int64
	ListLargest  bool

	Bucket      string
	Prefix      string
	BucketOwner string
	KMSKey      string
	// NoReuse uploads under a key of its own, whatever is there.
	NoReuse bool

	Request         start.Request
	WaitForCapacity time.Duration

	Follow follow.Options

	DotenvFile string
	// DotenvVariables is how many variables GitLab takes of a dotenv report.
	DotenvVariables int
	AnnotationsFile string
	StateDir        string // keeps the build's id for `stop`; empty: nowhere

	// For tests: Pause and Insist replace those of start.Starter unless they are 0,
	// and on a busy machine the steps of the ending have Patience more.
	Pause, Insist, Patience time.Duration
}

// Build uploads the source, starts the build and follows it to its end.
func (b *Bridge) Build(ctx context.Context, o BuildOptions) error {
	o.Request.OwnSource = o.NoSource
	if err := o.Request.Check(); err != nil {
		return usage(err)
	}
	if !o.NoSource {
		object, err := b.source(ctx, o)
		if err != nil {
			return notBegun(err)
		}
		o.Request.SourceLocation, o.Request.SourceVersion = object.Location(), object.VersionID
		// The buffers of the upload are not needed while the build is waited for.
		debug.FreeOSMemory()
	}
	end := newEnding(ctx, o.Patience)
	defer end.cancel()
	started, state, err := b.start(ctx, end, o)
	if err != nil {
		return notBegun(err)
	}
	b.say.Info("Build %s is started: %s", started.ID, started.ConsoleURL())
	return b.finish(ctx, end, started, o, state.forget)
}

// start starts the build. What is about to be done is written down before it
// is done: whenever we are killed, `codebuild-bridge stop` finds the build.
func (b *Bridge) start(ctx context.Context, end ending, o BuildOptions) (build.Build, stateFile, error) {
	starter := start.New(b.cfg, b.say)
	starter.WaitForCapacity = o.WaitForCapacity
	if o.Pause > 0 {
		starter.Pause = o.Pause
	}
	if o.Insist > 0 {
		starter.Insist = o.Insist
	}
	state := State{Project: o.Request.Project, Region: b.cfg.Region, Token: unique()}
	file, err := newStateFile(o.StateDir, state.Token)
	if err == nil {
		err = file.save(state)
	}
	if err != nil {
		b.say.Warn("`codebuild-bridge stop` will not find this build: %v", err)
		file = stateFile{}
	}
	o.Request.Environment = append(slices.Clone(o.Request.Environment), start.Variable{Name: start.TokenVariable, Value: state.Token, Type: start.Plain})
	started, err := starter.Start(ctx, o.Request)
	if errors.Is(err, start.ErrUnanswered) {
		started, err = b.unanswered(ctx, end, state, err)
	}
	if err != nil {
		status := apierror.Status(err)
		refused := status >= 400 && status < 500
		notAsked := ctx.Err() != nil && errors.Is(err, context.Cause(ctx))
		if (refused || notAsked) && !errors.Is(err, start.ErrUnanswered) {
			file.forget()
		}
		return build.Build{}, file, err
	}
	state.BuildID = started.ID
	if err := file.save(state); err != nil {
		b.say.Warn("`codebuild-bridge stop` has to look for this build: %v", err)
	}
	return started, file, nil
}

// unanswered looks for the build of a start that was not answered. It may run
// with nobody knowing of it, and a job that is tried again would start another.
func (b *Bridge) unanswered(ctx context.Context, end ending, state State, err error) (build.Build, error) {
	if cause := context.Cause(ctx); cause != nil {
		err = fmt.Errorf("starting a build of project %s: %w before AWS had answered; %w", state.Project, cause, start.ErrUnanswered)
	}
	look, cancel := context.WithTimeout(end.find, findLimit)
	defer cancel()
	id, failed := findBuild(look, b.cfg, state)
	if failed != nil {
		return build.Build{}, &ExitError{report.ExitLost, fmt.Errorf("%w; %w; `codebuild-bridge stop` in after_script looks again", err, failed)}
	}
	if id == "" {
		return build.Build{}, fmt.Errorf("%w; it is not among the project's builds", err)
	}
	return build.Build{ID: id, Project: state.Project}, nil
}

// finish follows a build that was started, and stops it if we have to end
// before it does.
func (b *Bridge) finish(ctx context.Context, end ending, started build.Build, o BuildOptions, forget func()) error {
	follower := follow.New(b.cfg, b.out, b.say, o.Follow)
	result, err := follower.Follow(ctx, started.ID)
	code := report.ExitCode(result.Build.Status)
	switch {
	case err == nil:
	case errors.Is(err, follow.ErrLost):
		follower.Close()
		code = report.ExitLost
		b.say.Error("%v", err)
		if last, ok := b.stopBuild(end, result.Build.ID); ok && last.Complete {
			// So it was not lost: it had ended, and this is how.
			result.Build, code = last, report.ExitCode(last.Status)
		}
	default: // the context has ended
		code = report.ExitStopped
		if errors.Is(err, ErrDeadline) {
			code = report.ExitTimedOut
		}
		follower.Close()
		b.say.Warn("Stopping the build: %v.", err)
		if _, ok := b.stopBuild(end, result.Build.ID); ok {
			// What it still has to say is shown for a moment.
			if after, err := follower.Follow(end.see, result.Build.ID); err == nil || after.Build.Complete {
				result = after
			}
			follower.Close()
		}
	}
	if result.Build.Complete {
		forget()
		if errors.Is(err, ErrDeadline) && result.Build.Status != build.Stopped {
			code = report.ExitCode(result.Build.Status) // it was there before us
		}
	}
	if result.Build.ARN == "" {
		result.Build = started // never seen since it was started
	}
	// First what others read: nobody may be left who reads the summary.
	leftOut, reportErr := b.reports(result.Build, o)
	report.Summary(b.say, result.Build, result.Tail, result.Incomplete, b.now())
	for _, text := range leftOut {
		b.say.Warn("%s", text)
	}
	if reportErr != nil {
		b.say.Error("%v", reportErr)
		if code == report.ExitSucceeded {
			code = report.ExitUsage // a later job would miss what it was promised
		}
	}
	if code == report.ExitSucceeded {
		return nil
	}
	return &ExitError{Code: code}
}

// reports writes the reports and returns what is to be said about them.
func (b *Bridge) reports(result build.Build, o BuildOptions) (leftOut []string, err error) {
	var failed []error
	if o.DotenvFile != "" {
		var err error
		leftOut, err = report.Dotenv(o.DotenvFile, report.Variables(result), o.DotenvVariables)
		failed = append(failed, err)
	}
	if o.AnnotationsFile != "" {
		failed = append(failed, report.Annotations(o.AnnotationsFile, result))
	}
	return leftOut, errors.Join(failed...)
}

// source puts the source on S3.
func (b *Bridge) source(ctx context.Context, o BuildOptions) (upload.Object, error) {
	begun := b.now()
	tree, err := archive.Scan(ctx, o.Archive)
	if err != nil {
		return upload.Object{}, err
	}
	for _, warning := range tree.Warnings {
		b.say.Warn("%s", warning)
	}
	for _, name := range o.MustExist {
		if !slices.ContainsFunc(tree.Entries, func(e archive.Entry) bool { return e.Name == name }) {
			return upload.Object{}, fmt.Errorf("reading the context directory: there is no %q in %q; paths are relative to --context", name, o.Archive.Dir)
		}
	}
	if o.ListLargest || (o.LargeContext > 0 && tree.Bytes > o.LargeContext) {
		b.say.Warn("The context is %s in %s; the largest are:", size(tree.Bytes), files(tree.Files()))
		for _, e := range tree.Largest(10) {
			b.say.Info("  %10s  %s", size(e.Size), e.Name)
		}
		b.say.Info("What a build does not need goes into .dockerignore.")
	}
	digest, err := tree.Digest(ctx)
	if err != nil {
		return upload.Object{}, err
	}
	key := o.Prefix + "/" + digest + ".zip"
	if o.NoReuse {
		key = o.Prefix + "/" + digest + "-" + unique() + ".zip"
	}
	place := upload.Place{Bucket: o.Bucket, Key: key, Owner: o.BucketOwner, KMSKey: o.KMSKey}
	p := b.newProgress(tree.Bytes)
	object, err := upload.New(b.cfg).Source(ctx, place, digest, p.writer(tree.WriteZip, o.Level))
	p.end()
	if err != nil {
		return upload.Object{}, err
	}
	took := joblog.Duration(b.now().Sub(begun))
	if object.Reused {
		b.say.Info("Source: %s, %s, unchanged since an earlier build (%s)", files(tree.Files()), size(tree.Bytes), took)
	} else {
		b.say.Info("Source: %s, %s, uploaded as %s (%s)", files(tree.Files()), size(tree.Bytes), size(object.Size), took)
	}
	return object, nil
}
