package judges

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flow2ipfix/test/peers"
)

// A judge that never complains is worth nothing. The tests in this file judge
// the judges.

// messages exports an interface's flow log to a file and returns its messages,
// all of one observation domain.
func messages(t *testing.T) [][]byte {
	t.Helper()
	dir := t.TempDir()
	if _, err := generate(dir, "--nics", "1", "--minutes", "10", "--tuples", "20"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "flows.ipfix")
	if r := peers.Run("replay", "--collector", "file:"+file, dir); r.Code != 0 {
		t.Fatal(r.Stderr)
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
	for _, j := range []Judge{peers.Nfcapd{}, nfacctd{}, goflow2{}} {
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

// TestBurstMessages: what is counted twice is counted once, and what is lost is
// missing.
func TestBurstMessages(t *testing.T) {
	m := burstMessages{}
	for _, line := range []string{
		`{"export_proto_sysid":3,"export_proto_seqno":0,"flows":20}`, // 3 are lost
		`{"export_proto_sysid":3,"export_proto_seqno":23,"flows":5}`,
		`{"export_proto_sysid":1,"export_proto_seqno":0,"flows":23}`,
		`{"export_proto_sysid":1,"export_proto_seqno":23,"flows":30}`, // 7 of them twice
		`{"export_proto_sysid":1,"export_proto_seqno":46,"flows":10}`,
		`{"export_proto_sysid":1,"export_proto_seqno":46,"flows":2}`,
		`{"export_proto_sysid":2,"export_proto_seqno":46,"flows":5}`,
	} {
		if err := m.add([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if n := m.records(); n != 20+5+23+23+12+5 {
		t.Errorf("%d records", n)
	}
}
