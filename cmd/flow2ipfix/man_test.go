package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"flow2ipfix/config"
)

func manPage(t *testing.T, args ...string) string {
	t.Helper()
	var out, stderr bytes.Buffer
	if code := run(t.Context(), append([]string{"man"}, args...), nil, &out, &stderr); code != exitOK {
		t.Fatalf("man %q ends with %d: %s", args, code, stderr.String())
	}
	return out.String()
}

// roffWords is a page's text without the language that it is written in.
var roffWords = strings.NewReplacer(`\-`, "-", `\(aq`, "'", `\e`, `\`, `\fB`, "", `\fI`, "", `\fR`, "", `\(dq`, `"`, `\&`, "")

// TestManNamesAll: flow2ipfix(8) has every command and flag, flow2ipfix.yaml(5)
// every key, its meaning and its variable.
func TestManNamesAll(t *testing.T) {
	program := roffWords.Replace(manPage(t, "8"))
	if program != roffWords.Replace(manPage(t)) {
		t.Error("without a section it is not the program's page")
	}
	var out bytes.Buffer
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if !strings.Contains(program, ".SS \""+sub.UseLine()+"\"") {
				t.Errorf("%s is not in flow2ipfix(8)", sub.CommandPath())
			}
			sub.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if !strings.Contains(program, "\n--"+f.Name) {
					t.Errorf("--%s of %s is not in flow2ipfix(8)", f.Name, sub.CommandPath())
				}
			})
			walk(sub)
		}
	}
	walk(newRoot(newUI(&out, &out), nil))
	for _, code := range []string{"0", "1", "2", "3", "78", "130"} {
		if !strings.Contains(program, ".TP\n"+code+"\n") {
			t.Errorf("exit code %s is not in flow2ipfix(8)", code)
		}
	}
	file := roffWords.Replace(manPage(t, "5"))
	for _, k := range config.Keys() {
		if !strings.Contains(file, "\n"+k.Path[strings.LastIndexByte(k.Path, '.')+1:]+" ("+k.Type) || !strings.Contains(file, "\n"+k.Doc+"\n") || !strings.Contains(file, k.Env) {
			t.Errorf("%s is not in flow2ipfix.yaml(5)", k.Path)
		}
	}
}

// TestManIsPlain: ASCII, and no line that roff takes for a request that is none.
func TestManIsPlain(t *testing.T) {
	request := regexp.MustCompile(`^\.(TH|SH|SS|PP|TP|RS|RE|EX|EE|br|ad|hy|nr)( |$)`)
	for _, section := range []string{"8", "5"} {
		for i, line := range strings.Split(manPage(t, section), "\n") {
			if strings.ContainsFunc(line, func(c rune) bool { return c > '~' || c < ' ' }) {
				t.Errorf("%s:%d: not plain: %q", section, i+1, line)
			}
			if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !request.MatchString(line) {
				t.Errorf("%s:%d: a request: %q", section, i+1, line)
			}
		}
	}
}

func TestManDate(t *testing.T) {
	for env, want := range map[string]string{"1790000000": `"2026\-09\-21"`, "": `""`, "x": `""`} {
		t.Setenv("SOURCE_DATE_EPOCH", env)
		if page := manPage(t, "5"); !strings.HasPrefix(page, `.TH "flow2ipfix.yaml" "5" `+want+` "`) {
			t.Errorf("SOURCE_DATE_EPOCH=%s: %.80s", env, page)
		}
	}
}

func TestManUsage(t *testing.T) {
	for _, args := range [][]string{{"7"}, {"5", "8"}, {"--x"}} {
		var out bytes.Buffer
		if code := run(t.Context(), append([]string{"man"}, args...), nil, &out, &out); code != exitUsage {
			t.Errorf("man %q ends with %d: %s", args, code, out.String())
		}
	}
}

func TestRoff(t *testing.T) {
	var r roff
	r.prose("a\nb\n\n.c 'd' \\e\n  kept  so\n\n  and so\nlast")
	r.item(bold("--x"), "what", "more")
	want := ".PP\na\nb\n" +
		".PP\n\\&.c \\(aqd\\(aq \\ee\n" +
		".PP\n.RS 4\n.EX\nkept  so\n.EE\n.RE\n" +
		".PP\n.RS 4\n.EX\nand so\n.EE\n.RE\n" +
		".PP\nlast\n" +
		".TP\n\\fB\\-\\-x\\fR\nwhat\n.br\nmore\n"
	if got := r.b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := quoted(`a "b" -c`), `"a \(dqb\(dq \-c"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
