package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes is more than anyone writes by hand.
const maxFileBytes = 1 << 20

// readFile returns what is in the file: mappings, lists, and scalars at their
// ends. Whatever is not known, there twice, or a list in the place of a mapping
// is reported and left out.
func (r *Report) readFile(t reflect.Type) (tree map[string]any, ok bool) {
	f, err := os.Open(r.file)
	if err != nil {
		r.failFile(err)
		return nil, false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	switch {
	case err != nil:
		r.failFile(err)
		return nil, false
	case len(text) > maxFileBytes:
		r.Fail("", nil, "want a file of at most %d bytes", maxFileBytes)
		return nil, false
	}
	return r.readTree(t, text)
}

func (r *Report) failFile(err error) {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err // the file's name stands before it
	}
	r.Fail("", nil, "%v", err)
}

func (r *Report) readTree(t reflect.Type, text []byte) (tree map[string]any, ok bool) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		r.failSyntax(text, err)
		return nil, false
	}
	r.root = t
	root := &yaml.Node{Kind: yaml.MappingNode, Line: 0} // an empty file
	if len(doc.Content) > 0 && !isNull(doc.Content[0]) {
		root = doc.Content[0]
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		r.failAt("", second.Line, nil, "want one document, but a second one begins here")
	case !errors.Is(err, io.EOF):
		r.failSyntax(text, err)
	}
	return r.mapping(root, t, "", false)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// failSyntax says where a file is not YAML.
func (r *Report) failSyntax(text []byte, err error) {
	m := yamlLine.FindStringSubmatch(err.Error() + "\n")
	if m == nil {
		r.Fail("", nil, "not YAML: %v", err)
		return
	}
	line, _ := strconv.Atoi(m[1])
	what := strings.TrimPrefix(err.Error(), m[0])
	for i, l := range bytes.Split(text, []byte("\n")) {
		indent := l[:len(l)-len(bytes.TrimLeft(l, " \t"))]
		if len(indent) < len(l) && bytes.ContainsRune(indent, '\t') {
			line, what = i+1, "indent with spaces, not with tabs"
			break
		}
	}
	r.failAt("", line, nil, "not YAML: %s", what)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// mapping reads a node as the keys of a struct type; a nil node has none. With
// fill, defaults stand in for the keys that are not there: viper, which does it
// elsewhere, does not look into lists.
func (r *Report) mapping(n *yaml.Node, t reflect.Type, path string, fill bool) (map[string]any, bool) {
	if n != nil && n.Kind != yaml.MappingNode {
		r.Fail(path, nodeValue(n), "want a mapping of keys: %s", OrList(keysOf(t)))
		return nil, false
	}
	nodes := r.members(n, t, path)
	m := map[string]any{}
	var either, there []string
	wrong := false
	for _, f := range fieldsOf(t) {
		at := join(path, f.key)
		node := nodes[f.key]
		if f.either {
			either = append(either, f.key)
			if node != nil {
				there = append(there, f.key)
			}
			wrong = wrong || r.said[at]
		}
		switch {
		case node != nil:
			if v, ok := r.value(node, &f, at, fill); ok {
				m[f.key] = v
			}
		case f.required && !f.hasDef:
			r.Fail(at, nil, "missing; want %s", wantOf(&f))
		case fill:
			if v, ok := r.defaultOf(&f, at); ok {
				m[f.key] = v
			}
		}
	}
	switch {
	case len(there) > 1:
		r.Fail(join(path, there[1]), nil, "%s is there already; want one of them", there[0])
	case len(either) > 0 && len(there) == 0 && !wrong:
		r.Fail(path, nil, "want %s", OrList(either))
	}
	return m, true
}

// members returns the values of a mapping by key, those with nothing in them
// left out.
func (r *Report) members(n *yaml.Node, t reflect.Type, path string) map[string]*yaml.Node {
	if n == nil {
		return nil
	}
	known := keysOf(t)
	nodes := map[string]*yaml.Node{}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		at := join(path, cut(key.Value))
		switch line, twice := first[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			r.failAt(at, key.Line, nil, "want a key: %s", OrList(known))
		case twice:
			r.failAt(at, key.Line, nil, "here again; it stands in line %d already", line)
		case !slices.Contains(known, key.Value):
			r.unknown(key, at, path, known)
		default:
			r.lines[at] = key.Line
			if !isNull(value) {
				nodes[key.Value] = value
			}
		}
		first[key.Value] = key.Line
	}
	return nodes
}

// unknown says that a key does not exist, and which one may be meant. The value
// stays unsaid: it may be a secret.
func (r *Report) unknown(key *yaml.Node, at, path string, known []string) {
	if key.Value == "<<" {
		r.failAt(at, key.Line, nil, "merge keys are not supported; write the keys out")
		return
	}
	if i := strings.LastIndexByte(key.Value, '.'); i > 0 && hasPath(r.root, join(path, key.Value)) {
		r.failAt(at, key.Line, nil, "unknown key; write %s below %s", key.Value[i+1:], key.Value[:i])
		return
	}
	if places := elsewhere(r.root, key.Value); len(places) > 0 {
		r.failAt(at, key.Line, nil, "unknown key here; it belongs into %s", OrList(places))
		return
	}
	if near := nearest(key.Value, known); near != "" {
		r.failAt(at, key.Line, nil, "unknown key; did you mean %s?", near)
		r.said[join(path, near)] = true // it need not be said to be missing, too
		return
	}
	r.failAt(at, key.Line, nil, "unknown key; want %s", OrList(known))
}

func (r *Report) value(n *yaml.Node, f *field, at string, fill bool) (any, bool) {
	switch kindOf(f.typ) {
	case mappingKind:
		if m, ok := r.mapping(n, structOf(f.typ), at, fill); ok {
			return m, true
		}
		return nil, false
	case listKind:
		return r.list(n, f, at)
	}
	if n.Kind != yaml.ScalarNode {
		r.Fail(at, nodeValue(n), "want %s", wantOf(f))
		return nil, false
	}
	return scalar{at, n.Value, n.ShortTag(), f}, true
}

func (r *Report) list(n *yaml.Node, f *field, at string) (any, bool) {
	if n.Kind != yaml.SequenceNode {
		r.Fail(at, nodeValue(n), "want a list, in brackets or with a dash before each entry")
		return nil, false
	}
	if len(n.Content) == 0 {
		if f.required {
			r.Fail(at, nil, "empty; want %s", wantOf(f))
		}
		return nil, false
	}
	element := field{key: f.key, want: f.want, enum: f.enum, typ: f.typ.Elem(), required: true}
	var values []any
	for i, child := range n.Content {
		child = resolve(child)
		in := fmt.Sprintf("%s[%d]", at, i)
		r.lines[in] = n.Content[i].Line
		if isNull(child) {
			r.Fail(in, nil, "nothing here; write %s or delete it", wantOf(&element))
			values = append(values, nil) // those behind it keep their numbers
			continue
		}
		v, _ := r.value(child, &element, in, true)
		values = append(values, v)
	}
	return values, true
}

// defaultOf returns what stands in for a key that is not there.
func (r *Report) defaultOf(f *field, at string) (any, bool) {
	switch k := kindOf(f.typ); {
	case k == mappingKind && f.typ.Kind() == reflect.Struct:
		m, ok := r.mapping(nil, f.typ, at, true)
		return m, ok
	case k == listKind && f.hasDef:
		var values []any
		for i, text := range strings.Split(f.def, ",") {
			values = append(values, scalar{fmt.Sprintf("%s[%d]", at, i), text, "", &field{key: f.key, typ: f.typ.Elem()}})
		}
		return values, true
	case k == scalarKind && f.hasDef:
		return scalar{at, f.def, "", f}, true
	}
	return nil, false
}

func keysOf(t reflect.Type) []string {
	fields := fieldsOf(t)
	keys := make([]string, len(fields))
	for i := range fields {
		keys[i] = fields[i].key
	}
	return keys
}

// resolve follows an alias. What it stands for may hold aliases again, even of
// itself; the types are only so deep.
func resolve(n *yaml.Node) *yaml.Node {
	for range 8 {
		if n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	return n
}

// nodeValue is a node in few words.
func nodeValue(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		return raw("a mapping")
	case yaml.SequenceNode:
		return raw("a list")
	}
	return shown(n.Value, n.ShortTag())
}

// shown is a scalar as it stood in the file: text in quotes, a number without.
func shown(text, tag string) any {
	if tag == "" || tag == "!!str" || strings.ContainsAny(text, "\n\r") {
		return text
	}
	return raw(text)
}
