// Package check looks whether a job could build: it asks IAM's simulator, makes
// calls that change nothing, and says for each thing what was found.
package check

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/fargate-driver/fargate-driver/internal/awsquery"
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
	KMSKey                               string   // that encrypts the source
	Tags                                 []string // of images that are to be pushed
	Docker                               bool     // images are to be built
}

// nobody is an id that no build has.
const nobody = "00000000-0000-0000-0000-000000000000"

// stepLimit bounds each look: without a way to AWS the SDK would try for minutes.
const stepLimit = 10 * time.Second

// Run looks at everything, in the order in which a build would need it.
func Run(ctx context.Context, cfg aws.Config, o Options) []Line {
	c := &checker{
		ctx: ctx, cfg: cfg, options: o, builds: codebuild.NewFromConfig(cfg),
		simulator: simulator{query: awsquery.New(cfg), decisions: map[string]awsquery.Decision{}},
	}
	for _, look := range []func(){c.identity, c.project, c.ask, c.buildCalls, c.bucket, c.log, c.serviceRole} {
		within, cancel := context.WithTimeout(ctx, stepLimit)
		c.ctx = within
		look()
		cancel()
		if c.hopeless || ctx.Err() != nil {
			c.add(Unclear, "the rest", "was not looked at")
			break
		}
	}
	return c.lines
}

type checker struct {
	ctx       context.Context // of the present look
	cfg       aws.Config
	options   Options
	builds    *codebuild.Client
	simulator simulator
	lines     []Line
	caller    string // ARN
	projectID string // ARN
	service   string // ARN of the project's service role
	logGroup  string
	hopeless  bool // all else would end in the same way
}

func (c *checker) add(v Verdict, what, format string, args ...any) {
	c.lines = append(c.lines, Line{v, what, fmt.Sprintf(format, args...)})
}

func (c *checker) identity() {
	out, err := sts.NewFromConfig(c.cfg).GetCallerIdentity(c.ctx, nil)
	if apierror.Of(err) == apierror.Unidentified {
		c.hopeless = true
		c.add(Wrong, "identity", "%s", apierror.Words(err))
		return
	}
	if err != nil {
		c.add(Unclear, "identity", "%s; in a subnet without a way to STS this is no fault", apierror.Words(err))
		return
	}
	c.caller = aws.ToString(out.Arn)
	c.add(OK, "identity", "%s in %s", c.caller, c.cfg.Region)
}

// ask has IAM simulate what the job does.
func (c *checker) ask() {
	caller, err := arn.Parse(c.caller)
	if err != nil {
		return // it is not known who we are
	}
	of := func(service, resource string) string {
		return arn.ARN{Partition: caller.Partition, Service: service, Region: c.cfg.Region, AccountID: caller.AccountID, Resource: resource}.String()
	}
	if c.projectID == "" {
		c.projectID = of("codebuild", "project/"+c.options.Project)
	}
	questions := []question{{c.projectID, []string{
		"codebuild:StartBuild", "codebuild:BatchGetBuilds", "codebuild:StopBuild", "codebuild:BatchGetProjects", "codebuild:ListBuildsForProject",
	}}}
	if c.options.Bucket != "" {
		questions = append(questions,
			question{c.objects(caller.Partition), []string{"s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"}},
			question{"arn:" + caller.Partition + ":s3:::" + c.options.Bucket, []string{"s3:ListBucket"}})
	}
	if c.logGroup != "" {
		questions = append(questions, question{of("logs", "log-group:"+c.logGroup+":log-stream:"+nobody), []string{"logs:GetLogEvents"}})
	}
	if key := c.key(caller.Partition, caller.AccountID); key != "" {
		questions = append(questions, question{key, []string{"kms:GenerateDataKey", "kms:Decrypt"}})
	}
	c.simulate(questions)
}

func (c *checker) project() {
	c.logGroup = "/aws/codebuild/" + c.options.Project
	out, err := c.builds.BatchGetProjects(c.ctx, &codebuild.BatchGetProjectsInput{Names: []string{c.options.Project}})
	switch {
	case err != nil && apierror.Of(err) == apierror.Denied:
		c.add(Unclear, "project", "may not be looked at; builds need no codebuild:BatchGetProjects, but with it more could be checked")
		return
	case err != nil:
		c.hopeless = apierror.Passing(err)
		c.add(Wrong, "project", "%s", apierror.Words(err))
		return
	case len(out.Projects) == 0:
		c.add(Wrong, "project", "there is no CodeBuild project %q in %s; create it or set --project", c.options.Project, c.cfg.Region)
		return
	}
	p := out.Projects[0]
	c.projectID, c.service = aws.ToString(p.Arn), aws.ToString(p.ServiceRole)
	c.add(OK, "project", "%s", c.projectID)
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
	id, project := c.options.Project+":"+nobody, cmp.Or(c.projectID, "project "+c.options.Project)
	c.simulated("codebuild:StartBuild", project)
	_, err := c.builds.BatchGetBuilds(c.ctx, &codebuild.BatchGetBuildsInput{Ids: []string{id}})
	c.tried("codebuild:BatchGetBuilds", project, err)
	_, err = c.builds.StopBuild(c.ctx, &codebuild.StopBuildInput{Id: aws.String(id)})
	c.tried("codebuild:StopBuild", project, err)
	_, err = c.builds.ListBuildsForProject(c.ctx, &codebuild.ListBuildsForProjectInput{ProjectName: aws.String(c.options.Project)})
	c.tried("codebuild:ListBuildsForProject", project, err)
}

// probeKey is a key under the prefix that no object has.
func (c *checker) probeKey() string { return strings.Trim(c.options.Prefix, "/") + "/" + nobody }

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
	c.objectCalls(client, bucket, owner, err)
}

// objectCalls tries the calls on a key that no object has. list is the answer to
// HeadBucket, which takes s3:ListBucket.
func (c *checker) objectCalls(client *s3.Client, bucket, owner *string, list error) {
	key, where := aws.String(c.probeKey()), "s3://"+c.options.Bucket+"/"+c.probeKey()
	// A condition that cannot hold: who may write is told so, and nothing is written.
	_, err := client.PutObject(c.ctx, &s3.PutObjectInput{
		Bucket: bucket, ExpectedBucketOwner: owner, IfMatch: aws.String(`"00000000000000000000000000000000"`),
		Key: key, Body: strings.NewReader(""),
	})
	c.tried("s3:PutObject", where, err)
	_, err = client.AbortMultipartUpload(c.ctx, &s3.AbortMultipartUploadInput{
		Bucket: bucket, ExpectedBucketOwner: owner, Key: key, UploadId: aws.String(nobody),
	})
	c.tried("s3:AbortMultipartUpload", where, err)
	_, err = client.HeadObject(c.ctx, &s3.HeadObjectInput{Bucket: bucket, ExpectedBucketOwner: owner, Key: key})
	switch {
	case err == nil, apierror.Of(err) == apierror.Missing:
		c.add(OK, "s3:GetObject, ListBucket", "allowed")
	case apierror.Of(err) != apierror.Denied:
		c.add(Unclear, "s3:GetObject, ListBucket", "%s", apierror.Words(err))
	case list != nil:
		c.add(Unclear, "s3:ListBucket", "not allowed on %s; builds work, but S3 then does not say what is missing", c.options.Bucket)
	default:
		c.add(Unclear, "s3:GetObject", "not allowed on %s; builds work, but send an unchanged source again", where)
	}
	if c.options.KMSKey == "" {
		return
	}
	for _, action := range []string{"kms:GenerateDataKey", "kms:Decrypt"} {
		c.simulated(action, c.options.KMSKey)
	}
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
	c.tried("logs:GetLogEvents", "log group "+c.logGroup, err)
}
