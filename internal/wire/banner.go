package wire

import (
	"strconv"
	"strings"
)

// Version is the protocol that this code speaks. It changes only when an older
// peer could not carry on: fields and frames that a peer does not know are
// skipped, so adding some does not need a new one.
const Version = 1

const bannerPrefix = "SSH-2.0-FargateCoordinator_"

// Banner is the SSH identification string of an agent: the newest protocol it
// speaks, and its build for people to read. RFC 4253 allows 255 printable bytes.
func Banner(build string) string {
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, build)
	if len(clean) > 64 {
		clean = clean[:64]
	}
	return bannerPrefix + strconv.Itoa(Version) + " " + clean
}

// ParseBanner tells an agent from any other SSH server by its identification
// string. Protocol is the newest one that the agent speaks, build its version;
// ok is false for every other server, which is then used as plain SSH.
func ParseBanner(s string) (protocol int, build string, ok bool) {
	rest, ok := strings.CutPrefix(s, bannerPrefix)
	if !ok {
		return 0, "", false
	}
	number, build, _ := strings.Cut(strings.TrimRight(rest, "\r\n"), " ")
	protocol, err := strconv.Atoi(number)
	if err != nil || protocol < 0 {
		return 0, "", false
	}
	return protocol, build, true
}
