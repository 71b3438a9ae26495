package bridge

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/convert"
	"flow2ipfix/templates"
)

func TestNotSent(t *testing.T) {
	const (
		denied = "1663146003606,10.0.0.6,192.0.2.180,23956,443,6,I,D,NX,0,0,0,0"
		begin  = "1663146003606,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0"
	)
	bt := batchOf(t, newNumbers(nil, nil), records(good, denied, begin, good)) // a group each
	for _, tc := range []struct {
		name       string
		policy     convert.Policy
		done, half int
		want       templates.NotSent
	}{
		{"all", convert.Policy{}, 0, 0, templates.NotSent{Flows: 5, Packets: 10, Octets: 2 * 2347}},
		{"all, one record each", convert.Policy{Bidirectional: true}, 0, 0, templates.NotSent{Flows: 3, Packets: 10, Octets: 2 * 2347}},
		{"all, of a policy that has more", convert.Policy{ExportBegin: true, DeniedCountOne: true}, 0, 0, templates.NotSent{Flows: 6, Packets: 11, Octets: 2*2347 + 40}},
		{"all, of a policy that has less", convert.Policy{SkipDenied: true}, 0, 0, templates.NotSent{Flows: 4, Packets: 10, Octets: 2 * 2347}},
		{"nothing is chosen", convert.Policy{Filter: convert.Filter{Rules: []string{"x"}}}, 0, 0, templates.NotSent{}},
		{"all are too old", convert.Policy{Filter: convert.Filter{MaxAge: time.Hour}}, 0, 0, templates.NotSent{}},
		{"half of the first is sent", convert.Policy{}, 0, 1, templates.NotSent{Flows: 4, Packets: 7, Octets: 2347 + 1580}},
		{"the first is sent", convert.Policy{}, 1, 0, templates.NotSent{Flows: 3, Packets: 5, Octets: 2347}},
		{"half of the last is sent", convert.Policy{}, 3, 1, templates.NotSent{Flows: 1, Packets: 2, Octets: 1580}},
		{"all are sent", convert.Policy{}, 4, 0, templates.NotSent{}},
	} {
		var n NotSent
		n.add(&tc.policy, bt, tc.done, tc.half)
		if diff := cmp.Diff(tc.want, n.Total()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// TestServiceCountsNotSent: each record comes to a best-effort collector or is
// counted as not sent, and the counts may be read all the while.
func TestServiceCountsNotSent(t *testing.T) {
	for _, tc := range []struct {
		name    string
		records int
		before  func(*away)
		after   func(*away) // a minute later
		want    int         // records; -1: some, but not all
	}{
		{name: "there", records: 2000, want: 8000},
		{name: "away", records: 2000, before: func(a *away) { a.gone = errors.New("away") }, want: 0},
		{name: "away in the middle of a flow", records: 2000, before: func(a *away) { a.gone, a.leaves = errors.New("away"), 4501 }, want: 4501},
		{name: "stuck", records: 20_000, before: func(a *away) { a.stuck = true }, after: func(a *away) { a.stuck = false }, want: -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				must, may := newAway(), newAway()
				var packets, octets uint64
				may.seen = func(_ uint32, r *templates.Record) { packets, octets = packets+r.Packets, octets+r.Octets }
				if tc.before != nil {
					tc.before(may)
				}
				var lost NotSent
				reading, end := make(chan struct{}), sync.WaitGroup{}
				end.Go(func() {
					last := templates.NotSent{}
					for {
						select {
						case <-reading:
							return
						case <-time.After(time.Millisecond):
							now := lost.Total()
							if now.Flows < last.Flows || now.Packets < last.Packets || now.Octets < last.Octets {
								t.Errorf("%+v after %+v", now, last)
							}
							last = now
						}
					}
				})
				if err := service(t, ServiceConfig{
					Sources: []Follower{newFeed(recordsOf("a", tc.records))}, Store: &memory{},
					Lanes: []ServiceLane{{Name: "must", Stream: must}, {Name: "may", Stream: may, BestEffort: true, NotSent: &lost}},
				}, func(*Service) {
					time.Sleep(time.Minute)
					if tc.after != nil {
						may.set(func() { tc.after(may) })
					}
				}); err != nil {
					t.Fatal(err)
				}
				close(reading)
				end.Wait()
				total := templates.NotSent{Flows: uint64(4 * tc.records), Packets: uint64(2 * 5 * tc.records), Octets: uint64(2 * 2347 * tc.records)}
				got := lost.Total()
				got.Flows, got.Packets, got.Octets = got.Flows+uint64(may.records), got.Packets+packets, got.Octets+octets
				if diff := cmp.Diff(total, got); diff != "" || must.records != 4*tc.records {
					t.Errorf("sent and not sent; %d came to the other (-want +got):\n%s", must.records, diff)
				}
				if some := may.records > 0 && may.records < 4*tc.records; may.records != tc.want && (tc.want != -1 || !some) {
					t.Errorf("%d records came, want %d", may.records, tc.want)
				}
			})
		})
	}
}
