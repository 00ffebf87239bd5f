package stacks

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
	"github.com/fargate-driver/fargate-driver/infra/cdk/render"
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
	fileSystem string // id, with Fargate
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
		g.addInstance(image, registry, logs)
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
