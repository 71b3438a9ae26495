package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"flow2ipfix/templates"
)

func newTemplates(u *ui) *cobra.Command {
	var preset, format string
	cmd := &cobra.Command{
		Use:   "templates",
		Short: "print the templates and where each Azure field goes",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			set, err := templates.New(templates.Config{Preset: preset})
			if err != nil {
				return &usageError{fmt.Errorf("--%w", err), "see flow2ipfix templates --help"}
			}
			switch format {
			case "table":
				return templatesTable(u.out, set)
			case "markdown":
				return templatesMarkdown(u.out, set)
			case "json":
				return templatesJSON(u.out, set)
			default:
				return usagef("see flow2ipfix templates --help", "--format: want table, markdown or json, got %q", format)
			}
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&preset, "preset", "generic", "templates for a kind of collector: "+strings.Join(templates.PresetNames(), ", "))
	fl.StringVar(&format, "format", "table", "table, markdown or json")
	return cmd
}

func templatesTable(out io.Writer, set *templates.Set) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, t := range set.Templates() {
		fmt.Fprintf(w, "template %d, %s, %d octets a record\n", t.ID, t.Name, t.Length())
		fmt.Fprintf(w, "  ELEMENT\tID\tOCTETS\tTYPE\n")
		for _, f := range t.Fields() {
			fmt.Fprintf(w, "  %s\t%d\t%d\t%s\n", f.Name, f.ID, f.Length, f.Type)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "AZURE\tIPFIX\tVALUE\n")
	for _, m := range templates.Mappings() {
		elements := m.Elements
		if len(elements) == 0 {
			elements = []string{"-"}
		}
		value := wrap(m.Value, 70)
		for i := range max(len(elements), len(value)) {
			cell := func(s []string) string {
				if i < len(s) {
					return s[i]
				}
				return ""
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", cell([]string{m.Azure}), cell(elements), cell(value))
		}
	}
	return w.Flush()
}

func templatesMarkdown(out io.Writer, set *templates.Set) error {
	var b strings.Builder
	b.WriteString(fieldsIntro)
	b.WriteString("\n## Where each Azure field goes\n\n| Azure | IPFIX | value |\n|---|---|---|\n")
	for _, m := range templates.Mappings() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.Azure, strings.Join(m.Elements, ", "), m.Value)
	}
	b.WriteString("\n## Templates\n")
	for _, t := range set.Templates() {
		fmt.Fprintf(&b, "\n### %d: %s, %d octets a record\n\n| element | id | octets | type |\n|---|---|---|---|\n", t.ID, t.Name, t.Length())
		for _, f := range t.Fields() {
			fmt.Fprintf(&b, "| %s | %d | %d | %s |\n", f.Name, f.ID, f.Length, f.Type)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func templatesJSON(out io.Writer, set *templates.Set) error {
	type field struct {
		Name       string `json:"name"`
		ID         uint16 `json:"id"`
		Enterprise uint32 `json:"enterprise"`
		Octets     int    `json:"octets"`
		Type       string `json:"type"`
	}
	type template struct {
		ID     uint16  `json:"id"`
		Name   string  `json:"name"`
		Octets int     `json:"octets"`
		Fields []field `json:"fields"`
	}
	type mapping struct {
		Azure    string   `json:"azure"`
		Elements []string `json:"elements"`
		Value    string   `json:"value"`
	}
	var doc struct {
		Preset    string     `json:"preset"`
		Templates []template `json:"templates"`
		Mapping   []mapping  `json:"mapping"`
	}
	doc.Preset = set.Preset.Name
	for _, t := range set.Templates() {
		tj := template{ID: t.ID, Name: t.Name, Octets: t.Length()}
		for _, f := range t.Fields() {
			tj.Fields = append(tj.Fields, field{f.Name, f.ID, f.Enterprise, f.Length, f.Type})
		}
		doc.Templates = append(doc.Templates, tj)
	}
	for _, m := range templates.Mappings() {
		doc.Mapping = append(doc.Mapping, mapping{m.Azure, append([]string{}, m.Elements...), m.Value})
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}

// wrap breaks text into lines of at most width characters.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
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
