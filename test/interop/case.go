package interop

import "flow2ipfix/test/expect"

// caseOf is what operators look for, in which records it is, and which elements
// tell it: any of them does.
type caseOf struct {
	title    string
	elements []string
	in       func(v *variant, r *expect.Record) bool
}

var cases = []caseOf{
	{"IPv4", tuple, func(_ *variant, r *expect.Record) bool { return r.Source.Is4() }},
	{"IPv6", tuple, func(_ *variant, r *expect.Record) bool { return r.Source.Is6() }},
	{"counters above 2^32", counters, func(_ *variant, r *expect.Record) bool { return r.Packets > 1<<32 && r.Bytes > 1<<32 }},
	{"that a flow was denied", []string{"forwardingStatus", "firewallEvent"}, func(_ *variant, r *expect.Record) bool { return r.ForwardingStatus > 127 }},
	{"that a flow began", []string{"firewallEvent"}, func(_ *variant, r *expect.Record) bool { return r.State == "B" && r.FirewallEvent == 1 }},
	{"the way back in a bidirectional record", reverse, func(v *variant, _ *expect.Record) bool { return v.oracle.Biflow }},
	{"when a flow was", times, func(*variant, *expect.Record) bool { return true }},
	{"MAC addresses", macs, hasElement("sourceMacAddress")},
	{"VRF ids", vrfs, hasElement("ingressVRFID")},
	{"the exporter's address", []string{"exporterIPv4Address"}, hasElement("exporterIPv4Address")},
	{"an empty text", ownTexts, func(v *variant, r *expect.Record) bool { return v.enterprise && r.Rule == "" }},
	{"a short text", ownTexts, func(v *variant, r *expect.Record) bool { return v.enterprise && r.Rule != "" && len(r.Rule) < 255 }},
	{"a text of more than 255 octets", ownTexts, func(v *variant, r *expect.Record) bool {
		return v.enterprise && v.stringOctets == 0 && len(r.Rule) > 255
	}},
}

// hasElement reports whether flow records of the variant have an element; it is
// asked when the shape of the records is known.
func hasElement(name string) func(*variant, *expect.Record) bool {
	return func(v *variant, _ *expect.Record) bool { return v.sent[name] }
}
