package source_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/source"
	"flow2ipfix/source/sourcetest"
)

// TestGrowth: records arrive once each, in order, within a poll; and the hour turns.
func TestGrowth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var want []string
		two, three := sourcetest.Name(vnet, at(2, 0, 0), macA), sourcetest.Name(vnet, at(3, 0, 0), macA)
		r.put(two, head, foot)
		r.start()
		for i := range 43 {
			id := fmt.Sprint("2.", i)
			r.log(two, id)
			want = append(want, id)
			r.pass(time.Minute)
			if i == 10 {
				r.want("records by the minute", &r.got, want...)
				want = nil
			}
		}
		r.log(two, "2.last")
		r.until(at(3, 0, 20))
		r.log(two, "2.after") // as Azure does, behind its hour
		r.until(at(3, 1, 10))
		r.log(three, "3.0")
		r.until(at(3, 2, 10))
		r.log(two, "2.late") // not as Azure does
		r.until(at(3, 16, 0))
		r.want("records", &r.got, append(want, "2.last", "2.after", "3.0", "2.late")...)
		r.wantLow(vnet, time.Time{})
		r.until(at(3, 19, 0)) // its last change is as old as that
		r.wantLow(vnet, at(3, 0, 0))
		r.backend.Calls()
		r.pass(10 * time.Minute)
		if calls := r.backend.Calls(); calls["Open"] != 0 || calls["List"] < 18 || calls["List"] > 23 {
			t.Errorf("in 10 minutes with nothing new: %v, want about 20 lists", calls)
		}
		r.want("events", &r.events, "flow log found")
		if s := r.follow.Stats(); s.FlowLogs != 1 || s.Hours != 1 || s.Blobs != 1 || s.Undelivered != 0 || s.HoursFinished != 1 ||
			!s.OldestHour.Equal(at(3, 0, 0)) || !s.Newest.Equal(at(3, 2, 10)) {
			t.Errorf("stats %+v", s)
		}
		r.end()
	})
}

// TestBacklog: a day's hours are read in order at once, and are done once they are
// delivered.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var want, blobs []string
		for h := range 26 {
			if h == 7 || h == 8 {
				continue // a gap
			}
			hour := at(1, 0, 0).Add(time.Duration(h-25) * time.Hour)
			id := fmt.Sprint(h)
			name := sourcetest.Name(vnet, hour, macA)
			r.put(name, head, rec(id, hour.Add(time.Minute)), ","+rec(id+"+", hour.Add(2*time.Minute)), foot)
			r.backend.SetModified(name, hour.Add(time.Hour))
			want = append(want, id, id+"+")
			blobs = append(blobs, hour.Format("15/")+macA)
		}
		r.holding(true)
		r.start()
		r.want("records", &r.got, want...)
		r.want("reads", &r.blobs, blobs...)
		// The hours by folders, 24 that have blobs, and this one.
		r.wantCalls(map[string]int{"FlowLogs": 1, "Hours": 1, "List": 25, "Open": 24})
		r.wantLow(vnet, time.Time{})
		r.pass(time.Minute)
		r.wantLow(vnet, time.Time{})
		// What is over is not listed again.
		if calls := r.backend.Calls(); calls["List"] > 3 || calls["Open"] != 0 {
			t.Errorf("while nothing is delivered: %v", calls)
		}
		r.deliver()
		r.pass(time.Minute)
		r.wantLow(vnet, at(2, 0, 0))
		r.want("events", &r.events, "flow log found")
		r.end()
	})
}

// TestLate: a blob that comes into being behind its hour, within the grace.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(sourcetest.Name(vnet, at(2, 0, 0), macA), "a")
		r.start()
		r.until(at(3, 14, 0))
		r.log(sourcetest.Name(vnet, at(2, 0, 0), macB), "b")
		r.until(at(3, 28, 0))
		r.want("records", &r.got, "a", "b")
		r.want("events", &r.events, "flow log found")
		r.log(sourcetest.Name(vnet, at(2, 0, 0), macB), "c") // later than the grace, but not unseen
		r.until(at(3, 42, 0))
		r.want("records", &r.got, "c")
		r.want("events", &r.events, "blob late 02/"+macB)
		r.wantLow(vnet, time.Time{})
		r.until(at(3, 45, 0))
		r.wantLow(vnet, at(3, 0, 0))
		r.end()
	})
}

// TestStart: what is older than the start is left out or not asked for, also at
// the next run.
func TestStart(t *testing.T) {
	for name, tc := range map[string]struct {
		start      time.Time
		want, left []string
		lists      int
	}{
		"now":      {at(2, 0, 30), nil, []string{"2: before start"}, 1},
		"earlier":  {at(1, 30, 0), []string{"2", "1+"}, []string{"1: before start"}, 2},
		"earliest": {time.Time{}, []string{"2", "0", "1", "1+"}, nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.until(at(2, 20, 0))
				r.put(sourcetest.Name(vnet, at(0, 0, 0), macA), head, rec("0", at(0, 10, 0)), foot)
				r.put(sourcetest.Name(vnet, at(1, 0, 0), macA), head, rec("1", at(1, 30, 0)), ","+rec("1+", at(1, 30, 1)), foot)
				r.put(sourcetest.Name(vnet, at(2, 0, 0), macA), head, rec("2", at(2, 0, 20)), foot)
				r.cfg.Start = tc.start
				r.start()
				r.want("records", &r.got, tc.want...)
				r.want("left out", &r.left, tc.left...)
				r.wantCalls(map[string]int{"FlowLogs": 1, "Hours": 1, "List": tc.lists, "Open": tc.lists})
				r.log(sourcetest.Name(vnet, at(2, 0, 0), macA), "new")
				r.end()
				r.cfg.Start = at(5, 0, 0) // it is too late to say that
				r.start()
				r.want("records of the second run", &r.got, "new")
				r.want("left out in the second run", &r.left)
				r.end()
			})
		})
	}
}

// TestRestart: what was not delivered comes again, what was does not.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		a, b, old := sourcetest.Name(vnet, at(2, 0, 0), macA), sourcetest.Name(vnet, at(2, 0, 0), macB), sourcetest.Name(vnet, at(1, 0, 0), macA)
		r.log(old, "old")
		r.log(a, "a1")
		r.log(b, "b1")
		r.start()
		r.wantSet("records", &r.got, "old", "a1", "b1")
		r.pass(time.Minute)
		r.holding(true)
		r.log(a, "a2")
		r.log(a, "a3")
		r.pass(time.Minute)
		r.want("records", &r.got, "a2", "a3")
		r.log(b, "b2")
		r.end()
		r.holding(false)
		r.start()
		r.wantSet("records of the second run", &r.got, "a2", "a3", "b2")
		r.until(at(3, 20, 0))
		r.wantLow(vnet, at(3, 0, 0))
		r.end()
		r.backend.Calls()
		r.start()
		r.want("records of the third run", &r.got)
		r.wantCalls(map[string]int{"FlowLogs": 1, "Hours": 1, "List": 1}) // what is done is not asked for
		r.want("events", &r.events, "flow log found", "flow log found", "flow log found")
		r.end()
	})
}

// TestRestartAlways ends and starts at each of many moments; nothing is lost, and
// nothing comes twice that was delivered.
func TestRestartAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var all []string
		for i := range 120 {
			now := time.Now()
			for j, mac := range []string{macA, macB} {
				id := fmt.Sprintf("%d.%d", i, j)
				all = append(all, id)
				r.log(sourcetest.Name(vnet, now, mac), id)
			}
			hold := i%5 == 3 // the next end loses what these were
			r.holding(hold)
			r.start()
			r.pass(time.Duration(i%4) * 20 * time.Second)
			if hold {
				r.mu.Lock()
				lost := len(r.held) // each of one record
				r.got = r.got[:len(r.got)-lost]
				r.mu.Unlock()
			}
			r.end()
			r.until(now.Add(time.Minute))
		}
		r.holding(false)
		r.start()
		r.wantSet("records", &r.got, all...)
		r.end()
	})
}

// TestFilter: flow logs and MACs that are not wanted cost nothing but being listed.
func TestFilter(t *testing.T) {
	for _, tc := range []struct {
		name             string
		include, exclude []string
		want             []string
		lists            int
	}{
		{"all", nil, nil, []string{"na", "nb", "va", "vb"}, 2},
		{"a flow log", []string{"*/networksecuritygroups/w?b"}, nil, []string{"na", "nb"}, 1},
		{"not a flow log", nil, []string{"*hub-*"}, []string{"na", "nb"}, 1},
		{"a MAC", []string{"00-0d-3a-*"}, nil, []string{"na", "va"}, 2},
		{"not a MAC", nil, []string{"000d3a123456"}, []string{"nb", "vb"}, 2},
		{"either", []string{"*WEB", "000D3A*"}, nil, []string{"na", "nb", "va"}, 2},
		{"both", []string{"*WEB"}, []string{"0022*"}, []string{"na"}, 1},
		{"a part is not the whole", []string{"WEB"}, nil, nil, 0},
		{"dots and brackets are themselves", []string{"*MICROSOFT?NETWORK*"}, []string{"*[A-Z]*", "*(*", "MICROSOFT.NETWORK"}, []string{"na", "nb"}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				for name, flowLog := range map[string]string{"n": nsg, "v": vnet} {
					r.log(sourcetest.Name(flowLog, at(2, 0, 0), macA), name+"a")
					r.log(sourcetest.Name(flowLog, at(2, 0, 0), macB), name+"b")
				}
				r.cfg.Include, r.cfg.Exclude = tc.include, tc.exclude
				r.until(at(2, 20, 0))
				r.cfg.Start = time.Now().Add(-20 * time.Minute)
				r.start()
				r.wantSet("records", &r.got, tc.want...)
				if calls := r.backend.Calls(); calls["List"] != tc.lists || calls["Open"] != len(tc.want) {
					t.Errorf("requests %v, want %d lists", calls, tc.lists)
				}
				r.end()
			})
		})
	}
	for name, cfg := range map[string]source.FollowerConfig{
		"empty glob":    {Name: "x", Backend: new(sourcetest.Memory), State: newMemory(), Include: []string{""}},
		"no backend":    {Name: "x", State: newMemory()},
		"negative poll": {Name: "x", Backend: new(sourcetest.Memory), State: newMemory(), PollInterval: -1},
	} {
		if _, err := source.NewFollower(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestRequests holds how much one poll costs.
func TestRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flowLogs, nics = 50, 200
		r := newRig(t)
		r.until(at(2, 57, 0))
		var names []string
		for i := range flowLogs {
			for j := range nics {
				names = append(names, sourcetest.Name(fmt.Sprint(nsg, i), at(2, 0, 0), fmt.Sprintf("000D3A%06X", i*nics+j)))
			}
		}
		for _, name := range names {
			r.put(name, head, rec(name[len(name)-30:], time.Now()), foot)
		}
		r.start()
		r.wantCalls(map[string]int{"FlowLogs": 1, "Hours": flowLogs, "List": flowLogs, "Open": flowLogs * nics})
		if n := len(take(r, &r.got)); n != flowLogs*nics {
			t.Errorf("%d records, want %d", n, flowLogs*nics)
		}
		if r.most != 4 {
			t.Errorf("%d blobs were read at once, want 4", r.most)
		}
		r.pass(34 * time.Second) // a poll each, and no second one
		r.wantCalls(map[string]int{"List": flowLogs})
		for i := range 7 { // a NIC each of seven
			r.log(names[i*nics], fmt.Sprint(i))
		}
		r.pass(33 * time.Second)
		r.wantCalls(map[string]int{"List": flowLogs, "Open": 7})
		r.wantSet("records", &r.got, "0", "1", "2", "3", "4", "5", "6")
		r.until(at(3, 1, 0)) // two hours are open
		r.backend.Calls()
		r.pass(3 * time.Minute)
		calls := r.backend.Calls()
		if calls["Open"] != 0 || calls["Hours"] != 0 || calls["FlowLogs"] > 1 || calls["List"] > 2*7*flowLogs {
			t.Errorf("in three minutes with two open hours and nothing new: %v", calls)
		}
		r.end()
	})
}

// TestJitter: flow logs do not ask in step for long.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.put(sourcetest.Name(vnet, at(2, 0, 0), macA), head, foot)
		var times []time.Time
		r.backend.Before(onMethod("List", func() error {
			times = append(times, time.Now())
			return nil
		}))
		r.start()
		r.pass(20 * time.Minute)
		r.end()
		var gaps []time.Duration
		for i := range len(times) - 1 {
			gaps = append(gaps, times[i+1].Sub(times[i]))
		}
		if slices.Min(gaps) < 27*time.Second || slices.Max(gaps) > 33*time.Second || slices.Max(gaps)-slices.Min(gaps) < time.Second {
			t.Errorf("polls after %v", gaps)
		}
	})
}
