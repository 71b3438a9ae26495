//go:build cgo

package azureexamples

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	bicep "github.com/tree-sitter-grammars/tree-sitter-bicep/bindings/go"
	sitter "github.com/tree-sitter/go-tree-sitter"
)

// TestBicep: the files are whole, and what a module is given is what it takes.
func TestBicep(t *testing.T) {
	files, err := filepath.Glob(examples + "*.bicep")
	if err != nil || len(files) < 2 {
		t.Fatalf("found %q: %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, wrong := range checkBicep(text, filepath.Dir(file)) {
			t.Errorf("%s:%s", filepath.Base(file), wrong)
		}
	}
}

// TestBicepSees: what TestBicep looks for, it finds.
func TestBicepSees(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "m.bicep"), []byte("param a string\nparam b string = 'x'\noutput o string = '${a}${b}'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ text, want string }{
		{"param a string = {\n", "cannot be parsed"},
		{"output o string = a\n", "a is not declared"},
		{"output o string = '${a}'\n", "a is not declared"},
		{"param a string\n", "a is not used"},
		{"output o string = concatenate('a')\n", "concatenate is no function that we know"},
		{"resource r 'Microsoft.Network/x' = {\n  name: 'r'\n}\noutput o string = r.id\n", "want a type with a version"},
		{"module m 'n.bicep' = {\n  name: 'm'\n}\n", "no such file"},
		{"module m 'm.bicep' = {\n  name: 'm'\n  params: {\n    b: 'b'\n  }\n}\n", "m.bicep wants a"},
		{"module m 'm.bicep' = {\n  name: 'm'\n  params: {\n    a: 'b'\n    c: 'c'\n  }\n}\n", "m.bicep takes no c"},
	} {
		if got := checkBicep([]byte(tc.text), dir); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, tc.want) }) {
			t.Errorf("%s\nwant %q, got %q", tc.text, tc.want, got)
		}
	}
}

// functions of Bicep that the examples use.
var functions = []string{"description", "empty", "environment", "guid", "last", "maxLength", "maxValue", "minLength", "minValue", "resourceGroup", "split", "subscriptionResourceId"}

var resourceType = regexp.MustCompile(`^'Microsoft\.\w+(/\w+)+@20\d\d-\d\d-\d\d'$`)

// source is a parsed Bicep file.
type source struct {
	text     []byte
	root     *sitter.Node
	declared map[string]*sitter.Node // by name
}

func parseBicep(text []byte) (*source, func()) {
	p := sitter.NewParser()
	if err := p.SetLanguage(sitter.NewLanguage(bicep.Language())); err != nil {
		panic(err) // the grammar is not for this version of the parser
	}
	tree := p.Parse(text, nil)
	s := &source{text: text, root: tree.RootNode(), declared: map[string]*sitter.Node{}}
	for _, n := range children(s.root) {
		if strings.HasSuffix(n.Kind(), "_declaration") && n.Kind() != "output_declaration" {
			s.declared[s.of(n.NamedChild(0))] = n
		}
	}
	return s, func() { tree.Close(); p.Close() }
}

func (s *source) of(n *sitter.Node) string { return n.Utf8Text(s.text) }

func children(n *sitter.Node) (all []*sitter.Node) {
	for i := range n.NamedChildCount() {
		all = append(all, n.NamedChild(i))
	}
	return all
}

func checkBicep(text []byte, dir string) (wrong []string) {
	s, done := parseBicep(text)
	defer done()
	say := func(n *sitter.Node, format string, args ...any) {
		at := n.StartPosition()
		wrong = append(wrong, fmt.Sprintf("%d:%d: %s", at.Row+1, at.Column+1, fmt.Sprintf(format, args...)))
	}
	used := map[string]bool{}
	var walk func(n *sitter.Node)
	walk = func(n *sitter.Node) {
		if n.IsError() || n.IsMissing() {
			say(n, "cannot be parsed: %.40q", s.of(n))
			return
		}
		for i, c := range children(n) {
			switch {
			case c.Kind() != "identifier":
				walk(c)
			case n.Kind() == "object_property" && i == 0, strings.HasSuffix(n.Kind(), "_declaration") && i == 0: // a name that is given
			case n.Kind() == "call_expression" && i == 0:
				if !slices.Contains(functions, s.of(c)) {
					say(c, "%s is no function that we know", s.of(c))
				}
			default:
				used[s.of(c)] = true
				if s.declared[s.of(c)] == nil {
					say(c, "%s is not declared", s.of(c))
				}
			}
		}
	}
	walk(s.root)
	if s.root.HasError() && len(wrong) == 0 {
		say(s.root, "cannot be parsed")
	}
	for name, n := range s.declared {
		switch n.Kind() {
		case "parameter_declaration", "variable_declaration":
			if !used[name] {
				say(n, "%s is not used", name)
			}
		case "resource_declaration":
			if kind := s.of(n.NamedChild(1)); !resourceType.MatchString(kind) {
				say(n, "want a type with a version, got %s", kind)
			}
		case "module_declaration":
			s.checkModule(say, n, dir)
		}
	}
	return wrong
}

// checkModule compares what a module is given with what it takes.
func (s *source) checkModule(say func(*sitter.Node, string, ...any), n *sitter.Node, dir string) {
	file := strings.Trim(s.of(n.NamedChild(1)), "'")
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		say(n, "%v", err)
		return
	}
	module, done := parseBicep(text)
	defer done()
	given := map[string]bool{}
	for _, p := range children(n.NamedChild(n.NamedChildCount() - 1)) {
		if s.of(p.NamedChild(0)) != "params" {
			continue
		}
		for _, param := range children(p.NamedChild(1)) {
			given[s.of(param.NamedChild(0))] = true
		}
	}
	for name := range given {
		if d := module.declared[name]; d == nil || d.Kind() != "parameter_declaration" {
			say(n, "%s takes no %s", file, name)
		}
	}
	for name, d := range module.declared {
		// A name and a type: no default.
		if d.Kind() == "parameter_declaration" && d.NamedChildCount() == 2 && !given[name] {
			say(n, "%s wants %s", file, name)
		}
	}
}
