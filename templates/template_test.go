package templates

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vmware/go-ipfix/pkg/entities"
	"github.com/vmware/go-ipfix/pkg/registry"

	"flow2ipfix/internal/ipaddr"
)

func generic(tb testing.TB) *Set {
	tb.Helper()
	set, err := New(Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

func record4() Record {
	return Record{
		Source: ipaddr.MustParse("10.0.0.6"), Destination: ipaddr.MustParse("192.0.2.180"),
		Start: 1663146000000, End: 1663146003606,
		Packets: 3, Octets: 1<<40 + 767, ReversePackets: 99, ReverseOctets: 99,
		SourcePort: 23956, DestinationPort: 443, Ingress: 0x01020304, Egress: 17,
		Protocol: 6, Direction: Egress, FirewallEvent: FlowUpdate, ForwardingStatus: Forwarded,
	}
}

func record6() Record {
	r := record4()
	r.IPv6, r.Source, r.Destination = true, ipaddr.MustParse("fd00::6"), ipaddr.MustParse("2001:db8::1")
	return r
}

func TestCoreLayout(t *testing.T) {
	set := generic(t)
	for _, tc := range []struct {
		template  *Template
		id        uint16
		length    int
		addresses []Field
	}{
		{set.IPv4, 256, 60, []Field{
			{"sourceIPv4Address", 8, 0, "ipv4Address", 4},
			{"destinationIPv4Address", 12, 0, "ipv4Address", 4},
		}},
		{set.IPv6, 257, 84, []Field{
			{"sourceIPv6Address", 27, 0, "ipv6Address", 16},
			{"destinationIPv6Address", 28, 0, "ipv6Address", 16},
		}},
	} {
		want := append(tc.addresses, []Field{
			{"sourceTransportPort", 7, 0, "unsigned16", 2},
			{"destinationTransportPort", 11, 0, "unsigned16", 2},
			{"protocolIdentifier", 4, 0, "unsigned8", 1},
			{"octetDeltaCount", 1, 0, "unsigned64", 8},
			{"packetDeltaCount", 2, 0, "unsigned64", 8},
			{"flowStartMilliseconds", 152, 0, "dateTimeMilliseconds", 8},
			{"flowEndMilliseconds", 153, 0, "dateTimeMilliseconds", 8},
			{"ingressInterface", 10, 0, "unsigned32", 4},
			{"egressInterface", 14, 0, "unsigned32", 4},
			{"flowDirection", 61, 0, "unsigned8", 1},
			{"samplingInterval", 34, 0, "unsigned32", 4},
			{"forwardingStatus", 89, 0, "unsigned32", 1},
			{"firewallEvent", 233, 0, "unsigned8", 1},
		}...)
		if diff := cmp.Diff(want, tc.template.Fields()); diff != "" {
			t.Errorf("template %d fields (-want +got):\n%s", tc.id, diff)
		}
		if tc.template.ID != tc.id || tc.template.Length() != tc.length {
			t.Errorf("template has ID %d and %d octets, want %d and %d", tc.template.ID, tc.template.Length(), tc.id, tc.length)
		}
		// The encoded template says the same: ID, count, and each field.
		b := tc.template.AppendTemplate(nil)
		if got := binary.BigEndian.Uint16(b); got != tc.id {
			t.Errorf("template record has ID %d, want %d", got, tc.id)
		}
		if got := int(binary.BigEndian.Uint16(b[2:])); got != len(want) || len(b) != 4+4*len(want) {
			t.Fatalf("template record has %d fields in %d octets, want %d", got, len(b), len(want))
		}
		for i, f := range want {
			id, length := binary.BigEndian.Uint16(b[4+4*i:]), binary.BigEndian.Uint16(b[6+4*i:])
			if id != f.ID || int(length) != f.Length {
				t.Errorf("field %d is element %d of %d octets, want %d of %d", i, id, length, f.ID, f.Length)
			}
		}
	}
}

func TestAppendKnownBytes(t *testing.T) {
	set := generic(t)
	tail := "5d94" + "01bb" + "06" + "00000100000002ff" + "0000000000000003" +
		"000001833b39fe80" + "000001833b3a0c96" + "01020304" + "00000011" + "01" + "00000001" + "40" + "05"
	for _, tc := range []struct {
		record Record
		want   string
	}{
		{record4(), "0a000006" + "c00002b4" + tail},
		{record6(), "fd000000000000000000000000000006" + "20010db8000000000000000000000001" + tail},
	} {
		template := set.For(&tc.record)
		got := template.Append([]byte{0xEE}, &tc.record, 0)
		if diff := cmp.Diff("ee"+tc.want, hex.EncodeToString(got)); diff != "" {
			t.Errorf("template %d record (-want +got):\n%s", template.ID, diff)
		}
	}
}

// TestAppendDecodesWithGoIPFIX reads every field back with the information
// model's own decoder.
func TestAppendDecodesWithGoIPFIX(t *testing.T) {
	r := record4()
	template := generic(t).IPv4
	b := template.Append(nil, &r, 0)
	got := map[string]uint64{}
	for _, f := range template.Fields() {
		e, err := registry.GetInfoElement(f.Name, registry.IANAEnterpriseID)
		if err != nil {
			t.Fatal(err)
		}
		value := b[:f.Length]
		b = b[f.Length:]
		if f.Name == "forwardingStatus" { // one octet; the decoder wants four
			value = append([]byte{0, 0, 0}, value...)
		}
		decoded, err := entities.DecodeAndCreateInfoElementWithValue(e, value)
		if err != nil {
			t.Fatal(err)
		}
		switch e.DataType {
		case entities.Unsigned8:
			got[f.Name] = uint64(decoded.GetUnsigned8Value())
		case entities.Unsigned16:
			got[f.Name] = uint64(decoded.GetUnsigned16Value())
		case entities.Unsigned32:
			got[f.Name] = uint64(decoded.GetUnsigned32Value())
		case entities.Unsigned64, entities.DateTimeMilliseconds:
			got[f.Name] = decoded.GetUnsigned64Value()
		case entities.Ipv4Address:
			got[f.Name] = uint64(binary.BigEndian.Uint32(decoded.GetIPAddressValue().To4()))
		default:
			t.Fatalf("%s has a type that no core element has", f.Name)
		}
	}
	want := map[string]uint64{
		"sourceIPv4Address": 0x0a000006, "destinationIPv4Address": 0xc00002b4,
		"sourceTransportPort": 23956, "destinationTransportPort": 443, "protocolIdentifier": 6,
		"octetDeltaCount": 1<<40 + 767, "packetDeltaCount": 3,
		"flowStartMilliseconds": 1663146000000, "flowEndMilliseconds": 1663146003606,
		"ingressInterface": 0x01020304, "egressInterface": 17, "flowDirection": 1,
		"samplingInterval": 1, "forwardingStatus": 64, "firewallEvent": 5,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decoded record (-want +got):\n%s", diff)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	set := generic(t)
	r4, r6 := record4(), record6()
	b := make([]byte, 0, 1400)
	if n := testing.AllocsPerRun(100, func() {
		b = set.IPv4.Append(b[:0], &r4, 0)
		b = set.IPv6.Append(b, &r6, 0)
	}); n != 0 {
		t.Errorf("two records took %v allocations, want none", n)
	}
}

// TestCoreRunSaysWhatTheStepsSay: the shortcut and the fields one by one make
// the same octets.
func TestCoreRunSaysWhatTheStepsSay(t *testing.T) {
	set := generic(t)
	for _, r := range []Record{record4(), record6()} {
		fast := set.For(&r)
		addresses, want := []source{sourceIPv4, destinationIPv4}, 1
		if r.IPv6 {
			addresses, want = []source{sourceIPv6, destinationIPv6}, 3
		}
		if n := len(fast.parts[0].steps); n != want {
			t.Fatalf("template %d has %d steps, want %d", fast.ID, n, want)
		}
		slow := *fast
		slow.parts = []part{{length: fast.length}}
		offset := int32(0)
		for i, s := range slices.Concat(addresses, coreSources) {
			length := int32(fast.Fields()[i].Length)
			slow.parts[0].steps = append(slow.parts[0].steps, step{s, offset, length})
			offset += length
		}
		if int(offset) != fast.Length() {
			t.Fatalf("the fields end at %d, want %d", offset, fast.Length())
		}
		if diff := cmp.Diff(hex.EncodeToString(slow.Append(nil, &r, 0)), hex.EncodeToString(fast.Append(nil, &r, 0))); diff != "" {
			t.Errorf("template %d (-fields +run):\n%s", fast.ID, diff)
		}
	}
}

func TestPresetUnknown(t *testing.T) {
	_, err := New(Config{Preset: "ntop"})
	if want := `preset: want generic, ntopng, elastiflow, nfdump, pmacct, goflow2, akvorado, elk, telegraf, vflow, solarwinds, prtg, got "ntop"`; err == nil || err.Error() != want {
		t.Errorf("New(ntop) = %v, want %s", err, want)
	}
}

// TestMappingsNameEveryElement: what can be sent is explained, what is explained
// can be sent, and what every preset sends is known from the rest.
func TestMappingsNameEveryElement(t *testing.T) {
	explained, always := map[string]bool{}, map[string]bool{}
	for _, m := range Mappings() {
		for _, name := range m.Elements {
			explained[name], always[name] = true, true
		}
		for _, name := range m.More {
			explained[name] = true
		}
	}
	known := map[string]bool{}
	for _, e := range Elements() {
		known[e.Name] = true
	}
	if diff := cmp.Diff(known, explained); diff != "" {
		t.Errorf("elements (-known +explained):\n%s", diff)
	}
	sent := map[string]int{}
	for _, name := range PresetNames() {
		of := map[string]bool{}
		for _, template := range mustNew(t, Config{Preset: name}).Templates() {
			for _, f := range template.Fields() {
				of[f.Name] = true
			}
		}
		for element := range of {
			sent[element]++
		}
	}
	for element, n := range sent {
		if all := n == len(presets); all != always[element] {
			t.Errorf("%s is sent by %d of %d presets; the mapping says always: %v", element, n, len(presets), always[element])
		}
		delete(always, element)
	}
	if len(always) > 0 {
		t.Errorf("the mapping says that these are sent always: %v", always)
	}
}

func BenchmarkAppend(b *testing.B) {
	set := generic(b)
	for _, bc := range []struct {
		name string
		r    Record
	}{{"core-ipv4", record4()}, {"core-ipv6", record6()}} {
		b.Run(bc.name, func(b *testing.B) {
			t := set.For(&bc.r)
			buf := make([]byte, 0, t.Length())
			b.SetBytes(int64(t.Length()))
			b.ReportAllocs()
			for b.Loop() {
				buf = t.Append(buf[:0], &bc.r, 0)
			}
		})
	}
}
