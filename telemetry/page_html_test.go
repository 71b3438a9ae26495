package telemetry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPageLiterals reads what the page is put together from: literals and nothing
// else, of whole tags; with values between tags, or in double quotes and not where
// a browser takes them for more than text.
func TestPageLiterals(t *testing.T) {
	tag := regexp.MustCompile(`<[^<>]*>`)
	quoted := regexp.MustCompile(`([a-z-]+)="[^"]*"`)
	literals := 0
	for _, file := range []string{"page_html.go", "page_sections.go"} {
		files := token.NewFileSet()
		tree, err := parser.ParseFile(files, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			at := files.Position(call.Pos())
			if name, ok := call.Fun.(*ast.Ident); ok && name.Name == "markup" {
				t.Errorf("%s: makes markup of what is none", at)
			}
			put, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || put.Sel.Name != "put" {
				return true
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: puts what is no literal", at)
				return true
			}
			literals++
			html, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(html, "%") != strings.Count(html, "%s") || strings.Count(html, "%s") != len(call.Args)-1 {
				t.Errorf("%s: %d values in %q", at, len(call.Args)-1, html)
			}
			if strings.ContainsAny(tag.ReplaceAllString(html, ""), `<>`) {
				t.Errorf("%s: a tag has no end in %q", at, html)
			}
			for _, whole := range tag.FindAllString(html, -1) {
				if strings.Contains(quoted.ReplaceAllString(whole, ""), "%s") {
					t.Errorf("%s: a value is not in double quotes in %s", at, whole)
				}
				for _, attribute := range quoted.FindAllStringSubmatch(whole, -1) {
					if name := attribute[1]; strings.Contains(attribute[0], "%s") && (strings.HasPrefix(name, "on") || slices.Contains([]string{"href", "src", "style"}, name)) {
						t.Errorf("%s: a value in %s", at, attribute[0])
					}
				}
			}
			return true
		})
	}
	if literals < 100 {
		t.Errorf("found %d literals: the page is not made as this test thinks", literals)
	}
}

// TestPutEscapes: a value is text, whatever it holds, between tags and in quotes.
func TestPutEscapes(t *testing.T) {
	for value, want := range map[string]string{
		"":                          "",
		"web-01 + ü":                "web-01 + ü",
		`"><script>alert(1)`:        "&#34;&gt;&lt;script&gt;alert(1)",
		`" onmouseover="alert(1)" `: "&#34; onmouseover=&#34;alert(1)&#34; ",
		`' onfocus='x`:              "&#39; onfocus=&#39;x",
		"&quot;&lt;":                "&amp;quot;&amp;lt;",
		"%s %d {{.}}":               "%s %d {{.}}",
	} {
		var v view
		v.put(`<p title="%s">%s</p>`, value, value)
		if got := v.out.String(); got != `<p title="`+want+`">`+want+`</p>` {
			t.Errorf("%q becomes %s", value, got)
		}
	}
}
