package bridge

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/source"
	"flow2ipfix/source/sourcetest"
	"flow2ipfix/templates"
)

// kept is a store that a Follower begins from.
type kept struct {
	memory
	low time.Time
}

func (k *kept) Begin(_ string, at time.Time) (time.Time, error) { return at, nil }

func (k *kept) LowWater(string, string) (time.Time, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.low, nil
}

func (k *kept) Cursors(string, string) (map[string]source.Cursor, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.cursors), nil
}

func (k *kept) Finish(_, _ string, hour time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.low = hour
	maps.DeleteFunc(k.cursors, func(name string, _ source.Cursor) bool {
		path, _ := source.ParsePath(name)
		return path.Hour.Before(hour)
	})
	return nil
}

func (k *kept) Forget(string, string) error { return nil }

// paced is a collector that gets 1000 records a second.
type paced struct {
	*away
	n int

	seen   sync.Mutex
	left   map[int64]time.Time // when the last record that ends then left, by ms
	times  map[int64]int       // how many did
	starts map[int64]int64     // of the long flow, by its end
}

const (
	pacedRate = 1000
	longPort  = 7777
)

func (p *paced) Export(ctx context.Context, domain uint32, r *templates.Record) error {
	if p.n++; p.n%(pacedRate/10) == 0 {
		time.Sleep(time.Second / 10)
	}
	p.seen.Lock()
	defer p.seen.Unlock()
	if r.SourcePort == longPort {
		p.starts[r.End] = r.Start
	} else {
		p.left[r.End] = time.Now()
		p.times[r.End]++
	}
	return p.away.Export(ctx, domain, r)
}

// TestServiceBacklog: while two hours are caught up with, what is logged now leaves
// within three polls; nothing is lost or comes twice; and a flow that lasts all the
// time begins each time where it was last seen, as if the hours came one by one.
func TestServiceBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			perMinute = 100 // flows, of two records
			hours     = 2
			within    = 90 * time.Second
		)
		backend, state := new(sourcetest.Memory), new(kept)
		begin := start
		time.Sleep(time.Until(begin)) // the bubble's clock begins in 2000
		minutes := 0
		grow := func(flows int) {
			at := begin.Add(time.Duration(minutes) * time.Minute)
			var tuples []string
			for i := range flows {
				tuples = append(tuples, fmt.Sprintf(`"%d,10.0.0.6,192.0.2.180,%d,443,6,O,E,NX,3,767,2,1580"`, at.UnixMilli(), 10_000+i))
			}
			if minutes%5 == 0 {
				tuples = append(tuples, fmt.Sprintf(`"%d,10.0.0.6,192.0.2.180,%d,443,6,O,C,NX,3,767,0,0"`, at.UnixMilli(), longPort))
			}
			text := fmt.Sprintf(strings.Replace(record, "2022-09-14T09:00:52Z", at.UTC().Format(time.RFC3339), 1), strings.Join(tuples, ","))
			name := sourcetest.Name("c/flow", at, "00224871C205")
			if backend.Append(t.Context(), name, ","+text) != nil {
				if err := backend.Put(t.Context(), name, sourcetest.Head, text, sourcetest.Foot); err != nil {
					t.Fatal(err)
				}
			}
			minutes++
		}
		for range hours*60 + 5 {
			grow(20 * perMinute)
		}
		time.Sleep(time.Until(begin.Add(time.Duration(minutes) * time.Minute)))
		f, err := source.NewFollower(source.FollowerConfig{Name: "x", Backend: backend, State: state, Start: begin.Add(-time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		c := &paced{away: newAway(), left: map[int64]time.Time{}, times: map[int64]int{}, starts: map[int64]int64{}}
		current := begin.Add(hours * time.Hour)
		from := begin.Add(time.Duration(minutes+2) * time.Minute) // what came before is read by then
		if err := service(t, ServiceConfig{Sources: []Follower{f}, Store: state, Lanes: []ServiceLane{{Name: "one", Stream: c}}}, func(*Service) {
			caughtUp := 0
			for minutes < (hours+1)*60 {
				grow(perMinute)
				time.Sleep(time.Minute)
				c.seen.Lock()
				if _, ok := c.left[current.Add(-time.Minute).UnixMilli()]; !ok {
					caughtUp = minutes
				}
				c.seen.Unlock()
			}
			if caughtUp < minutes-50 || caughtUp > minutes-40 {
				t.Errorf("the backlog is read in the minute %d of %d", caughtUp, minutes)
			}
			time.Sleep(2 * time.Minute)
		}); err != nil {
			t.Fatal(err)
		}
		for m := range minutes {
			at := begin.Add(time.Duration(m) * time.Minute)
			want := 2 * perMinute
			if m < hours*60+5 {
				want *= 20
			}
			if n := c.times[at.UnixMilli()]; n != want {
				t.Errorf("%d records of minute %d left, want %d", n, m, want)
			}
			if took := c.left[at.UnixMilli()].Sub(at); !at.Before(from) && took > within {
				t.Errorf("minute %d took %v", m, took)
			}
			start, first := c.starts[at.UnixMilli()], m == 0 || at.Equal(current)
			if m%5 == 0 && !first && start != at.Add(-5*time.Minute).UnixMilli() {
				t.Errorf("in minute %d the long flow began at %v", m, time.UnixMilli(start).Sub(begin))
			}
		}
		if !state.low.Equal(current) {
			t.Errorf("the low-water mark is %v, want %v", state.low, current)
		}
		if calls := backend.Calls(); calls["Open"] > 1500 {
			t.Errorf("requests %v", calls)
		}
	})
}
