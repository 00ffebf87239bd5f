package settings

import (
	"reflect"
	"strconv"
	"strings"
)

// Key describes one key, for messages and for the annotated sample.
type Key struct {
	Path     string // "network.cidr", "task.cpu"; a top-level key has no dot
	Name     string
	Default  string
	Doc      string
	Example  string // as written in the file
	Required bool
}

// Section describes a table, or an array of tables.
type Section struct {
	Name     string // "" is the top level
	Doc      string
	Repeated bool
	Keys     []Key
}

// Sections lists everything that a file may have, in the order of the sample.
func Sections() []Section {
	all := []Section{{}}
	top := reflect.TypeFor[Settings]()
	for i := range top.NumField() {
		f := top.Field(i)
		inner, repeated := tableType(f.Type)
		if inner == nil {
			all[0].Keys = append(all[0].Keys, keyOf("", f))
			continue
		}
		s := Section{Name: f.Tag.Get("toml"), Doc: f.Tag.Get("doc"), Repeated: repeated}
		for j := range inner.NumField() {
			s.Keys = append(s.Keys, keyOf(s.Name, inner.Field(j)))
		}
		all = append(all, s)
	}
	return all
}

// tableType is the struct behind a section's field, or nil for a plain key.
func tableType(t reflect.Type) (inner reflect.Type, repeated bool) {
	switch {
	case t.Kind() == reflect.Struct:
		return t, false
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return t.Elem(), true
	}
	return nil, false
}

func keyOf(section string, f reflect.StructField) Key {
	k := Key{
		Name:     f.Tag.Get("toml"),
		Default:  f.Tag.Get("default"),
		Doc:      f.Tag.Get("doc"),
		Example:  f.Tag.Get("example"),
		Required: f.Tag.Get("required") == "true",
	}
	k.Path = k.Name
	if section != "" {
		k.Path = section + "." + k.Name
	}
	if f.Type.Kind() == reflect.String {
		k.Example = strconv.Quote(k.Example)
	}
	return k
}

// setDefaults gives every field of a struct the value of its default tag.
func setDefaults(v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		field, text := v.Field(i), t.Field(i).Tag.Get("default")
		switch field.Interface().(type) {
		case string:
			field.SetString(text)
		case bool:
			field.SetBool(text == "true")
		case int:
			n, _ := strconv.Atoi(text) // a test compares every default with its tag
			field.SetInt(int64(n))
		case []int:
			var all []int
			for item := range strings.SplitSeq(text, ",") {
				n, _ := strconv.Atoi(item)
				all = append(all, n)
			}
			field.Set(reflect.ValueOf(all))
		default:
			if field.Kind() == reflect.Struct {
				setDefaults(field)
			}
		}
	}
}

// keyAt is the prefix of the keys of the i-th table of an array, counted from
// one as people do.
func keyAt(section string, i int) string { return section + "[" + strconv.Itoa(i+1) + "]." }
