package flowlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"flow2ipfix/internal/ipaddr"
)

// The oracles say slowly and plainly what a tuple and a blob mean. They share
// no code with the decoder.

// tupleOracle reads a tuple.
func tupleOracle(kind Kind, text string) (Flow, Reason) {
	var f Flow
	rest := strings.Split(text, ",")
	field := func() (string, bool) {
		if len(rest) == 0 {
			return "", false
		}
		s := rest[0]
		rest = rest[1:]
		return s, true
	}

	s, _ := field()
	t, err := strconv.ParseInt(s, 10, 64)
	switch {
	case err != nil || strings.Trim(s, "0123456789") != "":
		return f, BadTime
	case t >= 1_000_000_000 && t < 4_102_444_800:
		f.Time = t * 1000
	case t >= 1_000_000_000_000 && t < 4_102_444_800_000:
		f.Time = t
	default:
		return f, BadTime
	}
	families := map[bool]bool{}
	for _, dst := range []*ipaddr.Addr{&f.Source, &f.Destination} {
		s, ok := field()
		if !ok {
			return f, BadFieldCount
		}
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return f, BadAddress
		}
		*dst, f.IPv6 = ipaddr.From(a), a.Is6()
		families[f.IPv6] = true
	}
	if len(families) > 1 {
		return f, MixedAddresses
	}
	for _, dst := range []*uint16{&f.SourcePort, &f.DestinationPort} {
		s, ok := field()
		if !ok {
			return f, BadFieldCount
		}
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return f, BadPort
		}
		*dst = uint16(n)
	}
	// letter reads a field whose place in one of the letters says what it is.
	letter := func(letters string, r Reason) (int, Reason) {
		s, ok := field()
		if !ok {
			return 0, BadFieldCount
		}
		if len(s) != 1 || !strings.Contains(letters, s) {
			return 0, r
		}
		return strings.Index(letters, s), reasonNone
	}
	var r Reason
	var n int
	if kind == NSG {
		if n, r = letter("TU", BadProtocol); r != reasonNone {
			return f, r
		}
		f.Protocol = []uint8{6, 17}[n]
	} else {
		s, ok := field()
		if !ok {
			return f, BadFieldCount
		}
		n, err := strconv.ParseUint(s, 10, 8)
		if err != nil {
			return f, BadProtocol
		}
		f.Protocol = uint8(n)
	}
	if n, r = letter("IO", BadDirection); r != reasonNone {
		return f, r
	}
	f.Direction = Direction(n)
	if kind == NSG {
		if n, r = letter("AD", BadDecision); r != reasonNone {
			return f, r
		}
		f.Denied = n == 1
		if len(rest) > 0 && rest[0] == "" {
			rest = rest[1:]
		} else if len(rest) > 0 {
			if n, r = letter("BCE", BadState); r != reasonNone {
				return f, r
			}
			f.State = Begin + State(n)
		}
	} else {
		if n, r = letter("BCED", BadState); r != reasonNone {
			return f, r
		}
		if f.Denied = n == 3; !f.Denied {
			f.State = Begin + State(n)
		}
		s, _ := field()
		if strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
			return f, BadFieldCount
		}
		codes := []string{
			"", "X", "NX", "NX_HW_NOT_SUPPORTED", "NX_SW_NOT_READY", "NX_NOT_ACCEPTED",
			"NX_NOT_SUPPORTED", "NX_LOCAL_DST", "NX_FALLBACK",
		}
		f.Encryption = EncryptionOther
		for i, code := range codes {
			if s == code {
				f.Encryption = Encryption(i)
			}
		}
	}
	for i, dst := range []*uint64{&f.PacketsSent, &f.BytesSent, &f.PacketsReceived, &f.BytesReceived} {
		s, _ := field()
		if s == "" {
			continue
		}
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return f, BadCounter
		}
		*dst = n
		f.Counters |= 1 << i
	}
	if len(rest) > 0 {
		return f, BadFieldCount
	}
	return f, reasonNone
}

// parseTree reads a JSON document as encoding/json does, but keeps to the letter
// of keys. It reports false for documents that are not JSON, that have a key
// twice in an object, or that are too deep.
func parseTree(blob []byte) (any, bool) {
	if !json.Valid(blob) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(blob))
	d.UseNumber()
	return subtree(d, 0)
}

func subtree(d *json.Decoder, depth int) (any, bool) {
	token, err := d.Token()
	if err != nil || depth > 40 {
		return nil, false
	}
	switch token {
	case json.Delim('{'):
		object := map[string]any{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, false
			}
			if _, twice := object[key.(string)]; twice {
				return nil, false
			}
			value, ok := subtree(d, depth+1)
			if !ok {
				return nil, false
			}
			object[key.(string)] = value
		}
		_, err := d.Token()
		return object, err == nil
	case json.Delim('['):
		list := []any{}
		for d.More() {
			value, ok := subtree(d, depth+1)
			if !ok {
				return nil, false
			}
			list = append(list, value)
		}
		_, err := d.Token()
		return list, err == nil
	}
	return token, true
}

// blobOracle writes what a blob of the usual shape holds as a dump does, without
// what a dump says of offsets. It reports false for any other blob.
func blobOracle(blob []byte) (string, bool) {
	tree, ok := parseTree(blob)
	if !ok {
		return "", false
	}
	top, ok := tree.(map[string]any)
	if !ok || len(top) != 1 {
		return "", false
	}
	records, ok := top["records"].([]any)
	if !ok {
		return "", false
	}
	o := &oracle{}
	for _, r := range records {
		if !o.record(r) {
			return "", false
		}
	}
	return o.out.String(), true
}

type oracle struct {
	out, flows strings.Builder
	mac        string // of the record, or of its first group that has one
}

// record writes a record. It reports false if it is of an unusual shape.
func (o *oracle) record(value any) bool {
	record, ok := value.(map[string]any)
	if !ok {
		if text, ok := value.(string); ok && strings.Contains(text, "{") {
			return false // taken for the brackets behind a torn string
		}
		if _, ok := value.([]any); ok {
			return false
		}
		if value != nil {
			o.out.WriteString("reject record not_record\n")
		}
		return true
	}
	if _, ok := record["records"]; ok {
		return false
	}
	vnet, isVNet := record["flowRecords"]
	nsg, isNSG := record["properties"]
	if isVNet && isNSG {
		return false // their order counts, which the tree does not know
	}
	if !isVNet && !isNSG {
		o.out.WriteString("reject record not_record\n")
		return true
	}
	o.flows.Reset()
	o.mac, _ = macOracle(str(record["macAddress"]))
	if isVNet {
		for _, acl := range o.list(vnet, "flows") {
			for _, group := range o.list(acl, "flowGroups") {
				o.group(VNet, group, o.mac, label(group, "rule"), label(acl, "aclID"))
			}
		}
	}
	for _, rule := range o.list(nsg, "flows") {
		for _, group := range o.list(rule, "flows") {
			own, ok := macOracle(label(group, "mac"))
			if !ok {
				own = o.mac
			}
			o.group(NSG, group, own, label(rule, "rule"), "")
		}
	}
	target := str(record["targetResourceID"])
	upper, lower := str(record["resourceId"]), str(record["resourceid"])
	if target == "" {
		if _, ok := record["resourceId"]; !ok {
			target = lower
		} else if _, ok := record["resourceid"]; !ok {
			target = upper
		} else {
			return false
		}
	}
	fmt.Fprintf(&o.out, "record %s\n%s", plain(target), o.flows.String())
	return true
}

// list returns the list under a key of an object. A value that is not an object,
// and one under the key that is not a list, is rejected unless it is null.
func (o *oracle) list(value any, key string) []any {
	object, ok := value.(map[string]any)
	if !ok {
		if value != nil {
			o.out.WriteString("reject element type\n")
		}
		return nil
	}
	list, ok := object[key].([]any)
	if !ok && object[key] != nil {
		o.out.WriteString("reject element type\n")
	}
	return list
}

// group writes the flows of an object that holds tuples.
func (o *oracle) group(kind Kind, group any, mac, rule, acl string) {
	var flows strings.Builder
	for _, tuple := range o.list(group, "flowTuples") {
		s, ok := tuple.(string)
		if !ok {
			if tuple != nil {
				o.out.WriteString("reject tuple type\n")
			}
			continue
		}
		f, reason := tupleOracle(kind, s)
		if reason != reasonNone {
			o.out.WriteString("reject tuple\n")
			continue
		}
		fmt.Fprintf(&flows, "  %s\n", flowText(f))
	}
	if flows.Len() > 0 {
		if _, ok := macOracle(o.mac); !ok {
			o.mac = mac
		}
		fmt.Fprintf(&o.flows, " %s %s rule=%s acl=%s\n%s", kind, mac, plain(rule), plain(acl), flows.String())
	}
}

// str returns a string, or nothing for what is none.
func str(value any) string {
	s, _ := value.(string)
	return s
}

// label returns the string under a key of an object.
func label(object any, key string) string {
	m, _ := object.(map[string]any)
	return str(m[key])
}

func macOracle(s string) (string, bool) {
	s = strings.ToUpper(strings.NewReplacer("-", "", ":", "", ".", "").Replace(s))
	if len(s) != 12 || strings.Trim(s, "0123456789ABCDEF") != "" || s == "000000000000" {
		return "000000000000", false
	}
	return s, true
}

// plain makes strings equal that differ in how many bytes of invalid UTF-8 one
// replacement character stands for.
func plain(s string) string {
	var b strings.Builder
	last := rune(0)
	for _, r := range s {
		if r != utf8.RuneError || last != utf8.RuneError {
			b.WriteRune(r)
		}
		last = r
	}
	return b.String()
}
