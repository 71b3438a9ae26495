package templates

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/vmware/go-ipfix/pkg/entities"
)

// builder makes a Set.
type builder struct {
	cfg  *Config
	set  *Set
	used map[uint16]bool // template ids
	errs []error
}

// fail says what is wrong with a key.
func (b *builder) fail(key, format string, args ...any) { b.failName(key, "", format, args...) }

// failName says what is wrong with a word of a key's list.
func (b *builder) failName(key, name, format string, args ...any) {
	b.errs = append(b.errs, &Problem{key, name, fmt.Sprintf(format, args...)})
}

// checkProtocol finds what the protocol, or the collector, cannot carry.
func (b *builder) checkProtocol() {
	c := b.cfg
	p := c.Protocol
	switch {
	case p != IPFIX && c.Biflow:
		b.fail("records", "want uniflow: %s has no bidirectional records", p)
	case c.Biflow && b.set.Preset.knowsIANAOnly:
		b.fail("records", "want uniflow: the collectors of preset %s drop bidirectional records", b.set.Preset.Name)
	}
	switch {
	case p != IPFIX && c.Enterprise.Number != 0:
		b.fail("enterprise.number", "want 0: %s has no enterprise elements", p)
	case c.Enterprise.Number != 0 && b.set.Preset.knowsIANAOnly:
		b.fail("enterprise.number", "want 0: the collectors of preset %s drop records with enterprise elements", b.set.Preset.Name)
	case c.Enterprise.Number == ReverseEnterprise:
		b.fail("enterprise.number", "want a number of your own: %d stands for reverse elements (RFC 5103)", ReverseEnterprise)
	}
	if most := b.set.Preset.MaxMessageBytes; most > 0 && c.MaxMessageBytes > most {
		b.fail("max_message_bytes", "want %d at most: more the collectors of preset %s do not read", most, b.set.Preset.Name)
	}
	if most := b.set.Preset.MaxRecords; most > 0 && c.MaxRecords > most {
		b.fail("max_message_records", "want %d at most: more the collectors of preset %s do not read", most, b.set.Preset.Name)
	}
	if n := c.Enterprise.StringOctets; n < 0 || n > maxStringOctets {
		b.fail("enterprise.string_octets", "want 0 (as long as they are) to %d, got %d", maxStringOctets, n)
	}
	if p == NetFlow5 {
		if len(c.Fields) > 0 {
			b.fail("fields", "want none: netflow5 has one form of record")
		}
		if slices.ContainsFunc(c.Options, func(k OptionsKind) bool { return k != OptionsPreset }) {
			b.fail("options", "want none: netflow5 has no options templates")
		}
	}
}

// choose returns the elements of a record, in order.
func (b *builder) choose() []*Element {
	c := b.cfg
	var names []string
	for _, name := range c.Fields {
		if name == presetWord {
			names = append(names, b.ofPreset()...)
		} else {
			names = append(names, name)
		}
	}
	if len(c.Fields) == 0 {
		names = b.ofPreset()
	}
	names = append(names, b.enterprise()...)
	said := map[string]int{} // what stands in the list twice; what the preset has beside it may
	for _, name := range c.Fields {
		said[name]++
	}
	if said[presetWord] > 1 {
		b.failName("fields", presetWord, "want preset once")
	}
	seen := map[string]bool{}
	var list []*Element
	for _, name := range names {
		e, ok := elements().find(name)
		key := "fields"
		if ok && e.Enterprise && !slices.Contains(c.Fields, name) {
			key = "enterprise.elements"
		}
		switch {
		case !ok:
			b.failName(key, name, "element %q is not known, or cannot be filled%s; flow2ipfix templates --elements lists those that can", name, meant(name))
		case seen[name] && said[name] < 2 && key == "fields":
		case seen[name]:
			b.failName(key, name, "want %s once", name)
		case e.Enterprise && c.Enterprise.Number == 0:
			b.failName(key, name, "%s needs enterprise.number", name)
		case (e.Reverse || e.Name == biflowDirection) && !c.Biflow:
			b.failName(key, name, "%s needs records: biflow", name)
		case e.source == exporter4 && !c.Exporter.Is4(), e.source == exporter6 && !c.Exporter.Is6():
			b.failName(key, name, "%s needs an exporter_address of its family", name)
		default:
			list = append(list, e)
		}
		seen[name] = true
	}
	for _, either := range b.set.Preset.requires {
		if !slices.ContainsFunc(either, func(name string) bool { return seen[name] }) && c.Protocol != NetFlow5 {
			b.fail("fields", "want %s: without, the collectors of preset %s ignore a record", strings.Join(either, " or "), b.set.Preset.Name)
		}
	}
	return list
}

// enterprise returns the elements of our own that come behind the others.
func (b *builder) enterprise() []string {
	c := b.cfg
	own := func(name string) bool { e, ok := elements().find(name); return ok && e.Enterprise }
	var names []string
	for _, name := range c.Enterprise.Elements {
		switch _, known := elements().find(name); {
		case own(name):
			names = append(names, name)
		case known:
			b.failName("enterprise.elements", name, "%s is IANA's; name it in fields", name)
		default:
			b.failName("enterprise.elements", name, "element %q is not known%s; flow2ipfix templates --elements lists them", name, meant(name))
		}
	}
	switch {
	case c.Enterprise.Number == 0 || slices.ContainsFunc(c.Fields, own):
		return nil
	case c.Enterprise.Elements == nil:
		return DefaultEnterpriseElements()
	}
	return names
}

func (b *builder) ofPreset() []string {
	names := slices.Clone(b.set.Preset.Elements)
	switch a := b.cfg.Exporter; {
	case a.Is4():
		names = append(names, "exporterIPv4Address")
	case a.IsValid():
		names = append(names, "exporterIPv6Address")
	}
	return names
}

// meant suggests an element for a name that differs in case only.
func meant(name string) string {
	for _, e := range Elements() {
		if strings.EqualFold(e.Name, name) {
			return fmt.Sprintf(" (did you mean %s?)", e.Name)
		}
	}
	return ""
}

// reverse returns the elements of a bidirectional record: those of list, and the
// reverse counters of the counters in it that have none yet.
func (b *builder) reverse(list []*Element) []*Element {
	list = slices.Clone(list)
	for _, pair := range [][2]string{{"octetDeltaCount", "reverseOctetDeltaCount"}, {"packetDeltaCount", "reversePacketDeltaCount"}} {
		has := func(name string) bool {
			return slices.ContainsFunc(list, func(e *Element) bool { return e.Name == name })
		}
		if has(pair[0]) && !has(pair[1]) {
			e, _ := elements().find(pair[1])
			list = append(list, e)
		}
	}
	return list
}

// oneWay returns the elements of a unidirectional record.
func oneWay(list []*Element) []*Element {
	return slices.DeleteFunc(slices.Clone(list), func(e *Element) bool { return e.Reverse || e.Name == biflowDirection })
}

// family returns the elements of a record of IPv4 or IPv6: an address of the
// other family stands for that of this one, unless that is there, too.
func family(list []*Element, version int) []*Element {
	skip := map[source]bool{sourceIPv4: version == 6, destinationIPv4: version == 6, sourceIPv6: version == 4, destinationIPv6: version == 4}
	var out []*Element
	for _, e := range list {
		if skip[e.source] {
			other, _ := elements().find(otherFamily[e.Name])
			if slices.Contains(list, other) {
				continue
			}
			e = other
		}
		out = append(out, e)
	}
	return out
}

// template makes the template of a list of elements.
func (b *builder) template(name string, list []*Element) *Template {
	c := b.cfg
	t := &Template{Name: b.set.Preset.Name + "-" + name, limit: c.MaxMessageBytes - overhead}
	run := part{}
	for _, e := range list {
		f := Field{Name: e.Name, ID: e.ID, Type: e.Type, Length: e.Length}
		src := e.source
		switch {
		case e.Enterprise:
			f.Enterprise = c.Enterprise.Number
		case e.Reverse:
			f.Enterprise = ReverseEnterprise
		}
		if c.Enterprise.Long && longForm[src] != none {
			src = longForm[src]
		}
		if c.Protocol == NetFlow9 {
			if up, ok := uptimes[src]; ok {
				f, src = up.field, up.source
			}
		}
		if f.Length == VariableLength {
			f.Length = b.stringOctets()
		}
		if keys[src] {
			t.keys |= 1 << len(t.fields)
		}
		t.fields = append(t.fields, f)
		if f.Length == VariableLength {
			run.text = src
			t.length += run.length + shortPrefix
			t.parts = append(t.parts, run)
			run = part{}
			continue
		}
		run.steps = append(run.steps, step{src, int32(run.length), int32(f.Length)})
		run.length += f.Length
	}
	t.length += run.length
	t.parts = append(t.parts, run)
	for i := range t.parts {
		t.parts[i].steps = joinCore(t.parts[i].steps)
	}
	if least := t.length + (longPrefix-shortPrefix)*(len(t.parts)-1); least > t.limit {
		b.fail("fields", "a record takes %d octets, but a message of %d has room for %d; want fewer or shorter fields, or a larger max_message_bytes", least, c.MaxMessageBytes, t.limit)
	}
	if c.Protocol == NetFlow9 && t.length <= maxPadding {
		b.fail("fields", "want records of more than %d octets: with netflow9 shorter ones look like padding", maxPadding)
	}
	definition := appendFields(binary.BigEndian.AppendUint16(nil, uint16(len(t.fields))), t.fields)
	t.ID = b.id(definition)
	t.record = append(binary.BigEndian.AppendUint16(nil, t.ID), definition...)
	return t
}

// overhead is what a message has beside one record: the larger of the headers of
// IPFIX and NetFlow version 9, a set header, and padding.
const overhead = 20 + 4 + maxPadding

// maxPadding is how many octets fill a flow set of NetFlow version 9.
const maxPadding = 3

// stringOctets returns the length of strings.
func (b *builder) stringOctets() int {
	switch {
	case b.cfg.Enterprise.StringOctets > 0:
		return b.cfg.Enterprise.StringOctets
	case b.cfg.Protocol == NetFlow9:
		return netflow9Strings
	default:
		return VariableLength
	}
}

// longForm is what the long form sends of a resource id.
var longForm = map[source]source{acl: aclLong, flowLog: flowLogLong, target: targetLong}

// uptimes are the times that NetFlow version 9 counts in sysUptime (RFC 3954 §8).
var uptimes = map[source]struct {
	field  Field
	source source
}{
	start: {Field{Name: "flowStartSysUpTime", ID: 22, Type: typeNames[entities.Unsigned32], Length: 4}, startUptime},
	end:   {Field{Name: "flowEndSysUpTime", ID: 21, Type: typeNames[entities.Unsigned32], Length: 4}, endUptime},
}

// appendFields appends field specifiers (RFC 7011 §3.2).
func appendFields(dst []byte, fields []Field) []byte {
	for _, f := range fields {
		id := f.ID
		if f.Enterprise != 0 {
			id |= 0x8000
		}
		dst = binary.BigEndian.AppendUint16(dst, id)
		dst = binary.BigEndian.AppendUint16(dst, uint16(f.Length))
		if f.Enterprise != 0 {
			dst = binary.BigEndian.AppendUint32(dst, f.Enterprise)
		}
	}
	return dst
}

// Template IDs. A definition keeps its ID for ever and in every observation
// domain: collectors that key templates by exporter address alone would mix up
// two definitions of one ID. Those of the generic preset have the first IDs that
// there are, all others one that is made of what they define.
const (
	genericIPv4ID = 256
	genericIPv6ID = 257
	firstHashID   = 1024

	// The hashes of the generic preset's definitions.
	genericIPv4Sum = 1624255723
	genericIPv6Sum = 2454757270
)

// id returns the template ID of a definition.
func (b *builder) id(definition []byte) uint16 {
	h := fnv.New32a()
	h.Write(definition)
	sum := h.Sum32()
	id := uint16(firstHashID + sum%(1<<16-firstHashID))
	switch sum {
	case genericIPv4Sum:
		id = genericIPv4ID
	case genericIPv6Sum:
		id = genericIPv6ID
	}
	for b.used[id] {
		id = max(id+1, firstHashID)
	}
	b.used[id] = true
	return id
}
