package interop

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"flow2ipfix/test/interop/show"
)

// matrix is what was found.
type matrix struct {
	mu      sync.Mutex
	entries []*entry
}

// entry is one variant at one collector.
type entry struct {
	variant    *variant
	collector  string
	sent       int
	elements   map[string]bool // that were sent
	cases      map[string]bool // by title
	options    []string        // kinds that were sent
	complaints []string
}

func (m *matrix) add(e *entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = append(m.entries, e)
}

func (m *matrix) entry(v *variant, collector string) *entry {
	i := slices.IndexFunc(m.entries, func(e *entry) bool {
		return e.variant.title() == v.title() && e.variant.protocol == v.protocol && e.collector == collector
	})
	if i < 0 {
		return nil
	}
	return m.entries[i]
}

// size returns how many variants were tried.
func (m *matrix) size() int {
	tried := map[*variant]bool{}
	for _, e := range m.entries {
		tried[e.variant] = true
	}
	return len(tried)
}

// untried returns what is declared of elements that no variant sends.
func (m *matrix) untried() []string {
	var words []string
	for name, b := range behaviours {
		for protocol, fates := range b.fates {
			sent, kinds := m.sent(protocol)
			for element := range fates {
				if !sent[element] {
					words = append(words, fmt.Sprintf("nobody sends %s over %s, of which %s is declared", element, protocol, name))
				}
			}
			for kind := range b.options[protocol] {
				if !kinds[kind] {
					words = append(words, fmt.Sprintf("nobody sends options %s over %s, of which %s is declared", kind, protocol, name))
				}
			}
		}
	}
	slices.Sort(words)
	return words
}

// sent returns the elements and the kinds of options data records that were sent.
func (m *matrix) sent(protocol string) (elements, kinds map[string]bool) {
	elements, kinds = map[string]bool{}, map[string]bool{}
	for _, e := range m.entries {
		if e.variant.protocol == protocol {
			maps.Copy(elements, e.elements)
			for _, kind := range e.options {
				kinds[kind] = true
			}
		}
	}
	return elements, kinds
}

var protocolTitles = map[string]string{ipfix: "IPFIX", netflow9: "NetFlow version 9", netflow5: "NetFlow version 5"}

// versionNumber is all that the page says of what a program says of its version.
var versionNumber = regexp.MustCompile(`\d+\.\d+\.\d+`)

// page writes the tables of docs/COLLECTORS.md.
func (m *matrix) page() (string, error) {
	p := &page{m: m}
	fmt.Fprint(&p.b, "Written by `go test ./interop -update` in test/, and held to the collectors by `make interop`: one flow log is\n"+
		"sent to each of them in every way that stands below, and what each shows is compared element by element.\n\n"+
		"| collector | version |\n|---|---|\n")
	for _, c := range show.Collectors() {
		version, err := c.Version()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&p.b, "| %s | %s |\n", c.Name(), versionNumber.FindString(version))
	}
	fmt.Fprintf(&p.b, "\n%s: as it was sent. %s: as it was sent, once the collector has been told about the element (primitives of\n"+
		"pmacct, a mapping file of goflow2, a PEN file of Telegraf). %s: something else, see the note. %s: not shown, or\nnot to be had that way.\n",
		markExact, markMapped, markOther, markAbsent)
	p.cases()
	p.arrivals()
	for _, protocol := range []string{ipfix, netflow9, netflow5} {
		p.elements(protocol)
	}
	p.optionKinds()
	p.b.WriteString("\nNotes:\n\n")
	for i, text := range p.notes {
		fmt.Fprintf(&p.b, "%d. %s.\n", i+1, text)
	}
	return p.b.String(), nil
}

type page struct {
	m     *matrix
	b     strings.Builder
	notes []string
}

// note returns the number of a note, as it stands in a cell.
func (p *page) note(collector, text string) string {
	if text == "" {
		return ""
	}
	text = collector + ": " + text
	i := slices.Index(p.notes, text)
	if i < 0 {
		p.notes = append(p.notes, text)
		i = len(p.notes) - 1
	}
	return fmt.Sprintf(" (%d)", i+1)
}

func (p *page) head(title, rows string, protocol string) []show.Collector {
	var columns []show.Collector
	for _, c := range show.Collectors() {
		if protocol == "" || c.Takes(protocol) {
			columns = append(columns, c)
		}
	}
	fmt.Fprintf(&p.b, "\n### %s\n\n| %s |", title, rows)
	for _, c := range columns {
		fmt.Fprintf(&p.b, " %s |", c.Name())
	}
	p.b.WriteString("\n" + strings.Repeat("|---", len(columns)+1+strings.Count(rows, "|")) + "|\n")
	return columns
}

var shortProtocols = map[string]string{ipfix: "IPFIX", netflow9: "v9", netflow5: "v5"}

// cases is the table of what operators look for.
func (p *page) cases() {
	columns := p.head("In short", "what is to be seen", "")
	for _, c := range cases {
		fmt.Fprintf(&p.b, "| %s |", c.title)
		for _, column := range columns {
			var cells []string
			for _, protocol := range []string{ipfix, netflow9, netflow5} {
				tried := slices.ContainsFunc(p.m.entries, func(e *entry) bool {
					return e.collector == column.Name() && e.variant.protocol == protocol && e.cases[c.title]
				})
				best := absent
				for _, name := range c.elements {
					f := behaviours[column.Name()].fates[protocol].of(name)
					if slices.Index(marks, f.mark) < slices.Index(marks, best.mark) {
						best = f
					}
				}
				if tried && best.mark != markAbsent {
					cells = append(cells, strings.TrimSuffix(shortProtocols[protocol]+" "+best.mark, " "+markExact)+p.note(column.Name(), best.note))
				}
			}
			fmt.Fprintf(&p.b, " %s |", cmp.Or(strings.Join(cells, ", "), markAbsent))
		}
		p.b.WriteString("\n")
	}
}

// arrivals is the table of what was sent. Every record arrived with what the
// tables of elements say, or there would be no page. Presets with equal rows
// stand in one.
func (p *page) arrivals() {
	for _, protocol := range []string{ipfix, netflow9, netflow5} {
		columns := p.head("What arrives: "+protocolTitles[protocol], "sent | flow records", "")
		var titles, rows []string
		for _, v := range variants() {
			if v.protocol != protocol {
				continue
			}
			row, sent := "", 0
			for _, c := range columns {
				cell := markAbsent
				if e := p.m.entry(v, c.Name()); e != nil {
					sent, cell = e.sent, "all"
					for _, text := range e.complaints {
						cell += p.note(c.Name(), text)
					}
				}
				row += " " + cell + " |"
			}
			row = fmt.Sprintf(" %d |%s", sent, row)
			if last := len(rows) - 1; last >= 0 && v.name == "" && rows[last] == row {
				titles[last] += ", " + v.preset
				continue
			}
			titles, rows = append(titles, v.title()), append(rows, row)
		}
		for i, row := range rows {
			fmt.Fprintf(&p.b, "| %s |%s\n", titles[i], row)
		}
	}
	p.b.WriteString("\nNetFlow version 5 has no IPv6: such flows are not sent. Its counters have 32 bits: what is more is split over up\n" +
		"to 64 records, of which the sum was compared, and what is more than that is not sent.\n")
}

// elements is the table of what becomes of each element of flow records.
func (p *page) elements(protocol string) {
	columns := p.head("What is shown of a flow record: "+protocolTitles[protocol], "element", protocol)
	sent, _ := p.m.sent(protocol)
	for _, name := range inOrder(sent) {
		fmt.Fprintf(&p.b, "| %s |", elementTitle(name, protocol))
		for _, c := range columns {
			f := behaviours[c.Name()].fates[protocol].of(name)
			fmt.Fprintf(&p.b, " %s%s |", f.mark, p.note(c.Name(), f.note))
		}
		p.b.WriteString("\n")
	}
}

// elementTitle is what a table calls an element.
func elementTitle(name, protocol string) string {
	switch {
	case name == domain:
		return map[string]string{
			ipfix: "header: observation domain", netflow9: "header: source id", netflow5: "header: engine type and id",
		}[protocol]
	case name == device:
		return "the sender's address, as the device"
	case name == "samplingInterval" && protocol == netflow5:
		return "header: sampling, 1 out of 1"
	case name == "flowStartMilliseconds" && protocol != ipfix:
		return "FIRST_SWITCHED, as a time"
	case name == "flowEndMilliseconds" && protocol != ipfix:
		return "LAST_SWITCHED, as a time"
	case protocol == netflow5:
		return name
	}
	return strings.Replace(name, "IPv4Address", "IPv4Address, IPv6Address", 1)
}

// inOrder sorts elements as tables have them.
func inOrder(set map[string]bool) []string {
	order := slices.Concat(tuple, counters, times, interfaces, codes, macs, vrfs, []string{"exporterIPv4Address"}, names, reverse, []string{biflow}, ownNames, []string{domain, device})
	return slices.SortedFunc(maps.Keys(set), func(a, b string) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a), slices.Index(order, b)), cmp.Compare(a, b))
	})
}

// optionKinds is the table of options data records.
func (p *page) optionKinds() {
	columns := p.head("What is shown of options data records", "kind", "")
	for _, protocol := range []string{ipfix, netflow9} {
		_, kinds := p.m.sent(protocol)
		for _, kind := range slices.Sorted(maps.Keys(kinds)) {
			fmt.Fprintf(&p.b, "| %s, %s |", kind, protocolTitles[protocol])
			for _, c := range columns {
				f := behaviours[c.Name()].options[protocol][kind]
				fmt.Fprintf(&p.b, " %s%s |", cmp.Or(f.mark, markAbsent), p.note(c.Name(), f.note))
			}
			p.b.WriteString("\n")
		}
	}
}
