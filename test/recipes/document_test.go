package recipes

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	text := strings.ReplaceAll(`# Title

'''sh
make
a mess
'''

## Question

Words.

'''sh
ask |
  sort
'''

'''text
42
'''

More words.
`, "'''", fence)
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Steps) != 2 || d.Steps[1] != (Step{5, "a mess"}) {
		t.Errorf("steps %+v", d.Steps)
	}
	if len(d.Recipes) != 1 {
		t.Fatalf("recipes %+v", d.Recipes)
	}
	if r := d.Recipes[0]; r.Heading != "Question" || r.Line != 13 || r.Script != "ask |\n  sort\n" || r.Want != "42\n" {
		t.Errorf("recipe %+v", r)
	}
	if got := d.WithAnswers([]string{"42\n"}); got != text {
		t.Errorf("the same answers make %q", got)
	}
	if got := d.WithAnswers([]string{"6\n9\n"}); got != strings.Replace(text, "42", "6\n9", 1) {
		t.Errorf("other answers make %q", got)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tc := range []struct{ name, text, says string }{
		{"answer only", "'''text\n42\n'''\n", "line 1: an answer without a command"},
		{"words between", "'''sh\nask\n'''\nwords\n'''text\n42\n'''\n", "line 5: an answer without a command"},
		{"heading between", "'''sh\nask\n'''\n## H\n'''text\n42\n'''\n", "line 5: an answer without a command"},
		{"no end", "'''sh\nask\n", "line 1: a block that does not end"},
		{"no command", "'''sh\n'''\n", "line 1: no command"},
		{"language", "'''bash\nask\n'''\n", `line 1: want an sh or a text block, got "bash"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Parse(strings.ReplaceAll(tc.text, "'''", fence)); err == nil || err.Error() != tc.says {
				t.Errorf("got %v, want %s", err, tc.says)
			}
		})
	}
}

func TestTidy(t *testing.T) {
	const got = "Head  \n  1 \n\nSummary: total flows: 1\nTime window: x\nTotal flows processed: 1\nSys: 0.1s\n"
	if tidy := Tidy(got); tidy != "Head\n  1\n" {
		t.Errorf("got %q", tidy)
	}
}
