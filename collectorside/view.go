package collectorside

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"flow2ipfix/templates"
)

// view is what a file is made of, and the file.
type view struct {
	*Input
	c      *collector
	file   string
	fields []field
	out    strings.Builder
}

func newView(c *collector, in *Input) *view {
	v := &view{Input: in, c: c}
	values := map[uint16]string{}
	for _, e := range templates.Elements() {
		if e.Enterprise {
			values[e.ID] = e.Value
		}
	}
	for _, t := range in.Set.Templates() {
		for _, f := range t.Fields() {
			if slices.ContainsFunc(v.fields, func(g field) bool { return g.ID == f.ID && g.Enterprise == f.Enterprise }) {
				continue
			}
			g := field{Field: f, reverse: f.Enterprise == reverseNumber}
			if g.own = f.Enterprise != 0 && !g.reverse; g.own {
				g.value = values[f.ID]
			}
			v.fields = append(v.fields, g)
		}
	}
	return v
}

func (v *view) keep(which func(f field) bool) []field {
	return slices.DeleteFunc(slices.Clone(v.fields), func(f field) bool { return !which(f) })
}

// own are the enterprise elements.
func (v *view) own() []field { return v.keep(func(f field) bool { return f.own }) }

// reverse are the reverse elements.
func (v *view) reverse() []field { return v.keep(func(f field) bool { return f.reverse }) }

// enterprise are both.
func (v *view) enterprise() []field { return v.keep(func(f field) bool { return f.own || f.reverse }) }

// unknown are all elements that the collector has no place for.
func (v *view) unknown() []field {
	return v.keep(func(f field) bool {
		_, ok := v.c.known[f.ID]
		switch {
		case f.own:
			return true
		case f.reverse:
			return v.c.reverse != shown
		}
		return v.c.known != nil && !ok
	})
}

// variable are the strings of IANA, or our own, whose length is in each record.
func (v *view) variable(own bool) []field {
	return v.keep(func(f field) bool { return f.text() && f.variable() && f.own == own })
}

// padded are the strings of fixed length.
func (v *view) padded() []field {
	return v.keep(func(f field) bool { return f.text() && !f.variable() })
}

// known are the names that the collector has for what it is sent, each once.
func (v *view) known() []string {
	var names []string
	for _, f := range v.fields {
		if name := v.c.known[f.ID]; f.Enterprise == 0 && name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// has reports whether one of these elements of IANA is sent.
func (v *view) has(ids ...uint16) bool {
	return slices.ContainsFunc(v.fields, func(f field) bool { return f.Enterprise == 0 && slices.Contains(ids, f.ID) })
}

// undefined9 are the elements that Logstash does not know in NetFlow version 9.
func (v *view) undefined9() []field {
	return v.keep(func(f field) bool { return v.protocol() == "netflow9" && slices.Contains(logstashMisses, f.ID) })
}

// number is the enterprise number of our own elements; 0 if none is sent.
func (v *view) number() uint32 {
	if own := v.own(); len(own) > 0 {
		return own[0].Enterprise
	}
	return 0
}

// sends reports whether options of a kind are sent.
func (v *view) sends(kind string) bool {
	return slices.ContainsFunc(v.Set.Options, func(t *templates.OptionsTemplate) bool { return string(t.Kind) == kind })
}

// protocol is the name of the protocol: ipfix, netflow9 or netflow5.
func (v *view) protocol() string { return v.Set.Protocol.String() }

// byProtocol is the one of three words that goes with what is sent.
func (v *view) byProtocol(ipfix, netflow9, netflow5 string) string {
	switch v.protocol() {
	case "ipfix":
		return ipfix
	case "netflow9":
		return netflow9
	}
	return netflow5
}

// path is where a file lies on the collector's machine.
func (v *view) path(name string) string {
	dir := v.Dir
	if dir == "" {
		dir = v.c.dir
	}
	return path.Join(dir, name)
}

// network is what carries messages: udp or tcp.
func (v *view) network() string {
	if v.Scheme == "tcp" || v.Scheme == "tls" {
		return "tcp"
	}
	return "udp"
}

// everywhere reports whether the collector listens on all addresses.
func (v *view) everywhere() bool { return v.Listen.Addr().IsUnspecified() }

// keys are the addresses that names of interfaces are kept by.
func (v *view) keys() []netip.Addr {
	if v.c.named && v.has(130, 131) && len(v.Exporters) > 0 {
		return v.Exporters
	}
	return v.Senders
}

// indexed are the interfaces that have an index.
func (v *view) indexed() []Interface {
	return slices.DeleteFunc(slices.Clone(v.Interfaces), func(i Interface) bool { return i.Index == 0 })
}

// about are the lines at the head of each file: what it is, for what, whence the
// form is known, and what the operator should know.
func (v *view) about() []string {
	lines := wrap(v.file + ", made by flow2ipfix collector-config for " + v.c.name + ", for what is sent with " + v.sent() + ".")
	lines = append(lines, wrap("The form follows "+v.c.format+". "+v.c.proof)...)
	for _, n := range v.notes() {
		lines = append(lines, "")
		lines = append(lines, wrap("Note: "+n+".")...)
	}
	return lines
}

// sent says in a few words what is sent.
func (v *view) sent() string {
	words := []string{"preset " + v.Set.Preset.Name, v.protocol(), "unidirectional records"}
	if v.Set.Biflow() {
		words[2] = "bidirectional records"
	}
	var kinds []string
	for _, t := range v.Set.Options {
		if !slices.Contains(kinds, string(t.Kind)) {
			kinds = append(kinds, string(t.Kind))
		}
	}
	if len(kinds) > 0 {
		words = append(words, "options "+strings.Join(kinds, ", "))
	}
	if own := v.own(); len(own) > 0 {
		words = append(words, fmt.Sprintf("enterprise number %d (%s)", own[0].Enterprise, strings.Join(names(own), ", ")))
	}
	return strings.Join(words, ", ")
}

// notes say what does not suit the collector.
func (v *view) notes() []string {
	notes := slices.Clone(v.Notes)
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if !slices.Contains(v.c.transports, v.Scheme) {
		add("%s receives over %s, but the url is %s://: change the url, or put something in between", v.c.name, strings.Join(v.c.transports, " or "), v.Scheme)
	}
	if v.Set.Biflow() {
		switch v.c.reverse {
		case dropped:
			add("%s does not show reverse counters: without records: uniflow, what came back is missing", v.c.name)
		case unknown:
			add("no document says that %s reads reverse counters (RFC 5103): with records: uniflow, nothing can get lost", v.c.name)
		}
	}
	if own := v.own(); len(own) > 0 {
		switch v.c.own {
		case dropped:
			add("%s does not keep enterprise elements (%s): they only take room", v.c.name, strings.Join(names(own), ", "))
		case unknown:
			add("no document says what %s does with enterprise elements (%s): without an enterprise number, nothing can go wrong", v.c.name, strings.Join(names(own), ", "))
		}
	}
	return notes
}

func names(fields []field) []string {
	var all []string
	for _, f := range fields {
		all = append(all, f.Name)
	}
	return all
}
