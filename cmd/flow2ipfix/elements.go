package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"flow2ipfix/templates"
)

// What can be sent: all elements, and the presets that choose among them.

// presetsOf returns the presets that have an element.
func presetsOf(element string) []string {
	var names []string
	for _, p := range templates.Presets() {
		has := slices.Contains(p.Elements, element)
		if other := otherFamily(element); other != "" {
			has = has || slices.Contains(p.Elements, other)
		}
		if has {
			names = append(names, p.Name)
		}
	}
	return names
}

// otherFamily returns the address of the other family, which an address stands for.
func otherFamily(element string) string {
	for _, way := range []string{"source", "destination"} {
		switch element {
		case way + "IPv4Address":
			return way + "IPv6Address"
		case way + "IPv6Address":
			return way + "IPv4Address"
		}
	}
	return ""
}

// elementID writes an element's id, below ENTERPRISE if it is our own.
func elementID(e *templates.Element) string {
	switch {
	case e.Enterprise:
		return fmt.Sprintf("own/%d", e.ID)
	case e.Reverse:
		return fmt.Sprintf("%d/%d", templates.ReverseEnterprise, e.ID)
	}
	return fmt.Sprint(e.ID)
}

func elementRows() (columns []string, rows [][]string) {
	for _, e := range templates.Elements() {
		in := strings.Join(presetsOf(e.Name), ", ")
		if len(presetsOf(e.Name)) == len(templates.PresetNames()) {
			in = "all"
		}
		rows = append(rows, []string{e.Name, elementID(&e), octetsText(e.Length), e.Type, in, e.Value})
	}
	return []string{"element", "id", "octets", "type", "presets", "value"}, rows
}

func presetRows() (columns []string, rows [][]string) {
	generic := templates.Presets()[0]
	for _, name := range templates.PresetNames() {
		p, err := templates.PresetFor(name)
		if err != nil {
			continue // it is one of them
		}
		more := slices.DeleteFunc(slices.Clone(p.Elements), func(e string) bool { return slices.Contains(generic.Elements, e) })
		var options []string
		for _, k := range p.Options {
			options = append(options, string(k))
		}
		rows = append(rows, []string{p.Name, p.For, fmt.Sprint(p.Rate), strings.Join(more, ", "), strings.Join(options, ", ")})
	}
	return []string{"preset", "for", "rate", "elements beyond generic", "options"}, rows
}

func printElements(out io.Writer, format string) error {
	if format == "json" {
		type element struct {
			Name       string   `json:"name"`
			ID         uint16   `json:"id"`
			Enterprise string   `json:"enterprise"`
			Octets     int      `json:"octets"`
			Variable   bool     `json:"variable,omitempty"`
			Type       string   `json:"type"`
			Presets    []string `json:"presets"`
			Value      string   `json:"value"`
		}
		doc := []element{}
		for _, e := range templates.Elements() {
			j := element{e.Name, e.ID, "iana", e.Length, e.Length == templates.VariableLength, e.Type, append([]string{}, presetsOf(e.Name)...), e.Value}
			switch {
			case e.Enterprise:
				j.Enterprise = "own"
			case e.Reverse:
				j.Enterprise = "reverse"
			}
			if j.Variable {
				j.Octets = 1
			}
			doc = append(doc, j)
		}
		return encode(out, doc)
	}
	columns, rows := elementRows()
	if format == "markdown" {
		return printMarkdown(out, columns, rows)
	}
	return printRows(out, columns, rows, 4, 36, 60)
}

func printPresets(out io.Writer, format string) error {
	if format == "json" {
		type preset struct {
			Name     string   `json:"name"`
			For      string   `json:"for"`
			Rate     int      `json:"rate"`
			Elements []string `json:"elements"`
			Options  []string `json:"options"`
		}
		doc := []preset{}
		for _, name := range templates.PresetNames() {
			p, err := templates.PresetFor(name)
			if err != nil {
				return err
			}
			j := preset{p.Name, p.For, p.Rate, p.Elements, []string{}}
			for _, k := range p.Options {
				j.Options = append(j.Options, string(k))
			}
			doc = append(doc, j)
		}
		return encode(out, doc)
	}
	columns, rows := presetRows()
	if format == "markdown" {
		return printMarkdown(out, columns, rows)
	}
	return printRows(out, columns, rows, 1, 44, 44)
}

func printMarkdown(out io.Writer, columns []string, rows [][]string) error {
	var b strings.Builder
	markdownRows(&b, columns, rows)
	_, err := io.WriteString(out, b.String())
	return err
}

// printRows prints rows as a table. Cells from a column on are broken into lines: that
// of this column and those behind it.
func printRows(out io.Writer, columns []string, rows [][]string, from, width, rest int) error {
	var cells [][][]string
	for _, row := range rows {
		var line [][]string
		for i, text := range row {
			switch {
			case i < from:
				line = append(line, []string{text})
			case i == from:
				line = append(line, wrap(text, width))
			default:
				line = append(line, wrap(text, rest))
			}
		}
		cells = append(cells, line)
	}
	upper := make([]string, len(columns))
	for i, c := range columns {
		upper[i] = strings.ToUpper(c)
	}
	return multiline(out, upper, cells)
}
