// Package strict reads a YAML file, and the environment above it, into a struct
// whose tags say everything about its keys: what they mean, what they may be, and
// their defaults. It lets nothing pass in silence, and finds all that is wrong at
// once. From the same tags it makes a JSON Schema and a list of keys.
//
// It knows nothing of any one key; package config does.
//
// The tags of a field:
//
//	yaml     its key; ",omitempty" leaves it out of Dump when it is empty
//	doc      what it means, in words for an operator
//	default  what it is if it is not given, as it would stand in the file; the
//	         elements of a list with commas between
//	enum     what it may be, with commas between; of a list, what each element may be
//	min, max bounds of a number; min also of a duration
//	want     what to write, where type, enum and bounds do not say it
//	required "true": it cannot be left out or be empty
//	either   "true": of the fields with this tag, exactly one is there
//
// The types are structs, pointers to structs, slices, string, int,
// time.Duration, secret.Secret, and whatever reads itself from a text
// (encoding.TextUnmarshaler, with an error that says "want …").
package strict

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// Read reads a file into a T. A value in env goes before that in the file: its
// name is prefix, and the key's path in upper case with '_' for '.'. Keys in
// lists have none. The report says what is wrong; if it is the file as a whole,
// ok is false and the T is empty.
func Read[T any](file, prefix string, env map[string]string) (value T, r *Report, ok bool) {
	r = newReport(file)
	t := reflect.TypeFor[T]()
	tree, ok := r.readFile(t)
	if !ok {
		return value, r, false
	}
	r.decode(&value, tree, r.readEnv(t, prefix, env))
	return value, r, true
}

// Default returns the T of an empty file.
func Default[T any]() T {
	var value T
	newReport("").decode(&value, nil, nil)
	return value
}

// decode lays the environment above the file above the defaults.
func (r *Report) decode(target any, file map[string]any, env []scalar) {
	v := viper.New()
	walkKeys(reflect.TypeOf(target).Elem(), "", func(path string, f field) {
		if f.hasDef && !strings.Contains(path, "[]") {
			v.SetDefault(path, scalar{path: path, text: f.def, field: &f})
		}
	})
	err := v.MergeConfigMap(file)
	for _, s := range env {
		v.Set(s.path, s)
	}
	if err == nil {
		err = v.Unmarshal(target, func(c *mapstructure.DecoderConfig) {
			c.TagName = "yaml"
			c.MatchName = func(key, field string) bool { return key == field }
			c.WeaklyTypedInput = false
			c.ErrorUnused = true
			c.DecodeHook = mapstructure.DecodeHookFuncValue(r.hook)
		})
	}
	if err != nil { // whatever a file can do wrong was found before
		r.Fail("", nil, "decode: %v", err)
	}
}

func (r *Report) readEnv(t reflect.Type, prefix string, vars map[string]string) []scalar {
	var env []scalar
	walkKeys(t, "", func(path string, f field) {
		name := envName(prefix, path, &f)
		if text, ok := vars[name]; ok && name != "" {
			r.env[path] = name
			env = append(env, scalar{path: path, text: text, field: &f})
		}
	})
	return env
}

// CheckEnv reports the variables with a prefix that no key has. Those in more
// mean something, too.
func CheckEnv[T any](r *Report, prefix string, env map[string]string, more []string) {
	var known []string
	for _, k := range Keys[T](prefix) {
		if k.Env != "" {
			known = append(known, k.Env)
		}
	}
	for name := range env {
		if !strings.HasPrefix(name, prefix) || slices.Contains(known, name) || slices.Contains(more, name) {
			continue
		}
		text := "unknown variable; lists, and what is in them, stand in the file only"
		if near := nearest(name, known); near != "" {
			text = fmt.Sprintf("unknown variable; did you mean %s?", near)
		}
		r.errs = append(r.errs, KeyError{Env: name, Text: text})
	}
}

// scalar is a value that has not been read as what it shall be yet.
type scalar struct {
	path  string
	text  string
	tag   string // of YAML, like !!int; empty if it is not from the file
	field *field
}

// hook makes a value of a scalar. What cannot be made is reported, so that
// decoding goes on with the next.
func (r *Report) hook(from, to reflect.Value) (any, error) {
	s, ok := from.Interface().(scalar)
	if !ok {
		return from.Interface(), nil
	}
	value, problem := s.parse(to.Type())
	if problem == "" {
		return value, nil
	}
	got := shown(s.text, s.tag)
	if isSecret(to.Type()) {
		got = nil
	}
	r.Fail(s.path, got, "%s", problem)
	return reflect.Zero(to.Type()).Interface(), nil
}

// parse reads a scalar as a type, or says what to write instead.
func (s *scalar) parse(t reflect.Type) (value any, problem string) {
	isText := s.tag == "!!str" || s.tag == ""
	if isSecret(t) && !isText { // 012 would be taken for what it is not
		return nil, "want text; put the value into quotes"
	}
	target := reflect.New(t)
	if u, ok := target.Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(s.text)); err != nil {
			return nil, err.Error()
		}
		return target.Elem().Interface(), ""
	}
	want := "want " + wantOf(s.field)
	switch {
	case t == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(s.text)
		if err != nil || !isText || d < s.field.leastDuration() {
			return nil, want
		}
		return d, ""
	case t.Kind() == reflect.Int:
		n, err := strconv.Atoi(s.text)
		if err != nil || strconv.Itoa(n) != s.text || s.tag == "!!str" || !s.field.within(n) {
			return nil, want
		}
		return n, ""
	case t.Kind() == reflect.Bool:
		if s.text != "true" && s.text != "false" || s.tag == "!!str" {
			return nil, want
		}
		return s.text == "true", ""
	case len(s.field.enum) > 0: // 1.2 is a word, too
		if !slices.Contains(s.field.enum, s.text) {
			return nil, want
		}
		return s.text, ""
	case !isText:
		return nil, fmt.Sprintf("want text; put it into quotes, like %q", s.text)
	case s.text == "" && s.field.required:
		return nil, want
	}
	return s.text, ""
}

func (f *field) leastDuration() time.Duration {
	least, _ := time.ParseDuration(f.min)
	return least
}

func (f *field) within(n int) bool {
	least, _ := strconv.Atoi(f.min)
	most, _ := strconv.Atoi(f.max)
	return least <= n && n <= most
}

// wantOf says what to write as a value.
func wantOf(f *field) string {
	switch {
	case len(f.enum) == 1:
		return f.enum[0] + ", which is all that there is yet"
	case len(f.enum) > 1:
		return OrList(f.enum)
	case f.want != "":
		return f.want
	case f.typ == reflect.TypeFor[time.Duration]():
		want := "a duration with a unit, like 30s"
		if f.min != "" {
			want += ", of " + f.min + " or more"
		}
		return want
	case f.typ.Kind() == reflect.Int:
		return fmt.Sprintf("a number from %s to %s", f.min, f.max)
	case f.typ.Kind() == reflect.Bool:
		return "true or false"
	case kindOf(f.typ) == listKind && kindOf(f.typ.Elem()) == mappingKind:
		return "a list with at least one entry"
	case kindOf(f.typ) == listKind && f.def != "":
		return fmt.Sprintf("a list like [%s]", strings.ReplaceAll(f.def, ",", ", "))
	case kindOf(f.typ) == mappingKind:
		return "a mapping of keys: " + OrList(keysOf(structOf(f.typ)))
	}
	return "text"
}
