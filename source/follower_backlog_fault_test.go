package source_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/source"
	"flow2ipfix/source/sourcetest"
)

func nic(i int) string { return fmt.Sprintf("00224871%04d", i) }

// TestBacklogBesideMany: so many interfaces that to look at each takes longer than
// the time between two polls, always, keep neither a backlog waiting nor the ends of
// hours.
func TestBacklogBesideMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.cfg.Start = at(0, 0, 0)
		old := sourcetest.Name(vnet, at(1, 0, 0), macA)
		r.put(old, head, rec("old", at(1, 30, 0)), foot)
		r.backend.SetModified(old, at(1, 59, 0))
		r.Read = func(context.Context, *source.Delta) error {
			time.Sleep(time.Second)
			return nil
		}
		for m := range 75 {
			for i := range 600 { // 4 readers take 150 s for them
				r.log(sourcetest.Name(vnet, time.Now(), nic(i)), fmt.Sprintf("%d/%d", m, i))
			}
			if m == 0 {
				r.start()
			}
			r.pass(time.Minute)
		}
		r.mu.Lock()
		if !slices.Contains(r.got, "old") {
			t.Error("the backlog was not read")
		}
		r.mu.Unlock()
		r.wantLow(vnet, at(3, 0, 0))
		r.end()
	})
}

// TestBacklogFails: hours whose blobs all fail, and take their time for that, do not
// keep later ones waiting for as long as they are there: blobs may be archived.
func TestBacklogFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.cfg.Start = at(2, 0, 0).Add(-10 * time.Hour)
		archived := at(2, 0, 0).Add(-3 * time.Hour)
		var want []string
		for h := 1; h <= 5; h++ {
			hour := at(2, 0, 0).Add(-time.Duration(h) * time.Hour)
			for i := range 1000 {
				r.put(sourcetest.Name(vnet, hour, nic(i)), head, rec(fmt.Sprint(h, " ", i), hour), foot)
			}
			if hour.After(archived) {
				for i := range 1000 {
					want = append(want, fmt.Sprint(h, " ", i))
				}
			}
		}
		r.Read = func(_ context.Context, d *source.Delta) error {
			time.Sleep(500 * time.Millisecond)
			if !d.Path.Hour.After(archived) {
				return errAway
			}
			return nil
		}
		r.start()
		r.pass(2 * time.Hour)
		r.wantSet("records", &r.got, want...)
		r.wantLow(vnet, time.Time{})
		r.end()
	})
}

// TestBacklogAway: an account that goes away while a backlog is read is an event, not
// one for each hour that is yet to come.
func TestBacklogAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.cfg.Start = at(2, 0, 0).Add(-100 * time.Hour)
		for h := range 100 {
			hour := at(2, 0, 0).Add(-time.Duration(h) * time.Hour)
			r.put(sourcetest.Name(vnet, hour, macA), head, rec(fmt.Sprint(h), hour), foot)
		}
		r.Read = func(context.Context, *source.Delta) error {
			time.Sleep(5 * time.Second)
			return nil
		}
		r.start()
		r.pass(47 * time.Second)
		r.want("events", &r.events, "flow log found")
		r.backend.Before(func(context.Context, string, string) error { return errAway })
		r.pass(10 * time.Minute)
		r.backend.Before(nil)
		r.pass(20 * time.Minute)
		failed, recovered := 0, 0
		for _, e := range take(r, &r.events) {
			if strings.HasPrefix(e, "list failed") {
				failed++
			}
			if strings.HasPrefix(e, "list recovered") {
				recovered++
			}
		}
		if failed < 3 || failed > 12 || recovered < 1 || recovered > 6 {
			t.Errorf("%d times failed, %d recovered", failed, recovered)
		}
		if got := len(take(r, &r.got)); got != 100 {
			t.Errorf("%d records", got)
		}
		r.end()
	})
}

// TestHoursFail: what is listed is read while nobody says which hours there are, and
// that is asked less and less often.
func TestHoursFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(newRig(t), 500*time.Millisecond)
		c.reader, c.lagging = c.read, true
		l := &load{c: c, minute: map[string]int{vnet: 10}, logged: map[string]time.Time{}}
		c.start()
		l.run(3)
		c.away.Store(true)
		l.run(26 * 60)
		c.backend.Before(onMethod("Hours", func() error { return errAway }))
		c.backend.Calls()
		take(c.rig, &c.events)
		before := len(c.sent)
		c.away.Store(false)
		c.pass(15 * time.Minute)
		if calls := c.backend.Calls(); calls["Hours"] < 3 || calls["Hours"] > 9 {
			t.Errorf("requests %v", calls)
		}
		if events := take(c.rig, &c.events); len(events) > 9 {
			t.Errorf("%d events, the last one is %q", len(events), events[len(events)-1])
		}
		if got := len(c.sent) - before; got < 500 {
			t.Errorf("%d records left", got)
		}
		c.backend.Before(nil)
		c.pass(24 * time.Hour)
		if n := l.waiting(vnet, time.Now()); n > 0 {
			t.Errorf("%d records wait", n)
		}
		c.end()
	})
}
