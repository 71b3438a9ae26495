package recipes

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write what the commands print into docs/RECIPES.md; look at the difference before you believe it")

const (
	root     = "../.."
	document = "../../docs/RECIPES.md"
	fixture  = "testdata"
)

func read(t *testing.T) *Document {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return d
}

// TestRecipes follows the document from its beginning to its end, as a reader
// would.
func TestRecipes(t *testing.T) {
	d := read(t)
	reader, err := NewReader(t.TempDir(), root)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, s := range d.Steps {
		if err := reader.Follow(s); err != nil {
			t.Errorf("%s: %v", document, err) // what does not need it is tested all the same
		}
	}
	if left := len(reader.running); left > 0 {
		t.Errorf("%d nfcapd got nothing", left)
	}
	var answers []string
	for _, r := range d.Recipes {
		t.Run(r.Name(), func(t *testing.T) {
			got, err := reader.Ask(&r)
			if err != nil {
				t.Errorf("%s: %v\n%s", document, err, r.Script)
				got = r.Want
			}
			answers = append(answers, got)
			if got != r.Want && !*update {
				t.Errorf("%s\n%sprints\n%sthe document says\n%s", r.Name(), r.Script, got, r.Want)
			}
		})
	}
	if *update && len(answers) == len(d.Recipes) && !t.Failed() {
		if err := os.WriteFile(document, []byte(d.WithAnswers(answers)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func fixtures(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(fixture, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures in %s: %v", fixture, err)
	}
	return paths
}
