package strict

import (
	"bytes"
	"encoding"
	"io"
	"reflect"
	"time"

	"go.yaml.in/yaml/v3"

	"flow2ipfix/internal/secret"
)

// Dump writes a struct as the YAML that Read reads, defaults included and
// with *** for each secret. A secret that came from a file or a variable is
// shown as that.
func Dump(w io.Writer, value any) error {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(node(reflect.ValueOf(value))); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

func node(v reflect.Value) *yaml.Node {
	switch x := v.Interface().(type) {
	case secret.Secret:
		return text(x.String(), true)
	case time.Duration:
		return text(Duration(x), false)
	case encoding.TextMarshaler:
		b, _ := x.MarshalText() // ours do not fail
		return text(string(b), false)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return node(v.Elem())
	case reflect.Struct:
		return mappingNode(v)
	case reflect.Slice:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			n.Content = append(n.Content, node(v.Index(i)))
		}
		if v.Len() == 0 {
			n.Style = yaml.FlowStyle
		}
		return n
	case reflect.String:
		return text(v.String(), true)
	}
	n := &yaml.Node{}
	_ = n.Encode(v.Interface()) // a number, or true or false
	return n
}

// text is a scalar: a string to YAML, or whatever it looks like.
func text(s string, str bool) *yaml.Node {
	n := &yaml.Node{}
	if _ = n.Encode(s); !str {
		n = &yaml.Node{Kind: yaml.ScalarNode, Value: s}
	}
	return n
}

func mappingNode(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	fields := fieldsOf(v.Type())
	filled := map[string]bool{}
	for _, f := range fields {
		filled[f.key] = !v.Field(f.index).IsZero()
	}
	for _, f := range fields {
		value := v.Field(f.index)
		switch {
		case f.omitEmpty && value.IsZero():
		case value.Kind() == reflect.Pointer && value.IsNil():
		case isSecret(f.typ) && (filled[f.key+"_file"] || filled[f.key+"_env"]):
		default:
			n.Content = append(n.Content, text(f.key, true), node(value))
		}
	}
	return n
}
