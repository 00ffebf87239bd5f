package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

// Problem is one thing wrong with a file.
type Problem struct {
	Line    int    // 0 where the problem is that something is missing
	Key     string // "[Launch] Deadline"
	Message string // what is wrong and what to write instead
	Warning bool   // the file can be used all the same
}

// Error is everything that makes a file unusable, in the order of its lines.
type Error struct {
	File     string
	Problems []Problem
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.in(e.File)
	}
	head := fmt.Sprintf("reading the configuration %s", e.File)
	if len(lines) == 1 {
		return head + ": " + lines[0]
	}
	return fmt.Sprintf("%s: %d mistakes:\n  %s", head, len(lines), strings.Join(lines, "\n  "))
}

func (p Problem) in(file string) string {
	text := p.Key + ": " + p.Message
	if p.Key == "" {
		text = p.Message
	}
	if p.Line > 0 {
		return fmt.Sprintf("line %d: %s", p.Line, text)
	}
	return text
}

// Describe writes a problem with its place, as a warning is logged.
func (p Problem) Describe(file string) string {
	place := file
	if p.Line > 0 {
		place += fmt.Sprintf(":%d", p.Line)
	}
	if p.Key == "" {
		return place + ": " + p.Message
	}
	return place + ": " + p.Key + ": " + p.Message
}

// Load reads and validates a file. What can be used in spite of it, such as an
// unknown key in one of the official driver's sections, comes back as
// warnings; the error is an *Error with all mistakes, or that of reading.
func Load(file string) (Config, []Problem, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		var reason *os.PathError
		if errors.As(err, &reason) {
			err = reason.Err
		}
		return Config{}, nil, fmt.Errorf("reading the configuration %s: %w; give the path with --config", file, err)
	}
	return Parse(file, string(data))
}

// Parse is Load for text that is already there; file is for messages.
func Parse(file, text string) (Config, []Problem, error) {
	d := decoder{lines: map[string]int{}}
	c := Default()
	var root map[string]toml.Primitive
	meta, err := toml.Decode(text, &root)
	if err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return Config{}, nil, &Error{file, []Problem{{Line: parse.Position.Line, Message: "not valid TOML: " + parse.Message}}}
		}
		return Config{}, nil, fmt.Errorf("reading the configuration %s: %w", file, err)
	}
	d.meta = meta
	d.top(&c, root)
	for _, p := range validate(c, d.lines) {
		// What could not be decoded has its message already.
		if !slices.ContainsFunc(d.problems, func(q Problem) bool { return q.Key == p.Key }) {
			d.problems = append(d.problems, p)
		}
	}

	slices.SortStableFunc(d.problems, func(a, b Problem) int { return a.Line - b.Line })
	var warnings, mistakes []Problem
	for _, p := range d.problems {
		if p.Warning {
			warnings = append(warnings, p)
		} else {
			mistakes = append(mistakes, p)
		}
	}
	if len(mistakes) > 0 {
		return Config{}, warnings, &Error{file, mistakes}
	}
	return c, warnings, nil
}

// Default is the configuration of an empty file. It lacks the required keys.
func Default() Config {
	var c Config
	var d decoder
	for _, k := range Keys() {
		if k.Default != "" {
			if err := d.set(field(&c, k), parseDefault(k)); err != "" {
				panic("config: default of " + k.String() + ": " + err) // a struct tag of this package; every test would see it
			}
		}
	}
	return c
}

type decoder struct {
	meta     toml.MetaData
	lines    map[string]int // of every key that was set, by Key.String()
	problems []Problem
}

func (d *decoder) problem(line int, key, format string, args ...any) {
	d.problems = append(d.problems, Problem{Line: line, Key: key, Message: fmt.Sprintf(format, args...)})
}

func (d *decoder) top(c *Config, root map[string]toml.Primitive) {
	known := map[string][]Key{} // by section; "" is the top level
	for _, k := range Keys() {
		known[k.Section] = append(known[k.Section], k)
	}
	for _, name := range slices.Sorted(maps.Keys(root)) {
		section, isSection := sectionNamed(name)
		if !isSection {
			d.key(c, "", true, known[""], name, root[name])
			continue
		}
		var table map[string]toml.Primitive
		value, line := d.value(root[name])
		if _, isTable := value.(map[string]any); !isTable || d.meta.PrimitiveDecode(root[name], &table) != nil {
			d.problem(line, "["+section.Name+"]", "this is a section; write [%s] on a line of its own and its keys below", section.Name)
			continue
		}
		for _, inner := range slices.Sorted(maps.Keys(table)) {
			d.key(c, section.Name, section.Official, known[section.Name], inner, table[inner])
		}
	}
}

// key decodes one key of a section, or of the top level.
func (d *decoder) key(c *Config, section string, official bool, known []Key, name string, p toml.Primitive) {
	value, line := d.value(p)
	i := slices.IndexFunc(known, func(k Key) bool { return strings.EqualFold(k.Name, name) })
	if i < 0 {
		d.unknown(section, official, known, name, value, line)
		return
	}
	k := known[i]
	if first, twice := d.lines[k.String()]; twice {
		d.problem(line, k.String(), "is set twice (also in line %d); upper and lower case make no difference", first)
		return
	}
	d.lines[k.String()] = line
	if wrong := d.set(field(c, k), value); wrong != "" {
		d.problem(line, k.String(), "%s", wrong)
	}
}

// unknown is a warning where the official driver's files may have keys of
// another version, and a mistake in our own sections, where a misspelt limit
// would be no limit.
func (d *decoder) unknown(section string, official bool, known []Key, name string, value any, line int) {
	_, table := value.(map[string]any)
	at := name
	if section != "" {
		at = "[" + section + "] " + name
	} else if table {
		at = "[" + name + "]"
	}
	candidates := make([]string, 0, len(known))
	for _, k := range known {
		candidates = append(candidates, k.Name)
	}
	if section == "" {
		for _, s := range Sections() {
			candidates = append(candidates, s.Name)
		}
	}
	message := "unknown key"
	if table && section == "" {
		message = "unknown section"
	}
	if other := elsewhere(name, section); other != "" {
		message += fmt.Sprintf("; there is %s", other)
	} else if near := Nearest(name, candidates); near != "" {
		message += fmt.Sprintf("; did you mean %s?", near)
	}
	// A section that nobody knows could be one of ours misspelt, and the
	// limits in it would be no limits.
	warning := official && !(table && section == "")
	d.problems = append(d.problems, Problem{Line: line, Key: at, Message: message, Warning: warning})
}

// value returns a key's value and its line, which the TOML library tells only
// in the errors of an Unmarshaler.
func (d *decoder) value(p toml.Primitive) (any, int) {
	var v locator
	var located toml.ParseError
	if err := d.meta.PrimitiveDecode(p, &v); errors.As(err, &located) {
		return v.value, located.Position.Line
	}
	return v.value, 0
}

type locator struct{ value any }

var errLocated = errors.New("located")

func (l *locator) UnmarshalTOML(v any) error { l.value = v; return errLocated }

// set assigns a decoded value and says what is wrong with it, or "".
func (d *decoder) set(to reflect.Value, value any) string {
	switch to.Interface().(type) {
	case string:
		s, ok := value.(string)
		if !ok {
			return fmt.Sprintf("wants text in quotes, not %s", describe(value))
		}
		to.SetString(s)
	case bool:
		b, ok := value.(bool)
		if !ok {
			return fmt.Sprintf("wants true or false without quotes, not %s", describe(value))
		}
		to.SetBool(b)
	case Propagation:
		switch value {
		case true, "TASK_DEFINITION":
			to.SetBool(true)
		case false, "NONE", "":
			to.SetBool(false)
		default:
			return fmt.Sprintf("wants true, false, \"TASK_DEFINITION\" or \"NONE\", not %s", describe(value))
		}
	case int:
		n, ok := value.(int64)
		if !ok {
			return fmt.Sprintf("wants a whole number without quotes, not %s", describe(value))
		}
		to.SetInt(n)
	case Strings:
		all, ok := texts(value)
		if !ok {
			return fmt.Sprintf("wants text in quotes or an array of texts, not %s", describe(value))
		}
		to.Set(reflect.ValueOf(all))
	case Duration:
		s, ok := value.(string)
		if !ok {
			return fmt.Sprintf("wants a duration in quotes such as \"90s\" or \"10m\", not %s", describe(value))
		}
		parsed, err := time.ParseDuration(s)
		if err != nil || parsed < 0 {
			return fmt.Sprintf("%q is not a duration; write for example \"90s\", \"10m\" or \"1h30m\"", s)
		}
		to.Set(reflect.ValueOf(Duration{parsed}))
	case map[string]string:
		table, ok := value.(map[string]any)
		if !ok {
			return fmt.Sprintf("wants a table such as { Team = \"ci\" }, not %s", describe(value))
		}
		all := map[string]string{}
		for name, v := range table {
			s, ok := v.(string)
			if !ok {
				return fmt.Sprintf("%s wants text in quotes, not %s", name, describe(v))
			}
			all[name] = s
		}
		to.Set(reflect.ValueOf(all))
	default:
		panic(fmt.Sprintf("config: no decoder for %s", to.Type()))
	}
	return ""
}

func texts(value any) (Strings, bool) {
	switch v := value.(type) {
	case string:
		if v == "" {
			return nil, true
		}
		return Strings{v}, true
	case []any:
		all := Strings{}
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, false
			}
			all = append(all, s)
		}
		return all, true
	}
	return nil, false
}

func describe(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	default:
		return fmt.Sprint(v)
	}
}
