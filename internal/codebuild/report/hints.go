package report

import (
	"regexp"
	"strings"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
)

// cause is a known way for a build to fail.
type cause struct {
	code  string         // the phase's status code begins with it; empty: any
	phase string         // empty: any
	words *regexp.Regexp // found in the phase's message or the log's last lines; nil: not looked for
	hint  string
}

// causes are tried in this order, the special ones first.
func causes() []cause {
	re := func(s string) *regexp.Regexp { return regexp.MustCompile("(?i)" + s) }
	return []cause{
		{words: re(`toomanyrequests|You have reached your (unauthenticated )?pull rate limit`),
			hint: "Docker Hub limits pulls by address, and CodeBuild shares its addresses with other customers. Pull through ECR: a pull-through cache rule, or public.ecr.aws/docker/library/NAME for official images; or log in to Docker Hub with a secret. With builtin:docker BuildKit itself comes from there: --buildkit-image."},
		{words: re(`no space left on device`),
			hint: "The build ran out of disk. Use a larger --compute-type (small has 64 GB, large 128 GB), or a smaller context: --largest lists its largest files."},
		{words: re(`Cannot connect to the Docker daemon|docker daemon is not running|Is the docker daemon running`),
			hint: "Docker needs the project's privileged mode: switch it on in the project, or pass --privileged."},
		{words: re(`name unknown: The repository with name '?([^' ]*)'? does not exist|RepositoryNotFoundException`),
			hint: "The ECR repository does not exist. Create it: aws ecr create-repository --repository-name NAME"},
		{words: re(`no basic auth credentials|authorization token has expired|denied: (User|Your authorization)|not authorized to perform: ecr:`),
			hint: "The build may not use the registry. The project's service role needs ecr:GetAuthorizationToken on *, and ecr:BatchCheckLayerAvailability, InitiateLayerUpload, UploadLayerPart, CompleteLayerUpload, PutImage, BatchGetImage and GetDownloadUrlForLayer on the repository."},
		{words: re(`tag invalid: The image tag '?([^' ]*)'? already exists .*immutable|ImageTagAlreadyExistsException`),
			hint: "The repository's tags are immutable and this one exists. Tag with $CI_COMMIT_SHA; for the layer cache exclude its tag from immutability, or pass --cache=false."},
		{words: re(`cache export is not supported for the docker driver|Cache export feature is currently not supported`),
			hint: "A registry cache needs the docker-container driver: docker buildx create --driver docker-container --use."},
		{words: re(`failed to read dockerfile: open ([^ ]*): no such file`),
			hint: "The Dockerfile is not in the uploaded source. Give its path relative to the context with --dockerfile, and look whether an ignore pattern drops it."},
		{words: re(`An image does not exist locally with the tag`),
			hint: "The push came after a build that failed: POST_BUILD runs all the same. Put `on-failure: ABORT` into the buildspec's build phase."},
		{code: "YAML_FILE_ERROR", words: re(`no such file or directory|stat .*: no such`),
			hint: "The buildspec is not in the uploaded source. Give its path with --buildspec, or use --buildspec builtin:docker; an ignore pattern may have dropped it."},
		{code: "YAML_FILE_ERROR", hint: "The buildspec cannot be read: check its YAML, and that it begins with `version: 0.2`."},
		{code: "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE",
			hint: "CodeBuild cannot pull the build image: check its name, and for a private or cross-account image pass --image-credentials SERVICE_ROLE and let the service role pull it."},
		{phase: "DOWNLOAD_SOURCE", words: re(`must be addressed using the specified endpoint|PermanentRedirect`),
			hint: "The source bucket is in another region than the project. Use a bucket in the project's region."},
		{phase: "DOWNLOAD_SOURCE", words: re(`Access ?Denied|status code: 403|not authorized`),
			hint: "The project's service role may not read the source: it needs s3:GetObject and s3:GetObjectVersion on the bucket's objects, s3:GetBucketLocation and s3:GetBucketAcl on the bucket, and kms:Decrypt if it is encrypted with a key."},
		{phase: "DOWNLOAD_SOURCE", words: re(`NoSuchKey|status code: 404`),
			hint: "The source was gone when the build began: a lifecycle rule may have deleted it while the build was queued."},
		{code: "INSUFFICIENT_SUBNET", hint: "The project's subnets have no free addresses, or do not exist any more."},
		{code: "VPC_CLIENT_ERROR", hint: "The project's VPC settings do not work: it needs private subnets with a NAT gateway (a public subnet does not do), and a service role that may create network interfaces."},
		{code: "ACCESS_DENIED", hint: "The project's service role lacks a permission that the message names."},
		{words: re(`exit status 137|signal: killed|Killed$`),
			hint: "Something was killed, most often for lack of memory. Use a larger --compute-type."},
	}
}

// Hint returns what to do about a failed build, or nothing.
func Hint(b build.Build, tail []string) string {
	failed, ok := b.FailedPhase()
	if !ok {
		return ""
	}
	text := failed.Message + "\n" + strings.Join(tail, "\n")
	for _, c := range causes() {
		if c.phase != "" && c.phase != failed.Name {
			continue
		}
		if !strings.HasPrefix(failed.Code, c.code) {
			continue
		}
		if c.words != nil && !c.words.MatchString(text) {
			continue
		}
		return c.hint
	}
	return ""
}
