package daemon

import (
	"slices"
	"strings"
	"testing"
	"time"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// TestVerdict judges the judge: one that never complains is worth nothing.
func TestVerdict(t *testing.T) {
	t.Parallel()
	lines, err := MakeLogs(t.TempDir(), bothKinds(time.Now(), 4, 20, 10)...)
	if err != nil {
		t.Fatal(err)
	}
	flows := mustExpect(t, lines)
	begin := time.Now()
	clean := func() []peers.Arrival {
		var all []peers.Arrival
		for i, f := range flows {
			f.Ingress, f.Egress = f.Ingress*7, f.Egress*7 // numbered otherwise
			all = append(all, peers.Arrival{At: begin.Add(time.Duration(i) * time.Millisecond), Flow: f})
		}
		return all
	}
	last := begin.Add(time.Duration(len(flows)) * time.Millisecond)
	again := func(i int, at time.Time) func([]peers.Arrival) []peers.Arrival {
		return func(a []peers.Arrival) []peers.Arrival { return append(a, peers.Arrival{At: at, Flow: a[i].Flow}) }
	}
	goesOn := func(a peers.Arrival) bool { return a.Flow.Start < a.Flow.End && a.Flow.Egress > 0 }
	changed := clean()[slices.IndexFunc(clean(), goesOn)].Flow
	change := func(what func(*expect.Flow)) func([]peers.Arrival) []peers.Arrival {
		return func(a []peers.Arrival) []peers.Arrival {
			what(&a[slices.IndexFunc(a, goesOn)].Flow)
			return a
		}
	}
	for _, tc := range []struct {
		name           string
		spoil          func([]peers.Arrival) []peers.Arrival
		forgets, loose bool
		turn           int64
		moments        []time.Time
		says           string
	}{
		{name: "nothing", spoil: func(a []peers.Arrival) []peers.Arrival { return a }},
		{name: "another order", spoil: func(a []peers.Arrival) []peers.Arrival { slices.Reverse(a); return a }},
		{name: "one is missing", spoil: func(a []peers.Arrival) []peers.Arrival { return a[1:] }, says: "1 of "},
		{name: "other bytes", spoil: change(func(f *expect.Flow) { f.Bytes++ }), says: "1 came that should not"},
		{name: "another start", spoil: change(func(f *expect.Flow) { f.Start++ }), says: "it may start at"},
		{name: "another start, not judged", spoil: change(func(f *expect.Flow) { f.Start++ }), loose: true},
		{name: "start forgotten", spoil: change(func(f *expect.Flow) { f.Start = f.End }), forgets: true},
		{name: "start forgotten by nobody", spoil: change(func(f *expect.Flow) { f.Start = f.End }), says: "it may start at"},
		{name: "start forgotten at the turn", spoil: change(func(f *expect.Flow) { f.Start = f.End }), turn: changed.End},
		{name: "another start at the turn", spoil: change(func(f *expect.Flow) { f.Start++ }), turn: changed.End, says: "it may start at"},
		{name: "start forgotten behind the turn", spoil: change(func(f *expect.Flow) { f.Start = f.End }), turn: changed.Start, says: "it may start at"},
		{name: "another interface", spoil: change(func(f *expect.Flow) { f.Egress++ }), says: "an interface has index"},
		{name: "again", spoil: again(len(flows)-1, last), says: "1 records came again that were not in flight"},
		{name: "again after a moment", spoil: again(len(flows)-1, last.Add(time.Second)), moments: []time.Time{last}},
		{name: "again, in flight for too long", spoil: again(len(flows)-1, last.Add(4*time.Second)), moments: []time.Time{last.Add(3 * time.Second)}, says: "1 records came again"},
		{name: "again before a moment", spoil: again(0, last), moments: []time.Time{last.Add(time.Second)}, says: "1 records came again"},
	} {
		v := judge(t, nowhere{}, lines)
		v.forgets, v.loose = tc.forgets, tc.loose
		if tc.turn > 0 {
			v.turn = time.UnixMilli(tc.turn)
		}
		v.take(tc.spoil(clean()))
		problems, _ := v.problems(2*time.Second, tc.moments)
		if all := strings.Join(problems, "\n"); tc.says == "" && all != "" || !strings.Contains(all, tc.says) {
			t.Errorf("%s: problems %q, want %q", tc.name, all, tc.says)
		}
	}
}

// nowhere is a receiver that only has a URL.
type nowhere struct{ Receiver }

func (nowhere) URL() string { return "udp://nowhere" }
