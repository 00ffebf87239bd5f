package settings

import (
	"fmt"
	"net/netip"
	"strings"
)

// Notes says what is allowed and probably not meant: settings that still have
// the value of a profile, whose deployment would fail or serve nobody, and
// endpoints that are billed beside a NAT.
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
	return notes
}
