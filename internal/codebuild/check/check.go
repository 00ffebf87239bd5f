// Package check looks whether a job could build: it makes only calls that
// change nothing, and says for each what it shows.
package check

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
)

// Verdict is what a line says.
type Verdict string

const (
	OK      Verdict = "ok"
	Wrong   Verdict = "wrong"
	Unclear Verdict = "?" // it could not be looked at, or need not be wrong
)

// Line is one thing that was looked at.
type Line struct {
	Verdict Verdict
	What    string
	Detail  string // what was found, and what to do
}

// Options says what is to be used.
type Options struct {
	Project, Bucket, Prefix, BucketOwner string
	Docker                               bool // images are to be built
}

// nobody is an id that no build has.
const nobody = "00000000-0000-0000-0000-000000000000"

// Run looks at everything, in the order in which a build would need it.
func Run(ctx context.Context, cfg aws.Config, o Options) []Line {
	c := &checker{ctx: ctx, cfg: cfg, options: o, builds: codebuild.NewFromConfig(cfg)}
	c.identity()
	c.project()
	c.buildCalls()
	c.bucket()
	c.log()
	c.add(Unclear, "codebuild:StartBuild", "cannot be tried without starting a build")
	return c.lines
}

type checker struct {
	ctx      context.Context
	cfg      aws.Config
	options  Options
	builds   *codebuild.Client
	lines    []Line
	logGroup string
}

func (c *checker) add(v Verdict, what, format string, args ...any) {
	c.lines = append(c.lines, Line{v, what, fmt.Sprintf(format, args...)})
}

func (c *checker) identity() {
	out, err := sts.NewFromConfig(c.cfg).GetCallerIdentity(c.ctx, nil)
	if err != nil {
		c.add(Unclear, "identity", "%s; in a subnet without a way to STS this is no fault", apierror.Words(err))
		return
	}
	c.add(OK, "identity", "%s in %s", aws.ToString(out.Arn), c.cfg.Region)
}

func (c *checker) project() {
	c.logGroup = "/aws/codebuild/" + c.options.Project
	out, err := c.builds.BatchGetProjects(c.ctx, &codebuild.BatchGetProjectsInput{Names: []string{c.options.Project}})
	switch {
	case err != nil && apierror.Of(err) == apierror.Denied:
		c.add(Unclear, "project", "may not be looked at; builds need no codebuild:BatchGetProjects, but with it more could be checked")
		return
	case err != nil:
		c.add(Wrong, "project", "%s", apierror.Words(err))
		return
	case len(out.Projects) == 0:
		c.add(Wrong, "project", "there is no CodeBuild project %q in %s; create it or set --project", c.options.Project, c.cfg.Region)
		return
	}
	p := out.Projects[0]
	c.add(OK, "project", "%s", aws.ToString(p.Arn))
	c.source(p)
	c.privileged(p)
	c.logSettings(p)
	if n := aws.ToInt32(p.AutoRetryLimit); n > 0 {
		c.add(OK, "retries", "the project builds again %d times after a failure; a build of ours does not, unless --auto-retries says so", n)
	}
}

func (c *checker) source(p types.Project) {
	if p.Source == nil {
		return
	}
	if p.Source.Type == types.SourceTypeS3 {
		c.add(OK, "source", "S3; every build gives its own location")
		return
	}
	c.add(OK, "source", "%s, which every build replaces by its upload (unless --no-source)", p.Source.Type)
}

func (c *checker) privileged(p types.Project) {
	switch {
	case p.Environment == nil || !c.options.Docker:
	case aws.ToBool(p.Environment.PrivilegedMode):
		c.add(OK, "privileged mode", "on, so docker works")
	default:
		c.add(Wrong, "privileged mode", "off: docker will not run; switch it on in the project's environment, or pass --privileged to build")
	}
}

func (c *checker) logSettings(p types.Project) {
	if p.LogsConfig == nil || p.LogsConfig.CloudWatchLogs == nil {
		return
	}
	l := p.LogsConfig.CloudWatchLogs
	if l.Status == types.LogsConfigStatusTypeDisabled {
		c.add(Wrong, "log", "the project keeps no log in CloudWatch, so none can be shown; switch it on")
		c.logGroup = ""
	} else if name := aws.ToString(l.GroupName); name != "" {
		c.logGroup = name
	}
}

// buildCalls tries the calls on a build that does not exist: whoever may not
// make them is told so, whoever may is told that there is no such build.
func (c *checker) buildCalls() {
	id := c.options.Project + ":" + nobody
	_, err := c.builds.BatchGetBuilds(c.ctx, &codebuild.BatchGetBuildsInput{Ids: []string{id}})
	c.permission("codebuild:BatchGetBuilds", err)
	_, err = c.builds.StopBuild(c.ctx, &codebuild.StopBuildInput{Id: aws.String(id)})
	c.permission("codebuild:StopBuild", err)
}

// permission judges the answer to a call that could not have an effect.
func (c *checker) permission(action string, err error) {
	switch {
	case err == nil:
		c.add(OK, action, "allowed")
	case apierror.Of(err) == apierror.Denied:
		c.add(Wrong, action, "not allowed; the job's role needs it")
	case apierror.Of(err) == apierror.Missing, apierror.Of(err) == apierror.Refused, apierror.Of(err) == apierror.Conflict:
		c.add(OK, action, "allowed")
	default:
		c.add(Unclear, action, "%s", apierror.Words(err))
	}
}

func (c *checker) bucket() {
	if c.options.Bucket == "" {
		c.add(Wrong, "bucket", "--bucket is missing")
		return
	}
	client := s3.NewFromConfig(c.cfg)
	bucket, owner := aws.String(c.options.Bucket), (*string)(nil)
	if c.options.BucketOwner != "" {
		owner = aws.String(c.options.BucketOwner)
	}
	head, err := client.HeadBucket(c.ctx, &s3.HeadBucketInput{Bucket: bucket, ExpectedBucketOwner: owner})
	switch {
	case err == nil:
		if region := aws.ToString(head.BucketRegion); region != "" && region != c.cfg.Region {
			c.add(Wrong, "bucket", "%s is in %s, but the project is in %s, and CodeBuild reads its source only from there", c.options.Bucket, region, c.cfg.Region)
			return
		}
		c.add(OK, "bucket", "%s", c.options.Bucket)
	case apierror.Status(err) == 301:
		c.add(Wrong, "bucket", "%s is in another region than %s, and CodeBuild reads its source only from its own", c.options.Bucket, c.cfg.Region)
		return
	case apierror.Of(err) == apierror.Missing:
		c.add(Wrong, "bucket", "there is no bucket %s", c.options.Bucket)
		return
	case apierror.Of(err) == apierror.Denied && owner != nil:
		c.add(Unclear, "bucket", "may not be looked at, or does not belong to account %s", c.options.BucketOwner)
	case apierror.Of(err) == apierror.Denied:
		c.add(Unclear, "bucket", "may not be looked at; s3:ListBucket also makes builds of unchanged sources quicker to begin")
	default:
		c.add(Unclear, "bucket", "%s", apierror.Words(err))
	}
	c.versioning(client, bucket, owner)
	// A condition that cannot hold: who may write is told so, and nothing is written.
	_, err = client.PutObject(c.ctx, &s3.PutObjectInput{
		Bucket: bucket, ExpectedBucketOwner: owner, IfMatch: aws.String(`"00000000000000000000000000000000"`),
		Key: aws.String(strings.Trim(c.options.Prefix, "/") + "/" + nobody), Body: strings.NewReader(""),
	})
	c.permission("s3:PutObject", err)
}

func (c *checker) versioning(client *s3.Client, bucket, owner *string) {
	out, err := client.GetBucketVersioning(c.ctx, &s3.GetBucketVersioningInput{Bucket: bucket, ExpectedBucketOwner: owner})
	if err != nil {
		return // nothing depends on it
	}
	if out.Status == "Enabled" {
		c.add(OK, "versioning", "on; builds name the version they build")
		return
	}
	c.add(OK, "versioning", "off, and not needed: the source's key names its content")
}

func (c *checker) log() {
	if c.logGroup == "" {
		return
	}
	_, err := cloudwatchlogs.NewFromConfig(c.cfg).GetLogEvents(c.ctx, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String(c.logGroup), LogStreamName: aws.String(nobody),
	})
	if err != nil && apierror.Of(err) == apierror.Missing && strings.Contains(apierror.Words(err), "log group") {
		c.add(OK, "log group", "%s does not exist yet; the first build makes it", c.logGroup)
		return
	}
	c.permission("logs:GetLogEvents", err)
}
