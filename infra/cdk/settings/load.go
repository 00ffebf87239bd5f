package settings

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/fargate-driver/fargate-driver/internal/config"
)

// Problem is one thing wrong with a file.
type Problem struct {
	Line    int    // 0 where the problem is that something is missing
	Key     string // "network.cidr", "task[2].cpu"
	Message string // what is wrong and what to write instead
}

// Error is everything wrong with a file, in the order of its lines.
type Error struct {
	File     string
	Problems []Problem
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("%s: %s", p.Key, p.Message)
		if p.Line > 0 {
			lines[i] = fmt.Sprintf("line %d: %s", p.Line, lines[i])
		}
	}
	return fmt.Sprintf("reading the settings %s:\n  %s", e.File, strings.Join(lines, "\n  "))
}

// Load reads and validates a file. The error is an *Error with all mistakes,
// or that of reading.
func Load(file string) (Settings, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Settings{}, fmt.Errorf("reading the settings: %w; copy one of profiles/*.toml and give its path", err)
	}
	return Parse(file, string(data))
}

// Parse is Load for text that is already there; file is for messages.
func Parse(file, text string) (Settings, error) {
	var tree map[string]any
	if err := toml.Unmarshal([]byte(text), &tree); err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return Settings{}, &Error{file, []Problem{{parse.Position.Line, "not valid TOML", parse.Message}}}
		}
		return Settings{}, fmt.Errorf("reading the settings %s: %w", file, err)
	}
	s := Default()
	d := decoder{lines: linesOf(text), set: map[string]bool{}}
	d.table(reflect.ValueOf(&s).Elem(), "", tree)
	d.problems = append(d.problems, d.clear(validate(s, decoder{lines: d.lines, set: d.set}))...)
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int { return a.Line - b.Line })
		return Settings{}, &Error{file, d.problems}
	}
	return s, nil
}

// Default is the settings of an empty file. It lacks the required keys.
func Default() Settings {
	var s Settings
	setDefaults(reflect.ValueOf(&s).Elem())
	return s
}

// clear leaves out what may only follow from mistakes that are told already: a
// value of the wrong type has its default now, and one under an unknown key is
// missing. What is wrong with a value as it stands is wrong in any case.
func (d *decoder) clear(found []Problem) []Problem {
	if len(d.problems) == 0 {
		return found
	}
	return slices.DeleteFunc(found, func(p Problem) bool {
		return !d.set[p.Key] || slices.ContainsFunc(d.problems, func(told Problem) bool { return told.Key == p.Key })
	})
}

type decoder struct {
	lines    map[string]int  // of every key and table in the text
	set      map[string]bool // the keys that the file has
	problems []Problem
}

func (d *decoder) problem(key, format string, args ...any) {
	line := d.lines[key]
	if line == 0 { // what is missing is told at its table
		line = d.lines[key[:max(0, strings.LastIndex(key, "."))]]
	}
	d.problems = append(d.problems, Problem{line, key, fmt.Sprintf(format, args...)})
}

// table decodes a table into a struct; prefix is "" or ends in a dot.
func (d *decoder) table(to reflect.Value, prefix string, tree map[string]any) {
	names := make([]string, to.NumField())
	for i := range to.NumField() {
		names[i] = to.Type().Field(i).Tag.Get("toml")
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		key := prefix + name
		i := slices.Index(names, name)
		if i < 0 {
			hint := ""
			if near := config.Nearest(name, names); near != "" {
				hint = fmt.Sprintf("; did you mean %s?", near)
			} else if other := elsewhere(name); other != "" {
				hint = fmt.Sprintf("; there is %s", other)
			}
			d.problem(key, "unknown key%s", hint)
			continue
		}
		d.set[key] = true
		d.value(to.Field(i), key, tree[name])
	}
	for i, name := range names {
		if to.Type().Field(i).Tag.Get("required") == "true" && (!d.set[prefix+name] || to.Field(i).Len() == 0) {
			key := keyOf("", to.Type().Field(i))
			d.problem(prefix+name, "is required, for example %s = %s", name, key.Example)
		}
	}
}

func (d *decoder) value(to reflect.Value, key string, value any) {
	wrong := func(want string) { d.problem(key, "wants %s, not %s", want, describe(value)) }
	switch to.Interface().(type) {
	case string:
		if s, ok := value.(string); ok {
			to.SetString(s)
			return
		}
		wrong("text in quotes")
	case bool:
		if b, ok := value.(bool); ok {
			to.SetBool(b)
			return
		}
		wrong("true or false without quotes")
	case int:
		if n, ok := value.(int64); ok && n >= 0 && n < 1<<31 {
			to.SetInt(n)
			return
		}
		wrong("a whole number without quotes")
	case []string:
		if all, ok := list[string](value); ok {
			to.Set(reflect.ValueOf(all))
			return
		}
		wrong("an array of texts")
	case []int:
		if all, ok := list[int64](value); ok {
			numbers := make([]int, len(all))
			for i, n := range all {
				numbers[i] = int(n)
			}
			to.Set(reflect.ValueOf(numbers))
			return
		}
		wrong("an array of whole numbers")
	case map[string]string:
		table, ok := value.(map[string]any)
		all := map[string]string{}
		for name, v := range table {
			s, isText := v.(string)
			ok = ok && isText
			all[name] = s
		}
		if ok {
			to.Set(reflect.ValueOf(all))
			return
		}
		wrong("a table of texts such as { CostCenter = \"ci\" }")
	default:
		d.section(to, key, value, wrong)
	}
}

// section decodes a table, or an array of tables.
func (d *decoder) section(to reflect.Value, key string, value any, wrong func(string)) {
	if to.Kind() == reflect.Struct {
		if tree, ok := value.(map[string]any); ok {
			d.table(to, key+".", tree)
			return
		}
		wrong("to be a section: write [" + key + "] on a line of its own and its keys below")
		return
	}
	trees, ok := value.([]map[string]any)
	if !ok {
		wrong("to be sections: write [[" + key + "]] on a line of its own and its keys below, for each one")
		return
	}
	all := reflect.MakeSlice(to.Type(), len(trees), len(trees))
	for i, tree := range trees {
		setDefaults(all.Index(i))
		d.table(all.Index(i), fmt.Sprintf("%s[%d].", key, i+1), tree)
	}
	to.Set(all)
}

func list[T any](value any) ([]T, bool) {
	items, ok := value.([]any)
	all := make([]T, 0, len(items))
	for _, item := range items {
		v, isT := item.(T)
		ok = ok && isT
		all = append(all, v)
	}
	return all, ok
}

func describe(value any) string {
	switch v := value.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case []any, []map[string]any:
		return "an array"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprint(value)
}

// elsewhere names a section's key of this name.
func elsewhere(name string) string {
	for _, s := range Sections() {
		for _, k := range s.Keys {
			if k.Name == name && s.Name != "" {
				return name + " in [" + s.Name + "]"
			}
		}
	}
	return ""
}

var (
	header = regexp.MustCompile(`^\s*(\[\[?)\s*([A-Za-z0-9_-]+)\s*\]`)
	assign = regexp.MustCompile(`^\s*([A-Za-z0-9_-]+)\s*=(.*)`)
)

// linesOf finds the line of every key and table. The TOML library tells lines
// only of text that it cannot read.
func linesOf(text string) map[string]int {
	lines := map[string]int{}
	seen := map[string]int{} // how often an array of tables was opened
	prefix, inText := "", ""
	for i, line := range strings.Split(text, "\n") {
		if inText != "" { // inside """ or '''
			if strings.Contains(line, inText) {
				inText = ""
			}
			continue
		}
		if m := header.FindStringSubmatch(line); m != nil {
			name := m[2]
			if m[1] == "[[" {
				seen[name]++
				name = fmt.Sprintf("%s[%d]", name, seen[name])
			}
			lines[name], prefix = i+1, name+"."
		} else if m := assign.FindStringSubmatch(line); m != nil {
			lines[prefix+m[1]] = i + 1
			for _, quote := range []string{`"""`, `'''`} {
				if strings.Count(m[2], quote) == 1 {
					inText = quote
				}
			}
		}
	}
	return lines
}
