package collect

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// view is all that the accessors say of a record.
type view struct {
	Source, Dest         string
	SourcePort, DestPort uint16
	Protocol             uint8
	Packets, Octets      uint64
	ReversePackets       uint64
	ReverseOctets        uint64
	Biflow               bool
	Start, End           time.Time
	Direction            string
	In, Out              uint32
	Decision             Decision
}

func viewOf(r *Record) view {
	v := view{
		SourcePort: r.SourcePort(), DestPort: r.DestPort(), Packets: r.Packets(), Octets: r.Octets(),
		Start: r.Start(), End: r.End(), Direction: r.Direction(),
		In: r.IngressInterface(), Out: r.EgressInterface(), Decision: r.Decision(),
	}
	for dst, a := range map[*string]interface {
		IsValid() bool
		String() string
	}{&v.Source: r.SourceAddr(), &v.Dest: r.DestAddr()} {
		if a.IsValid() {
			*dst = a.String()
		}
	}
	v.Protocol, _ = r.IPProtocol()
	v.ReversePackets, _ = r.ReversePackets()
	v.ReverseOctets, v.Biflow = r.ReverseOctets()
	return v
}

func TestAccessors(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(exportTime*1000 + ms).UTC() }
	one := func(specs []spec, values ...any) []byte {
		return ipfixMessage(0, 7, set(2, templateRecord(256, specs...)), set(256, values...))
	}
	for _, tc := range []struct {
		name    string
		message []byte
		want    view
	}{
		{"core", ipfixMessage(0, 7, set(2, core4), set(256, web.record())), view{
			Source: "198.51.100.7", Dest: "10.0.0.4", SourcePort: 52344, DestPort: 443, Protocol: 6,
			Packets: 1050, Octets: 1234567, Start: at(-61_500), End: at(-1500), Direction: "in",
			In: 3, Decision: Allowed,
		}},
		{"nothing", one([]spec{{148, 8}}, uint64(1)), view{}},
		{"both families, ipv6 used", one([]spec{{8, 4}, {27, 16}, {28, 16}, {12, 4}},
			ip("0.0.0.0"), ip("2001:db8::7"), ip("fd00::4"), ip("0.0.0.0")), view{Source: "2001:db8::7", Dest: "fd00::4"}},
		{"both families, ipv4 used", one([]spec{{8, 4}, {27, 16}, {12, 4}},
			ip("10.0.0.4"), ip("::"), ip("0.0.0.0")), view{Source: "10.0.0.4", Dest: "0.0.0.0"}},
		{"biflow", one([]spec{{1, 8, 29305}, {2, 8, 29305}, {1, 8}, {2, 8}},
			uint64(3400), uint64(12), uint64(900), uint64(9)), view{
			Packets: 9, Octets: 900, ReversePackets: 12, ReverseOctets: 3400, Biflow: true,
		}},
		{"totals, reduced size", one([]spec{{86, 2}, {85, 3}, {14, 1}, {61, 1}}, uint16(7), "\x01\x00\x00", uint8(4), uint8(1)), view{
			Packets: 7, Octets: 65536, Out: 4, Direction: "out",
		}},
		{"seconds", one([]spec{{150, 4}, {151, 4}}, uint32(exportTime-60), uint32(exportTime)), view{Start: at(-60_000), End: at(0)}},
		{"nanoseconds", one([]spec{{156, 8}, {157, 8}}, uint64(exportTime-ntpEpoch)<<32, uint64(exportTime-ntpEpoch)<<32|0xc0000000), view{
			Start: at(0), End: at(750),
		}},
		{"sysUpTime in ipfix", one([]spec{{160, 8}, {22, 4}, {21, 4}}, uint64(exportTime-100)*1000, uint32(40_000), uint32(99_000)), view{
			Start: at(-60_000), End: at(-1000),
		}},
		{"sysUpTime alone", one([]spec{{22, 4}}, uint32(40_000)), view{}},
		{"denied by event", one([]spec{{233, 1}}, uint8(3)), view{Decision: Denied}},
		{"denied by status of 4 bytes", one([]spec{{89, 4}, {233, 1}}, uint32(129), uint8(0)), view{Decision: Denied}},
		{"begin", one([]spec{{89, 1}, {233, 1}}, uint8(64), uint8(1)), view{Decision: Begin}},
		{"consumed", one([]spec{{89, 1}}, uint8(192)), view{Decision: Allowed}},
		{"unknown status", one([]spec{{89, 1}}, uint8(1)), view{}},
		{"netflow 5", netflow5Message(0, 1), view{
			Source: "10.0.0.4", Dest: "198.51.100.7", SourcePort: 443, DestPort: 52344, Protocol: 6,
			Packets: 12, Octets: 3400, Start: at(-59_750), End: at(-750), Out: 3,
		}},
		{"netflow 9, scope type 1 is not octets", netflow9Message(0, 7, 2,
			set(1, uint16(257), uint16(4), uint16(4), fieldSpecs([]spec{{1, 4}, {2, 4}})), set(257, uint32(5), uint32(6))), view{Packets: 6}},
		{"netflow 9, a scope beyond the scope types", netflow9Message(0, 7, 2,
			set(1, uint16(257), uint16(4), uint16(4), fieldSpecs([]spec{{8, 4}, {2, 4}})), set(257, ip("10.0.0.4"), uint32(6))), view{Source: "10.0.0.4", Packets: 6}},
		// The exporter started 100 s before: 200 s before, its counter went round.
		{"netflow 9, counter went round", netflow9Message(0, 7, 2, set(0, templateRecord(256, spec{22, 4}, spec{21, 4})),
			set(256, ^uint32(99_999), uint32(101_000))), view{Start: at(-200_000), End: at(1000)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got view
			d := newDecoder(func(r *Record) error { got = viewOf(r); return nil }, Options{})
			if err := d.packet(&packet{data: tc.message}); err != nil {
				t.Fatal(err)
			}
			if d.stats.DataRecords+d.stats.OptionRecords != 1 || d.stats.DecodeErrors != 0 {
				t.Fatalf("stats %+v", d.stats)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
