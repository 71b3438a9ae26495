package bridge

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/source"
	"flow2ipfix/templates"
)

// TestServiceBestEffortIsAway: what a best-effort collector misses is counted.
func TestServiceBestEffortIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(recordsOf("a", 100))
		must, may := newAway(), newAway()
		may.gone = errors.New("away")
		var st ServiceStats
		if err := service(t, ServiceConfig{
			Sources: []Follower{f}, Store: &memory{},
			Lanes: []ServiceLane{{Name: "must", Stream: must}, {Name: "may", Stream: may, BestEffort: true}},
		}, func(s *Service) {
			time.Sleep(5 * time.Second)
			st = s.Stats()
		}); err != nil {
			t.Fatal(err)
		}
		if st.Lanes[0].Exported != 200 || st.Lanes[1].NotSent != 200 || st.Lanes[1].Exported != 0 {
			t.Errorf("%+v", st.Lanes)
		}
	})
}

// TestServiceBestEffortKeepsUp: a best-effort collector that takes all it gets
// misses nothing of a burst.
func TestServiceBestEffortKeepsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deltas []*source.Delta
		for i := range 300 {
			deltas = append(deltas, recordsOf(fmt.Sprint("blob", i), 1))
		}
		f := newFeed(deltas...)
		must, may := newAway(), newAway()
		if err := service(t, ServiceConfig{
			Sources: []Follower{f}, Store: &memory{},
			Lanes: []ServiceLane{{Name: "must", Stream: must}, {Name: "may", Stream: may, BestEffort: true}},
		}, func(*Service) {
			// It is busy for less than it is waited for, again and again.
			for range 20 {
				may.set(func() { may.stuck = true })
				time.Sleep(patience / 2)
				may.set(func() { may.stuck = false })
				time.Sleep(time.Millisecond)
			}
			<-f.done
			time.Sleep(time.Second)
		}); err != nil {
			t.Fatal(err)
		}
		if may.records != 1200 || must.records != 1200 {
			t.Errorf("%d records came to the best-effort collector and %d to the other, want 1200", may.records, must.records)
		}
	})
}

// TestServiceBestEffortIsSlow: a best-effort collector that is always slow holds
// the others up only for a moment now and then.
func TestServiceBestEffortIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deltas []*source.Delta
		for i := range 300 {
			deltas = append(deltas, recordsOf(fmt.Sprint("blob", i), 1))
		}
		f := newFeed(deltas...)
		must, may := newAway(), &slow{away: newAway(), each: 900 * time.Millisecond / 4}
		begin := time.Now()
		if err := service(t, ServiceConfig{
			Sources: []Follower{f}, Store: &memory{},
			Lanes: []ServiceLane{{Name: "must", Stream: must}, {Name: "may", Stream: may, BestEffort: true}},
		}, func(*Service) {
			<-f.done
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("the required collector was held up for %v", took)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if must.records != 1200 {
			t.Errorf("%d records came, want 1200", must.records)
		}
	})
}

// slow takes its time for each record.
type slow struct {
	*away
	each time.Duration
}

func (s *slow) Export(ctx context.Context, domain uint32, r *templates.Record) error {
	time.Sleep(s.each)
	return s.away.Export(ctx, domain, r)
}
