package interop

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/COLLECTORS.md anew")

// The lines between which the tables stand.
const (
	pageBegin = "<!-- matrix:begin -->\n"
	pageEnd   = "<!-- matrix:end -->\n"
)

// checkPage compares the tables in docs/COLLECTORS.md with the ones that should
// be there, or writes them.
func checkPage(t *testing.T, tables string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", "COLLECTORS.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(b), pageBegin)
	_, after, ends := strings.Cut(rest, pageEnd)
	if !begins || !ends {
		t.Fatalf("docs/COLLECTORS.md has no lines %q and %q", pageBegin, pageEnd)
	}
	page := before + pageBegin + "\n" + tables + "\n" + pageEnd + after
	switch {
	case page == string(b):
	case *update:
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("docs/COLLECTORS.md is not what the collectors showed; run go test ./interop -update in test/ and read the difference")
	}
}
