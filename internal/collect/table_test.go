package collect

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	reply := core{src: "10.0.0.4", dst: "198.51.100.7", sport: 443, dport: 52344, protocol: 6, octets: 999, packets: 9, out: 3, egress: 1, status: 64, firewall: 5}
	denied := core{src: "203.0.113.250", dst: "10.0.0.4", sport: 40000, dport: 22, protocol: 6, in: 3, status: 129, firewall: 3}
	begin := core{src: "10.0.0.4", dst: "168.63.129.16", sport: 50000, dport: 53, protocol: 17, out: 70000, egress: 1, status: 64, firewall: 1}
	ping := core{src: "10.0.0.4", dst: "10.0.1.4", protocol: 1, octets: 84, packets: 1, in: 1, out: 2, status: 64}
	v6 := core{src: "2001:db8:1234:5678:9abc:def0:1234:5678", dst: "fd00::4", sport: 52344, dport: 443, protocol: 6, octets: 64_199_999, packets: 1234567, in: 3, status: 64, firewall: 2}
	ping6 := core{src: "fe80::1", dst: "ff02::1", protocol: 58, octets: 64, packets: 1, in: 9, status: 64}
	messages := [][]byte{
		ipfixMessage(0, 7, set(2, core4, core6), set(3, optionsRecord(300, 1, spec{10, 4}, spec{82, 8}))),
		ipfixMessage(0, 7, set(256, web.record(), reply.record(), denied.record(), begin.record(), ping.record())),
		ipfixMessage(5, 7, set(300, uint32(3), "web\x1b[2J\x00")),
		ipfixMessage(6, 7, set(257, v6.record(), ping6.record()), set(256, web.record())),
		ipfixMessage(9, 7, set(2, templateRecord(258, spec{1, 8}, spec{2, 8}, spec{1, 8, 29305}, spec{2, 8, 29305}, spec{4, 1})),
			set(258, uint64(2000), uint64(20), uint64(10_000), uint64(1000), uint8(200))),
		netflow5Message(0, 1),
		ipfixMessage(10, 7, set(2, templateRecord(259, spec{61, 1}, spec{233, 1}, spec{1001, 65535, ownNumber}, spec{1008, 1, ownNumber},
			spec{236, 8}, spec{82, 65535}, spec{56, 6}, spec{3, 2, 32473}, spec{1, 8, 29305})),
			set(259,
				uint8(0), uint8(3), uint8(11), "deny-\"all\"\x1b", uint8(4), "vnet1\x00\x00\x00", uint8(0), "\x00\x22\x48\x71\xc2\x05", uint16(7), uint64(0),
				uint8(1), uint8(5), uint8(255), uint16(2), "ok", uint8(1), make([]byte, 8), uint8(3), "eth", make([]byte, 6), uint16(7), uint64(1))),
	}
	for _, tc := range []struct {
		name string
		opts TableOptions
		want string
	}{
		{"plain", TableOptions{}, `
TIME          DIR  PROTO   SOURCE                 DESTINATION              PACKETS     BYTES  NIC     DECISION
02:59:58.500  in   TCP     198.51.100.7:52344     10.0.0.4:443               1,050   1.23 MB  3       allowed
02:59:58.500  out  TCP     10.0.0.4:443           198.51.100.7:52344             9     999 B  3       allowed
02:59:58.500  in   TCP     203.0.113.250:40000    10.0.0.4:22                    0       0 B  3       denied
02:59:58.500  out  UDP     10.0.0.4:50000         168.63.129.16:53               0       0 B  70000   begin
02:59:58.500  in   ICMP    10.0.0.4               10.0.1.4                       1      84 B  1>2     allowed
03:00:00.000  option ingressInterface=3 -> interfaceName="web\u001b[2J"
02:59:58.500  in   TCP     [2001:db8:1234:5678:9abc:def0:1234:5678]:52344  [fd00::4]:443          1,234,567   64.2 MB  3       allowed
02:59:58.500  in   ICMPv6  fe80::1                                         ff02::1                        1      64 B  9       allowed
02:59:58.500  in   TCP     198.51.100.7:52344                              10.0.0.4:443               1,050   1.23 MB  3       allowed
03:00:00.000  -    200     -                                               -                       20/1,000  2.00 kB/10.0 kB  -       -
02:59:59.250  -    TCP     10.0.0.4:443                                    198.51.100.7:52344            12          3.40 kB  3       -
03:00:00.000  in   -       -                                               -                            0/0          0 B/0 B  -       denied    azureRule="deny-\"all\"\u001b" azureEncryption=4 VRFname="vnet1" interfaceName="" sourceMacAddress="00:22:48:71:c2:05" pen32473/3="0007"
03:00:00.000  out  -       -                                               -                            0/0          0 B/1 B  -       allowed   azureRule="ok" azureEncryption=1 VRFname="" interfaceName="eth" sourceMacAddress="00:00:00:00:00:00" pen32473/3="0007"
`},
		{"names", TableOptions{
			NICName: func(domain, ifIndex uint32) string {
				return map[[2]uint32]string{{7, 3}: "web-01 (nic é)", {7, 1}: "a\x1b[2J"}[[2]uint32{domain, ifIndex}]
			},
		}, `
TIME          DIR  PROTO   SOURCE                 DESTINATION              PACKETS     BYTES  NIC     DECISION
02:59:58.500  in   TCP     198.51.100.7:52344     10.0.0.4:443               1,050   1.23 MB  web-01 (nic é)  allowed
02:59:58.500  out  TCP     10.0.0.4:443           198.51.100.7:52344             9     999 B  web-01 (nic é)  allowed
02:59:58.500  in   TCP     203.0.113.250:40000    10.0.0.4:22                    0       0 B  web-01 (nic é)  denied
02:59:58.500  out  UDP     10.0.0.4:50000         168.63.129.16:53               0       0 B  70000           begin
02:59:58.500  in   ICMP    10.0.0.4               10.0.1.4                       1      84 B  a?[2J>2         allowed
03:00:00.000  option ingressInterface=3 -> interfaceName="web\u001b[2J"
02:59:58.500  in   TCP     [2001:db8:1234:5678:9abc:def0:1234:5678]:52344  [fd00::4]:443          1,234,567   64.2 MB  web-01 (nic é)  allowed
02:59:58.500  in   ICMPv6  fe80::1                                         ff02::1                        1      64 B  9               allowed
02:59:58.500  in   TCP     198.51.100.7:52344                              10.0.0.4:443               1,050   1.23 MB  web-01 (nic é)  allowed
03:00:00.000  -    200     -                                               -                       20/1,000  2.00 kB/10.0 kB  -               -
02:59:59.250  -    TCP     10.0.0.4:443                                    198.51.100.7:52344            12          3.40 kB  3               -
03:00:00.000  in   -       -                                               -                            0/0          0 B/0 B  -               denied    azureRule="deny-\"all\"\u001b" azureEncryption=4 VRFname="vnet1" interfaceName="" sourceMacAddress="00:22:48:71:c2:05" pen32473/3="0007"
03:00:00.000  out  -       -                                               -                            0/0          0 B/1 B  -               allowed   azureRule="ok" azureEncryption=1 VRFname="" interfaceName="eth" sourceMacAddress="00:00:00:00:00:00" pen32473/3="0007"
`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var buf bytes.Buffer
			table := NewTable(&buf, tc.opts)
			d := newDecoder(table.Write, Options{OnError: func(err error) { t.Error(err) }, EnterpriseNumber: ownNumber})
			for _, m := range messages {
				if err := d.packet(&packet{data: m}); err != nil {
					t.Fatal(err)
				}
			}
			if err := table.Flush(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n"), buf.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestBytesText(t *testing.T) {
	for v, want := range map[uint64]string{
		0: "0 B", 999: "999 B", 1000: "1.00 kB", 1500: "1.50 kB", 9994: "9.99 kB", 9995: "10.0 kB", 99_949: "99.9 kB",
		99_950: "100 kB", 999_499: "999 kB", 999_500: "1.00 MB", 1_020_000_000: "1.02 GB",
		5_000_000_000_000: "5.00 TB", 18446744073709551615: "18.4 EB", 2_000_000_000_000_000: "2.00 PB",
	} {
		if got := bytesText(v); got != want {
			t.Errorf("bytesText(%d) = %q, want %q", v, got, want)
		}
	}
}

func TestThousands(t *testing.T) {
	for v, want := range map[uint64]string{
		0: "0", 999: "999", 1000: "1,000", 123456: "123,456", 18446744073709551615: "18,446,744,073,709,551,615",
	} {
		if got := thousands(v); got != want {
			t.Errorf("thousands(%d) = %q, want %q", v, got, want)
		}
	}
}

var errBroken = errors.New("broken pipe")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

// A printer says that its output is gone, at the latest when it is flushed.
func TestPrinterError(t *testing.T) {
	for name, sink := range map[string]Sink{
		"table": NewTable(brokenWriter{}, TableOptions{}),
		"json":  NewJSON(brokenWriter{}),
	} {
		err := sink.Write(&Record{})
		if err == nil {
			err = sink.Flush()
		}
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: %v, want %v", name, err, errBroken)
		}
	}
}
