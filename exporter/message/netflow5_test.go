package message

import (
	"encoding/binary"
	"math"
	"testing"

	"flow2ipfix/templates"
)

func TestNetFlow5HasThirtyRecords(t *testing.T) {
	set := newSet(t, templates.Config{Protocol: templates.NetFlow5})
	k := New(set, 9000, 64)
	var m Message
	k.Begin(&m, make([]byte, 0, 9000), 1, noon)
	r := flow()
	for m.Fits(nil, &r) {
		m.AddPart(&r, 0, 1)
	}
	if b := m.Finish(); m.Records != 30 || len(b) != 24+30*48 || binary.BigEndian.Uint16(b[2:]) != 30 {
		t.Errorf("%d records in %d octets, want 30", m.Records, len(b))
	}
}

// TestSplit: the parts of a flow have its counters, whatever these are.
func TestSplit(t *testing.T) {
	const most = math.MaxUint32
	set := newSet(t, templates.Config{Protocol: templates.NetFlow5})
	for _, tc := range []struct {
		packets, octets uint64
		parts           int
		clamped         uint64
	}{
		{0, 0, 1, 0},
		{1, most, 1, 0},
		{1, most + 1, 2, 0},
		{7, 2 * most, 2, 0},
		{7, 2*most + 1, 3, 0},
		{most + 1, 40, 2, 0},
		{1_000_000_007, 1 << 37, 33, 0},
		{5 * most, 63*most + 1, 64, 0},
		{64 * most, 64 * most, 64, 0},
		{1, 64*most + 1, 64, 1},
		{math.MaxUint64, math.MaxUint64, 64, 2},
	} {
		r := flow()
		r.Packets, r.Octets = tc.packets, tc.octets
		parts, err := Parts(&r)
		if parts != tc.parts || err != nil {
			t.Errorf("%d packets, %d octets make %d parts, %v; want %d", tc.packets, tc.octets, parts, err, tc.parts)
			continue
		}
		k := New(set, 65535, 64)
		var m Message
		var packets, octets uint64
		for i := range parts {
			k.Begin(&m, make([]byte, 0, 65535), 1, noon)
			m.AddPart(&r, i, parts)
			b := m.Finish()[netflow5Header:]
			p, o := uint64(binary.BigEndian.Uint32(b[16:])), uint64(binary.BigEndian.Uint32(b[20:]))
			if p == 0 && tc.packets >= uint64(parts) || o == 0 && tc.octets >= uint64(parts) {
				t.Errorf("part %d of %d has %d packets and %d octets", i, parts, p, o)
			}
			packets += p
			octets += o
		}
		if want := min(tc.packets, 64*most); packets != want {
			t.Errorf("%d packets in %d parts, want %d", packets, parts, want)
		}
		if want := min(tc.octets, 64*most); octets != want {
			t.Errorf("%d octets in %d parts, want %d", octets, parts, want)
		}
		if m.Clamped != tc.clamped {
			t.Errorf("%d packets, %d octets: %d clamped, want %d", tc.packets, tc.octets, m.Clamped, tc.clamped)
		}
	}
}

func TestNetFlow5SaysNothingRatherThanLies(t *testing.T) {
	r := flow()
	r.Ingress, r.Egress = 65536, 65535
	b := assemble(t, newSet(t, templates.Config{Protocol: templates.NetFlow5}), 1, 0, r)[netflow5Header:]
	if in, out := binary.BigEndian.Uint16(b[12:]), binary.BigEndian.Uint16(b[14:]); in != 0 || out != 65535 {
		t.Errorf("interfaces %d and %d, want 0 (unknown) and 65535", in, out)
	}
	r = flow6()
	if _, err := Parts(&r); err == nil || err.Error() != "netflow5 carries no IPv6: such flows must be skipped before" {
		t.Errorf("Parts = %v, want an error for IPv6", err)
	}
}
