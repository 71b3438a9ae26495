package daemon

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// Verdict is what came of what should come, and what else.
type Verdict struct {
	t        *testing.T
	receiver Receiver
	// forgets says that the daemon was started again, which makes it forget when
	// flows began: such a flow's start is its end then.
	forgets bool
	// turn is the hour before which there is a backlog, which is read beside it: where
	// a flow that goes on began its first tuple of the hour is not known then, and its
	// start is its end. Zero if there is none.
	turn time.Time
	// loose says that blobs are read in an order that the oracle cannot know, so
	// that the start of a flow that goes on may be another: it is not judged.
	loose bool

	want     map[expect.Flow]*tally
	missing  int // records that should come and did not
	expected int

	arrived    int
	foreign    []expect.Flow // what should not come at all
	duplicates []duplicate
	// theirs and ours tell which interface index of the oracle's is which of
	// the daemon's: it may number them in any order, but not change its mind.
	theirs map[uint32]uint32
	ours   map[uint32]uint32
	mixed  []string
}

// tally is what is known of records that look alike.
type tally struct {
	starts map[int64]bool // when they may begin
	index  uint32
	count  int
	came   []time.Time
}

// duplicate is a record that came though all of its kind had come.
type duplicate struct {
	flow         expect.Flow
	first, again time.Time
}

// judge expects what lines say at a receiver.
func judge(t *testing.T, r Receiver, lines []Line) *Verdict {
	t.Helper()
	v := &Verdict{t: t, receiver: r, want: map[expect.Flow]*tally{}, theirs: map[uint32]uint32{}, ours: map[uint32]uint32{}}
	v.expect(lines)
	return v
}

// expect adds what lines say, and is told of all lines so far each time.
func (v *Verdict) expect(lines []Line) {
	v.t.Helper()
	flows, err := Expected(lines)
	if err != nil {
		v.t.Fatal(err)
	}
	v.expected, v.missing = len(flows), 0
	for _, known := range v.want {
		known.count = 0
	}
	for _, f := range flows {
		key := keyOf(f)
		known := v.want[key]
		if known == nil {
			known = &tally{starts: map[int64]bool{}, index: f.Ingress + f.Egress}
			v.want[key] = known
		}
		known.count++
		known.starts[f.Start] = true
	}
	for _, known := range v.want {
		v.missing += max(0, known.count-len(known.came))
	}
}

// keyOf leaves out what the daemon may see otherwise than the oracle.
func keyOf(f expect.Flow) expect.Flow {
	f.Start, f.Ingress, f.Egress = 0, 0, 0
	return f
}

// look takes what has come meanwhile.
func (v *Verdict) look() {
	v.t.Helper()
	v.take(v.receiver.take())
}

func (v *Verdict) take(arrivals []peers.Arrival) {
	for _, a := range arrivals {
		v.arrived++
		known := v.want[keyOf(a.Flow)]
		if known == nil || !v.mayStart(known, &a.Flow) {
			v.foreign = append(v.foreign, a.Flow)
			continue
		}
		v.index(known.index, a.Flow)
		known.came = append(known.came, a.At)
		if len(known.came) <= known.count {
			v.missing--
		} else {
			v.duplicates = append(v.duplicates, duplicate{a.Flow, known.came[len(known.came)-2], a.At})
		}
	}
}

// mayStart says whether a record has a start that it may have.
func (v *Verdict) mayStart(known *tally, f *expect.Flow) bool {
	switch {
	case known.starts[f.Start]:
		return true
	case v.loose:
		return f.Start <= f.End && f.End-f.Start <= time.Hour.Milliseconds()
	}
	return f.Start == f.End && (v.forgets || v.turnsAt(known, f))
}

// turnsAt says whether a record is one of a flow's first tuple behind the turn: in a
// minute's log at that time, with a start before it.
func (v *Verdict) turnsAt(known *tally, f *expect.Flow) bool {
	if v.turn.IsZero() || f.End < v.turn.Add(-time.Minute).UnixMilli() {
		return false
	}
	for start := range known.starts {
		if start >= v.turn.UnixMilli() {
			return false
		}
	}
	return true
}

// index checks that an interface keeps its index, and shares it with none.
func (v *Verdict) index(ours uint32, f expect.Flow) {
	theirs := f.Ingress + f.Egress // one of them is 0
	if a, ok := v.theirs[ours]; ok && a != theirs {
		v.mixed = append(v.mixed, fmt.Sprintf("an interface has index %d and %d: %v", a, theirs, f))
	}
	if b, ok := v.ours[theirs]; ok && b != ours {
		v.mixed = append(v.mixed, fmt.Sprintf("two interfaces have index %d: %v", theirs, f))
	}
	v.theirs[ours], v.ours[theirs] = theirs, ours
}

// stall is how long nothing may come while something is missing, if nothing else
// is said.
const stall = 45 * time.Second

// wait waits until all has come. It gives up when nothing more came for a while.
func (v *Verdict) wait(s *Service) {
	v.t.Helper()
	v.waitFor(s, stall, 0)
}

// waitFor waits until no more than so many records are missing.
func (v *Verdict) waitFor(s *Service, patience time.Duration, missing int) {
	v.t.Helper()
	for before := -1; ; {
		if before = v.missing; before <= missing {
			return
		}
		err := peers.Within(patience, fmt.Sprintf("%d of %d records at %s", v.expected-v.missing, v.expected, v.receiver.URL()), func() (bool, error) {
			v.look()
			return v.missing < before, s.alive()
		})
		if err != nil {
			v.t.Fatalf("%v\n%s", err, v.describe())
		}
	}
}

// settle waits until all has come, or nothing more does.
func (v *Verdict) settle(s *Service, patience time.Duration) {
	v.t.Helper()
	for before := -1; v.missing > 0 && v.missing != before; {
		before = v.missing
		err := peers.Within(patience, "more", func() (bool, error) {
			v.look()
			return v.missing < before, s.alive()
		})
		if aliveErr := s.alive(); aliveErr != nil {
			v.t.Fatal(err)
		}
	}
}

// finish ends the receiver and judges. Every record came as often as it should,
// and no other; it came again only if it had come at most window before one of
// the moments, or none if there are none.
func (v *Verdict) finish(window time.Duration, moments ...time.Time) {
	v.t.Helper()
	v.receiver.finish(len(moments) == 0 && !v.forgets)
	v.look()
	problems, longest := v.problems(window, moments)
	for _, p := range problems {
		v.t.Error(p)
	}
	v.t.Logf("%s: %d records expected, %d came, %d of them again", v.receiver.URL(), v.expected, v.arrived, len(v.duplicates))
	if len(v.duplicates) > 0 {
		v.t.Logf("they had come up to %.1f s before; after each of the moments came again: %v", longest.Seconds(), v.repeats(moments))
	}
}

// repeats counts what came again after each of the moments.
func (v *Verdict) repeats(moments []time.Time) []int {
	counts := make([]int, len(moments))
	for _, d := range v.duplicates {
		for i := len(moments) - 1; i >= 0; i-- {
			if d.again.After(moments[i]) {
				counts[i]++
				break
			}
		}
	}
	return counts
}

// problems says what is wrong with what came, and how long before one of the
// moments the oldest record had come that came again after it.
func (v *Verdict) problems(window time.Duration, moments []time.Time) (all []string, longest time.Duration) {
	if v.missing > 0 || len(v.foreign) > 0 {
		all = append(all, v.describe())
	}
	all = append(all, v.mixed[:min(3, len(v.mixed))]...)
	bad := 0
	for _, d := range v.duplicates {
		// Of the moments between the two, the first one is the nearest to it.
		i := slices.IndexFunc(moments, func(m time.Time) bool { return d.first.Before(m.Add(slack)) && d.again.After(m) })
		if i >= 0 && moments[i].Sub(d.first) <= window {
			longest = max(longest, moments[i].Sub(d.first))
			continue
		}
		if bad++; bad <= 3 {
			all = append(all, fmt.Sprintf("came at %s and again at %s: %v", d.first.Format(clock), d.again.Format(clock), d.flow))
		}
	}
	if bad > 0 {
		all = append(all, fmt.Sprintf("%d records came again that were not in flight", bad))
	}
	return all, longest
}

const clock = "15:04:05.000"

// slack is how much later than it happened a collector may see what happened.
const slack = 500 * time.Millisecond

// describe says what is missing and what should not have come.
func (v *Verdict) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d of %d records are missing, %d came that should not, %d came again",
		v.receiver.URL(), v.missing, v.expected, len(v.foreign), len(v.duplicates))
	var missing []expect.Flow
	for f, known := range v.want {
		if len(known.came) < known.count {
			missing = append(missing, f)
		}
	}
	slices.SortFunc(missing, func(a, b expect.Flow) int { return cmp.Compare(a.End, b.End) })
	for _, f := range missing[:min(3, len(missing))] {
		fmt.Fprintf(&b, "\n  missing    %v", f)
	}
	for _, f := range v.foreign[:min(3, len(v.foreign))] {
		fmt.Fprintf(&b, "\n  unexpected %v", f)
		if known := v.want[keyOf(f)]; known != nil {
			fmt.Fprintf(&b, "; it may start at %v", known.starts)
		}
	}
	return b.String()
}

// expectLast waits until all that some lines say has come, whatever else has.
func (v *Verdict) expectLast(lines []Line) {
	v.t.Helper()
	flows := mustExpect(v.t, lines)
	left := func() (left []expect.Flow) {
		v.look()
		for _, f := range flows {
			if known := v.want[keyOf(f)]; known == nil || len(known.came) == 0 {
				left = append(left, f)
			}
		}
		return left
	}
	err := peers.Within(stall, fmt.Sprintf("the last %d records at %s", len(flows), v.receiver.URL()), func() (bool, error) { return len(left()) == 0, nil })
	if err != nil {
		missing := left()
		v.t.Fatalf("%v: %d of them are missing, the first is %v\n%s", err, len(missing), missing[0], v.describe())
	}
}

// renumbered says that the daemon has forgotten the interfaces' indexes.
func (v *Verdict) renumbered() {
	v.look()
	clear(v.theirs)
	clear(v.ours)
}

// waitDuplicates waits until so many records have come again.
func (v *Verdict) waitDuplicates(s *Service, count int) {
	v.t.Helper()
	err := peers.Within(stall, fmt.Sprintf("%d records come again to %s", count, v.receiver.URL()), func() (bool, error) {
		v.look()
		return len(v.duplicates) >= count, s.alive()
	})
	if err != nil {
		v.t.Fatalf("%v\n%s", err, v.describe())
	}
}

// mustExpect is Expected in a test.
func mustExpect(t *testing.T, lines []Line) []expect.Flow {
	t.Helper()
	flows, err := Expected(lines)
	if err != nil {
		t.Fatal(err)
	}
	return flows
}
