package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// parsed is a package as it was read, without its tests.
type parsed struct {
	set    *token.FileSet
	files  []*ast.File
	values map[string]ast.Expr // of constants and variables of the package
}

func parsePackage(t *testing.T, dir string) *parsed {
	t.Helper()
	p := &parsed{set: token.NewFileSet(), values: map[string]ast.Expr{}}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(p.set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		p.files = append(p.files, file)
		for _, d := range file.Decls {
			general, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, s := range general.Specs {
				if v, ok := s.(*ast.ValueSpec); ok && len(v.Values) == len(v.Names) {
					for i, name := range v.Names {
						p.values[name.Name] = v.Values[i]
					}
				}
			}
		}
	}
	if len(p.files) == 0 {
		t.Fatalf("no Go files in %s", dir)
	}
	return p
}

// packageFolders returns the folders of the program's own packages.
func packageFolders(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		if path != root {
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if err == nil || strings.HasPrefix(e.Name(), ".") || e.Name() == "testdata" || e.Name() == "node_modules" {
				return fs.SkipDir // modules of their own, and what is no package
			}
		}
		names, err := filepath.Glob(filepath.Join(path, "*.go"))
		for _, name := range names {
			if !strings.HasSuffix(name, "_test.go") {
				all = append(all, path)
				break
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (p *parsed) inspect(visit func(ast.Node)) {
	for _, file := range p.files {
		ast.Inspect(file, func(n ast.Node) bool {
			visit(n)
			return true
		})
	}
}

// calls visits the calls of methods, and of functions of other packages.
func (p *parsed) calls(visit func(name string, call *ast.CallExpr)) {
	p.inspect(func(n ast.Node) {
		if call, ok := n.(*ast.CallExpr); ok {
			if s, ok := call.Fun.(*ast.SelectorExpr); ok {
				visit(s.Sel.Name, call)
			}
		}
	})
}

// receiver is what stands before the dot of a call.
func (p *parsed) receiver(call *ast.CallExpr) string {
	return p.source(call.Fun.(*ast.SelectorExpr).X)
}

func (p *parsed) source(n ast.Node) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, p.set, n); err != nil {
		return err.Error()
	}
	return b.String()
}

func (p *parsed) place(n ast.Node) string { return p.set.Position(n.Pos()).String() }

var verb = regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)

// text returns what an expression is as a text, with … for what is only known
// when the program runs.
func (p *parsed) text(e ast.Expr) string {
	const unknown = "…"
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return verb.ReplaceAllString(text, unknown)
		}
	case *ast.ParenExpr:
		return p.text(e.X)
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return strings.ReplaceAll(p.text(e.X)+p.text(e.Y), unknown+unknown, unknown)
		}
	case *ast.Ident:
		if value := p.values[e.Name]; value != nil {
			return p.text(value)
		}
	case *ast.CallExpr:
		switch p.source(e.Fun) {
		case "fmt.Sprintf", "fmt.Errorf", "errors.New":
			return p.text(e.Args[0])
		}
	}
	return unknown
}

// returnsOf returns the texts that functions return, or give to a variable.
func returnsOf(p *parsed, names ...string) []string {
	var all []string
	for _, file := range p.files {
		for _, d := range file.Decls {
			function, ok := d.(*ast.FuncDecl)
			if !ok || !slices.Contains(names, function.Name.Name) {
				continue
			}
			ast.Inspect(function, func(n ast.Node) bool {
				var results []ast.Expr
				switch n := n.(type) {
				case *ast.ReturnStmt:
					results = n.Results
				case *ast.AssignStmt:
					results = n.Rhs
				}
				for _, e := range results {
					if text := p.text(e); strings.Contains(text, " ") {
						all = append(all, code(text))
					}
				}
				return true
			})
		}
	}
	return all
}
