package collectorside

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"text/template"
	"unicode"

	"flow2ipfix/templates"
)

// field is an element as a collector meets it.
type field struct {
	templates.Field
	own, reverse bool
	// Value says what is in it, if it is our own.
	Value string
}

// reverseNumber is the enterprise number of reverse elements (RFC 5103 §6.1).
const reverseNumber = 29305

// Snake is the name with underscores, as programs that are not about IPFIX write
// names: octet_delta_count.
func (f field) Snake() string {
	if name, ok := snakes[f.Name]; ok {
		return name
	}
	var b strings.Builder
	var before rune
	for _, c := range f.Name {
		if unicode.IsUpper(c) && unicode.IsLower(before) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
		before = c
	}
	return strings.NewReplacer("ipv4address", "ipv4_address", "ipv6address", "ipv6_address").Replace(b.String())
}

// snakes are the names whose words cannot be told by their capitals.
var snakes = map[string]string{"VRFname": "vrf_name", "ingressVRFID": "ingress_vrf_id", "egressVRFID": "egress_vrf_id"}

// Screaming is the same in capitals.
func (f field) Screaming() string { return strings.ToUpper(f.Snake()) }

// Text reports whether it is a string.
func (f field) Text() bool { return f.Type == "string" }

// Address reports whether it is an IP address.
func (f field) Address() bool { return f.Type == "ipv4Address" || f.Type == "ipv6Address" }

// MAC reports whether it is a MAC address.
func (f field) MAC() bool { return f.Type == "macAddress" }

// Variable reports whether the length is in each record.
func (f field) Variable() bool { return f.Length == templates.VariableLength }

// Bits is the size of a number.
func (f field) Bits() int { return 8 * f.Length }

// Index is a number that no other element has: where goflow2 keeps it in its
// protobuf. Some have one in the mapping that goflow2 comes with.
func (f field) Index() int {
	if n, ok := goflow2Indexes[f.ID]; ok && f.Enterprise == 0 {
		return n
	}
	base := 2000
	switch {
	case f.reverse:
		base = 3000
	case f.own:
		base = 4000
	}
	return base + int(f.ID)
}

var goflow2Indexes = map[uint16]int{61: 42, 234: 39, 235: 40, 239: 41}

// view is what the templates see.
type view struct {
	*Input
	c      *collector
	file   string
	fields []field
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
				g.Value = values[f.ID]
			}
			v.fields = append(v.fields, g)
		}
	}
	return v
}

func (v *view) keep(which func(f field) bool) []field {
	return slices.DeleteFunc(slices.Clone(v.fields), func(f field) bool { return !which(f) })
}

// Own are the enterprise elements.
func (v *view) Own() []field { return v.keep(func(f field) bool { return f.own }) }

// Reverse are the reverse elements.
func (v *view) Reverse() []field { return v.keep(func(f field) bool { return f.reverse }) }

// Enterprise are both.
func (v *view) Enterprise() []field { return v.keep(func(f field) bool { return f.own || f.reverse }) }

// Unknown are all elements that the collector has no place for.
func (v *view) Unknown() []field {
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

// Variable are the strings of IANA, or our own, whose length is in each record.
func (v *view) Variable(own bool) []field {
	return v.keep(func(f field) bool { return f.Text() && f.Variable() && f.own == own })
}

// Padded are the strings of fixed length.
func (v *view) Padded() []field {
	return v.keep(func(f field) bool { return f.Text() && !f.Variable() })
}

// Known are the names that the collector has for what it is sent, each once.
func (v *view) Known() []string {
	var names []string
	for _, f := range v.fields {
		if name := v.c.known[f.ID]; f.Enterprise == 0 && name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Has reports whether one of these elements of IANA is sent.
func (v *view) Has(ids ...int) bool {
	return slices.ContainsFunc(v.fields, func(f field) bool { return f.Enterprise == 0 && slices.Contains(ids, int(f.ID)) })
}

// Undefined9 are the elements that Logstash does not know in NetFlow version 9.
func (v *view) Undefined9() []field {
	return v.keep(func(f field) bool { return v.Protocol() == "netflow9" && slices.Contains(logstashMisses, f.ID) })
}

// Number is the enterprise number of our own elements; 0 if none is sent.
func (v *view) Number() uint32 {
	if own := v.Own(); len(own) > 0 {
		return own[0].Enterprise
	}
	return 0
}

// Sends reports whether options of a kind are sent.
func (v *view) Sends(kind string) bool {
	return slices.ContainsFunc(v.Set.Options, func(t *templates.OptionsTemplate) bool { return string(t.Kind) == kind })
}

// Protocol is the name of the protocol: ipfix, netflow9 or netflow5.
func (v *view) Protocol() string { return v.Set.Protocol.String() }

// Path is where a file lies on the collector's machine.
func (v *view) Path(name string) string {
	dir := v.Dir
	if dir == "" {
		dir = v.c.dir
	}
	return path.Join(dir, name)
}

// Network is what carries messages: udp or tcp.
func (v *view) Network() string {
	if v.Scheme == "tcp" || v.Scheme == "tls" {
		return "tcp"
	}
	return "udp"
}

// Everywhere reports whether the collector listens on all addresses.
func (v *view) Everywhere() bool { return v.Listen.Addr().IsUnspecified() }

// Keys are the addresses that names of interfaces are kept by.
func (v *view) Keys() []netip.Addr {
	if v.c.named && v.Has(130, 131) && len(v.Exporters) > 0 {
		return v.Exporters
	}
	return v.Senders
}

// Indexed are the interfaces that have an index.
func (v *view) Indexed() []Interface {
	return slices.DeleteFunc(slices.Clone(v.Interfaces), func(i Interface) bool { return i.Index == 0 })
}

// Unindexed are the others.
func (v *view) Unindexed() []Interface {
	return slices.DeleteFunc(slices.Clone(v.Interfaces), func(i Interface) bool { return i.Index != 0 })
}

// Head are the lines at the head of each file: what it is, for what, whence the
// form is known, and what the operator should know.
func (v *view) Head() []string {
	what := "made by flow2ipfix collector-config for " + v.c.name
	if v.file != "" {
		what = v.file + ", " + what
	}
	lines := wrap(what + ", for what is sent with " + v.sent() + ".")
	lines = append(lines, wrap("The form follows "+v.c.format+". "+v.c.proof)...)
	for _, n := range v.notes() {
		lines = append(lines, "")
		lines = append(lines, wrap("Note: "+n+".")...)
	}
	return lines
}

// sent says in a few words what is sent.
func (v *view) sent() string {
	words := []string{"preset " + v.Set.Preset.Name, v.Protocol(), "unidirectional records"}
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
	if own := v.Own(); len(own) > 0 {
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
	if own := v.Own(); len(own) > 0 {
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

// headWidth is how long the lines of Head are.
const headWidth = 90

func wrap(text string) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > headWidth {
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

var functions = template.FuncMap{
	"comment": comment,
	"quote":   quote,
	"plain":   plain,
	"names":   names,
	"join":    strings.Join,
	"max":     func(a, b int) int { return max(a, b) },
}

// comment puts a mark before each line.
func comment(mark string, lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(strings.TrimRight(mark+" "+plain(line), " ") + "\n")
	}
	return b.String()
}

// quote writes text as a string that YAML, JSON and TOML read alike.
func quote(text string) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(text)
	return strings.TrimSuffix(b.String(), "\n"), err
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
