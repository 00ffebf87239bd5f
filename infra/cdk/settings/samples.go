package settings

import (
	"net/netip"
	"strings"
)

// Samples says which settings still have the value of a profile. Such a
// template is good to look at, and its deployment would fail or serve nobody.
func Samples(s Settings) []string {
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
	return notes
}
