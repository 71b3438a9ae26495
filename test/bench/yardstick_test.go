package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const vnetLog = `{"records":[{"time":"2026-11-20T10:00:06.1234567Z","flowLogVersion":4,"macAddress":"000D3A000001","category":"FlowLogFlowEvent","flowRecords":{"flows":[{"aclID":"acl","flowGroups":[{"rule":"DefaultRule_AllowInternetOutBound","flowTuples":[` +
	`"1795168800001,10.0.0.4,192.0.2.7,50001,443,6,O,B,NX,0,0,0,0",` +
	`"1795168800002,10.0.0.4,192.0.2.7,50001,443,6,O,C,NX,12,5434,11,6342",` +
	`"1795168800003,10.0.0.4,192.0.2.7,50001,443,6,O,E,NX,1,60,0,0",` +
	`"1795168800004,2001:db8::4,2001:db8::7,50002,53,17,O,E,NX,1,80,1,160"]},` +
	`{"rule":"DefaultRule_DenyAllInBound","flowTuples":[` +
	`"1795168800005,198.51.100.9,10.0.0.4,40000,22,6,I,D,NX,0,0,0,0"]}]}]}}]}`

const nsgLog = `{"records":[{"time":"2026-11-20T10:00:06.1234567Z","category":"NetworkSecurityGroupFlowEvent","properties":{"Version":2,"flows":[` +
	`{"rule":"DefaultRule_AllowInternetOutBound","flows":[{"mac":"000D3A000001","flowTuples":[` +
	`"1795168800,10.0.0.4,192.0.2.7,50001,443,T,O,A,B,,,,",` +
	`"1795168801,10.0.0.4,192.0.2.7,50001,53,U,O,A,C,2,120,3,480"]}]},` +
	`{"rule":"DefaultRule_DenyAllInBound","flows":[{"mac":"000D3A000001","flowTuples":[` +
	`"1795168802,198.51.100.9,10.0.0.4,40000,22,T,I,D,B,,,,"]}]},` +
	`{"rule":"UserRule_empty","flows":[]}]}}]}`

func TestYardstick(t *testing.T) {
	for _, test := range []struct {
		name, log string
		tuples    int
		want      []string
	}{
		{
			name: "vnet", log: vnetLog, tuples: 5,
			want: []string{
				"10.0.0.4:50001 > 192.0.2.7:443 proto 6 packets 12 bytes 5434 at 1795168800002 in 0 out 1 dir 1 status 64 event 5",
				"192.0.2.7:443 > 10.0.0.4:50001 proto 6 packets 11 bytes 6342 at 1795168800002 in 1 out 0 dir 0 status 64 event 5",
				"10.0.0.4:50001 > 192.0.2.7:443 proto 6 packets 1 bytes 60 at 1795168800003 in 0 out 1 dir 1 status 64 event 2",
				"198.51.100.9:40000 > 10.0.0.4:22 proto 6 packets 0 bytes 0 at 1795168800005 in 1 out 0 dir 0 status 129 event 3",
				"[2001:db8::4]:50002 > [2001:db8::7]:53 proto 17 packets 1 bytes 80 at 1795168800004 in 0 out 1 dir 1 status 64 event 2",
				"[2001:db8::7]:53 > [2001:db8::4]:50002 proto 17 packets 1 bytes 160 at 1795168800004 in 1 out 0 dir 0 status 64 event 2",
			},
		},
		{
			name: "nsg", log: nsgLog, tuples: 3,
			want: []string{
				"10.0.0.4:50001 > 192.0.2.7:53 proto 17 packets 2 bytes 120 at 1795168801000 in 0 out 1 dir 1 status 64 event 5",
				"192.0.2.7:53 > 10.0.0.4:50001 proto 17 packets 3 bytes 480 at 1795168801000 in 1 out 0 dir 0 status 64 event 5",
				"198.51.100.9:40000 > 10.0.0.4:22 proto 6 packets 0 bytes 0 at 1795168802000 in 1 out 0 dir 0 status 129 event 3",
			},
		},
	} {
		for _, anew := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/anew=%v", test.name, anew), func(t *testing.T) {
				conn := listen(t)
				tuples, records, err := Yardstick(t.Context(), write(t, test.log), conn.LocalAddr().String(), anew)
				if err != nil {
					t.Fatal(err)
				}
				if tuples != test.tuples || records != len(test.want) {
					t.Errorf("got %d tuples and %d records, want %d and %d", tuples, records, test.tuples, len(test.want))
				}
				got := receive(t, conn, len(test.want))
				// The exporter flushes its two templates in no fixed order.
				slices.Sort(got)
				slices.Sort(test.want)
				if g, w := strings.Join(got, "\n"), strings.Join(test.want, "\n"); g != w {
					t.Errorf("got records\n%s\nwant\n%s", g, w)
				}
			})
		}
	}
}

// A log of more records than one message holds: none is longer than agreed, and
// the sequence numbers count the records before them.
func TestYardstickFillsMessages(t *testing.T) {
	const tuples = 200
	var b strings.Builder
	b.WriteString(`{"records":[{"macAddress":"000D3A000001","flowRecords":{"flows":[{"flowGroups":[{"rule":"r","flowTuples":[`)
	for i := range tuples {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"1795168800000,10.0.0.4,192.0.2.7,%d,443,6,O,E,NX,1,60,1,60"`, 1024+i)
	}
	b.WriteString(`]}]}]}}]}`)

	conn := listen(t)
	_, records, err := Yardstick(t.Context(), write(t, b.String()), conn.LocalAddr().String(), false)
	if err != nil {
		t.Fatal(err)
	}
	if records != 2*tuples {
		t.Errorf("got %d records, want %d", records, 2*tuples)
	}
	receive(t, conn, 2*tuples)
}

func TestYardstickErrors(t *testing.T) {
	for _, test := range []struct{ name, log, want string }{
		{"not JSON", `{"records":[`, "decode flow log"},
		{"eight fields", strings.Replace(vnetLog, ",B,NX,0,0,0,0", "", 1), "want 13 fields, got 7"},
		{"address", strings.Replace(vnetLog, "10.0.0.4", "10.0.0.400", 1), "not an address"},
		{"state", strings.Replace(vnetLog, ",B,NX", ",Z,NX", 1), `unknown flow state "Z"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := Yardstick(t.Context(), write(t, test.log), listen(t).LocalAddr().String(), false)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
}

// The contender of the test is the test itself, which TestMain lets be the
// yardstick.
func TestContenderRun(t *testing.T) {
	conn := listen(t)
	t.Setenv(playYardstick, "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := write(t, vnetLog)
	got, err := YardstickProgram(self, false).Run(t.Context(), conn.LocalAddr().String(), []string{path, path})
	if err != nil {
		t.Fatal(err)
	}
	if got.Tuples != 10 || got.Records != 12 || got.Wall <= 0 || got.PeakRSSBytes < 1<<20 {
		t.Errorf("got %+v, want 10 tuples, 12 records, some time and some memory", got)
	}
	if _, err := YardstickProgram(self, false).Run(t.Context(), conn.LocalAddr().String(), []string{path + "x"}); err == nil ||
		!strings.Contains(err.Error(), "read flow log") {
		t.Errorf("got error %v, want what the program said", err)
	}
}

const playYardstick = "BENCH_TEST_PLAY_YARDSTICK"

func TestMain(m *testing.M) {
	if os.Getenv(playYardstick) == "" {
		os.Exit(m.Run())
	}
	// The arguments are -collector ADDR FILE...
	if err := YardstickMain(context.Background(), os.Args[2], false, os.Args[3:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write writes a flow log and returns where.
func write(t *testing.T, log string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "PT1H.json")
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// listen opens a socket that holds what a test sends until it is read.
func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// receive reads messages until it has so many records, and returns them in
// words. It checks the headers of messages and sets on the way.
func receive(t *testing.T, conn *net.UDPConn, records int) []string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var got []string
	templates := map[uint16]bool{}
	message := make([]byte, 65536)
	for len(got) < records {
		n, err := conn.Read(message)
		if err != nil {
			t.Fatalf("after %d of %d records: %v", len(got), records, err)
		}
		m := message[:n]
		if n < 20 || n > maxMessageBytes {
			t.Fatalf("message of %d bytes", n)
		}
		be := binary.BigEndian
		if version, length := be.Uint16(m), int(be.Uint16(m[2:])); version != 10 || length != n {
			t.Fatalf("message header says version %d and %d bytes, message has %d", version, length, n)
		}
		if sequence := be.Uint32(m[8:]); sequence != uint32(len(got)) {
			t.Errorf("sequence number %d after %d records", sequence, len(got))
		}
		set := m[16:]
		id, length := be.Uint16(set), int(be.Uint16(set[2:]))
		if length != len(set) {
			t.Fatalf("set header says %d bytes, set has %d", length, len(set))
		}
		body := set[4:]
		if id == 2 {
			templates[be.Uint16(body)] = true
			continue
		}
		if !templates[id] {
			t.Errorf("data for template %d before the template", id)
		}
		addr := map[uint16]int{idV4: 4, idV6: 16}[id]
		size := 2*addr + 55
		if addr == 0 || len(body) == 0 || len(body)%size != 0 {
			t.Fatalf("set %d has %d bytes of records", id, len(body))
		}
		for r := range slices.Chunk(body, size) {
			got = append(got, words(r, addr))
		}
	}
	return got
}

// words puts a record of the core template into words.
func words(r []byte, addr int) string {
	be := binary.BigEndian
	source, _ := netip.AddrFromSlice(r[:addr])
	destination, _ := netip.AddrFromSlice(r[addr : 2*addr])
	r = r[2*addr:]
	if start, end := be.Uint64(r[21:]), be.Uint64(r[29:]); start != end {
		return fmt.Sprintf("start %d is not end %d", start, end)
	}
	if sampling := be.Uint32(r[46:]); sampling != 1 {
		return fmt.Sprintf("sampling interval %d", sampling)
	}
	return fmt.Sprintf("%v > %v proto %d packets %d bytes %d at %d in %d out %d dir %d status %d event %d",
		netip.AddrPortFrom(source, be.Uint16(r)), netip.AddrPortFrom(destination, be.Uint16(r[2:])),
		r[4], be.Uint64(r[13:]), be.Uint64(r[5:]), be.Uint64(r[29:]),
		be.Uint32(r[37:]), be.Uint32(r[41:]), r[45], be.Uint32(r[50:]), r[54])
}
