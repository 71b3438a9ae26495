package expect

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// An oracle and comparisons that never complain are worth nothing.

func TestOracle(t *testing.T) {
	const log = `{"records":[
{"macAddress":"00-0d-3a-00-00-01","targetResourceID":"/VNet","flowRecords":{"flows":[{"flowGroups":[{"rule":"r","flowTuples":[
"1000000000000,10.0.0.1,10.0.0.2,1,2,6,O,B,NX,0,0,0,0",
"1000000001000,10.0.0.1,10.0.0.2,1,2,6,O,E,NX,3,4,5,6"]}]}]}},
{"resourceId":"/NSG","properties":{"Version":2,"flows":[{"flows":[{"mac":"000D3A000002","flowTuples":[
"1000000002,10.0.0.3,10.0.0.4,3,4,U,I,A,E,7,8,0,0",
"1000000003,10.0.0.3,10.0.0.4,3,4,U,I,D,B,,,,"]}]}]}}
]}`
	a := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	const vnet, nsg = 0xb4f3d0a3, 0xcc54609a // FNV-1a of /vnet and /nsg, worked out apart from the oracle
	want := []Flow{
		{vnet, a("10.0.0.1"), a("10.0.0.2"), 1, 2, 6, 3, 4, 1e12, 1e12 + 1000, 0, 1, 1, 1, 64, 2, 1},
		{vnet, a("10.0.0.2"), a("10.0.0.1"), 2, 1, 6, 5, 6, 1e12, 1e12 + 1000, 1, 0, 0, 1, 64, 2, 1},
		{nsg, a("10.0.0.3"), a("10.0.0.4"), 3, 4, 17, 7, 8, 1e12 + 2000, 1e12 + 2000, 2, 0, 0, 1, 64, 2, 1},
		{nsg, a("10.0.0.3"), a("10.0.0.4"), 3, 4, 17, 0, 0, 1e12 + 3000, 1e12 + 3000, 2, 0, 0, 1, 129, 3, 1},
	}
	var got []Flow
	o := &Oracle{}
	if err := o.Read(strings.NewReader(log), func(f Flow) { got = append(got, f) }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if o.LogRecords != 2 || o.Tuples != 4 || o.Skipped != 1 || o.Records != 4 {
		t.Errorf("counts %+v", o)
	}
}

func TestCompareFlows(t *testing.T) {
	f := Flow{Source: netip.MustParseAddr("10.0.0.1"), Destination: netip.MustParseAddr("10.0.0.2"), Packets: 1, Bytes: 40, Records: 1}
	other := f
	other.Bytes, other.FirewallEvent = 41, 3
	if diff := Compare([]Flow{f, other}, []Flow{other, f}, ShowsAll, false); diff != "" {
		t.Errorf("order matters: %s", diff)
	}
	for _, tc := range []struct {
		name      string
		want, got []Flow
		says      string
	}{
		{"missing", []Flow{f, other}, []Flow{f}, "missing     10.0.0.1:0 > 10.0.0.2:0"},
		{"unexpected", []Flow{f}, []Flow{f, f}, "unexpected  10.0.0.1:0 > 10.0.0.2:0"},
		{"differs", []Flow{f}, []Flow{other}, "differs in  bytes: got 41, event: got 3"},
	} {
		if diff := Compare(tc.want, tc.got, ShowsAll, false); !strings.Contains(diff, tc.says) {
			t.Errorf("%s: got %q, want %q in it", tc.name, diff, tc.says)
		}
		a, b := NewDigest(), NewDigest()
		for _, f := range tc.want {
			a.Add(f)
		}
		for _, f := range tc.got {
			b.Add(f)
		}
		if a.Compare(b) == "" || a.Compare(a) != "" {
			t.Errorf("%s: the digests do not tell", tc.name)
		}
	}
	both := f
	both.Records, both.Packets, both.Bytes = 2, 2, 81
	other.FirewallEvent = 0
	if diff := Compare([]Flow{f, other}, []Flow{both}, ShowsAll, true); diff != "" {
		t.Errorf("a judge that merges: %s", diff)
	}
	if diff := Compare([]Flow{f, f}, []Flow{both}, ShowsAll, true); !strings.Contains(diff, "bytes: got 81") {
		t.Errorf("a judge that merges wrongly: %q", diff)
	}
}

func TestSequences(t *testing.T) {
	s := Sequences{}
	s.Add(1, 0, 2)
	s.Add(1, 5, 1)
	s.Add(1, 2, 3)
	s.Add(2, 0, 1)
	if p := s.Problems(); len(p) != 0 {
		t.Errorf("found %v", p)
	}
	s.Add(2, 2, 1)
	if p := s.Problems(); len(p) != 1 {
		t.Errorf("found %v, want one gap", p)
	}
}
