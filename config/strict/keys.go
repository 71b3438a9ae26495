package strict

import (
	"encoding"
	"reflect"
	"strings"
	"time"

	"flow2ipfix/internal/secret"
)

// field is a key of a mapping, as its tags say.
type field struct {
	key, doc  string
	def       string // as in the file; lists with commas between
	hasDef    bool
	enum      []string
	min, max  string
	want      string
	required  bool
	either    bool
	omitEmpty bool
	index     int // among the struct's fields
	typ       reflect.Type
}

// kind is what stands behind a key.
type kind int

const (
	scalarKind  kind = iota
	mappingKind      // a struct, or a pointer to one
	listKind         // of scalars or of mappings
)

func kindOf(t reflect.Type) kind {
	switch {
	case t.Kind() == reflect.Slice:
		return listKind
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()), isSecret(t):
		return scalarKind
	case t.Kind() == reflect.Struct, t.Kind() == reflect.Pointer:
		return mappingKind
	}
	return scalarKind
}

// structOf returns the type of a mapping's fields.
func structOf(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// fieldsOf returns the keys of a struct type, in order.
func fieldsOf(t reflect.Type) []field {
	fields := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		sf := t.Field(i)
		f := field{doc: sf.Tag.Get("doc"), min: sf.Tag.Get("min"), max: sf.Tag.Get("max"), want: sf.Tag.Get("want"), index: i, typ: sf.Type}
		f.key, _, f.omitEmpty = strings.Cut(sf.Tag.Get("yaml"), ",")
		f.def, f.hasDef = sf.Tag.Lookup("default")
		f.required = sf.Tag.Get("required") == "true"
		f.either = sf.Tag.Get("either") == "true"
		if enum := sf.Tag.Get("enum"); enum != "" {
			f.enum = strings.Split(enum, ",")
		}
		fields = append(fields, f)
	}
	return fields
}

// Key describes a key, for documentation.
type Key struct {
	Path     string // sources[].azure.account_url
	Env      string // the environment variable that stands above it; empty in lists
	Type     string // text, secret, number, true or false, duration, mapping, list
	Default  string // as in the file; empty if there is none
	Enum     []string
	Want     string // what it may be, if it is not one of Enum; empty if its type says that
	Required bool
	Either   bool // of the keys beside it that say so, exactly one is there
	Doc      string
}

// Keys returns all keys of a T in the order of the file. prefix begins its
// variables.
func Keys[T any](prefix string) []Key {
	var keys []Key
	walkKeys(reflect.TypeFor[T](), "", func(path string, f field) {
		keys = append(keys, Key{path, envName(prefix, path, &f), typeName(f.typ), f.def, f.enum, f.bounds(), f.required, f.either, f.doc})
	})
	return keys
}

func walkKeys(t reflect.Type, path string, visit func(path string, f field)) {
	for _, f := range fieldsOf(t) {
		at := join(path, f.key)
		visit(at, f)
		switch kindOf(f.typ) {
		case mappingKind:
			walkKeys(structOf(f.typ), at, visit)
		case listKind:
			if kindOf(f.typ.Elem()) == mappingKind {
				walkKeys(f.typ.Elem(), at+"[]", visit)
			}
		}
	}
}

// bounds says what a value may be beside what its type and Enum say.
func (f *field) bounds() string {
	switch {
	case f.want != "":
		return f.want
	case f.min != "" && f.max != "":
		return f.min + " to " + f.max
	case f.min != "":
		return f.min + " or more"
	}
	return ""
}

func isSecret(t reflect.Type) bool { return t == reflect.TypeFor[secret.Secret]() }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func typeName(t reflect.Type) string {
	switch {
	case isSecret(t):
		return "secret"
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case kindOf(t) == listKind:
		return "list"
	case kindOf(t) == mappingKind:
		return "mapping"
	case t.Kind() == reflect.Int:
		return "number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	}
	return "text"
}

// envName returns the variable of a key, or "" if it has none.
func envName(prefix, path string, f *field) string {
	if kindOf(f.typ) != scalarKind || strings.Contains(path, "[]") {
		return ""
	}
	return prefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// nearest returns the known word that a person most likely meant, or "".
func nearest(word string, known []string) string {
	plain := func(s string) string {
		return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
	}
	var longer []string
	for _, k := range known {
		if len(word) > 2 && strings.HasPrefix(k, word+"_") {
			longer = append(longer, k)
		}
	}
	if len(longer) == 1 {
		return longer[0]
	}
	best, least := "", max(2, len(word)/4)+1
	for _, k := range known {
		if d := distance(plain(word), plain(k)); d < least && d < len(plain(k)) {
			best, least = k, d
		}
	}
	return best
}

// distance is how many characters must be put in, left out, changed, or swapped
// with the next one, to make b of a.
func distance(a, b string) int {
	const most = 64 // longer than any key
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	var before, last, now [most + 1]int
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := range len(a) {
		now[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			now[j+1] = min(last[j]+cost, last[j+1]+1, now[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				now[j+1] = min(now[j+1], before[j-1]+1)
			}
		}
		before, last = last, now
	}
	return last[len(b)]
}

// elsewhere returns the mappings in which a key stands, if it is known at all.
func elsewhere(root reflect.Type, key string) []string {
	var places []string
	walkKeys(root, "", func(path string, f field) {
		switch {
		case f.key != key:
		case path == key:
			places = append(places, "the top of the file")
		default:
			places = append(places, strings.ReplaceAll(strings.TrimSuffix(path, "."+key), "[]", ""))
		}
	})
	return places
}

func hasPath(root reflect.Type, path string) bool {
	found := false
	walkKeys(root, "", func(p string, _ field) { found = found || p == path })
	return found
}
