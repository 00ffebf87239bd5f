package render

import (
	"strings"

	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
)

// GitLab is what GitLab's configuration needs beyond the settings.
type GitLab struct {
	URL          string
	SSHHost      string // "" when Git over SSH has the web's own host name, or is off
	DatabaseHost string // "" for the bundled one
	RedisHost    string
	Buckets      []Bucket
	Key          string // KMS key of the buckets, or ""
}

// Bucket is one kind of object storage.
type Bucket struct{ Kind, Name string }

// BucketKinds are the kinds of objects that GitLab keeps, each in a bucket of
// its own, as its consolidated configuration demands.
func BucketKinds() []string {
	return []string{"artifacts", "external_diffs", "lfs", "uploads", "packages", "dependency_proxy", "terraform_state", "ci_secure_files", "pages"}
}

// OmnibusConfig is GITLAB_OMNIBUS_CONFIG: Ruby, without any secret. Passwords
// come from the container's environment as it runs.
func OmnibusConfig(s settings.Settings, g GitLab) string {
	return strings.TrimRight(script("gitlab.rb", struct {
		GitLab
		VPC, Region, Mail, MailFrom, SMTPHost, Extra string
		TLS, NewNginxKeys, Prometheus                bool
	}{
		GitLab: g, VPC: s.Network.CIDR, Region: s.Region,
		Mail: s.GitLab.Mail, MailFrom: s.GitLab.MailFrom, SMTPHost: s.GitLab.SMTPHost, Extra: s.GitLab.ExtraConfig,
		TLS:          !s.Entry.PlainHTTP,
		NewNginxKeys: settings.AtLeast(s.GitLab.Version, 19, 2), // older ones refuse the new keys
		// Fargate's shared memory is 64 MiB and cannot grow; Prometheus would
		// fill it and with it every metrics-writing process of GitLab.
		Prometheus: s.GitLab.Compute == "ec2",
	}), "\n")
}

// TaskCommand starts GitLab on Fargate, but waits while another task still has
// the same disk: two PostgreSQL on one directory would destroy it. The lock is
// NFS's own, which the file system releases when its holder is gone.
func TaskCommand() string {
	return "exec 9>/var/opt/gitlab/.one-gitlab-only; " +
		"flock -w 600 9 || { echo 'another GitLab still runs on this disk; giving up after 10 minutes'; exit 75; }; " +
		"exec /assets/init-container"
}
