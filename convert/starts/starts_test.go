package starts

import (
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/flowlog"
	"flow2ipfix/internal/ipaddr"
)

// step is a tuple of a flow, and the start that it must get.
type step struct {
	flow  string // which one: its name decides addresses and ports
	state flowlog.State
	time  int64
	want  int64
}

func TestMark(t *testing.T) {
	const b, c, e, none = flowlog.Begin, flowlog.Continue, flowlog.End, flowlog.StateNone
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"a life", []step{{"x", b, 100, 100}, {"x", c, 400, 100}, {"x", c, 700, 400}, {"x", e, 750, 700}}},
		{"begin not seen", []step{{"x", c, 400, 400}, {"x", e, 500, 400}}},
		{"end not seen: begin begins anew", []step{{"x", c, 400, 400}, {"x", b, 500, 500}, {"x", e, 600, 500}}},
		{"ended: the next one is another flow", []step{{"x", b, 100, 100}, {"x", e, 200, 100}, {"x", e, 300, 300}}},
		{"two flows", []step{{"x", b, 100, 100}, {"y", b, 150, 150}, {"x", e, 200, 100}, {"y", e, 210, 150}}},
		{"the same instant", []step{{"x", b, 100, 100}, {"x", e, 100, 100}, {"x", b, 100, 100}, {"x", e, 200, 100}}},
		{"out of order", []step{{"x", b, 100, 100}, {"x", c, 400, 100}, {"x", c, 300, 300}, {"x", c, 500, 400}}},
		{"after an hour it is another flow", []step{{"x", b, 100, 100}, {"x", c, 100 + maxGap, 100}, {"x", c, 101 + 2*maxGap, 101 + 2*maxGap}}},
		{"times of 2026", []step{{"x", b, 1_795_000_000_123, 1_795_000_000_123}, {"x", c, 1_795_000_300_456, 1_795_000_000_123}}},
		{"where 32 bits begin anew", []step{{"x", b, 1<<40 - 5, 1<<40 - 5}, {"x", c, 1<<40 + 7, 1<<40 - 5}, {"x", c, 1<<40 + 2, 1<<40 + 2}, {"x", e, 1<<40 + 9, 1<<40 + 7}}},
		{"after 25 days", []step{{"x", b, 100, 100}, {"x", c, 100 + 25*24*maxGap, 100 + 25*24*maxGap}, {"x", c, 400 + 25*24*maxGap, 100 + 25*24*maxGap}}},
		{"another hour is read in between", []step{
			{"x", b, 9 * maxGap, 9 * maxGap},
			{"x", c, 5 * maxGap, 5 * maxGap},
			{"x", c, 5*maxGap + 300, 5 * maxGap},
			{"x", c, 9*maxGap + 300, 9*maxGap + 300},
			{"x", e, 9*maxGap + 600, 9*maxGap + 300},
		}},
		{"version 1 stands for itself", []step{{"x", none, 100, 100}, {"x", none, 103, 103}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := New(1000)
			for i, st := range tc.steps {
				flows := []flowlog.Flow{named(st.flow)}
				flows[0].State, flows[0].Time = st.state, st.time
				s.Mark(0, flowlog.MAC{1}, flows)
				if flows[0].Start != st.want {
					t.Errorf("step %d starts at %d, want %d", i, flows[0].Start, st.want)
				}
			}
		})
	}
}

// flow returns a flow that goes on.
func flow() flowlog.Flow {
	return flowlog.Flow{
		Source: ipaddr.MustParse("10.0.0.4"), Destination: ipaddr.MustParse("192.0.2.9"),
		SourcePort: 50000, DestinationPort: 443, Protocol: 6, State: flowlog.Continue,
	}
}

func named(name string) flowlog.Flow {
	f := flow()
	f.SourcePort = uint16(name[0])
	return f
}

func TestTellsFlowsApart(t *testing.T) {
	base := named("x")
	base.State, base.Time = flowlog.Begin, 100
	other := ipaddr.MustParse("10.9.9.9")
	for name, change := range map[string]func(*flowlog.Flow, *flowlog.MAC){
		"source":           func(f *flowlog.Flow, _ *flowlog.MAC) { f.Source = other },
		"destination":      func(f *flowlog.Flow, _ *flowlog.MAC) { f.Destination = other },
		"swapped":          func(f *flowlog.Flow, _ *flowlog.MAC) { f.Source, f.Destination = f.Destination, f.Source },
		"source port":      func(f *flowlog.Flow, _ *flowlog.MAC) { f.SourcePort++ },
		"destination port": func(f *flowlog.Flow, _ *flowlog.MAC) { f.DestinationPort++ },
		"protocol":         func(f *flowlog.Flow, _ *flowlog.MAC) { f.Protocol = 17 },
		"interface":        func(_ *flowlog.Flow, m *flowlog.MAC) { m[5]++ },
	} {
		s := New(1000)
		s.Mark(0, flowlog.MAC{1}, []flowlog.Flow{base})
		f, mac := base, flowlog.MAC{1}
		f.State, f.Time = flowlog.End, 200
		change(&f, &mac)
		flows := []flowlog.Flow{f}
		s.Mark(0, mac, flows)
		if flows[0].Start != 200 {
			t.Errorf("another %s is taken for the same flow", name)
		}
	}
}

func TestTellsFlowLogsApart(t *testing.T) {
	s := New(1000)
	for i, st := range []struct {
		target     uint32
		state      flowlog.State
		time, want int64
	}{
		{1, flowlog.Begin, 100, 100},
		{2, flowlog.Begin, 100, 100},
		{1, flowlog.End, 200, 100},
		{2, flowlog.End, 200, 100},
	} {
		f := named("x")
		f.State, f.Time = st.state, st.time
		flows := []flowlog.Flow{f}
		s.Mark(st.target, flowlog.MAC{1}, flows)
		if flows[0].Start != st.want {
			t.Errorf("step %d starts at %d, want %d", i, flows[0].Start, st.want)
		}
	}
}

func TestIgnoresDeniedFlows(t *testing.T) {
	s := New(1000)
	f := named("x")
	f.State, f.Denied, f.Time = flowlog.Begin, true, 100
	s.Mark(0, flowlog.MAC{}, []flowlog.Flow{f})
	f.State, f.Denied, f.Time = flowlog.End, false, 200
	flows := []flowlog.Flow{f}
	s.Mark(0, flowlog.MAC{}, flows)
	if flows[0].Start != 200 || s.used != 0 {
		t.Errorf("start %d with %d flows remembered, want 200 and none", flows[0].Start, s.used)
	}
}

// manyFlows returns n flows of different ports and addresses.
func manyFlows(n int, state flowlog.State, time int64) []flowlog.Flow {
	flows := make([]flowlog.Flow, n)
	for i := range flows {
		f := flow()
		f.Source, f.SourcePort, f.State, f.Time = ipaddr.From4(10<<24|uint32(i>>8)), uint16(i&255), state, time
		flows[i] = f
	}
	return flows
}

func TestGrowsAndForgetsNothingBelowItsLimit(t *testing.T) {
	s := New(1 << 20)
	const n = 240_000
	before := len(s.table)
	s.Mark(0, flowlog.MAC{1}, manyFlows(n, flowlog.Begin, 100))
	if s.used != n || len(s.table) <= before {
		t.Fatalf("%d of %d flows are remembered in %d sets", s.used, n, len(s.table))
	}
	for _, step := range []struct {
		state     flowlog.State
		now, last int64
	}{{flowlog.Continue, 200, 100}, {flowlog.End, 300, 200}} {
		flows := manyFlows(n, step.state, step.now)
		s.Mark(0, flowlog.MAC{1}, flows)
		forgotten := 0
		for i := range flows {
			if flows[i].Start != step.last {
				forgotten++
			}
		}
		if forgotten != 0 {
			t.Errorf("%d of %d flows were forgotten", forgotten, n)
		}
	}
	if s.used != 0 || len(s.rest) != 0 {
		t.Errorf("%d flows are remembered after all have ended", s.used)
	}
}

// TestOneSet has all flows fall into one set: what it has no room for is
// remembered all the same, also when the table grows.
func TestOneSet(t *testing.T) {
	s := New(1 << 20)
	const n = 3 * ways
	flow := func(i int) hash { return hash(1+i%2)<<28 | hash(i+1)<<20 | 77 } // three of a tag in the set
	visit := func(now stamp, ends bool, ago int64) {
		t.Helper()
		for i := range n {
			if gap, known := s.visit(flow(i), now, ends); gap != ago || known != (ago > 0) {
				t.Errorf("at %d flow %d was seen %d ago (%v), want %d", now, i, gap, known, ago)
			}
		}
	}
	visit(100, false, 0)
	if s.used != n || len(s.rest) != n-ways {
		t.Errorf("%d flows are remembered, %d of them beside the table, want %d and %d", s.used, len(s.rest), n, n-ways)
	}
	visit(400, false, 300)
	s.grow()
	visit(600, false, 200)
	visit(700, true, 100)
	if s.used != 0 || len(s.rest) != 0 {
		t.Errorf("%d flows are remembered after all have ended", s.used)
	}
	visit(800, false, 0)
}

func TestIsBounded(t *testing.T) {
	s := New(1000)
	s.Mark(0, flowlog.MAC{1}, manyFlows(100_000, flowlog.Begin, 100))
	if len(s.table) != 256 || len(s.rest) != 24 || s.used != 256*ways+24 {
		t.Errorf("%d sets and %d flows beside them, %d flows in all; want 256 full ones and 24", len(s.table), len(s.rest), s.used)
	}
	// The youngest are the ones that stay.
	late := named("x")
	late.State, late.Time = flowlog.Begin, 5000
	s.Mark(0, flowlog.MAC{2}, []flowlog.Flow{late})
	late.State, late.Time = flowlog.End, 6000
	flows := []flowlog.Flow{late}
	s.Mark(0, flowlog.MAC{2}, flows)
	if flows[0].Start != 5000 {
		t.Errorf("the youngest flow starts at %d, want 5000", flows[0].Start)
	}
}

// TestAgainstAMap compares with an unbounded map over a long mix.
func TestAgainstAMap(t *testing.T) {
	s := New(1 << 16)
	last := map[int]int64{}
	x := uint64(1)
	var want, got []int64
	for i := range 200_000 {
		x = x*6364136223846793005 + 1442695040888963407
		id := int(x >> 33 % 500)
		state := flowlog.State(x>>50%3) + flowlog.Begin
		now := int64(1_000_000 + i)
		f := oneFlow(id, state, now)
		s.Mark(0, flowlog.MAC{3}, f)
		start := now
		if state != flowlog.Begin && last[id] != 0 {
			start = last[id]
		}
		last[id] = now
		if state == flowlog.End {
			last[id] = 0
		}
		want, got = append(want, start), append(got, f[0].Start)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("starts differ from those of a map")
	}
}

func TestMarkDoesNotAllocate(t *testing.T) {
	s := New(1 << 12)
	flows := manyFlows(500, flowlog.Continue, 100)
	if n := testing.AllocsPerRun(20, func() { s.Mark(0, flowlog.MAC{1}, flows) }); n != 0 {
		t.Errorf("500 flows take %v allocations, want none", n)
	}
}

func oneFlow(id int, state flowlog.State, time int64) []flowlog.Flow {
	f := flow()
	f.SourcePort, f.DestinationPort = uint16(id), uint16(id>>8)
	f.State, f.Time = state, time
	return []flowlog.Flow{f}
}

// TestSetIsACacheLine: the routines that ask for sets count on these numbers.
func TestSetIsACacheLine(t *testing.T) {
	if size := unsafe.Sizeof(set{}); size != 64 || askedAtOnce != 16 {
		t.Errorf("a set has %d bytes, and %d are asked for at once; prefetch_*.s wants 64 and 16", size, askedAtOnce)
	}
	s := New(1 << 20)
	var hashes [askedAtOnce]hash
	for i := range hashes {
		hashes[i] = ^hash(i)
	}
	prefetch(s.table, &hashes) // what is asked for must be in the table, but nobody can see that
}

// TestGrowsInPlace: large pages are never given back, so that there must not be more of
// them each time.
func TestGrowsInPlace(t *testing.T) {
	s := New(1 << 20)
	s.grow()
	first := &s.table[0]
	for range 2 {
		s.grow()
	}
	if &s.table[0] != first || len(s.table) != 8*firstSets {
		t.Errorf("the table has %d sets, and moved when it grew for the second time: %v", len(s.table), &s.table[0] != first)
	}
}
