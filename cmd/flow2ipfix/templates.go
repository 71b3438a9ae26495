package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"flow2ipfix/templates"
)

func newTemplates(u *ui) *cobra.Command {
	var (
		dialect           dialectFlags
		format            string
		elements, presets bool
	)
	cmd := &cobra.Command{
		Use:     "templates",
		Short:   "print what collectors are sent, and where each Azure field goes",
		Long:    templatesLong,
		Example: templatesExamples,
		Args:    noArgs,
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&format, "format", "table", "table, markdown or json")
	fl.BoolVar(&elements, "elements", false, "print all elements that can be sent instead")
	fl.BoolVar(&presets, "presets", false, "print all presets instead")
	dialect.add(fl)
	cmd.RunE = func(*cobra.Command, []string) error {
		const hint = "see flow2ipfix templates --help"
		if !slices.Contains([]string{"table", "markdown", "json"}, format) {
			return usagef(hint, "--format: want table, markdown or json, got %q", format)
		}
		if elements && presets {
			return usagef(hint, "--elements: want it without --presets")
		}
		set, err := dialect.templates()
		if err != nil {
			return &usageError{err, hint}
		}
		switch {
		case elements:
			return printElements(u.out, format)
		case presets:
			return printPresets(u.out, format)
		case format == "table":
			return templatesTable(u.out, set)
		case format == "markdown":
			return templatesMarkdown(u.out, set)
		default:
			return templatesJSON(u.out, set)
		}
	}
	return cmd
}

// templateText is a template, or an options template, in words.
type templateText struct {
	title  string
	fields [][]string // name, id, octets, type
}

var fieldColumns = []string{"element", "id", "octets", "type"}

// templateTexts puts all templates of a set into words.
func templateTexts(set *templates.Set) []templateText {
	var all []templateText
	for _, t := range set.Templates() {
		more := ""
		if t.Variable() {
			more = " and more"
		}
		text := templateText{title: fmt.Sprintf("%d: %s, %d octets%s a record", t.ID, t.Name, t.Length(), more)}
		for _, f := range t.Fields() {
			text.fields = append(text.fields, fieldText(f, ""))
		}
		all = append(all, text)
	}
	return append(all, optionsTexts(set)...)
}

// optionsTexts puts all options templates of a set into words.
func optionsTexts(set *templates.Set) []templateText {
	var all []templateText
	for _, t := range set.Options {
		text := templateText{title: fmt.Sprintf("%d: options %s", t.ID, t.Kind)}
		if t.Name != strings.ReplaceAll(string(t.Kind), "_", "-") {
			text.title += ", " + t.Name
		}
		for _, f := range t.Scope {
			text.fields = append(text.fields, fieldText(f, " (scope)"))
		}
		for _, f := range t.Fields {
			text.fields = append(text.fields, fieldText(f, ""))
		}
		all = append(all, text)
	}
	return all
}

func fieldText(f templates.Field, note string) []string {
	id := fmt.Sprint(f.ID)
	if f.Enterprise != 0 {
		id = fmt.Sprintf("%d/%d", f.Enterprise, f.ID)
	}
	return []string{f.Name + note, id, octetsText(f.Length), f.Type}
}

func octetsText(n int) string {
	if n == templates.VariableLength {
		return "variable"
	}
	return fmt.Sprint(n)
}

func templatesTable(out io.Writer, set *templates.Set) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if set.Protocol == templates.NetFlow5 {
		fmt.Fprintf(w, "%s\n\n", strings.Join(wrap(netflow5Form, helpWidth), "\n"))
	}
	for _, t := range templateTexts(set) {
		fmt.Fprintf(w, "template %s\n  %s\n", t.title, strings.ToUpper(strings.Join(fieldColumns, "\t")))
		for _, f := range t.fields {
			fmt.Fprintf(w, "  %s\n", strings.Join(f, "\t"))
		}
		fmt.Fprintln(w)
	}
	var rows [][][]string
	for _, m := range templates.Mappings() {
		more := slices.Clone(m.More)
		if len(m.Elements)+len(more) == 0 {
			more = []string{"-"}
		}
		rows = append(rows, [][]string{{m.Azure}, m.Elements, more, wrap(m.Value, 70)})
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return multiline(out, []string{"AZURE", "ALWAYS", "ON DEMAND", "VALUE"}, rows)
}

// multiline prints a table whose cells have several lines.
func multiline(out io.Writer, columns []string, rows [][][]string) error {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(columns, "\t"))
	for _, row := range rows {
		lines := 0
		for _, cell := range row {
			lines = max(lines, len(cell))
		}
		for i := range lines {
			line := make([]string, len(row))
			for k, cell := range row {
				if i < len(cell) {
					line[k] = cell[i]
				}
			}
			fmt.Fprintln(w, strings.Join(line, "\t"))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := io.WriteString(out, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func templatesMarkdown(out io.Writer, set *templates.Set) error {
	var b strings.Builder
	b.WriteString(fieldsIntro + "\n## Where each Azure field goes\n\n" + mappingIntro + "\n")
	var rows [][]string
	for _, m := range templates.Mappings() {
		rows = append(rows, []string{m.Azure, strings.Join(m.Elements, ", "), strings.Join(m.More, ", "), m.Value})
	}
	markdownRows(&b, []string{"Azure", "always", "on demand", "value"}, rows)
	b.WriteString("\n## Presets\n\n" + presetsIntro + "\n")
	columns, rows := presetRows()
	markdownRows(&b, columns, rows)
	b.WriteString("\n## Elements\n\n" + elementsIntro + "\n")
	columns, rows = elementRows()
	markdownRows(&b, columns, rows)
	b.WriteString("\n## Templates\n")
	if set.Protocol == templates.NetFlow5 {
		b.WriteString("\n" + netflow5Form + "\n")
	}
	for _, t := range templateTexts(set) {
		markdownTemplate(&b, t)
	}
	b.WriteString("\n## Options templates\n\n" + optionsIntro)
	all, err := templates.New(templates.Config{Options: templates.OptionsKinds(), Enterprise: templates.Enterprise{Number: exampleEnterprise}})
	if err != nil {
		return err
	}
	for _, t := range optionsTexts(all) {
		markdownTemplate(&b, t)
	}
	_, err = io.WriteString(out, b.String())
	return err
}

// exampleEnterprise is the enterprise number for examples (RFC 5612).
const exampleEnterprise = 32473

func markdownTemplate(b *strings.Builder, t templateText) {
	fmt.Fprintf(b, "\n### %s\n\n", t.title)
	markdownRows(b, fieldColumns, t.fields)
}

func markdownRows(b *strings.Builder, columns []string, rows [][]string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
}

func templatesJSON(out io.Writer, set *templates.Set) error {
	type field struct {
		Name       string `json:"name"`
		ID         uint16 `json:"id"`
		Enterprise uint32 `json:"enterprise"`
		Octets     int    `json:"octets"`
		Variable   bool   `json:"variable,omitempty"`
		Type       string `json:"type"`
	}
	type template struct {
		ID       uint16  `json:"id"`
		Name     string  `json:"name"`
		Octets   int     `json:"octets"`
		Variable bool    `json:"variable,omitempty"`
		Fields   []field `json:"fields"`
	}
	type optionsTemplate struct {
		ID     uint16  `json:"id"`
		Name   string  `json:"name"`
		Kind   string  `json:"kind"`
		Scope  []field `json:"scope"`
		Fields []field `json:"fields"`
	}
	type mapping struct {
		Azure    string   `json:"azure"`
		Elements []string `json:"elements"`
		More     []string `json:"on_demand"`
		Value    string   `json:"value"`
	}
	// Of what says its length itself, the octets of an empty one are said.
	fields := func(of []templates.Field) []field {
		all := []field{}
		for _, f := range of {
			j := field{f.Name, f.ID, f.Enterprise, f.Length, false, f.Type}
			if f.Length == templates.VariableLength {
				j.Octets, j.Variable = 1, true
			}
			all = append(all, j)
		}
		return all
	}
	doc := struct {
		Preset    string            `json:"preset"`
		Protocol  string            `json:"protocol"`
		Templates []template        `json:"templates"`
		Options   []optionsTemplate `json:"options_templates"`
		Mapping   []mapping         `json:"mapping"`
	}{Preset: set.Preset.Name, Protocol: set.Protocol.String(), Templates: []template{}, Options: []optionsTemplate{}}
	for _, t := range set.Templates() {
		doc.Templates = append(doc.Templates, template{t.ID, t.Name, t.Length(), t.Variable(), fields(t.Fields())})
	}
	for _, t := range set.Options {
		doc.Options = append(doc.Options, optionsTemplate{t.ID, t.Name, string(t.Kind), fields(t.Scope), fields(t.Fields)})
	}
	for _, m := range templates.Mappings() {
		doc.Mapping = append(doc.Mapping, mapping{m.Azure, append([]string{}, m.Elements...), append([]string{}, m.More...), m.Value})
	}
	return encode(out, doc)
}

func encode(out io.Writer, doc any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
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
