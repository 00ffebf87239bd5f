package stacks

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsecr"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
	"github.com/fargate-driver/fargate-driver/infra/cdk/render"
	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
)

// GitLab is GitLab itself.
type GitLab struct {
	part
	URL string

	network *Network
	// accessLogs keeps who asked load balancers and buckets for what.
	accessLogs awss3.Bucket
	entry      entry
	scope      access.GitLabScope
	secrets    []render.Secret
	omnibus    string
}

func newGitLab(app awscdk.App, in Inputs, n *Network) *GitLab {
	g := &GitLab{part: newPart(app, in, "GitLab", "GitLab, its data, and how people reach it"), network: n}
	logs := g.logGroup("Logs", "gitlab", n.Key)
	g.scope = access.GitLabScope{
		Place: g.place, Name: g.s.Name, Key: keyARN(n.Key), LogGroup: g.logGroupARN("gitlab"),
		Mail: g.s.GitLab.Mail == "ses", MailFrom: g.s.GitLab.MailFrom, Exec: g.s.GitLab.ExecIntoTask,
	}
	// Both services write logs with S3's own encryption only.
	g.accessLogs = g.bucket("AccessLogs", nil, false, g.s.LogRetentionDays, nil)
	g.entry = g.addEntry()
	g.URL = g.entry.url

	config := render.GitLab{URL: g.URL, SSHHost: g.entry.sshHost, Key: keyARN(n.Key)}
	g.addRootSecret()
	g.addDatabase(&config)
	g.addRedis(&config)
	g.addBuckets(&config)
	if g.s.GitLab.Mail == "smtp" {
		g.addSecret(g.s.GitLab.SMTPSecret, render.SecretField{Variable: "GITLAB_SMTP_USER", Path: ".username"}, render.SecretField{Variable: "GITLAB_SMTP_PASSWORD", Path: ".password"})
	}
	g.omnibus = render.OmnibusConfig(g.s, config)

	image, registry := g.image()
	if g.s.GitLab.Compute == "ec2" {
		g.addInstance(image, registry)
	} else {
		g.addService(image, *logs.Ref())
	}
	g.addEntryAlarms()
	g.output("Url", g.URL, "GitLab; the first start takes about ten minutes")
	g.output("RootPassword", "aws secretsmanager get-secret-value --region "+g.s.Region+" --secret-id "+g.s.Name+"/gitlab-root --query SecretString --output text",
		"The first administrator: user root")
	return g
}

// addSecret gives GitLab fields of a secret as it starts.
func (g *GitLab) addSecret(arn string, fields ...render.SecretField) {
	g.secrets = append(g.secrets, render.Secret{ARN: arn, Fields: fields})
	g.scope.Secrets = append(g.scope.Secrets, arn)
}

func (g *GitLab) addRootSecret() {
	template := string(mustJSON(map[string]string{"email": g.s.GitLab.RootEmail}))
	secret := g.secret("RootSecret", "gitlab-root", "GitLab's first administrator; used at the first start only", template, "password", g.network.Key)
	g.addSecret(*secret.SecretArn(), render.SecretField{Variable: "GITLAB_ROOT_EMAIL", Path: ".email"}, render.SecretField{Variable: "GITLAB_ROOT_PASSWORD", Path: ".password"})
}

// addBuckets makes a bucket for each kind of object.
func (g *GitLab) addBuckets(config *render.GitLab) {
	if !g.s.GitLab.ObjectBucket {
		return
	}
	for _, kind := range render.BucketKinds() {
		b := g.bucket("Objects-"+strings.ReplaceAll(kind, "_", "-"), g.network.Key, true, 0, g.accessLogs)
		config.Buckets = append(config.Buckets, render.Bucket{Kind: kind, Name: *b.BucketName()})
		g.scope.Buckets = append(g.scope.Buckets, *b.BucketArn())
	}
}

// image is the address of GitLab's image, and the registry to log in to, if
// it needs that.
func (g *GitLab) image() (image, registry string) {
	set := g.s.GitLab
	name := "gitlab/gitlab-" + set.Edition
	tag := set.Version + "-" + set.Edition + ".0"
	if set.ImageSource == "docker-hub" {
		return "docker.io/" + name + ":" + tag, ""
	}
	registry = g.place.Account + ".dkr.ecr." + g.s.Region + "." + *awscdk.Aws_URL_SUFFIX()
	if set.ImageSource == "pull-through" {
		prefix := g.name("docker-hub")
		awsecr.NewCfnPullThroughCacheRule(g.stack, jsii.String("DockerHub"), &awsecr.CfnPullThroughCacheRuleProps{
			EcrRepositoryPrefix: &prefix, UpstreamRegistryUrl: jsii.String("registry-1.docker.io"), CredentialArn: &set.PullSecret,
		})
		g.scope.Repository, g.scope.PullThrough = g.place.ARN("ecr", "repository/"+prefix+"/"+name), true
		return registry + "/" + prefix + "/" + name + ":" + tag, registry
	}
	repository := g.name("gitlab")
	g.repository("Repository", repository, g.network, nil)
	g.scope.Repository = g.place.ARN("ecr", "repository/"+repository)
	image = registry + "/" + repository + ":" + tag
	g.output("CopyImage", copyCommand(g.s, "docker.io/"+name+":"+tag, image, registry), "Before GitLab can start, and before each upgrade: copy its image, from a machine with Docker and internet")
	return image, registry
}

// copyCommand copies an image with its architecture, which may be another one
// than that of the machine that copies.
func copyCommand(s settings.Settings, from, to, registry string) string {
	platform := "linux/amd64"
	if s.GitLab.Compute == "ec2" && render.IsARM(s.GitLab.InstanceType) {
		platform = "linux/arm64"
	}
	return "aws ecr get-login-password --region " + s.Region + " | docker login --username AWS --password-stdin " + registry +
		" && docker pull --platform " + platform + " " + from + " && docker tag " + from + " " + to + " && docker push " + to
}
