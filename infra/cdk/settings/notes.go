package settings

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Notes says what is allowed and probably not meant: settings that still have
// the value of a profile, whose deployment would fail or serve nobody; endpoints
// that are billed beside a NAT; a program without a checksum of its own; more
// jobs than addresses; more ranges than a security group takes.
func Notes(s Settings) []string {
	var notes []string
	note := func(key, value string) {
		notes = append(notes, key+" is still the sample's "+value+"; change it before you deploy")
	}
	documentation := netip.MustParsePrefix("203.0.113.0/24") // RFC 5737: no host has these
	for _, cidr := range s.Entry.AllowedCIDRs {
		if p, err := netip.ParsePrefix(cidr); err == nil && documentation.Overlaps(p) {
			note("entry.allowed_cidrs", cidr)
		}
	}
	for _, v := range []struct{ key, value, sign string }{
		{"entry.domain", s.Entry.Domain, "example.com"},
		{"entry.hosted_zone", s.Entry.HostedZone, "EXAMPLE"},
		{"entry.certificate_arn", s.Entry.Certificate, ":123456789012:"},
		{"gitlab.root_email", s.GitLab.RootEmail, "example.com"},
		{"gitlab.mail_from", s.GitLab.MailFrom, "example.com"},
		{"alarm_email", s.AlarmEmail, "example.com"},
		{"runners.gitlab_runner_source", s.Runners.Source, "example-"},
	} {
		if strings.Contains(v.value, v.sign) {
			note(v.key, v.value)
		}
	}
	if n := len(s.Network.Endpoints); n > 0 && s.Network.VPC == "" && s.Network.Egress != "none" {
		notes = append(notes, fmt.Sprintf("network.endpoints: %d endpoints in 2 zones are billed by the hour in each, beside the NAT that reaches the same services; docs/cost.md says how to compare", n))
	}
	if s.Runners.SHA256 == "" {
		notes = append(notes, fmt.Sprintf("runners.gitlab_runner_sha256 is empty: gitlab-runner %s is checked only against the list of checksums beside it; docs/deploy.md has the command that tells it", s.Runners.Version))
	}
	if n := jobAddresses(s.Network); s.Network.VPC == "" && s.Runners.Concurrent > n {
		notes = append(notes, fmt.Sprintf("runners.concurrent: %d jobs need an address each, and the private subnets of %s have %d", s.Runners.Concurrent, s.Network.CIDR, n))
	}
	if n := len(s.Entry.AllowedCIDRs); n > mostRanges {
		notes = append(notes, fmt.Sprintf("entry.allowed_cidrs: %d ranges, two rules for each, are more than the 60 rules that a security group takes; join ranges, or have AWS raise that quota first", n))
	}
	return notes
}

// mostRanges is how many allowed ranges fit into one security group: 60 rules,
// two for each range, and two for the manager and jobs.
const mostRanges = 29

// SubnetBits is the prefix length of a private subnet of a new VPC: a quarter
// of it for each of two, so that jobs get most of its addresses; the rest is
// for public subnets and to spare.
func (n Network) SubnetBits() int {
	return netip.MustParsePrefix(n.CIDR).Bits() + 2 // validated settings
}

// jobAddresses is how many addresses the private subnets have. AWS keeps five
// of each subnet for itself.
func jobAddresses(n Network) int {
	return 2 * (1<<(32-n.SubnetBits()) - 5)
}

// AtLeast compares a version such as 19.3.0.
func AtLeast(version string, major, minor int) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	a, errA := strconv.Atoi(parts[0])
	b, errB := strconv.Atoi(parts[1])
	return errA == nil && errB == nil && (a > major || a == major && b >= minor)
}
