package check

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
)

// What the builtin docker build does with a repository of ECR: it pushes, and
// reads the layers back that it keeps there.
func pushActions() []string {
	return []string{
		"ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload",
		"ecr:PutImage", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
	}
}

var privateECR = regexp.MustCompile(`^(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.[a-z.]+/([^:@]+)`)

// serviceQuestions are what the build itself has to do, with the project's
// service role: read the source, write the log, push images.
func (c *checker) serviceQuestions(partition, account string) []question {
	here := arn.ARN{Partition: partition, Service: "logs", Region: c.cfg.Region, AccountID: account}
	questions := []question{}
	if c.options.Bucket != "" {
		questions = append(questions,
			question{c.objects(partition), []string{"s3:GetObject", "s3:GetObjectVersion"}},
			question{"arn:" + partition + ":s3:::" + c.options.Bucket, []string{"s3:GetBucketLocation", "s3:GetBucketAcl"}})
	}
	if c.logGroup != "" {
		here.Resource = "log-group:" + c.logGroup + ":log-stream:" + nobody
		questions = append(questions, question{here.String(), []string{"logs:CreateLogStream", "logs:PutLogEvents"}})
	}
	login := map[string]bool{}
	for _, tag := range c.options.Tags {
		if m := privateECR.FindStringSubmatch(tag); m != nil {
			if !login["ecr"] {
				questions = append(questions, question{"*", []string{"ecr:GetAuthorizationToken"}})
			}
			login["ecr"] = true
			repository := arn.ARN{Partition: partition, Service: "ecr", Region: m[2], AccountID: m[1], Resource: "repository/" + m[3]}
			questions = append(questions, question{repository.String(), pushActions()})
		}
		if strings.HasPrefix(tag, "public.ecr.aws/") && !login["public"] {
			login["public"] = true
			questions = append(questions, question{"*", []string{"ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"}})
		}
	}
	return questions
}

// serviceRole judges the role that the build itself has. Only a simulation can:
// nobody but CodeBuild takes that role on.
func (c *checker) serviceRole() {
	role, err := arn.Parse(c.service)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, simulationLimit)
	defer cancel()
	right := true
	for _, q := range c.serviceQuestions(role.Partition, role.AccountID) {
		decisions, err := c.simulator.query.Simulate(ctx, c.service, q.actions, q.resource)
		if err != nil {
			why := apierror.Words(err)
			switch {
			case apierror.Of(err) == apierror.Denied:
				why = "iam:SimulatePrincipalPolicy on it is not allowed"
			case ctx.Err() != nil:
				why = "IAM does not answer"
			}
			c.add(Unclear, "service role", "%s may not be looked at (%s); whether it can read the source, write the log and push is seen in a build", c.service, why)
			return
		}
		var missing []string
		for _, d := range decisions {
			if !d.Allowed {
				missing = append(missing, d.Action+because(d))
			}
		}
		if len(missing) > 0 {
			right = false
			slices.Sort(missing)
			c.add(Wrong, "service role", "%s needs %s on %s", c.service, strings.Join(missing, ", "), q.resource)
		}
	}
	if right {
		what := []string{}
		for _, part := range []struct {
			name  string
			asked bool
		}{{"read the source", c.options.Bucket != ""}, {"write the log", c.logGroup != ""}, {"push the images", len(c.options.Tags) > 0}} {
			if part.asked {
				what = append(what, part.name)
			}
		}
		c.add(OK, "service role", "%s may %s, by simulation", c.service, strings.Join(what, ", "))
	}
}

// objects is the ARN of a source, as an upload would have it.
func (c *checker) objects(partition string) string {
	return fmt.Sprintf("arn:%s:s3:::%s/%s", partition, c.options.Bucket, c.probeKey())
}

// key is the ARN of a KMS key, or empty where only KMS knows it.
func (c *checker) key(partition, account string) string {
	name := c.options.KMSKey
	switch {
	case strings.HasPrefix(name, "arn:"):
		return name
	case name == "", strings.HasPrefix(name, "alias/"):
		return ""
	}
	return arn.ARN{Partition: partition, Service: "kms", Region: c.cfg.Region, AccountID: account, Resource: "key/" + name}.String()
}
