package collect

import (
	"net/netip"
	"testing"
)

func TestSequence(t *testing.T) {
	type step struct {
		number, units uint32
		inexact       bool
		missing, late uint32
	}
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"in order, from the middle", []step{{number: 500, units: 10}, {number: 510, units: 0}, {number: 510, units: 5}, {number: 515, units: 1}}},
		{"round the end of 32 bits", []step{{number: 0xfffffffe, units: 4}, {number: 2, units: 1}, {number: 5, units: 1, missing: 2}}},
		{"a gap", []step{{number: 0, units: 10}, {number: 30, units: 10, missing: 20}, {number: 40, units: 1}}},
		{"a late message", []step{
			{number: 0, units: 10}, {number: 20, units: 10, missing: 10}, {number: 10, units: 10, late: 10}, {number: 30, units: 10}, {number: 45, units: 1, missing: 5},
		}},
		{"late messages into one hole, from either end", []step{
			{number: 0, units: 10},
			{number: 40, units: 10, missing: 30},
			{number: 30, units: 10, late: 10},
			{number: 10, units: 10, late: 10},
			{number: 20, units: 10, late: 10},
			{number: 20, units: 10},
			{number: 50, units: 1},
		}},
		{"a duplicate", []step{{number: 0, units: 10}, {number: 10, units: 10}, {number: 20, units: 10}, {number: 0, units: 10}, {number: 30, units: 10}, {number: 50, units: 1, missing: 10}}},
		{"the exporter started again", []step{{number: 70000, units: 10}, {number: 0, units: 0}, {number: 0, units: 10}, {number: 10, units: 10}, {number: 25, units: 10, missing: 5}}},
		{"part not decoded", []step{{number: 0, units: 10}, {number: 10, units: 3, inexact: true}, {number: 25, units: 5}, {number: 31, units: 1, missing: 1}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s sequence
			for i, st := range tc.steps {
				if missing, late := s.observe(st.number, st.units, !st.inexact); missing != st.missing || late != st.late {
					t.Errorf("step %d: %d missing, %d late; want %d, %d", i, missing, late, st.missing, st.late)
				}
			}
		})
	}
}

// What is counted, and apart from what, differs by protocol.
func TestSequenceStreams(t *testing.T) {
	flow := set(256, web.record())
	option := set(300, uint32(3), uint32(1))
	for _, tc := range []struct {
		name      string
		messages  [][]byte
		gaps      uint64
		messages9 uint64
	}{
		{"ipfix counts flow and option records, not templates", [][]byte{
			ipfixMessage(0, 7, set(2, core4), set(3, optionsRecord(300, 1, spec{10, 4}, spec{34, 4}))),
			ipfixMessage(0, 7, flow, option),
			ipfixMessage(2, 7, flow),
			ipfixMessage(8, 7, flow),
		}, 5, 0},
		{"a stream a domain", [][]byte{
			ipfixMessage(0, 7, set(2, core4), flow), ipfixMessage(100, 8, set(2, core4), flow),
			ipfixMessage(1, 7, flow), ipfixMessage(103, 8, flow),
		}, 2, 0},
		{"late", [][]byte{
			ipfixMessage(0, 7, set(2, core4), flow), ipfixMessage(2, 7, flow), ipfixMessage(1, 7, flow),
		}, 0, 0},
		{"unknown number of records", [][]byte{
			ipfixMessage(0, 7, flow), ipfixMessage(40, 7, set(2, core4), flow), ipfixMessage(42, 7, flow),
		}, 1, 0},
		{"netflow 9 counts messages", [][]byte{
			netflow9Message(5, 7, 3, set(0, core4), flow, flow), netflow9Message(6, 7, 1, flow), netflow9Message(9, 7, 1, flow),
		}, 0, 2},
		{"netflow 5 counts records", [][]byte{
			netflow5Message(0, 30), netflow5Message(30, 2), netflow5Message(62, 1),
		}, 30, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := decode(t, true, tc.messages...).stats
			if got.SequenceGaps != tc.gaps || got.MissingMessages != tc.messages9 {
				t.Errorf("%d records and %d messages missing, want %d and %d",
					got.SequenceGaps, got.MissingMessages, tc.gaps, tc.messages9)
			}
		})
	}
}

// Whoever sends from many addresses, or many templates, fills a limit and not
// the memory.
func TestLimits(t *testing.T) {
	d := newDecoder(func(*Record) error { return nil }, Options{})
	teach := ipfixMessage(0, 7, set(2, core4))
	flow := ipfixMessage(0, 7, set(256, web.record()))
	from := func(i int) netip.AddrPort { return netip.AddrPortFrom(ip("192.0.2.1"), uint16(1+i)) }
	send := func(i int, m []byte) {
		t.Helper()
		if err := d.packet(&packet{exporter: from(i), data: m}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxExporters {
		send(i, teach)
	}
	send(0, flow)             // keeps the first one fresh
	send(maxExporters, teach) // takes the place of the second
	send(0, flow)             // still known
	send(1, flow)             // forgotten
	if d.stats.DataRecords != 2 || d.stats.MissingTemplate != 1 || len(d.exporters) != maxExporters {
		t.Errorf("%d exporters, stats %+v", len(d.exporters), d.stats)
	}
	// The last one to come has no template.
	if want := 15 * (maxExporters - 1); d.fields != want || d.streams != maxExporters {
		t.Errorf("%d template fields and %d streams held, want %d and %d", d.fields, d.streams, want, maxExporters)
	}
	for _, s := range d.exporters {
		d.forget(s)
	}
	if d.fields != 0 || d.streams != 0 {
		t.Errorf("%d fields and %d streams held by nobody", d.fields, d.streams)
	}

	d.fields, d.streams = maxTemplateFields-14, maxStreams
	send(5, teach)
	send(5, flow)
	if d.stats.DecodeErrors != 1 || d.stats.MissingTemplate != 2 || len(d.exporters[from(5)].streams) != 0 {
		t.Errorf("stats %+v", d.stats)
	}
}
