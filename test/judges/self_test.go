package judges

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A judge that never complains is worth nothing. The tests in this file judge
// the judges.

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
	if diff := compareFlows([]Flow{f, other}, []Flow{other, f}, ShowsAll, false); diff != "" {
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
		if diff := compareFlows(tc.want, tc.got, ShowsAll, false); !strings.Contains(diff, tc.says) {
			t.Errorf("%s: got %q, want %q in it", tc.name, diff, tc.says)
		}
		a, b := newDigest(), newDigest()
		for _, f := range tc.want {
			a.add(f)
		}
		for _, f := range tc.got {
			b.add(f)
		}
		if a.compare(b) == "" || a.compare(a) != "" {
			t.Errorf("%s: the digests do not tell", tc.name)
		}
	}
	both := f
	both.Records, both.Packets, both.Bytes = 2, 2, 81
	other.FirewallEvent = 0
	if diff := compareFlows([]Flow{f, other}, []Flow{both}, ShowsAll, true); diff != "" {
		t.Errorf("a judge that merges: %s", diff)
	}
	if diff := compareFlows([]Flow{f, f}, []Flow{both}, ShowsAll, true); !strings.Contains(diff, "bytes: got 81") {
		t.Errorf("a judge that merges wrongly: %q", diff)
	}
}

func TestSequences(t *testing.T) {
	s := sequences{}
	s.add(1, 0, 2)
	s.add(1, 5, 1)
	s.add(1, 2, 3)
	s.add(2, 0, 1)
	if p := s.problems(); len(p) != 0 {
		t.Errorf("found %v", p)
	}
	s.add(2, 2, 1)
	if p := s.problems(); len(p) != 1 {
		t.Errorf("found %v, want one gap", p)
	}
}

// messages exports an interface's flow log to a file and returns its messages,
// all of one observation domain.
func messages(t *testing.T) [][]byte {
	t.Helper()
	dir := t.TempDir()
	if _, err := generate(dir, "--nics", "1", "--minutes", "10", "--tuples", "20"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "flows.ipfix")
	if r := run("replay", "--collector", "file:"+file, dir); r.code != 0 {
		t.Fatal(r.stderr)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for len(b) > 0 {
		n := binary.BigEndian.Uint16(b[2:])
		all = append(all, b[:n])
		b = b[n:]
	}
	if len(all) < 4 {
		t.Fatalf("want some messages, got %d", len(all))
	}
	return all
}

// TestTsharkComplains has tshark look at messages with each a fault.
func TestTsharkComplains(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func([][]byte) [][]byte
		says  string
	}{
		{"nothing", func(m [][]byte) [][]byte { return m }, ""},
		{"lost message", func(m [][]byte) [][]byte { return slices.Delete(m, 0, 1) }, "data before their template"},
		{"twice", func(m [][]byte) [][]byte { return append(m, m[len(m)-1]) }, "sequence number"},
		{"export time", func(m [][]byte) [][]byte { m[1][7] -= 100; return m }, "exported at"},
		{"padding", func(m [][]byte) [][]byte {
			last := append(m[len(m)-1], 0, 0)
			binary.BigEndian.PutUint16(last[2:], uint16(len(last)))
			set := 16 // the last set's place
			for {
				n := int(binary.BigEndian.Uint16(last[set+2:]))
				if set+n == len(last)-2 {
					binary.BigEndian.PutUint16(last[set+2:], uint16(n+2))
					m[len(m)-1] = last
					return m
				}
				set += n
			}
		}, "padding"},
		{"field length", func(m [][]byte) [][]byte { m[0][16+4+4+3] = 5; return m }, "template 256 is [{8 5}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTsharkFile(filepath.Join(t.TempDir(), "spoilt.ipfix"))
			if err := os.WriteFile(s.file, slices.Concat(tc.spoil(messages(t))...), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := s.Flows()
			if err != nil {
				s.problems = append(s.problems, err.Error())
			}
			all := strings.Join(s.Problems(), "\n")
			if tc.says == "" && all != "" || !strings.Contains(all, tc.says) {
				t.Errorf("problems %q, want %q", all, tc.says)
			}
		})
	}
}

// TestCollectorsComplain sends the UDP judges messages of which one is missing,
// and one came twice.
func TestCollectorsComplain(t *testing.T) {
	all := messages(t)
	spoilt := slices.Concat(all[:1], all[2:], all[len(all)-1:])
	file := newTsharkFile(filepath.Join(t.TempDir(), "spoilt.ipfix"))
	if err := os.WriteFile(file.file, slices.Concat(spoilt...), 0o644); err != nil {
		t.Fatal(err)
	}
	flows, err := file.Flows()
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range []Judge{nfcapd{}, nfacctd{}, goflow2{}} {
		t.Run(j.Name(), func(t *testing.T) {
			s := startJudge(t, j)
			c, err := net.Dial("udp", strings.TrimPrefix(s.URL(), "udp://"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, m := range spoilt {
				if _, err := c.Write(m); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Wait(len(flows)); err != nil {
				t.Fatal(err)
			}
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Flows(); err != nil {
				t.Fatal(err)
			}
			if len(s.Problems()) == 0 {
				t.Error("no problem was found")
			}
		})
	}
}
