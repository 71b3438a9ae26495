package bridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/source"
)

func TestServiceDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records = 3000
		f := newFeed(recordsOf("a", records), recordsOf("b", records), recordsOf("c", 1))
		one, two, store := newAway(), newAway(), &memory{}
		if err := service(t, ServiceConfig{
			Sources: []Follower{f}, Store: store,
			Lanes: []ServiceLane{{Name: "one", Stream: one}, {Name: "two", Stream: two, BestEffort: true}},
		}, func(*Service) {
			time.Sleep(5 * time.Second)
			if !f.isDelivered() {
				t.Error("not all is delivered")
			}
		}); err != nil {
			t.Fatal(err)
		}
		if want := (2*records + 1) * 4; one.records != want {
			t.Errorf("%d records were exported, want %d", one.records, want)
		}
		for flow, n := range one.flows {
			want := 2 // in a and in b
			if strings.Contains(flow, ":1024") {
				want = 3
			}
			if n != want {
				t.Fatalf("flow %s came %d times, want %d", flow, n, want)
			}
		}
		want := map[string]int64{}
		for blob, c := range f.read {
			want[blob] = c.Offset
		}
		if diff := cmp.Diff(want, store.offsets()); diff != "" {
			t.Errorf("kept (-read +kept):\n%s", diff)
		}
		for blob, c := range store.cursors {
			if c.ETag != "v1 of "+blob {
				t.Errorf("%s: the kept cursor has ETag %q", blob, c.ETag)
			}
		}
		if c := store.cursors["a"]; len(c.Tail) != source.TailBytes || !strings.HasSuffix(record, string(c.Tail[len(c.Tail)-7:])) {
			t.Errorf("cursor %+v", c)
		}
		if !one.closed || !two.closed {
			t.Error("streams are not closed")
		}
	})
}

// TestServiceKeepsOnlyWhatIsDelivered: nothing is kept while the collector has
// not got it, and all is when it has.
func TestServiceKeepsOnlyWhatIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(recordsOf("a", 10))
		c, store := newAway(), &memory{}
		c.late = true
		if err := service(t, ServiceConfig{Sources: []Follower{f}, Store: store, Lanes: []ServiceLane{{Name: "one", Stream: c}}}, func(*Service) {
			time.Sleep(time.Minute)
			if got := c.count(); got != 40 {
				t.Errorf("%d records were sent, want 40", got)
			}
			if got := store.offsets(); len(got) != 0 || len(f.delivered) != 0 {
				t.Errorf("kept before it was delivered: %v", got)
			}
			c.set(func() { c.late = false })
			time.Sleep(2 * commitEvery)
			if !f.isDelivered() {
				t.Error("not delivered")
			}
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestServiceHoldsOn: a collector that takes nothing stops the reading, and a
// best-effort one does not.
func TestServiceHoldsOn(t *testing.T) {
	const records = 20_000 // 40 000 tuples, many batches
	for _, tc := range []struct {
		name     string
		required bool // is stuck
	}{{"required", true}, {"best-effort", false}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFeed(recordsOf("a", records))
				must, may, store := newAway(), newAway(), &memory{}
				must.stuck, may.stuck = tc.required, !tc.required
				if err := service(t, ServiceConfig{
					Sources: []Follower{f}, Store: store,
					Lanes: []ServiceLane{{Name: "must", Stream: must}, {Name: "may", Stream: may, BestEffort: true}},
				}, func(s *Service) {
					time.Sleep(time.Minute)
					if tc.required {
						if st := s.Stats(); st.Read.Tuples >= 2*records || must.count() > 0 || may.count() == 0 {
							t.Errorf("%d tuples were read, %d records sent to the one that is stuck, %d to the other", st.Read.Tuples, must.count(), may.count())
						}
						must.set(func() { must.stuck = false })
						time.Sleep(time.Minute)
					}
					if !f.isDelivered() || must.count() != 4*records {
						t.Errorf("%d records came, want %d", must.count(), 4*records)
					}
					may.set(func() { may.stuck = false })
				}); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestServiceLeavesOut: records up to a time are left out and counted.
func TestServiceLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		for i := range 10 {
			fmt.Fprintf(&b, `,{"time":%q,"macAddress":"000D3A123456","flowRecords":{"flows":[{"flowGroups":[{"flowTuples":["1663146003606,10.0.0.6,192.0.2.180,1,443,6,O,E,NX,3,767,2,1580"]}]}]}}`,
				start.Add(time.Duration(i)*time.Minute).Format(time.RFC3339))
		}
		d := blob("a", b.String())
		d.Since, d.Left = start.Add(3*time.Minute), source.LeftDelivered
		f := newFeed(d)
		c := newAway()
		var st ServiceStats
		if err := service(t, ServiceConfig{Sources: []Follower{f}, Store: &memory{}, Lanes: []ServiceLane{{Name: "one", Stream: c}}}, func(s *Service) {
			time.Sleep(3 * time.Second)
			st = s.Stats()
		}); err != nil {
			t.Fatal(err)
		}
		if c.records != 12 || st.Left[source.LeftDelivered] != 4 || st.Left[source.LeftBeforeStart] != 0 {
			t.Errorf("%d records, left out %v; want 12 and 4", c.records, st.Left)
		}
		if got := f.read["a"]; !got.Last.Equal(start.Add(9*time.Minute)) || got.Offset != int64(b.Len()) {
			t.Errorf("read to %d, %v", got.Offset, got.Last)
		}
	})
}

// TestServiceStops: what was read is delivered before the end; and when that
// takes too long, it is not kept.
func TestServiceStops(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprint("late ", late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFeed(recordsOf("a", 5000))
				c, store := newAway(), &memory{}
				c.late = late
				err := service(t, ServiceConfig{Sources: []Follower{f}, Store: store, Lanes: []ServiceLane{{Name: "one", Stream: c}}}, func(*Service) {
					<-f.done
				})
				switch {
				case late && (!errors.Is(err, ErrNotInTime) || errors.Is(err, context.Canceled) || len(store.offsets()) != 0):
					t.Errorf("%v, kept %v", err, store.offsets())
				case !late && (err != nil || store.offsets()["a"] != f.read["a"].Offset || c.records != 20_000):
					t.Errorf("%v, kept %v, %d records", err, store.offsets(), c.records)
				}
				if !c.closed {
					t.Error("the stream is not closed")
				}
			})
		})
	}
}
