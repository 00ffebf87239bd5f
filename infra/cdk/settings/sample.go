package settings

import (
	"fmt"
	"strings"
)

// Sample is a file with every key, explained; what is not required is
// commented out and shows its default, or an example where it has none.
func Sample() string {
	var b strings.Builder
	b.WriteString("# Every setting of the deployment. Keys that are commented out show their\n# default; \"for example\" marks those that have none. profiles/ has shorter files.\n")
	for _, s := range Sections() {
		b.WriteString("\n")
		if s.Name != "" {
			wrap(&b, s.Doc)
			if s.Repeated {
				fmt.Fprintf(&b, "[[%s]]\n", s.Name)
			} else {
				fmt.Fprintf(&b, "[%s]\n", s.Name)
			}
		}
		for i, k := range s.Keys {
			if i > 0 || s.Name != "" {
				b.WriteString("\n")
			}
			wrap(&b, k.Doc)
			switch {
			case k.Required || sampleNeeds(k.Path):
				fmt.Fprintf(&b, "%s = %s\n", k.Name, k.Example)
			case k.Default != "":
				fmt.Fprintf(&b, "# %s = %s\n", k.Name, k.asWritten(k.Default))
			default:
				fmt.Fprintf(&b, "# %s = %s # for example\n", k.Name, k.Example)
			}
		}
	}
	return b.String()
}

// sampleNeeds names the keys that no type requires, and that a deployment
// with its own GitLab behind TLS has.
func sampleNeeds(path string) bool {
	switch path {
	case "entry.domain", "entry.hosted_zone", "entry.zone_name", "gitlab.version":
		return true
	}
	return false
}

// asWritten is a default as TOML has it, in the form of the example.
func (k Key) asWritten(value string) string {
	switch {
	case strings.HasPrefix(k.Example, "["):
		return "[" + strings.ReplaceAll(value, ",", ", ") + "]"
	case strings.HasPrefix(k.Example, `"`):
		return `"` + value + `"`
	}
	return value
}

// wrap writes a comment in lines of at most 80 characters.
func wrap(b *strings.Builder, text string) {
	line := "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 80 {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}
