package collectorside

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// put adds text to the file as it stands.
func (v *view) put(text string) { v.out.WriteString(text) }

// putf adds formatted text.
func (v *view) putf(format string, args ...any) { fmt.Fprintf(&v.out, format, args...) }

// comment adds what the file is about, with a mark before each line.
func (v *view) comment(mark string) {
	for _, line := range v.about() {
		v.put(strings.TrimRight(mark+" "+plain(line), " ") + "\n")
	}
}

// head is a comment to which more is added.
func (v *view) head(mark string) {
	v.comment(mark)
	v.put(mark + "\n")
}

// unindexed adds a comment on each interface that has no index.
func (v *view) unindexed() {
	for _, i := range v.Interfaces {
		if i.Index == 0 {
			v.putf("# %s (%s) has no index yet: no flow of it was seen.\n", plain(i.Name), i.MAC)
		}
	}
}

// quote writes text as a string that YAML, JSON and TOML read alike.
func quote(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string can be written always
	return strings.TrimSuffix(b.String(), "\n")
}

// plain takes out of a name what would end a comment.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}

// lineWidth is how long the lines of comments are.
const lineWidth = 90

func wrap(text string) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > lineWidth {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
