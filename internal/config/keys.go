package config

import (
	"reflect"
	"strconv"
	"strings"
)

// Key describes one key of fargate.toml.
type Key struct {
	Section  string // "" is the top level
	Name     string
	Type     string // in words
	Default  string
	Doc      string
	Example  string // as written in the file
	Required bool
	Official bool // the official driver's files may have it

	index []int
}

func (k Key) String() string {
	if k.Section == "" {
		return k.Name
	}
	return "[" + k.Section + "] " + k.Name
}

// Section describes one section of fargate.toml.
type Section struct {
	Name     string
	Doc      string
	Official bool
}

// Sections lists the sections in the order of the reference.
func Sections() []Section {
	var all []Section
	for f := range fieldsOf(reflect.TypeFor[Config]()) {
		if f.Type.Kind() == reflect.Struct {
			all = append(all, Section{Name: f.Name, Doc: f.Tag.Get("doc"), Official: f.Tag.Get("official") == "true"})
		}
	}
	return all
}

// Keys lists every key in the order of the reference.
func Keys() []Key {
	var all []Key
	for f := range fieldsOf(reflect.TypeFor[Config]()) {
		if f.Type.Kind() != reflect.Struct {
			all = append(all, keyOf("", true, nil, f))
			continue
		}
		for inner := range fieldsOf(f.Type) {
			all = append(all, keyOf(f.Name, f.Tag.Get("official") == "true", f.Index, inner))
		}
	}
	return all
}

func keyOf(section string, official bool, outer []int, f reflect.StructField) Key {
	k := Key{
		Section:  section,
		Name:     f.Name,
		Type:     typeInWords(f.Type),
		Default:  f.Tag.Get("default"),
		Doc:      f.Tag.Get("doc"),
		Example:  f.Tag.Get("example"),
		Required: f.Tag.Get("required") == "true",
		Official: official,
		index:    append(append([]int{}, outer...), f.Index...),
	}
	if f.Type.Kind() == reflect.String || f.Type == reflect.TypeFor[Duration]() ||
		f.Type == reflect.TypeFor[Strings]() && !strings.HasPrefix(k.Example, "[") {
		k.Example = strconv.Quote(k.Example)
	}
	return k
}

func fieldsOf(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

func typeInWords(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Strings]():
		return "text or array of texts"
	case reflect.TypeFor[Duration]():
		return "duration"
	case reflect.TypeFor[map[string]string]():
		return "table of texts"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "whole number"
	}
	return "text"
}

func field(c *Config, k Key) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByIndex(k.index)
}

// parseDefault turns the text of a default tag into what TOML would give.
func parseDefault(k Key) any {
	switch k.Type {
	case "true or false":
		return k.Default == "true"
	case "whole number":
		n, _ := strconv.ParseInt(k.Default, 10, 64) // a wrong one stays 0, which a test compares
		return n
	case "text or array of texts":
		var all []any
		for item := range strings.SplitSeq(k.Default, ",") {
			all = append(all, item)
		}
		return all
	}
	return k.Default
}

func sectionNamed(name string) (Section, bool) {
	for _, s := range Sections() {
		if strings.EqualFold(s.Name, name) {
			return s, true
		}
	}
	return Section{}, false
}

// Nearest is the known name that a typing mistake is closest to, or "". Upper
// and lower case make no difference.
func Nearest(name string, known []string) string {
	best, least := "", len(name)/3+1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d <= least && d < len(k) {
			best, least = k, d-1
		}
	}
	return best
}

// elsewhere names the section that has a key of this name.
func elsewhere(name, section string) string {
	for _, k := range Keys() {
		if strings.EqualFold(k.Name, name) && k.Section != section {
			return k.String()
		}
	}
	return ""
}

// distance is the number of single letters to change, add or drop.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
