package settings

import (
	"net/url"
	"strings"

	"github.com/fargate-driver/fargate-driver/internal/task"
)

func (v *validator) gitlab(s Settings) {
	g := s.GitLab
	v.oneOf("gitlab.compute", g.Compute, "ec2", "fargate", "none")
	if g.Compute == "none" {
		if u, err := url.Parse(g.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			v.problem("gitlab.url", "%q is not an address such as https://gitlab.example.com, which compute = \"none\" needs", g.URL)
		}
		return
	}
	if g.URL != "" {
		v.problem("gitlab.url", "goes with compute = \"none\"; the address of a GitLab made here comes from [entry]")
	}
	v.needs("gitlab.version", g.Version, "the image")
	v.form("gitlab.version", g.Version, versionForm, "a full version such as 19.3.0; moving names skip GitLab's required upgrade stops")
	v.oneOf("gitlab.edition", g.Edition, "ee", "ce")
	v.oneOf("gitlab.image_source", g.ImageSource, "docker-hub", "ecr", "pull-through")
	if g.ImageSource == "pull-through" {
		v.needs("gitlab.pull_through_secret", g.PullSecret, "pull-through")
	}
	v.secret("gitlab.pull_through_secret", g.PullSecret)
	if g.PullSecret != "" && !strings.Contains(g.PullSecret, ":secret:ecr-pullthroughcache/") {
		v.problem("gitlab.pull_through_secret", "%q: ECR takes a secret whose name begins with ecr-pullthroughcache/", g.PullSecret)
	}
	v.form("gitlab.root_email", g.RootEmail, mailForm, "an e-mail address")
	v.form("gitlab.instance_type", g.InstanceType, typeForm, "an instance type such as m7i.xlarge")
	v.between("gitlab.disk_gib", g.DiskGiB, 20, 16384, " GiB")
	v.between("gitlab.grace_minutes", g.GraceMinutes, 5, 120, " minutes")
	v.between("gitlab.backup_days", g.BackupDays, 0, 3650, " days")
	if g.Compute == "fargate" {
		v.size("gitlab.", task.Size{CPU: g.CPU, Memory: g.Memory})
		if g.Memory < 8192 {
			v.problem("gitlab.memory", "%d MiB is too little: GitLab needs 8192", g.Memory)
		}
	}
	v.stores(g)
	v.mail(g)
}

func (v *validator) stores(g GitLab) {
	v.oneOf("gitlab.database", g.Database, "bundled", "rds", "aurora")
	if g.Database == "aurora" && !g.Aurora {
		v.problem("gitlab.database", "GitLab says that Amazon Aurora is incompatible and not supported; use rds, or take the risk with aurora_unsupported_by_gitlab = true")
	}
	v.form("gitlab.database_instance_type", g.DatabaseType, typeForm, "an instance type without db. in front, such as m7g.large")
	if g.Database == "aurora" && !strings.HasPrefix(g.DatabaseType, "r") && !strings.HasPrefix(g.DatabaseType, "t") {
		v.problem("gitlab.database_instance_type", "Aurora has no db.%s; use one of the r families, such as r7g.large", g.DatabaseType)
	}
	v.form("gitlab.database_version", g.DatabaseVersion, postgresForm, "a version of PostgreSQL from 17 on, such as 17.9")
	v.between("gitlab.database_gib", g.DatabaseGiB, 20, 16384, " GiB")
	v.oneOf("gitlab.redis", g.Redis, "bundled", "elasticache")
	v.form("gitlab.redis_node_type", g.RedisType, nodeForm, "a node type such as cache.m7g.large")
}

func (v *validator) mail(g GitLab) {
	v.oneOf("gitlab.mail", g.Mail, "none", "ses", "smtp")
	if g.Mail != "none" {
		v.needs("gitlab.mail_from", g.MailFrom, "mail")
	}
	v.form("gitlab.mail_from", g.MailFrom, mailForm, "an e-mail address")
	if g.Mail == "ses" && !AtLeast(g.Version, 19, 3) {
		v.problem("gitlab.mail", "GitLab %s cannot send by Amazon SES with a role, 19.3 and newer can; use smtp with email-smtp.REGION.amazonaws.com", g.Version)
	}
	if g.Mail == "smtp" {
		v.needs("gitlab.smtp_host", g.SMTPHost, "smtp")
		v.needs("gitlab.smtp_secret_arn", g.SMTPSecret, "smtp")
	}
	v.form("gitlab.smtp_host", g.SMTPHost, domainForm, "a host name")
	v.secret("gitlab.smtp_secret_arn", g.SMTPSecret)
}
