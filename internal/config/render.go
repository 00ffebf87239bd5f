package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Render writes a configuration as a file that Parse reads back to the same
// value. Keys that have their default are left out, so that what remains is
// what somebody decided.
func Render(c Config) string {
	var b strings.Builder
	defaults := Default()
	section := ""
	for _, k := range Keys() {
		value := field(&c, k)
		if reflect.DeepEqual(value.Interface(), field(&defaults, k).Interface()) {
			continue
		}
		if k.Section != section {
			section = k.Section
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "[%s]\n", section)
		}
		fmt.Fprintf(&b, "%s = %s\n", k.Name, literal(value.Interface()))
	}
	return b.String()
}

// literal is a value as TOML has it.
func literal(value any) string {
	switch v := value.(type) {
	case string:
		return quote(v)
	case Duration:
		return quote(v.String())
	case Strings:
		if len(v) == 1 {
			return quote(v[0])
		}
		all := make([]string, len(v))
		for i, s := range v {
			all[i] = quote(s)
		}
		return "[" + strings.Join(all, ", ") + "]"
	case map[string]string:
		all := make([]string, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			all = append(all, quote(name)+" = "+quote(v[name]))
		}
		return "{ " + strings.Join(all, ", ") + " }"
	case bool:
		return strconv.FormatBool(v)
	case Propagation:
		return strconv.FormatBool(bool(v))
	case int:
		return strconv.Itoa(v)
	}
	panic(fmt.Sprintf("config: no literal for %T", value)) // a field type of this package; the round-trip test would see it
}

// quote is TOML's basic string: of the control characters only those that it
// has short escapes for are written so, the others by their number.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
