package convert

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/flowlog"
	"flow2ipfix/internal/ipaddr"
	"flow2ipfix/templates"
)

func flow(change func(*flowlog.Flow)) flowlog.Flow {
	f := flowlog.Flow{
		Source: ipaddr.MustParse("10.0.0.4"), Destination: ipaddr.MustParse("192.0.2.9"),
		SourcePort: 50000, DestinationPort: 443, Protocol: 6,
		Time: 2000, Start: 1000, Direction: flowlog.Outbound, State: flowlog.Continue,
		PacketsSent: 3, BytesSent: 300, PacketsReceived: 2, BytesReceived: 2000, Counters: 15,
	}
	if change != nil {
		change(&f)
	}
	return f
}

// text is a record as the tests write it:
// source>destination start-end packets/octets direction in>out event status.
func text(r templates.Record) string {
	return fmt.Sprintf("%s>%s %d-%d %d/%d %s %d>%d event %d status %d",
		netip.AddrPortFrom(r.Source.Netip(r.IPv6), r.SourcePort), netip.AddrPortFrom(r.Destination.Netip(r.IPv6), r.DestinationPort),
		r.Start, r.End, r.Packets, r.Octets, [...]string{"ingress", "egress"}[r.Direction], r.Ingress, r.Egress,
		r.FirewallEvent, r.ForwardingStatus)
}

func TestRecords(t *testing.T) {
	const there = "10.0.0.4:50000>192.0.2.9:443"
	v6 := func(f *flowlog.Flow) {
		f.IPv6, f.Source, f.Destination = true, ipaddr.MustParse("fd00::4"), ipaddr.MustParse("2001:db8::9")
	}
	deny := func(f *flowlog.Flow) {
		f.Denied, f.State = true, flowlog.StateNone
		f.PacketsSent, f.BytesSent, f.PacketsReceived, f.BytesReceived = 0, 0, 0, 0
	}
	for _, tc := range []struct {
		name   string
		policy Policy
		flow   func(*flowlog.Flow)
		want   []string
		skip   Skip
	}{
		{name: "outbound both ways", want: []string{
			there + " 1000-2000 3/300 egress 0>7 event 5 status 64",
			"192.0.2.9:443>10.0.0.4:50000 1000-2000 2/2000 ingress 7>0 event 5 status 64",
		}},
		{name: "inbound both ways", flow: func(f *flowlog.Flow) { f.Direction = flowlog.Inbound }, want: []string{
			there + " 1000-2000 3/300 ingress 7>0 event 5 status 64",
			"192.0.2.9:443>10.0.0.4:50000 1000-2000 2/2000 egress 0>7 event 5 status 64",
		}},
		{name: "nothing received", flow: func(f *flowlog.Flow) { f.PacketsReceived, f.BytesReceived = 0, 0 }, want: []string{
			there + " 1000-2000 3/300 egress 0>7 event 5 status 64",
		}},
		{name: "received bytes but no packets are no reason to lose them", flow: func(f *flowlog.Flow) { f.PacketsReceived = 0 }, want: []string{
			there + " 1000-2000 3/300 egress 0>7 event 5 status 64",
			"192.0.2.9:443>10.0.0.4:50000 1000-2000 0/2000 ingress 7>0 event 5 status 64",
		}},
		{name: "nothing sent", flow: func(f *flowlog.Flow) { f.PacketsSent, f.BytesSent = 0, 0 }, want: []string{
			there + " 1000-2000 0/0 egress 0>7 event 5 status 64",
			"192.0.2.9:443>10.0.0.4:50000 1000-2000 2/2000 ingress 7>0 event 5 status 64",
		}},
		{name: "end of an idle flow", flow: func(f *flowlog.Flow) {
			f.State = flowlog.End
			f.PacketsSent, f.BytesSent, f.PacketsReceived, f.BytesReceived = 0, 0, 0, 0
		}, want: []string{there + " 1000-2000 0/0 egress 0>7 event 2 status 64"}},
		{name: "start not known", flow: func(f *flowlog.Flow) { f.Start, f.PacketsReceived, f.BytesReceived = 0, 0, 0 }, want: []string{
			there + " 2000-2000 3/300 egress 0>7 event 5 status 64",
		}},
		{name: "begin is skipped", flow: func(f *flowlog.Flow) { f.State = flowlog.Begin }, skip: SkippedBegin},
		{name: "begin is exported", policy: Policy{ExportBegin: true}, flow: func(f *flowlog.Flow) {
			f.State = flowlog.Begin
			f.PacketsSent, f.BytesSent, f.PacketsReceived, f.BytesReceived = 0, 0, 0, 0
		}, want: []string{there + " 1000-2000 0/0 egress 0>7 event 1 status 64"}},
		{name: "version 1 is exported always", flow: func(f *flowlog.Flow) {
			f.State, f.Counters = flowlog.StateNone, 0
			f.PacketsSent, f.BytesSent, f.PacketsReceived, f.BytesReceived = 0, 0, 0, 0
		}, want: []string{there + " 1000-2000 0/0 egress 0>7 event 1 status 64"}},
		{name: "denied", flow: deny, want: []string{there + " 1000-2000 0/0 egress 0>7 event 3 status 129"}},
		{name: "denied with state begin", flow: func(f *flowlog.Flow) { deny(f); f.State = flowlog.Begin }, want: []string{
			there + " 1000-2000 0/0 egress 0>7 event 3 status 129",
		}},
		{name: "denied for want of encryption", flow: func(f *flowlog.Flow) { deny(f); f.Encryption = flowlog.EncryptionNotAccepted }, want: []string{
			there + " 1000-2000 0/0 egress 0>7 event 3 status 128",
		}},
		{name: "denied by a rule, unencrypted", flow: func(f *flowlog.Flow) { deny(f); f.Encryption = flowlog.EncryptionNX }, want: []string{
			there + " 1000-2000 0/0 egress 0>7 event 3 status 129",
		}},
		{name: "denied and skipped", policy: Policy{SkipDenied: true, ExportBegin: true}, flow: deny, skip: SkippedDenied},
		{name: "denied with counters keeps them and has no way back", flow: func(f *flowlog.Flow) { f.Denied = true }, want: []string{
			there + " 1000-2000 3/300 egress 0>7 event 3 status 129",
		}},
		{name: "denied counts one, TCP", policy: Policy{DeniedCountOne: true}, flow: deny, want: []string{
			there + " 1000-2000 1/40 egress 0>7 event 3 status 129",
		}},
		{name: "denied counts one, UDP", policy: Policy{DeniedCountOne: true}, flow: func(f *flowlog.Flow) { deny(f); f.Protocol = 17 }, want: []string{
			there + " 1000-2000 1/28 egress 0>7 event 3 status 129",
		}},
		{name: "denied counts one, TCP over IPv6", policy: Policy{DeniedCountOne: true}, flow: func(f *flowlog.Flow) { deny(f); v6(f) }, want: []string{
			"[fd00::4]:50000>[2001:db8::9]:443 1000-2000 1/60 egress 0>7 event 3 status 129",
		}},
		{name: "denied counts one, another protocol over IPv6", policy: Policy{DeniedCountOne: true}, flow: func(f *flowlog.Flow) { deny(f); v6(f); f.Protocol = 50 }, want: []string{
			"[fd00::4]:50000>[2001:db8::9]:443 1000-2000 1/40 egress 0>7 event 3 status 129",
		}},
		{name: "count one leaves allowed flows alone", policy: Policy{DeniedCountOne: true}, flow: func(f *flowlog.Flow) {
			f.State = flowlog.End
			f.PacketsSent, f.BytesSent, f.PacketsReceived, f.BytesReceived = 0, 0, 0, 0
		}, want: []string{there + " 1000-2000 0/0 egress 0>7 event 2 status 64"}},
		{name: "large counters", flow: func(f *flowlog.Flow) {
			f.PacketsSent, f.BytesSent = 1<<40, 1<<63+5
			f.PacketsReceived, f.BytesReceived = 0, 0
		}, want: []string{there + " 1000-2000 1099511627776/9223372036854775813 egress 0>7 event 5 status 64"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := flow(tc.flow)
			// What an earlier flow left behind must not shine through.
			dirty := templates.Record{ReversePackets: 9, ReverseOctets: 9, Ingress: 9, Egress: 9, ForwardingStatus: 9, Encryption: 9, FlowState: 9, Context: new(templates.Context)}
			out := [MaxRecords]templates.Record{dirty, dirty}
			o := Origin{Domain: 1, Interface: 7}
			n, skip := tc.policy.Records(&o, 0, &f, &out)
			if skip != tc.skip {
				t.Errorf("skipped by rule %q, want %q", skip, tc.skip)
			}
			var got []string
			for _, r := range out[:n] {
				if r.Context != &o.Context || r.Encryption != uint8(f.Encryption) {
					t.Errorf("record has context %p and encryption %d", r.Context, r.Encryption)
				}
				if r.Protocol != f.Protocol || r.ReversePackets != 0 || r.ReverseOctets != 0 {
					t.Errorf("record has protocol %d and reverse counters %d/%d", r.Protocol, r.ReversePackets, r.ReverseOctets)
				}
				got = append(got, text(r))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMemoryInterfaces(t *testing.T) {
	var m MemoryInterfaces
	var got []uint32
	for _, mac := range []flowlog.MAC{{1}, {2}, {1}, {}, {2}} {
		index, err := m.Index(mac)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, index)
	}
	if diff := cmp.Diff([]uint32{1, 2, 1, 3, 2}, got); diff != "" {
		t.Errorf("indexes (-want +got):\n%s", diff)
	}
}

func TestRecordsDoNotAllocate(t *testing.T) {
	f := flow(nil)
	var p Policy
	var o Origin
	var out [MaxRecords]templates.Record
	if n := testing.AllocsPerRun(100, func() {
		if n, _ := p.Records(&o, 0, &f, &out); n != 2 {
			t.Fatalf("a flow became %d records, want 2", n)
		}
	}); n != 0 {
		t.Errorf("a flow takes %v allocations, want none", n)
	}
}
