package strict

import (
	"encoding/json"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Schema writes a JSON Schema (draft 2020-12) of the file that is read into a T.
// A type that reads itself from text may have a method JSONSchema for its own.
func Schema[T any](w io.Writer, title string) error {
	s := objectSchema(reflect.TypeFor[T]())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = title
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(s)
}

func objectSchema(t reflect.Type) map[string]any {
	properties := map[string]any{}
	var required, either []any
	for _, f := range fieldsOf(t) {
		s := valueSchema(&f)
		if k := kindOf(f.typ); k != scalarKind && !f.required && !f.either {
			s["type"] = []any{s["type"], "null"} // nothing is the default
		}
		s["description"] = f.doc
		if f.hasDef {
			s["default"] = defaultValue(&f)
		}
		properties[f.key] = s
		if f.required && !f.hasDef {
			required = append(required, f.key)
		}
		if f.either {
			either = append(either, map[string]any{"required": []any{f.key}})
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if required != nil {
		s["required"] = required
	}
	if either != nil {
		s["oneOf"] = either
	}
	return s
}

func valueSchema(f *field) map[string]any {
	if own, ok := reflect.Zero(f.typ).Interface().(interface{ JSONSchema() map[string]any }); ok {
		return own.JSONSchema()
	}
	switch {
	case len(f.enum) > 0 && kindOf(f.typ) == scalarKind:
		return map[string]any{"enum": enumValues(f.enum)}
	case f.typ == reflect.TypeFor[time.Duration]():
		return map[string]any{"type": "string", "pattern": DurationPattern}
	case isSecret(f.typ):
		return map[string]any{"type": "string"}
	case f.typ.Kind() == reflect.Int:
		least, _ := strconv.Atoi(f.min)
		most, _ := strconv.Atoi(f.max)
		return map[string]any{"type": "integer", "minimum": least, "maximum": most}
	case f.typ.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case kindOf(f.typ) == mappingKind:
		return objectSchema(structOf(f.typ))
	case kindOf(f.typ) == listKind:
		s := map[string]any{"type": "array", "items": valueSchema(&field{typ: f.typ.Elem(), enum: f.enum, required: true})}
		if f.required {
			s["minItems"] = 1
		}
		return s
	}
	s := map[string]any{"type": "string"}
	if f.required {
		s["minLength"] = 1
	}
	return s
}

// enumValues are words, and beside one that looks like a number, the number that
// YAML makes of it.
func enumValues(words []string) []any {
	var values []any
	for _, w := range words {
		values = append(values, w)
		if n, err := strconv.ParseFloat(w, 64); err == nil {
			values = append(values, n)
		}
	}
	return values
}

func defaultValue(f *field) any {
	switch {
	case kindOf(f.typ) == listKind:
		return strings.Split(f.def, ",")
	case f.typ.Kind() == reflect.Int:
		n, _ := strconv.Atoi(f.def)
		return n
	case f.typ.Kind() == reflect.Bool:
		return f.def == "true"
	}
	return f.def
}
