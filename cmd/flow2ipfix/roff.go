package main

import (
	"fmt"
	"strings"
)

// roff writes a manual page in the language of man(7). Its text is plain ASCII,
// so that it looks the same on every terminal.
type roff struct{ b strings.Builder }

// title begins the page. date may be empty.
func (r *roff) title(name, section, date, source, manual string) {
	fmt.Fprintf(&r.b, ".TH %s %s %s %s %s\n", quoted(name), quoted(section), quoted(date), quoted(source), quoted(manual))
	r.b.WriteString(".nr HY 0\n.hy 0\n.ad l\n") // neither spread nor hyphenated: names of keys and flags stay whole
}

func (r *roff) section(name string) { r.b.WriteString(".SH " + quoted(name) + "\n") }

func (r *roff) subsection(name string) { r.b.WriteString(".SS " + quoted(name) + "\n") }

// paragraph begins one. Its text is filled.
func (r *roff) paragraph(text string) { r.b.WriteString(".PP\n" + roffText(text) + "\n") }

// item is a term, in roff already, with what it means below it.
func (r *roff) item(term string, text ...string) {
	r.b.WriteString(".TP\n" + term + "\n")
	for i, t := range text {
		if i > 0 {
			r.b.WriteString(".br\n")
		}
		r.b.WriteString(roffText(t) + "\n")
	}
}

// example is text that stays as it is.
func (r *roff) example(text string) {
	r.b.WriteString(".PP\n.RS 4\n.EX\n")
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		r.b.WriteString(roffText(line) + "\n")
	}
	r.b.WriteString(".EE\n.RE\n")
}

// prose is text as --help shows it: paragraphs with empty lines between, and
// examples, which begin with spaces.
func (r *roff) prose(text string) {
	var filled, kept []string
	flush := func() {
		if len(filled) > 0 {
			r.paragraph(strings.Join(filled, "\n"))
		}
		if len(kept) > 0 {
			r.example(strings.Join(kept, "\n"))
		}
		filled, kept = nil, nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		switch indented := strings.HasPrefix(line, "  "); {
		case line == "":
			flush()
		case indented:
			if len(filled) > 0 {
				flush()
			}
			kept = append(kept, strings.TrimPrefix(line, "  "))
		default:
			if len(kept) > 0 {
				flush()
			}
			filled = append(filled, line)
		}
	}
	flush()
}

// signs are characters that roff takes for something else than themselves, or
// that not every terminal has.
var signs = strings.NewReplacer(
	`\`, `\e`,
	"-", `\-`,
	"'", `\(aq`,
	"`", `\(ga`,
	"^", `\(ha`,
	"~", `\(ti`,
	"…", "...",
	"–", `\-`,
	"→", `\->`,
)

// roffText makes roff of a text. No line of it is a request.
func roffText(text string) string {
	lines := strings.Split(signs.Replace(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// quoted makes an argument of a request.
func quoted(text string) string {
	return `"` + strings.ReplaceAll(roffText(text), `"`, `\(dq`) + `"`
}

func bold(text string) string { return `\fB` + signs.Replace(text) + `\fR` }

func italic(text string) string { return `\fI` + signs.Replace(text) + `\fR` }
