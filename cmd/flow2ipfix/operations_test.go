package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/flowlog"
	"flow2ipfix/source"
)

const operations = "../../docs/OPERATIONS.md"

// TestOperationsKnowsEveryError: what the daemon may log or say at its end stands
// in docs/OPERATIONS.md with what to do, and nothing else does. What there is is
// taken from the source.
func TestOperationsKnowsEveryError(t *testing.T) {
	doc := readTables(t, operations)
	for _, tc := range []struct {
		section string
		columns int // at the left, that say what it is about
		there   []string
	}{
		{"Exit codes", 1, exitCodesOf(parsePackage(t, "."))},
		{"What the log says", 2, append(logged(t), loggedEvents()...)},
		{"A collector is away: what the hint says", 1, hintsIn(parsePackage(t, "../../exporter"))},
		{"The state directory: what the hint says", 1, hintsIn(parsePackage(t, "../../checkpoint"))},
		{"The listener: what the hint says", 1, hintsIn(parsePackage(t, "../../telemetry"))},
		{"What Azure answers", 1, slices.Concat(azureCodes(t, "hints"), azureCodes(t, "hintsByCredential"))},
		{"Without a code: what the status means", 1, azureCodes(t, "statusHints")},
		{"What Entra answers", 1, azureCodes(t, "entra")},
		{"The way to Azure and to a token: what the hint says", 1, returnsOf(parsePackage(t, "../../source/azblob"), "networkHint", "credentialHint", "hint")},
		{"Rejected pieces", 1, rejectReasons()},
	} {
		t.Run(tc.section, func(t *testing.T) {
			var said []string
			for _, row := range doc[tc.section] {
				said = append(said, strings.Join(row[:tc.columns], " | "))
				for _, cell := range row {
					if strings.TrimSpace(cell) == "" {
						t.Errorf("an empty cell: %q", row)
					}
				}
			}
			if diff := cmp.Diff(sorted(tc.there), sorted(said)); diff != "" {
				t.Errorf("docs/OPERATIONS.md says something else than the program (-program +document):\n%s", diff)
			}
		})
	}
}

// TestOperationsKnowsConfigurationErrors: each error of a configuration is of a
// class that the document has, and each class has an error.
func TestOperationsKnowsConfigurationErrors(t *testing.T) {
	var formats []string
	for _, dir := range []string{"../../config", "../../config/strict", "../../templates"} {
		formats = append(formats, failures(parsePackage(t, dir))...)
	}
	if len(formats) < 50 {
		t.Fatalf("%d errors only: are they looked for in the right place?", len(formats))
	}
	var classes []string
	for _, row := range readTables(t, operations)["Configuration errors"] {
		classes = append(classes, strings.Trim(row[0], "`"))
	}
	used := map[string]bool{}
	for _, format := range formats {
		format = strings.Trim(format, "`")
		i := slices.IndexFunc(classes, func(class string) bool { return like(class, format) })
		if i < 0 {
			t.Errorf("no class for %q", format)
			continue
		}
		used[classes[i]] = true
	}
	for _, class := range classes {
		if !used[class] {
			t.Errorf("nothing is of the class %q", class)
		}
	}
}

// TestOperationsKnowsMetrics: the metrics to watch are there.
func TestOperationsKnowsMetrics(t *testing.T) {
	there := map[string]bool{}
	for _, rows := range readTables(t, "../../docs/METRICS.md") {
		for _, row := range rows {
			there[row[0]] = true
		}
	}
	rows := readTables(t, operations)["What to watch"]
	for _, row := range rows {
		if !there[row[0]] {
			t.Errorf("docs/METRICS.md has no %s", row[0])
		}
	}
	if len(rows) == 0 {
		t.Error("no metrics to watch")
	}
}

// like reports whether a text is of a class, in which … stands for anything.
func like(class, text string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(class), "…", ".*")
	return regexp.MustCompile("^" + pattern + "$").MatchString(text)
}

// readTables returns the rows of tables by the heading that they stand below.
func readTables(t *testing.T, file string) map[string][][]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string][][]string{}
	heading, header := "", true
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			heading = strings.TrimLeft(line, "# ")
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			header = true
		case strings.HasPrefix(line, "|--"):
			header = false
		case !header:
			var row []string
			for cell := range strings.SplitSeq(strings.Trim(strings.ReplaceAll(line, `\|`, "\x00"), "|"), "|") {
				row = append(row, strings.TrimSpace(strings.ReplaceAll(cell, "\x00", "|")))
			}
			tables[heading] = append(tables[heading], row)
		}
	}
	return tables
}

func sorted(all []string) []string {
	all = slices.Clone(all)
	slices.Sort(all)
	return slices.Compact(all)
}

func code(text string) string { return "`" + text + "`" }

// exitCodesOf returns the constants exit….
func exitCodesOf(p *parsed) []string {
	var all []string
	for name, value := range p.values {
		if lit, ok := value.(*ast.BasicLit); ok && strings.HasPrefix(name, "exit") {
			all = append(all, code(lit.Value))
		}
	}
	return all
}

// logged returns what is logged as a warning or worse in all of the program, and
// its level. What is not a constant message is of events, or a mistake here.
func logged(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, dir := range packageFolders(t, "../..") {
		p := parsePackage(t, dir)
		p.calls(func(name string, call *ast.CallExpr) {
			args, level := call.Args, ""
			switch name {
			case "Warn", "Error":
				level = strings.ToLower(name)
			case "WarnContext", "ErrorContext":
				level = strings.ToLower(strings.TrimSuffix(name, "Context"))
				args = args[min(1, len(args)):]
			case "Log", "LogAttrs":
				if len(args) < 3 {
					return
				}
				args = args[2:]
			default:
				return
			}
			if len(args) == 0 || p.receiver(call) == "http" { // an error's text; http.Error
				return
			}
			message := p.text(args[0])
			switch {
			case level == "" && p.source(args[0]) == "e.Kind.String()": // see loggedEvents
			case level == "" || strings.Contains(message, "…"):
				t.Errorf("%s: a message that is not a constant: %s", p.place(call), p.source(call))
			default:
				all = append(all, code(message)+" | "+level)
			}
		})
	}
	return all
}

// loggedEvents returns the events that are logged as a warning or worse.
func loggedEvents() []string {
	var all []string
	for k := range source.EventKindCount {
		logEvent(slog.New(heard(func(r slog.Record) {
			if r.Level >= slog.LevelWarn {
				all = append(all, code(r.Message)+" | "+strings.ToLower(r.Level.String()))
			}
		})), "prod", source.Event{Kind: k, Err: errors.New("why")})
	}
	return all
}

// heard is a slog.Handler that hears everything.
type heard func(slog.Record)

func (h heard) Enabled(context.Context, slog.Level) bool { return true }
func (h heard) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h heard) WithGroup(string) slog.Handler            { return h }
func (h heard) Handle(_ context.Context, r slog.Record) error {
	h(r)
	return nil
}

func rejectReasons() []string {
	var all []string
	for _, r := range flowlog.Reasons() {
		all = append(all, code(r.String()))
	}
	return all
}

// azureCodes returns the keys of a map of hints.
func azureCodes(t *testing.T, name string) []string {
	t.Helper()
	p := parsePackage(t, "../../source/azblob")
	lit, ok := p.values[name].(*ast.CompositeLit)
	if !ok {
		t.Fatalf("azblob has no map %s", name)
	}
	var all []string
	for _, e := range lit.Elts {
		key := e.(*ast.KeyValueExpr).Key
		if text := p.text(key); text != "…" {
			all = append(all, code(text))
		} else {
			all = append(all, code(p.source(key)))
		}
	}
	return all
}

// failures returns the formats of errors of a configuration; those that only
// hand on what others say are left out.
func failures(p *parsed) []string {
	var all []string
	p.calls(func(name string, call *ast.CallExpr) {
		format := map[string]int{"Fail": 2, "failAt": 3, "fail": 1, "failName": 2}[name]
		if format == 0 || len(call.Args) <= format {
			return
		}
		if text := p.text(call.Args[format]); text != "…" && text != "" {
			all = append(all, text)
		}
	})
	for name, value := range p.values {
		if text := p.text(value); strings.HasPrefix(name, "want") && text != "…" {
			all = append(all, text)
		}
	}
	return append(all, returnsOf(p, "collectorURL", "UnmarshalText", "parse", "CheckEnv")...)
}

// hintsIn returns what a package says to do: what becomes a Hint, constants and
// tables hint…, and what functions …hint return.
func hintsIn(p *parsed) []string {
	var all []string
	add := func(e ast.Expr) {
		if text := p.text(e); strings.ContainsAny(text, " ") {
			all = append(all, code(text))
		}
	}
	for name, value := range p.values {
		if !strings.HasPrefix(name, "hint") {
			continue
		}
		if lit, ok := value.(*ast.CompositeLit); ok {
			for _, e := range lit.Elts {
				if row, ok := e.(*ast.CompositeLit); ok {
					add(row.Elts[len(row.Elts)-1])
				}
			}
			continue
		}
		add(value)
	}
	p.inspect(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if id, ok := n.Key.(*ast.Ident); ok && id.Name == "Hint" {
				add(n.Value)
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if s, ok := left.(*ast.SelectorExpr); ok && s.Sel.Name == "Hint" && len(n.Rhs) == len(n.Lhs) {
					add(n.Rhs[i])
				}
			}
		}
	})
	return append(all, returnsOf(p, "hintFor", "hintForTLS", "fileHint")...)
}

// TestTextOfSource: the text of an expression is what the program says, with …
// for what it fills in.
func TestTextOfSource(t *testing.T) {
	p := parsePackage(t, "../../exporter")
	for _, want := range []string{
		"`the path must be a file that can be written, in a directory that exists`",
		"`the server name must be one that the collector's certificate is for: …`",
		"`the … must be a PEM file that this user can read`",
	} {
		if got := hintsIn(p); !slices.Contains(got, want) {
			t.Errorf("%s is not among\n%s", want, strings.Join(got, "\n"))
		}
	}
	if !like("want … alone; …", fmt.Sprintf("want https://%s alone; containers go into containers", "…")) || like("want …", "not") {
		t.Error("like does not do what it says")
	}
}
