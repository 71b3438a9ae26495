package telemetry

import (
	"context"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// counting is a Source whose counters go with the clock: 50 flows a second.
type counting struct {
	mu    sync.Mutex
	began time.Time
	asked int
}

func (c *counting) Snapshot() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	n := uint64(time.Since(c.began).Seconds()) * 50
	return Snapshot{
		Ready: true, Tuples: n, Sources: []SourceState{{Delivered: time.Now().Add(-90 * time.Second)}},
		Collectors: []CollectorState{{Name: "noc", Records: 2 * n}},
	}
}

// TestHistoryIsBounded: however long it runs, an hour is kept.
func TestHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, source := NewHistory(), &counting{began: time.Now()}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.Run(ctx, source)
		}()
		kept := func() []sample {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.samples
		}
		synctest.Wait()
		if n := len(kept()); n != 1 {
			t.Errorf("%d samples at the start, want 1", n)
		}
		const hours = 5
		time.Sleep(hours*time.Hour + 35*time.Second)
		synctest.Wait()
		stop()
		<-done
		if want := hours*360 + 4; source.asked != want {
			t.Errorf("asked %d times in %d hours, want %d", source.asked, hours, want)
		}
		samples := kept()
		if len(samples) != 361 || cap(samples) != 361 {
			t.Errorf("%d samples are kept in the room of %d, want 361", len(samples), cap(samples))
		}
		if span := samples[360].at.Sub(samples[0].at); span != time.Hour {
			t.Errorf("they span %v, want an hour", span)
		}
		now := time.Now()
		for i, m := range h.minutes(now) {
			if math.Abs(m.flows-50) > 0.01 || m.lag != 90*time.Second || m.start.Second() != 0 {
				t.Errorf("minute %d is %+v, want 50 flows/s and 90 s", i, m)
			}
		}
		s := source.Snapshot()
		if rate, ok := h.flowRate(now, s.Tuples); !ok || math.Abs(rate-50) > 1 {
			t.Errorf("flows/s are %v, %v, want 50", rate, ok)
		}
		if rate, ok := h.recordRate(now, "noc", s.Collectors[0].Records); !ok || math.Abs(rate-100) > 2 {
			t.Errorf("records/s are %v, %v, want 100", rate, ok)
		}
		if rate, ok := h.recordRate(now, "new", 7); ok {
			t.Errorf("a collector that is new has a rate of %v", rate)
		}
	})
}

// TestHistoryGaps: what is not known is a gap, not a zero and not a leap.
func TestHistoryGaps(t *testing.T) {
	h := NewHistory()
	start := noon.Truncate(time.Minute).Add(-10 * time.Minute)
	add := func(seconds int, ready bool, tuples uint64) {
		h.Add(start.Add(time.Duration(seconds)*time.Second), Snapshot{Ready: ready, Tuples: tuples})
	}
	add(0, true, 1_000_000)
	add(60, true, 1_000_600) // 10 flows/s in minute 0
	add(120, true, 60)       // counts from zero again: minute 1 is not known
	add(180, true, 180)      // 2 flows/s in minute 2
	add(240, false, 0)       // a reload, whose counters do not hold
	add(300, true, 180+360)  // 3 flows/s in minutes 3 and 4
	add(360, true, 180+360)  // nothing in minute 5
	all := h.minutes(noon)[historyMinutes-11:]
	want := []float64{10, -1, 2, 3, 3, 0, -1}
	for i, w := range want {
		got := -1.0
		if all[i].hasFlows {
			got = all[i].flows
		}
		if math.Abs(got-w) > 1e-9 {
			t.Errorf("minute %d has %v flows/s, want %v", i, got, w)
		}
		if all[i].hasLag {
			t.Errorf("minute %d has a lag of %v, and nothing was delivered", i, all[i].lag)
		}
	}
	if rate, ok := h.flowRate(start.Add(365*time.Second), 500); ok {
		t.Errorf("a counter that went back has a rate of %v", rate)
	}
	if rate, ok := h.flowRate(start.Add(365*time.Second), 540+130); !ok || math.Abs(rate-2) > 1e-9 {
		t.Errorf("the rate is %v, %v, want 2: 130 in 65 s", rate, ok)
	}
	if rate, ok := h.flowRate(start.Add(time.Hour), 1e6); ok {
		t.Errorf("the rate is %v without a sample of late", rate)
	}
}
