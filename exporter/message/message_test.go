package message

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/internal/ipaddr"
	"flow2ipfix/templates"
)

func newSet(tb testing.TB, cfg templates.Config) *templates.Set {
	tb.Helper()
	set, err := templates.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// noon is when messages leave: 2023-11-14 22:13:20 UTC, 0x6553F100.
var noon = time.Unix(1_700_000_000, 0)

func flow() templates.Record {
	return templates.Record{
		Source: ipaddr.MustParse("10.0.0.6"), Destination: ipaddr.MustParse("192.0.2.180"),
		Start: 1_699_999_940_123, End: 1_699_999_990_456, Packets: 3, Octets: 767,
		SourcePort: 23956, DestinationPort: 443, Ingress: 17, Protocol: 6,
		FirewallEvent: templates.FlowUpdate, ForwardingStatus: templates.Forwarded,
	}
}

func flow6() templates.Record {
	r := flow()
	r.IPv6, r.Source, r.Destination = true, ipaddr.MustParse("fd00::6"), ipaddr.MustParse("2001:db8::1")
	return r
}

// assemble puts everything there is into one message: templates, options data
// records, and records.
func assemble(tb testing.TB, set *templates.Set, domain, sequence uint32, records ...templates.Record) []byte {
	tb.Helper()
	k := New(set, 1400, 64)
	var m Message
	k.Begin(&m, make([]byte, 0, 1400), domain, noon)
	if n := m.AddTemplates(0); n != k.Templates() {
		tb.Fatalf("%d of %d templates fit", n, k.Templates())
	}
	err := set.OptionsRecords(&templates.Report{Domain: domain}, func(t *templates.OptionsTemplate, record []byte) error {
		if !m.FitsOption(record) {
			return fmt.Errorf("%s does not fit", t.Name)
		}
		m.AddOption(t, record)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range records {
		t := set.For(&records[i])
		if !m.Fits(t, &records[i]) {
			tb.Fatalf("record %d does not fit", i)
		}
		if t == nil {
			m.AddPart(&records[i], 0, 1)
		} else {
			m.Add(t, &records[i])
		}
	}
	b := m.Finish()
	k.Seal(b, m.Epoch, sequence, noon)
	return b
}

// TestKnownBytes: messages of each protocol as they are by hand.
func TestKnownBytes(t *testing.T) {
	fields := []string{"sourceIPv4Address", "protocolIdentifier", "flowStartMilliseconds", "flowEndMilliseconds"}
	ids := func(set *templates.Set) []any {
		return []any{set.IPv4.ID, set.IPv6.ID, set.Options[0].ID}
	}
	for _, tc := range []struct {
		name string
		cfg  templates.Config
		want func(set *templates.Set) string
	}{
		{
			"ipfix",
			templates.Config{Fields: fields, Options: []templates.OptionsKind{"sampling"}},
			func(set *templates.Set) string {
				return fmt.Sprintf("000a 009d 6553f100 00000005 01020304"+ // header
					" 0002 002c %04[1]x 0004 0008 0004 0004 0001 0098 0008 0099 0008"+ // templates
					" %04[2]x 0004 001b 0010 0004 0001 0098 0008 0099 0008"+
					" 0003 0016 %04[3]x 0003 0001 0095 0004 0022 0004 0023 0001"+ // options template
					" %04[3]x 000d 01020304 00000001 01"+ // options data
					" %04[1]x 0019 0a000006 06 0000018bcfe47e1b 0000018bcfe542b8"+
					" %04[2]x 0025 fd000000000000000000000000000006 06 0000018bcfe47e1b 0000018bcfe542b8", ids(set)...)
			},
		},
		{
			// sysUptime is 40 days, 3456000000 ms, cdfe6000; the flow's times are 59877 and
			// 9544 ms before.
			"netflow9",
			templates.Config{Protocol: templates.NetFlow9, Fields: fields, Options: []templates.OptionsKind{"sampling"}},
			func(set *templates.Set) string {
				return fmt.Sprintf("0009 0006 cdfe6000 6553f100 00000005 01020304"+
					" 0000 002c %04[1]x 0004 0008 0004 0004 0001 0016 0004 0015 0004"+
					" %04[2]x 0004 001b 0010 0004 0001 0016 0004 0015 0004"+
					" 0001 0018 %04[3]x 0004 0008 0001 0004 0022 0004 0023 0001 0000"+ // two octets of padding
					" %04[3]x 0010 01020304 00000001 01 000000"+
					" %04[1]x 0014 0a000006 06 cdfd761b cdfe3ab8 000000"+
					" %04[2]x 0020 fd000000000000000000000000000006 06 cdfd761b cdfe3ab8 000000", ids(set)...)
			},
		},
		{
			"netflow5",
			templates.Config{Protocol: templates.NetFlow5},
			func(*templates.Set) string {
				return "0005 0001 cdfe6000 6553f100 00000000 00000005 03 04 0001" +
					" 0a000006 c00002b4 00000000 0011 0000 00000003 000002ff cdfd761b cdfe3ab8 5d94 01bb 00 00 06 00 0000 0000 00 00 0000"
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := newSet(t, tc.cfg)
			records := []templates.Record{flow(), flow6()}
			if set.Protocol == templates.NetFlow5 {
				records = records[:1]
			}
			got := hex.EncodeToString(assemble(t, set, 0x01020304, 5, records...))
			if diff := cmp.Diff(strings.ReplaceAll(tc.want(set), " ", ""), got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLimits: messages of each size are filled as far as they go and no further,
// whatever stands in them.
func TestLimits(t *testing.T) {
	records := []templates.Record{flow(), flow(), flow6(), flow()}
	records[1].Context = &templates.Context{Rule: strings.Repeat("r", 70), ACL: templates.ResourceID{Short: "nsg"}}
	for _, cfg := range []templates.Config{
		{},
		{Enterprise: templates.Enterprise{Number: 32473}},
		{Protocol: templates.NetFlow9, Fields: []string{"preset", "ipVersion", "flowEndReason"}},
		{Protocol: templates.NetFlow5},
	} {
		set := newSet(t, cfg)
		least := Least(set)
		for size := least; size < least+500; size++ {
			k := New(set, size, 20)
			var m Message
			k.Begin(&m, make([]byte, 0, size), 1, noon)
			m.AddTemplates(0)
			for i := 0; ; i++ {
				r := &records[i%len(records)]
				tpl := set.For(r)
				if tpl == nil {
					r = &records[0]
				}
				if !m.Fits(tpl, r) {
					break
				}
				if tpl == nil {
					m.AddPart(r, 0, 1)
				} else {
					m.Add(tpl, r)
				}
				if m.Records > 20 {
					t.Fatalf("%s: %d records in a message, want 20 at most", set.Protocol, m.Records)
				}
			}
			last := m.Records
			b := m.Finish()
			if len(b) > size {
				t.Fatalf("%s: message of %d octets, limit %d", set.Protocol, len(b), size)
			}
			if set.Protocol == templates.NetFlow9 && len(b)%4 != 0 {
				t.Fatalf("netflow9: message of %d octets is not padded", len(b))
			}
			if free := size - len(b); last < 20 && free >= 84+100+2*setHeader {
				t.Errorf("%s: %d octets of %d are free", set.Protocol, free, size)
			}
		}
	}
}

// TestTemplatesAreSpread: where not all templates fit into a message, they take
// several, and each is sent once.
func TestTemplatesAreSpread(t *testing.T) {
	for _, protocol := range []templates.Protocol{templates.IPFIX, templates.NetFlow9} {
		cfg := templates.Config{Protocol: protocol, Preset: "akvorado", Options: []templates.OptionsKind{"interfaces", "vrfs", "sampling", "statistics"}}
		if protocol == templates.IPFIX {
			cfg.Biflow = true
			cfg.Options = append(cfg.Options, "flow_keys", "types")
			cfg.Enterprise = templates.Enterprise{Number: 32473, Elements: []string{"azureRule", "azureAcl", "azureFlowLog", "azureTargetResource", "azureSubscription", "azureRegion", "azureResourceGroup", "azureEncryption", "azureFlowState"}}
		}
		set := newSet(t, cfg)
		for size := Least(set); size < 1400; size++ {
			k := New(set, size, 64)
			var m Message
			total, messages := 0, 0
			for next := 0; next < k.Templates(); messages++ {
				k.Begin(&m, make([]byte, 0, size), 1, noon)
				after := m.AddTemplates(next)
				if after == next {
					t.Fatalf("%s: no template fits into a message of %d octets", protocol, size)
				}
				next = after
				total += m.Templates
				if b := m.Finish(); len(b) > size {
					t.Fatalf("%s: message of %d octets, limit %d", protocol, len(b), size)
				}
			}
			if total != k.Templates() {
				t.Fatalf("%s: %d templates in %d messages of %d, want %d", protocol, total, messages, size, k.Templates())
			}
		}
	}
}

// TestLeast: with an octet less, something could not be sent at all.
func TestLeast(t *testing.T) {
	for _, cfg := range []templates.Config{
		{}, // a record of IPv6
		{Fields: []string{"protocolIdentifier", "ipVersion", "flowDirection", "azureEncryption"}, Enterprise: templates.Enterprise{Number: 32473}}, // a template
		{Protocol: templates.NetFlow9},
	} {
		set := newSet(t, cfg)
		r := flow6()
		for size, want := range map[int]bool{Least(set): true, Least(set) - 1: false} {
			k := New(set, size, 64)
			var m Message
			next := 0
			for range k.Templates() {
				k.Begin(&m, make([]byte, 0, size), 1, noon)
				next = m.AddTemplates(next)
			}
			if got := next == k.Templates() && k.TooLarge(set.For(&r), &r) == nil; got != want {
				t.Errorf("%s: all can be sent in messages of %d octets: %v, want %v", set.Protocol, size, got, want)
			}
		}
	}
	if got := Least(newSet(t, templates.Config{Protocol: templates.NetFlow5})); got != 72 {
		t.Errorf("netflow5 wants %d octets, want 72", got)
	}
}

func TestTooLarge(t *testing.T) {
	set := newSet(t, templates.Config{Enterprise: templates.Enterprise{Number: 32473}, MaxMessageBytes: 1400})
	k := New(set, 512, 64)
	r := flow()
	if err := k.TooLarge(set.For(&r), &r); err != nil {
		t.Error(err)
	}
	r.Context = &templates.Context{Rule: strings.Repeat("r", 600)}
	if err := k.TooLarge(set.For(&r), &r); err == nil || err.Error() != "a record of 665 octets does not fit into a message of 512" {
		t.Errorf("TooLarge = %v", err)
	}
}

func TestAssemblyDoesNotAllocate(t *testing.T) {
	for _, protocol := range []templates.Protocol{templates.IPFIX, templates.NetFlow9, templates.NetFlow5} {
		set := newSet(t, templates.Config{Protocol: protocol})
		k := New(set, 1400, 64)
		buf := make([]byte, 0, 1400)
		records := []templates.Record{flow(), flow6()}
		records[0].Octets = 1 << 34
		var m Message
		if n := testing.AllocsPerRun(100, func() {
			k.Begin(&m, buf, 1, noon)
			for i := 0; ; i++ {
				r := &records[i%2]
				tpl := set.For(r)
				if tpl == nil {
					r = &records[0]
				}
				if !m.Fits(tpl, r) {
					break
				}
				if tpl != nil {
					m.Add(tpl, r)
					continue
				}
				parts, _ := Parts(r)
				m.AddPart(r, i%parts, parts)
			}
			k.Seal(m.Finish(), m.Epoch, 1, noon)
		}); n != 0 {
			t.Errorf("%s: a message takes %v allocations, want none", protocol, n)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, protocol := range []templates.Protocol{templates.IPFIX, templates.NetFlow9, templates.NetFlow5} {
		b.Run(protocol.String(), func(b *testing.B) {
			set := newSet(b, templates.Config{Protocol: protocol})
			k := New(set, 1400, 64)
			buf := make([]byte, 0, 1400)
			r := flow()
			tpl := set.For(&r)
			var m Message
			k.Begin(&m, buf, 1, noon)
			b.ReportAllocs()
			for b.Loop() {
				if !m.Fits(tpl, &r) {
					k.Seal(m.Finish(), m.Epoch, 1, noon)
					k.Begin(&m, buf, 1, noon)
				}
				if tpl == nil {
					m.AddPart(&r, 0, 1)
				} else {
					m.Add(tpl, &r)
				}
			}
		})
	}
}
