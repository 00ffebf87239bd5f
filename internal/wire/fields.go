package wire

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxFields bounds a text message. The largest that is sent has some 400 bytes.
const maxFields = 8 << 10

// fields is the text form of a message: a line "key=value" per field, so that a
// person can read a trace, and a peer can skip what it does not know.
type fields struct {
	b strings.Builder
}

func (f *fields) text(key, value string) {
	if value == "" {
		return
	}
	f.b.WriteString(key)
	f.b.WriteByte('=')
	f.b.WriteString(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, value))
	f.b.WriteByte('\n')
}

func (f *fields) number(key string, value int64) { f.text(key, strconv.FormatInt(value, 10)) }

func (f *fields) duration(key string, value time.Duration) {
	if value != 0 {
		f.text(key, value.String())
	}
}

func (f *fields) bytes() []byte { return []byte(f.b.String()) }

// parsed is a message that was read; err keeps the first mistake in it.
type parsed struct {
	what   string
	values map[string]string
	err    error
}

func parse(what string, b []byte) *parsed {
	p := &parsed{what: what, values: map[string]string{}}
	if len(b) > maxFields {
		p.fail("%d bytes are above the limit of %d", len(b), maxFields)
		return p
	}
	for line := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if _, twice := p.values[key]; !ok || key == "" || twice {
			p.fail("%q is not one new key=value", line)
			return p
		}
		if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			p.fail("%q is not printable text", line)
			return p
		}
		p.values[key] = value
	}
	return p
}

func (p *parsed) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("reading a %s: "+format, append([]any{p.what}, args...)...)
	}
}

func (p *parsed) text(key string) string { return p.values[key] }

func (p *parsed) number(key string, missing, least, most int64) int64 {
	s, ok := p.values[key]
	if !ok {
		return missing
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > most {
		p.fail("%s=%q is not a number from %d to %d", key, s, least, most)
		return missing
	}
	return n
}

func (p *parsed) duration(key string) time.Duration {
	s, ok := p.values[key]
	if !ok {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		p.fail("%s=%q is not a duration like 30s", key, s)
		return 0
	}
	return d
}
