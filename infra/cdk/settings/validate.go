package settings

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/fargate-driver/fargate-driver/internal/config"
)

var (
	nameForm     = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`) // ECR and ElastiCache take no two hyphens together
	keptForm     = regexp.MustCompile(`^(aws|ssm|sg-)`)                // what SSM's parameters and EC2's groups may not begin with
	tagForm      = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+@-]*$`)  // what every service here takes; EC2 alone takes more
	regionForm   = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)
	vpcForm      = regexp.MustCompile(`^vpc-([0-9a-f]{8}|[0-9a-f]{17})$`)
	subnetForm   = regexp.MustCompile(`^subnet-([0-9a-f]{8}|[0-9a-f]{17})$`)
	domainForm   = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$`)
	zoneForm     = regexp.MustCompile(`^Z[A-Z0-9]+$`)
	versionForm  = regexp.MustCompile(`^\d+\.\d+\.\d+$`)
	sha256Form   = regexp.MustCompile(`^[0-9a-f]{64}$`)
	typeForm     = regexp.MustCompile(`^[a-z0-9-]+\.[a-z0-9]+$`)
	nodeForm     = regexp.MustCompile(`^cache\.[a-z0-9]+\.[a-z0-9]+$`)
	secretForm   = regexp.MustCompile(`:secret:.+-[A-Za-z0-9]{6}$`)
	accountForm  = regexp.MustCompile(`^\d{12}$`)
	mailForm     = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
	cronForm     = regexp.MustCompile(`^\S+ \S+ \S+ \S+ \S+$`)
	repoForm     = regexp.MustCompile(`^[a-z0-9]+([._/-][a-z0-9]+)*$`)
	postgresForm = regexp.MustCompile(`^(1[7-9]|2\d)\.\d+$`)
	policyForm   = regexp.MustCompile(`^[\w+=,.@-]+$`)
)

// Endpoints are the interface endpoints that [network] endpoints may name.
func Endpoints() []string {
	return []string{
		"ecr.api", "ecr.dkr", "logs", "monitoring", "secretsmanager", "ssm", "ssmmessages", "ec2messages", "ec2", "ecs",
		"codebuild", "sts", "kms", "email", "email-smtp", "codeconnections.api", "autoscaling", "cloudformation", "elasticfilesystem", "sns",
	}
}

// retentions are the days that CloudWatch Logs takes.
func retentions() []int {
	return []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
}

// validate says what is wrong with decoded settings. It is pure: what AWS has
// to say is the business of `cdk deploy`.
func validate(s Settings, d decoder) []Problem {
	v := validator{decoder: d, region: s.Region}
	v.top(s)
	v.network(s)
	v.entry(s)
	v.gitlab(s)
	v.runners(s)
	v.tasks(s)
	v.builds(s)
	return v.problems
}

type validator struct {
	decoder
	region string
}

func (v *validator) oneOf(key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		v.problem(key, "%q is not known; use %s", value, strings.Join(allowed, ", "))
	}
}

func (v *validator) form(key, value string, form *regexp.Regexp, want string) {
	if value != "" && !form.MatchString(value) {
		v.problem(key, "%q is not %s", value, want)
	}
}

func (v *validator) between(key string, n, least, most int, unit string) {
	if n < least || n > most {
		v.problem(key, "%d is outside %d to %d%s", n, least, most, unit)
	}
}

func (v *validator) arn(key, value, service string) {
	if value != "" && !strings.HasPrefix(value, "arn:aws:"+service+":") && !strings.HasPrefix(value, "arn:aws-cn:"+service+":") && !strings.HasPrefix(value, "arn:aws-us-gov:"+service+":") {
		v.problem(key, "%q is not an ARN of the service %s", value, service)
	} else if parts := strings.Split(value, ":"); value != "" && (len(parts) < 6 || parts[3] != v.region) {
		v.problem(key, "%q is not in the Region %s, where everything here is", value, v.region)
	}
}

// secret wants the whole ARN: a permission is for that, and ECS takes no other
// when it is to hand over one key of the secret.
func (v *validator) secret(key, value string) {
	v.arn(key, value, "secretsmanager")
	v.form(key, value, secretForm, "a secret's whole ARN, which ends in a hyphen and six characters that Secrets Manager chose")
}

// needs complains when value is missing although why makes it necessary.
func (v *validator) needs(key, value, why string) {
	if value == "" {
		v.problem(key, "is missing: %s needs it", why)
	}
}

func (v *validator) top(s Settings) {
	const want = "2 to 12 of a-z, 0-9 and -, beginning with a letter, no two hyphens together"
	v.form("name", s.Name, nameForm, want)
	if n := len(s.Name); n == 1 || n > 12 {
		v.problem("name", "%q has %d characters; use %s", s.Name, n, want)
	}
	if keptForm.MatchString(s.Name) {
		v.problem("name", "%q: AWS keeps names that begin with aws, ssm or sg- for itself", s.Name)
	}
	v.form("region", s.Region, regionForm, "a Region such as ap-northeast-1")
	v.oneOf("data", s.Data, "retain", "destroy")
	v.form("permissions_boundary", s.PermissionsBoundary, policyForm, "the name of an IAM policy, without arn: in front")
	if !slices.Contains(retentions(), s.LogRetentionDays) {
		v.problem("log_retention_days", "%d days are not among those that CloudWatch Logs has: %s", s.LogRetentionDays, strings.Trim(fmt.Sprint(retentions()), "[]"))
	}
	v.form("alarm_email", s.AlarmEmail, mailForm, "an e-mail address")
	for name, value := range s.Tags {
		if strings.HasPrefix(strings.ToLower(name), "aws:") {
			v.problem("tags", "%q: AWS keeps keys that begin with aws: for itself", name)
		}
		if !tagForm.MatchString(name+value) || name == "" || len([]rune(name)) > 128 || len([]rune(value)) > 256 {
			v.problem("tags", "%q = %q: IAM takes letters, digits, spaces and _.:/=+-@ in tags, 128 in a key and 256 in a value", name, value)
		}
	}
}

func (v *validator) network(s Settings) {
	n := s.Network
	if p, err := netip.ParsePrefix(n.CIDR); err != nil || !p.Addr().Is4() || p.Masked() != p {
		v.problem("network.cidr", "%q is not an IPv4 range such as 10.60.0.0/16 with nothing set behind the prefix", n.CIDR)
	} else if n.VPC == "" && (p.Bits() < 16 || p.Bits() > 22) {
		v.problem("network.cidr", "/%d cannot be cut into subnets for jobs; use /16 to /22", p.Bits())
	}
	v.oneOf("network.egress", n.Egress, "nat-gateway", "nat-instance", "none")
	for _, e := range n.Endpoints {
		if !slices.Contains(Endpoints(), e) {
			hint := "use " + strings.Join(Endpoints(), ", ")
			if near := config.Nearest(e, Endpoints()); near != "" {
				hint = "did you mean " + near + "?"
			}
			v.problem("network.endpoints", "%q is not known; %s", e, hint)
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(n.Endpoints)))) != len(n.Endpoints) {
		v.problem("network.endpoints", "names an endpoint twice")
	}
	for _, port := range n.OutPorts {
		v.between("network.out_ports", port, 1, 65535, ", the ports")
	}
	if !slices.Contains(n.OutPorts, 443) {
		v.problem("network.out_ports", "lacks 443, by which everything here talks to AWS")
	}
	v.existingVPC(s)
	v.closed(s)
}

func (v *validator) existingVPC(s Settings) {
	n := s.Network
	v.form("network.vpc", n.VPC, vpcForm, "a VPC id such as vpc-0a1b2c3d")
	for _, zone := range n.AvailabilityZones {
		if letter := strings.TrimPrefix(zone, s.Region); len(letter) != 1 || letter < "a" || letter > "z" {
			v.problem("network.availability_zones", "%q is not a zone such as %sa", zone, s.Region)
		}
	}
	if n.VPC == "" {
		for _, key := range []string{"network.private_subnets", "network.public_subnets"} {
			if v.set[key] {
				v.problem(key, "goes with vpc; a new VPC makes its own")
			}
		}
		if zones := n.AvailabilityZones; len(zones) > 0 && (len(zones) != 2 || zones[0] == zones[1]) {
			v.problem("network.availability_zones", "a new VPC is in two zones; name two, or none")
		}
		return
	}
	if !v.set["network.cidr"] {
		v.problem("network.cidr", "is missing: with vpc, give that VPC's range, which GitLab's health checks and security groups need")
	}
	if len(n.AvailabilityZones) < 2 {
		v.problem("network.availability_zones", "names %d zones; a load balancer needs 2", len(n.AvailabilityZones))
	}
	if len(n.PrivateSubnets) != len(n.AvailabilityZones) {
		v.problem("network.private_subnets", "has %d subnets for %d zones; give one for each, in the same order", len(n.PrivateSubnets), len(n.AvailabilityZones))
	}
	if s.Entry.Scheme == "internet-facing" && s.GitLab.Compute != "none" && len(n.PublicSubnets) != len(n.AvailabilityZones) {
		v.problem("network.public_subnets", "has %d subnets for %d zones; an internet-facing entry needs one for each, in the same order", len(n.PublicSubnets), len(n.AvailabilityZones))
	}
	for _, list := range []struct {
		key string
		ids []string
	}{{"network.private_subnets", n.PrivateSubnets}, {"network.public_subnets", n.PublicSubnets}} {
		for _, id := range list.ids {
			v.form(list.key, id, subnetForm, "a subnet id such as subnet-0a1b2c3d")
		}
	}
}

// closed checks what a network without a way out must have instead.
func (v *validator) closed(s Settings) {
	if s.Network.Egress != "none" || s.Network.VPC != "" {
		return
	}
	need := []string{"ecr.api", "ecr.dkr", "logs", "monitoring", "secretsmanager", "ssm", "ssmmessages", "ec2messages", "ecs", "sts", "autoscaling", "cloudformation"}
	if s.GitLab.Compute == "ec2" {
		need = append(need, "ec2")
	}
	if s.CustomerKey {
		need = append(need, "kms")
	}
	if s.Builds.Enabled {
		need = append(need, "codebuild")
	}
	if s.GitLab.Mail == "ses" {
		need = append(need, "email")
	}
	var missing []string
	for _, e := range need {
		if !slices.Contains(s.Network.Endpoints, e) {
			missing = append(missing, e)
		}
	}
	if len(missing) > 0 {
		v.problem("network.endpoints", "lacks %s: with egress = \"none\" nothing else reaches these services", strings.Join(missing, ", "))
	}
	if s.GitLab.Compute != "none" && s.GitLab.ImageSource != "ecr" {
		v.problem("gitlab.image_source", "%s needs a way to the internet, pull-through for the first pull of a version, and egress = \"none\" has none; use ecr", s.GitLab.ImageSource)
	}
	if !strings.HasPrefix(s.Runners.Source, "s3://") {
		v.problem("runners.gitlab_runner_source", "%q is not reachable with egress = \"none\"; copy gitlab-runner to a bucket and give s3://bucket/prefix", s.Runners.Source)
	}
	if s.Entry.Scheme == "internet-facing" {
		v.problem("entry.scheme", "internet-facing needs public subnets, and egress = \"none\" makes none; use internal")
	}
	if s.Builds.Enabled && s.Builds.InVPC {
		v.problem("builds.in_vpc", "builds in a network with egress = \"none\" could not reach their base images; leave it false")
	}
}

func (v *validator) entry(s Settings) {
	e := s.Entry
	v.oneOf("entry.scheme", e.Scheme, "internal", "internet-facing")
	v.oneOf("entry.ssh", e.SSH, "none", "nlb", "in-front")
	v.between("entry.idle_seconds", e.Idle, 1, 4000, ", which the ALB takes")
	for _, cidr := range e.AllowedCIDRs {
		p, err := netip.ParsePrefix(cidr)
		switch {
		case err != nil || !p.Addr().Is4() || p.Masked() != p:
			v.problem("entry.allowed_cidrs", "%q is not an IPv4 range such as 198.51.100.0/24; one address is 198.51.100.7/32", cidr)
		case p.Bits() < 8 && e.PlainHTTP:
			v.problem("entry.allowed_cidrs", "%s with plain_http would send passwords readable across the internet; use TLS, or a small range", cidr)
		case p.Bits() < 8 && !e.OpenToWorld:
			v.problem("entry.allowed_cidrs", "%s is open to the world; if that is meant, add open_to_the_world = true", cidr)
		}
	}
	if s.GitLab.Compute == "none" {
		return
	}
	switch {
	case e.PlainHTTP && (e.Certificate != "" || e.HostedZone != ""):
		v.problem("entry.plain_http", "contradicts the certificate; leave one of them out")
	case !e.PlainHTTP && e.Domain == "":
		v.problem("entry.domain", "is missing: TLS needs a host name; for a demo without, say plain_http = true")
	case !e.PlainHTTP && e.HostedZone == "" && e.Certificate == "":
		v.problem("entry.domain", "needs hosted_zone (and zone_name) for a new certificate, or certificate_arn")
	}
	if e.PlainHTTP && e.Scheme == "internet-facing" && !slices.Contains(s.Network.OutPorts, 80) {
		v.problem("network.out_ports", "lacks 80, by which jobs reach a plain_http GitLab through the NAT")
	}
	if e.Private && (e.Scheme != "internet-facing" || e.PlainHTTP) {
		v.problem("entry.private_too", "goes with scheme = \"internet-facing\" and TLS; an internal entry is private already")
	}
	v.form("entry.domain", e.Domain, domainForm, "a host name such as gitlab.example.com")
	v.form("entry.hosted_zone", e.HostedZone, zoneForm, "a hosted zone's id such as Z0123456789EXAMPLE")
	if e.HostedZone != "" {
		v.needs("entry.zone_name", e.ZoneName, "hosted_zone")
		if e.ZoneName != "" && e.Domain != e.ZoneName && !strings.HasSuffix(e.Domain, "."+e.ZoneName) {
			v.problem("entry.domain", "%q is not in the zone %q", e.Domain, e.ZoneName)
		}
	}
	if len(e.Domain) > 64 && e.HostedZone != "" && e.Certificate == "" {
		v.problem("entry.domain", "%q has %d characters; ACM makes certificates for up to 64", e.Domain, len(e.Domain))
	}
	v.arn("entry.certificate_arn", e.Certificate, "acm")
	v.arn("entry.web_acl_arn", e.WebACL, "wafv2")
	if strings.Contains(e.WebACL, ":global/") {
		v.problem("entry.web_acl_arn", "%q is for CloudFront; a load balancer takes one with :regional/ in it", e.WebACL)
	}
}
