// Package recipes holds docs/RECIPES.md to the truth: it makes nfcapd's files as
// the document tells its readers to, runs every command, and compares what is
// printed with what the document says, and with an oracle.
//
// What does not live here: how collectors are started (package peers), and the
// oracle's reading of flow logs (package expect).
package recipes

import (
	"fmt"
	"strings"
)

// Recipe is a command and what it prints.
type Recipe struct {
	Heading string // the section that it stands in
	Line    int    // of the command's first line
	Script  string // bash
	Want    string
	wantAt  [2]int // first line of the answer, and the one behind it; from 0
}

// Name is the recipe's in tests.
func (r *Recipe) Name() string { return fmt.Sprintf("line %d: %s", r.Line, r.Heading) }

// Step is a line of the document's preparations, which have no answer.
type Step struct {
	Line int
	Text string
}

// Document is what RECIPES.md asks its reader to run.
type Document struct {
	Steps   []Step
	Recipes []Recipe
	lines   []string
}

// block is fenced text.
type block struct {
	language string
	heading  string
	first    int // line behind the fence, from 0
	last     int // line of the closing fence
	adjacent bool
}

const fence = "```"

// Parse reads a document: an sh block with a text block behind it is a recipe,
// other sh blocks are steps. A text block that answers nothing is an error, since
// nobody would notice when it becomes wrong.
func Parse(text string) (*Document, error) {
	d := &Document{lines: strings.Split(text, "\n")}
	blocks, err := d.blocks()
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(blocks); i++ {
		b := blocks[i]
		switch b.language {
		case "sh":
		case "text":
			return nil, fmt.Errorf("line %d: an answer without a command", b.first)
		default:
			return nil, fmt.Errorf("line %d: want an sh or a text block, got %q", b.first, b.language)
		}
		script := d.inside(b)
		if strings.TrimSpace(script) == "" {
			return nil, fmt.Errorf("line %d: no command", b.first)
		}
		if i+1 < len(blocks) && blocks[i+1].language == "text" && blocks[i+1].adjacent {
			i++
			answer := blocks[i]
			d.Recipes = append(d.Recipes, Recipe{
				Heading: b.heading, Line: b.first + 1, Script: script,
				Want: d.inside(answer), wantAt: [2]int{answer.first, answer.last},
			})
			continue
		}
		for k := b.first; k < b.last; k++ {
			d.Steps = append(d.Steps, Step{k + 1, d.lines[k]})
		}
	}
	return d, nil
}

// blocks finds what is fenced.
func (d *Document) blocks() ([]block, error) {
	var all []block
	heading, open, adjacent := "", -1, false
	for i, line := range d.lines {
		switch {
		case open >= 0 && line == fence:
			all[len(all)-1].last = i
			open, adjacent = -1, true
		case open >= 0:
		case strings.HasPrefix(line, fence):
			all = append(all, block{language: line[len(fence):], heading: heading, first: i + 1, adjacent: adjacent})
			open = i
		case strings.HasPrefix(line, "#"):
			heading, adjacent = strings.TrimLeft(line, "# "), false
		case line != "":
			adjacent = false // words between a command and its answer
		}
	}
	if open >= 0 {
		return nil, fmt.Errorf("line %d: a block that does not end", open+1)
	}
	return all, nil
}

func (d *Document) inside(b block) string {
	return strings.Join(append(d.lines[b.first:b.last:b.last], ""), "\n")
}

// WithAnswers returns the document with other answers, one for each recipe.
func (d *Document) WithAnswers(answers []string) string {
	var b strings.Builder
	next := 0
	for i, r := range d.Recipes {
		b.WriteString(strings.Join(append(d.lines[next:r.wantAt[0]:r.wantAt[0]], ""), "\n"))
		b.WriteString(answers[i])
		next = r.wantAt[1]
	}
	b.WriteString(strings.Join(d.lines[next:], "\n"))
	return b.String()
}

// footers begin the lines that nfdump ends its answers with. The last of them is
// never the same, and the document leaves all of them out.
var footers = []string{"Summary: ", "Time window: ", "Total flows processed: ", "Sys: "}

// Tidy returns an answer as the document shows it: without nfdump's totals, the
// empty lines around them, and blanks at the end of lines.
func Tidy(answer string) string {
	var lines []string
	for line := range strings.Lines(answer) {
		line = strings.TrimRight(line, " \t\r\n")
		footer := false
		for _, f := range footers {
			footer = footer || strings.HasPrefix(line, f)
		}
		if line != "" && !footer {
			lines = append(lines, line+"\n")
		}
	}
	return strings.Join(lines, "")
}
