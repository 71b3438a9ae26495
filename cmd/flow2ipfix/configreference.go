package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"flow2ipfix/config"
)

func newConfigReference(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:   "reference",
		Short: "print what every key means and may be, as Markdown",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return configReference(u.out) },
	}
}

// configReference writes docs/CONFIGURATION.md.
func configReference(out io.Writer) error {
	var b strings.Builder
	b.WriteString(referenceIntro)
	b.WriteString("\n## What an error looks like\n\n" + referenceErrors)
	fmt.Fprintf(&b, "\n```yaml\n%s```\n\n```\n%s```\n", wrongExample, wrongSaid)
	keys := config.Keys()
	for _, at := range referenceSections(keys) {
		referenceSection(&b, at, keys)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// sectionOf returns the mapping that a key stands in; "" is the top of the file.
func sectionOf(path string) string { return path[:max(strings.LastIndexByte(path, '.'), 0)] }

// referenceSections returns all mappings that have keys, in the order of the file.
func referenceSections(keys []config.Key) []string {
	var all []string
	for _, k := range keys {
		if at := sectionOf(k.Path); !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return all
}

func referenceSection(b *strings.Builder, at string, keys []config.Key) {
	title, intro := "The top of the file", ""
	columns := []string{"key", "may be", "default", "meaning"}
	var rows [][]string
	for _, k := range keys {
		if k.Path == strings.TrimSuffix(at, "[]") {
			title, intro = "`"+at+"`", k.Doc+"\n"
			if strings.HasSuffix(at, "[]") {
				intro = "A list. " + intro
			}
		}
		if sectionOf(k.Path) == at {
			hasKeys := slices.ContainsFunc(keys, func(other config.Key) bool { return strings.HasPrefix(other.Path, k.Path+"[].") })
			rows = append(rows, referenceRow(k, hasKeys))
		}
	}
	hasEnv := slices.ContainsFunc(rows, func(row []string) bool { return row[len(columns)] != "" })
	if hasEnv {
		columns = append(columns, "environment")
	}
	for i := range rows {
		rows[i] = rows[i][:len(columns)]
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	if intro != "" {
		b.WriteString(intro + "\n")
	}
	markdownRows(b, columns, rows)
	if example := referenceExamples[at]; example != "" {
		fmt.Fprintf(b, "\n```yaml\n%s```\n", example)
	}
}

// referenceRow is a key's row, with its variable at the end. The entries of a
// list may have keys of their own.
func referenceRow(k config.Key, hasKeys bool) []string {
	may := k.Type
	switch {
	case k.Type == "mapping":
		may = "a mapping, see `" + k.Path + "`"
	case hasKeys:
		may = "a list, see `" + k.Path + "[]`"
	case k.Type == "list" && len(k.Enum) > 0:
		may = "a list of " + codes(k.Enum)
	case k.Type == "list":
		may = "a list of texts"
	case len(k.Enum) > 0:
		may = codes(k.Enum)
	case k.Want != "" && k.Type == "text":
		may = k.Want
	case k.Want != "":
		may += ", " + k.Want
	}
	def := ""
	switch {
	case k.Default != "" && k.Type == "list":
		def = "`[" + strings.ReplaceAll(k.Default, ",", ", ") + "]`"
	case k.Default != "":
		def = "`" + k.Default + "`"
	case k.Required:
		def = "must be given"
	case k.Either:
		def = "one of these must be given"
	}
	env := ""
	if k.Env != "" {
		env = "`" + k.Env + "`"
	}
	row := []string{"`" + k.Path[max(strings.LastIndexByte(k.Path, '.')+1, 0):] + "`", may, def, k.Doc, env}
	for i := range row {
		row[i] = strings.ReplaceAll(row[i], "|", `\|`)
	}
	return row
}

func codes(words []string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = "`" + w + "`"
	}
	return strings.Join(all, ", ")
}
