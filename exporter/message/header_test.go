package message

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"

	"flow2ipfix/templates"
)

const day = 24 * time.Hour

// TestUptimeIsExact: whoever decodes NetFlow finds the milliseconds of a flow,
// whenever the message was begun and left.
func TestUptimeIsExact(t *testing.T) {
	for _, protocol := range []templates.Protocol{templates.NetFlow9, templates.NetFlow5} {
		set := newSet(t, templates.Config{Protocol: protocol, Fields: nil})
		k := New(set, 1400, 64)
		for _, tc := range []struct {
			name          string
			begun, sealed time.Duration // since noon
			age           time.Duration // of the flow when it was begun
			late          bool          // the header cannot say when it left
		}{
			{"at once", 123 * time.Millisecond, 123 * time.Millisecond, time.Minute, false},
			{"between two seconds", 1999 * time.Millisecond, 2 * time.Second, 7 * time.Millisecond, false},
			{"later", time.Hour, 9 * time.Hour, time.Minute, false},
			{"an old flow", 10 * time.Hour, 10 * time.Hour, 40*day - time.Second, false},
			{"after days", 7 * day, 8 * day, 39 * day, false},
			{"the epoch has moved on", 9 * day, 9 * day, 39 * day, false},
			{"and again", 30 * day, 30*day + 700*time.Millisecond, time.Second, false},
			{"when it could not be sent for weeks", 31 * day, 50 * day, time.Minute, true},
			{"when the clock was set back", 20 * day, 20 * day, 39 * day, false},
			{"when it is set back before it leaves", 20 * day, 20*day - 60*day, time.Minute, true},
		} {
			r := flow()
			r.End = noon.Add(tc.begun - tc.age).UnixMilli()
			r.Start = r.End - 59_877
			var m Message
			k.Begin(&m, make([]byte, 0, 1400), 1, noon.Add(tc.begun))
			m.AddTemplates(0)
			if tpl := set.For(&r); tpl != nil {
				m.Add(tpl, &r)
			} else {
				m.AddPart(&r, 0, 1)
			}
			b := m.Finish()
			k.Seal(b, m.Epoch, 0, noon.Add(tc.sealed))
			start, end, seconds := times(t, b)
			if start != r.Start || end != r.End {
				t.Errorf("%s, %s: flow from %d to %d, want %d to %d", protocol, tc.name, start, end, r.Start, r.End)
			}
			if at := noon.Add(tc.sealed).Unix(); (int64(seconds) == at) == tc.late {
				t.Errorf("%s, %s: the header says %d, it left at %d", protocol, tc.name, seconds, at)
			}
			if m.Clamped != 0 {
				t.Errorf("%s, %s: %d values are clamped", protocol, tc.name, m.Clamped)
			}
		}
	}
}

// times returns when the last flow of a message of NetFlow began and ended, as
// goflow2 reads it, and the time of the header.
func times(t *testing.T, b []byte) (start, end int64, seconds uint32) {
	t.Helper()
	if b[1] == 5 {
		var p netflowlegacy.PacketNetFlowV5
		if err := netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(b), &p); err != nil {
			t.Fatal(err)
		}
		boot := int64(p.UnixSecs)*1000 - int64(p.SysUptime)
		last := p.Records[len(p.Records)-1]
		return boot + int64(last.First), boot + int64(last.Last), p.UnixSecs
	}
	var p netflow.NFv9Packet
	if err := netflow.DecodeMessageVersion(bytes.NewBuffer(b), netflow.CreateTemplateSystem(), &p, nil); err != nil {
		t.Fatal(err)
	}
	boot := int64(p.UnixSeconds)*1000 - int64(p.SystemUptime)
	flows := p.FlowSets[len(p.FlowSets)-1].(netflow.DataFlowSet).Records
	for _, v := range flows[len(flows)-1].Values {
		switch v.Type {
		case netflow.NFV9_FIELD_FIRST_SWITCHED:
			start = boot + int64(binary.BigEndian.Uint32(v.Value.([]byte)))
		case netflow.NFV9_FIELD_LAST_SWITCHED:
			end = boot + int64(binary.BigEndian.Uint32(v.Value.([]byte)))
		}
	}
	return start, end, p.UnixSeconds
}

// TestUptimeIsClamped: times that sysUptime cannot say are the nearest that it can,
// and are counted. Nothing wraps.
func TestUptimeIsClamped(t *testing.T) {
	for _, protocol := range []templates.Protocol{templates.NetFlow9, templates.NetFlow5} {
		set := newSet(t, templates.Config{Protocol: protocol})
		k := New(set, 1400, 64)
		var m Message
		k.Begin(&m, make([]byte, 0, 1400), 1, noon)
		m.AddTemplates(0)
		epoch := noon.Add(-40 * day).UnixMilli()
		add := func(start, end int64) {
			r := flow()
			r.Start, r.End = start, end
			if tpl := set.For(&r); tpl != nil {
				m.Add(tpl, &r)
			} else {
				m.AddPart(&r, 0, 1)
			}
		}
		for _, tc := range []struct {
			start, end, wantStart, wantEnd int64
			clamped                        uint64
		}{
			{epoch, epoch + 1, epoch, epoch + 1, 0},
			{epoch - 1, epoch + 1, epoch, epoch + 1, 1},
			{0, 1, epoch, epoch, 3},
			{epoch, epoch + math.MaxUint32, epoch, epoch + math.MaxUint32, 3},
			{epoch, epoch + math.MaxUint32 + 1, epoch, epoch + math.MaxUint32, 4},
			{math.MaxInt64 - 1, math.MaxInt64, epoch + math.MaxUint32, epoch + math.MaxUint32, 6},
		} {
			add(tc.start, tc.end)
			b := m.Finish()
			k.Seal(b, m.Epoch, 0, noon)
			start, end, _ := times(t, bytes.Clone(b))
			if start != tc.wantStart || end != tc.wantEnd || m.Clamped != tc.clamped {
				t.Errorf("%s: %d to %d became %d to %d, %d clamped; want %d to %d, %d", protocol,
					tc.start, tc.end, start, end, m.Clamped, tc.wantStart, tc.wantEnd, tc.clamped)
			}
			k.Begin(&m, make([]byte, 0, 1400), 1, noon)
			m.AddTemplates(0)
		}
	}
	// Whole seconds and milliseconds since 1970 have no epoch.
	set := newSet(t, templates.Config{Protocol: templates.NetFlow9, Fields: []string{"sourceIPv4Address", "flowStartSeconds", "flowEndSeconds"}})
	k := New(set, 1400, 64)
	var m Message
	k.Begin(&m, make([]byte, 0, 1400), 1, noon)
	r := flow()
	r.Start = 1
	if m.Add(set.For(&r), &r); m.Clamped != 0 {
		t.Errorf("%d values are clamped without need", m.Clamped)
	}
}

func TestSteps(t *testing.T) {
	for protocol, want := range map[templates.Protocol][]uint32{
		templates.IPFIX: {0, 7, 3}, templates.NetFlow9: {1, 1, 1}, templates.NetFlow5: {0, 5, 0},
	} {
		k := New(newSet(t, templates.Config{Protocol: protocol}), 1400, 64)
		if diff := cmp.Diff(want, []uint32{k.Steps(0, 0), k.Steps(5, 2), k.Steps(0, 3)}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", protocol, diff)
		}
	}
}

// TestGoflow2ReadsAllOfIt: what is assembled is what goflow2 decodes.
func TestGoflow2ReadsAllOfIt(t *testing.T) {
	type header struct {
		Version, Count      int
		Sequence, ID, Bytes uint32
	}
	for _, tc := range []struct {
		cfg  templates.Config
		want header
		sets []int // records by set
	}{
		{
			templates.Config{Preset: "akvorado", Options: []templates.OptionsKind{"sampling", "statistics", "flow_keys"}},
			header{10, 0, 9, 77, 0}, // of IPFIX, the length is looked at below
			[]int{2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 3},
		},
		{
			templates.Config{Protocol: templates.NetFlow9, Preset: "akvorado", Options: []templates.OptionsKind{"sampling", "statistics"}},
			header{9, 2 + 2 + 2 + 5, 9, 77, 0},
			[]int{2, 1, 1, 1, 1, 2, 3},
		},
	} {
		set := newSet(t, tc.cfg)
		b := assemble(t, set, 77, 9, flow(), flow(), flow6(), flow6(), flow6())
		var v9 netflow.NFv9Packet
		var ipfix netflow.IPFIXPacket
		if err := netflow.DecodeMessageVersion(bytes.NewBuffer(b), netflow.CreateTemplateSystem(), &v9, &ipfix); err != nil {
			t.Fatal(err)
		}
		got := header{int(v9.Version), int(v9.Count), v9.SequenceNumber, v9.SourceId, 0}
		sets := v9.FlowSets
		if set.Protocol == templates.IPFIX {
			got = header{int(ipfix.Version), 0, ipfix.SequenceNumber, ipfix.ObservationDomainId, 0}
			sets = ipfix.FlowSets
			if int(ipfix.Length) != len(b) {
				t.Errorf("length %d, want %d", ipfix.Length, len(b))
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: header (-want +got):\n%s", set.Protocol, diff)
		}
		var records []int
		for _, s := range sets {
			switch s := s.(type) {
			case netflow.TemplateFlowSet:
				records = append(records, len(s.Records))
			case netflow.NFv9OptionsTemplateFlowSet:
				records = append(records, len(s.Records))
			case netflow.IPFIXOptionsTemplateFlowSet:
				records = append(records, len(s.Records))
			case netflow.OptionsDataFlowSet:
				records = append(records, len(s.Records))
			case netflow.DataFlowSet:
				records = append(records, len(s.Records))
			default:
				t.Errorf("%s: goflow2 does not know %T", set.Protocol, s)
			}
		}
		if diff := cmp.Diff(tc.sets, records); diff != "" {
			t.Errorf("%s: records of each set (-want +got):\n%s", set.Protocol, diff)
		}
	}
	b := assemble(t, newSet(t, templates.Config{Protocol: templates.NetFlow5}), 0x0102, 9, flow(), flow())
	var v5 netflowlegacy.PacketNetFlowV5
	if err := netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(b), &v5); err != nil {
		t.Fatal(err)
	}
	record := netflowlegacy.RecordsNetFlowV5{
		SrcAddr: 0x0a000006, DstAddr: 0xc00002b4, Input: 17, DPkts: 3, DOctets: 767,
		First: 40*86_400_000 - 59_877, Last: 40*86_400_000 - 9_544, SrcPort: 23956, DstPort: 443, Proto: 6,
	}
	want := netflowlegacy.PacketNetFlowV5{
		Version: 5, Count: 2, SysUptime: 40 * 86_400_000, UnixSecs: uint32(noon.Unix()), FlowSequence: 9,
		EngineType: 1, EngineId: 2, SamplingInterval: 1, Records: []netflowlegacy.RecordsNetFlowV5{record, record},
	}
	if diff := cmp.Diff(want, v5); diff != "" {
		t.Errorf("netflow5 (-want +got):\n%s", diff)
	}
}
