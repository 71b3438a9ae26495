package collect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// exportTime is 2026-11-21 03:00:00 UTC.
const exportTime = 1795230000

// cat puts values one after another, big endian; strings and byte slices as
// they are.
func cat(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case uint8:
			out = append(out, p)
		case uint16:
			out = binary.BigEndian.AppendUint16(out, p)
		case uint32:
			out = binary.BigEndian.AppendUint32(out, p)
		case uint64:
			out = binary.BigEndian.AppendUint64(out, p)
		case string:
			out = append(out, p...)
		case []byte:
			out = append(out, p...)
		case netip.Addr:
			out = append(out, p.AsSlice()...)
		default:
			panic(fmt.Sprintf("cat: %T", p))
		}
	}
	return out
}

// ownNumber is the enterprise number of flow2ipfix's own elements in the tests;
// 32473 is for documentation (RFC 5612), and theirs of which nothing is known.
const ownNumber = 64999

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// ip4739 is an exporter.
func ip4739(last byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 4739)
}

// set is a set (flow set in v9) with its header.
func set(id uint16, parts ...any) []byte {
	body := cat(parts...)
	return cat(id, uint16(4+len(body)), body)
}

// ipfixMessage has a right length, whatever the sets are.
func ipfixMessage(sequence, domain uint32, sets ...[]byte) []byte {
	body := bytes.Join(sets, nil)
	return cat(uint16(10), uint16(16+len(body)), uint32(exportTime), sequence, domain, body)
}

// netflow9Message was sent 100 s after its exporter started.
func netflow9Message(sequence, source uint32, count uint16, sets ...[]byte) []byte {
	return cat(uint16(9), count, uint32(100_000), uint32(exportTime), sequence, source, bytes.Join(sets, nil))
}

// spec is an element id and its length; an enterprise number as third.
type spec []uint32

func fieldSpecs(specs []spec) []byte {
	var out []byte
	for _, s := range specs {
		if len(s) == 3 {
			out = append(out, cat(uint16(s[0])|enterpriseBit, uint16(s[1]), s[2])...)
		} else {
			out = append(out, cat(uint16(s[0]), uint16(s[1]))...)
		}
	}
	return out
}

// templateRecord is a template record of IPFIX or v9.
func templateRecord(id uint16, specs ...spec) []byte {
	return cat(id, uint16(len(specs)), fieldSpecs(specs))
}

// optionsRecord is an options template record of IPFIX.
func optionsRecord(id, scopes uint16, specs ...spec) []byte {
	return cat(id, uint16(len(specs)), scopes, fieldSpecs(specs))
}

// core4 and core6 are the templates that flow2ipfix sends by default.
var (
	core4 = templateRecord(256, spec{8, 4}, spec{12, 4}, spec{7, 2}, spec{11, 2}, spec{4, 1},
		spec{1, 8}, spec{2, 8}, spec{152, 8}, spec{153, 8}, spec{10, 4}, spec{14, 4}, spec{61, 1},
		spec{34, 4}, spec{89, 1}, spec{233, 1})
	core6 = templateRecord(257, spec{27, 16}, spec{28, 16}, spec{7, 2}, spec{11, 2}, spec{4, 1},
		spec{1, 8}, spec{2, 8}, spec{152, 8}, spec{153, 8}, spec{10, 4}, spec{14, 4}, spec{61, 1},
		spec{34, 4}, spec{89, 1}, spec{233, 1})
)

// core is a flow as core4 and core6 carry it.
type core struct {
	src, dst         string
	sport, dport     uint16
	protocol         uint8
	octets, packets  uint64
	in, out          uint32
	egress           uint8
	status, firewall uint8
}

func (c core) record() []byte {
	const ms = uint64(exportTime) * 1000
	return cat(ip(c.src), ip(c.dst), c.sport, c.dport, c.protocol, c.octets, c.packets,
		ms-61_500, ms-1_500, c.in, c.out, c.egress, uint32(1), c.status, c.firewall)
}

// web is an ordinary flow into a virtual machine.
var web = core{
	src: "198.51.100.7", dst: "10.0.0.4", sport: 52344, dport: 443, protocol: 6,
	octets: 1234567, packets: 1050, in: 3, status: 64, firewall: 5,
}

// decoded is what came out of a decoder.
type decoded struct {
	lines  []string // the records as JSON
	errors []string
	stats  Stats
}

// decode runs messages through a decoder, as datagrams of one exporter or as
// messages of one connection.
func decode(t testing.TB, datagrams bool, messages ...[]byte) decoded {
	t.Helper()
	var (
		out decoded
		buf bytes.Buffer
	)
	printer := NewJSON(&buf)
	d := newDecoder(printer.Write, Options{
		OnError:          func(err error) { out.errors = append(out.errors, err.Error()) },
		EnterpriseNumber: ownNumber,
	})
	from := netip.MustParseAddrPort("192.0.2.1:4739")
	s := newSession(from, from.String())
	for _, m := range messages {
		p := &packet{exporter: from, data: bytes.Clone(m)}
		if !datagrams {
			p.session = s
		}
		if err := d.packet(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := printer.Flush(); err != nil {
		t.Fatal(err)
	}
	out.stats = d.stats
	if buf.Len() > 0 {
		out.lines = strings.Split(strings.TrimSuffix(buf.String(), "\n"), "\n")
	}
	return out
}
