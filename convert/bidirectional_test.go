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

func nothing(f *flowlog.Flow) {
	f.PacketsSent, f.BytesSent, f.PacketsReceived, f.BytesReceived = 0, 0, 0, 0
}

func TestBidirectionalRecords(t *testing.T) {
	const there = "10.0.0.4:50000>192.0.2.9:443 1000-2000 "
	for _, tc := range []struct {
		name   string
		policy Policy
		flow   func(*flowlog.Flow)
		want   string
		skip   Skip
	}{
		{name: "outbound", want: there + "3/300 egress 0>7 event 5 status 64 back 2/2000"},
		{name: "inbound", flow: func(f *flowlog.Flow) { f.Direction = flowlog.Inbound }, want: there + "3/300 ingress 7>0 event 5 status 64 back 2/2000"},
		{name: "nothing received", flow: func(f *flowlog.Flow) { f.PacketsReceived, f.BytesReceived = 0, 0 }, want: there + "3/300 egress 0>7 event 5 status 64 back 0/0"},
		{name: "nothing sent", flow: func(f *flowlog.Flow) { f.PacketsSent, f.BytesSent = 0, 0 }, want: there + "0/0 egress 0>7 event 5 status 64 back 2/2000"},
		{name: "received bytes but no packets", flow: func(f *flowlog.Flow) { f.PacketsReceived = 0 }, want: there + "3/300 egress 0>7 event 5 status 64 back 0/2000"},
		{name: "end of an idle flow", flow: func(f *flowlog.Flow) { nothing(f); f.State = flowlog.End }, want: there + "0/0 egress 0>7 event 2 status 64 back 0/0"},
		{name: "large counters", flow: func(f *flowlog.Flow) { f.PacketsReceived, f.BytesReceived = 1<<40, 1<<63+5 }, want: there + "3/300 egress 0>7 event 5 status 64 back 1099511627776/9223372036854775813"},
		{name: "begin is skipped", flow: func(f *flowlog.Flow) { nothing(f); f.State = flowlog.Begin }, skip: SkippedBegin},
		{name: "begin", policy: Policy{ExportBegin: true}, flow: func(f *flowlog.Flow) { nothing(f); f.State = flowlog.Begin }, want: there + "0/0 egress 0>7 event 1 status 64 back 0/0"},
		{name: "version 1", flow: func(f *flowlog.Flow) { nothing(f); f.State = flowlog.StateNone }, want: there + "0/0 egress 0>7 event 1 status 64 back 0/0"},
		{name: "denied", flow: func(f *flowlog.Flow) { nothing(f); f.Denied = true }, want: there + "0/0 egress 0>7 event 3 status 129 back 0/0"},
		{name: "denied with counters has no way back", flow: func(f *flowlog.Flow) { f.Denied = true }, want: there + "3/300 egress 0>7 event 3 status 129 back 0/0"},
		{name: "denied counts one", policy: Policy{DeniedCountOne: true}, flow: func(f *flowlog.Flow) { nothing(f); f.Denied = true }, want: there + "1/40 egress 0>7 event 3 status 129 back 0/0"},
		{name: "count one leaves allowed flows alone", policy: Policy{DeniedCountOne: true}, flow: nothing, want: there + "0/0 egress 0>7 event 5 status 64 back 0/0"},
		{name: "denied and skipped", policy: Policy{SkipDenied: true}, flow: func(f *flowlog.Flow) { f.Denied = true }, skip: SkippedDenied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.policy.Bidirectional = true
			f := flow(tc.flow)
			dirty := templates.Record{ReversePackets: 9, ReverseOctets: 9}
			out := [MaxRecords]templates.Record{dirty, dirty}
			n, skip := tc.policy.Records(&Origin{Interface: 7}, 0, &f, &out)
			got := ""
			for _, r := range out[:n] {
				got += fmt.Sprintf("%s back %d/%d", text(r), r.ReversePackets, r.ReverseOctets)
			}
			if got != tc.want || skip != tc.skip {
				t.Errorf("got %q, skipped by %q; want %q, %q", got, skip, tc.want, tc.skip)
			}
		})
	}
}

// TestIPv4Only: what IPv4 alone leaves out is counted once, under the rule that
// would have left it out anyway if there is one.
func TestIPv4Only(t *testing.T) {
	flows := []flowlog.Flow{}
	for _, v6 := range []bool{false, true} {
		for _, change := range []func(*flowlog.Flow){
			nil,
			func(f *flowlog.Flow) { f.State = flowlog.Begin },
			func(f *flowlog.Flow) { f.Denied = true },
			func(f *flowlog.Flow) { f.Time = 10 },
			func(f *flowlog.Flow) { f.State = flowlog.StateNone },
		} {
			f := flow(change)
			if v6 {
				f.IPv6, f.Source, f.Destination = true, ipaddr.MustParse("fd00::4"), ipaddr.MustParse("2001:db8::9")
			}
			flows = append(flows, f)
		}
	}
	for _, tc := range []struct {
		name     string
		policy   Policy
		exported int
		skipped  map[string]int
	}{
		{"both families", Policy{}, 6, map[string]int{"begin": 2, "old": 2}},
		{"IPv4", Policy{IPv4Only: true}, 3, map[string]int{"begin": 2, "old": 2, "ipv6": 3}},
		{"IPv4 without denied", Policy{IPv4Only: true, SkipDenied: true}, 2, map[string]int{"begin": 2, "denied": 2, "old": 2, "ipv6": 2}},
		{"IPv4 with begin, one record each", Policy{IPv4Only: true, ExportBegin: true, Bidirectional: true}, 4, map[string]int{"old": 2, "ipv6": 4}},
		{"IPv4 of a prefix", Policy{IPv4Only: true, Filter: Filter{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}, 3, map[string]int{"begin": 1, "old": 2, "filter": 4}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			exported, skipped := 0, map[string]int{}
			var out [MaxRecords]templates.Record
			for i := range flows {
				n, skip := tc.policy.Records(&Origin{}, 100, &flows[i], &out)
				if n > 0 {
					exported++
					continue
				}
				skipped[skip.String()]++
			}
			if diff := cmp.Diff(tc.skipped, skipped); diff != "" || exported != tc.exported {
				t.Errorf("%d exported, want %d; skipped (-want +got):\n%s", exported, tc.exported, diff)
			}
		})
	}
}

// TestStateAndEncryption: the codes are those of the log.
func TestStateAndEncryption(t *testing.T) {
	for _, tc := range []struct {
		name       string
		state      flowlog.State
		denied     bool
		encryption flowlog.Encryption
		want       templates.FlowState
		code       uint8
	}{
		{"version 1", flowlog.StateNone, false, flowlog.EncryptionUnset, templates.NoState, 0},
		{"begin", flowlog.Begin, false, flowlog.EncryptionX, templates.StateBegin, 1},
		{"continue", flowlog.Continue, false, flowlog.EncryptionNX, templates.StateContinue, 2},
		{"end", flowlog.End, false, flowlog.EncryptionNoHardware, templates.StateEnd, 3},
		{"denied by a virtual network's log", flowlog.StateNone, true, flowlog.EncryptionSoftwareNotYet, templates.NoState, 4},
		{"denied by a security group's log", flowlog.Begin, true, flowlog.EncryptionUnset, templates.StateBegin, 0},
		{"not accepted", flowlog.StateNone, true, flowlog.EncryptionNotAccepted, templates.NoState, 5},
		{"not supported", flowlog.StateNone, true, flowlog.EncryptionNotSupported, templates.NoState, 6},
		{"same host", flowlog.End, false, flowlog.EncryptionLocal, templates.StateEnd, 7},
		{"fell back", flowlog.End, false, flowlog.EncryptionFallback, templates.StateEnd, 8},
		{"a new code", flowlog.End, false, flowlog.EncryptionOther, templates.StateEnd, 9},
	} {
		for _, bidirectional := range []bool{false, true} {
			f := flow(func(f *flowlog.Flow) { f.State, f.Denied, f.Encryption = tc.state, tc.denied, tc.encryption })
			p := Policy{ExportBegin: true, Bidirectional: bidirectional}
			o := Origin{Context: templates.Context{Rule: "r"}}
			var out [MaxRecords]templates.Record
			n, _ := p.Records(&o, 0, &f, &out)
			if n == 0 {
				t.Errorf("%s: no record", tc.name)
			}
			for _, r := range out[:n] {
				if r.FlowState != tc.want || r.Encryption != tc.code || r.Context != &o.Context {
					t.Errorf("%s: state %d, encryption %d, context %v; want %d, %d", tc.name, r.FlowState, r.Encryption, r.Context, tc.want, tc.code)
				}
			}
		}
	}
}
