package telemetry

import (
	"context"
	"sync"
	"time"
)

const (
	// HistoryInterval is how often a History takes a sample.
	HistoryInterval = 10 * time.Second
	// historySamples is how many it keeps: an hour, both ends included.
	historySamples = int(time.Hour/HistoryInterval) + 1
	// rateWindow is what present rates are the mean of. Azure writes once a minute.
	rateWindow = time.Minute
)

// History remembers the last hour in samples, whatever the configuration is. The
// daemon owns it over its reloads. All methods may be called from any goroutine.
type History struct {
	mu      sync.Mutex
	samples []sample // the oldest first
}

// sample is what a Snapshot said of what the charts show.
type sample struct {
	at         time.Time
	counted    bool // the counters hold; while it starts, reloads or stops they may not
	tuples     uint64
	lag        time.Duration
	hasLag     bool
	collectors []collectorCount
}

type collectorCount struct {
	name    string
	records uint64
}

// NewHistory returns a History that knows nothing yet.
func NewHistory() *History { return &History{samples: make([]sample, 0, historySamples)} }

// Run takes samples until ctx ends, the first one at once.
func (h *History) Run(ctx context.Context, source Source) {
	tick := time.NewTicker(HistoryInterval)
	defer tick.Stop()
	for {
		h.Add(time.Now(), source.Snapshot())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Add takes a sample. The oldest ones go when there are too many.
func (h *History) Add(at time.Time, s Snapshot) {
	next := sample{at: at, tuples: s.Tuples}
	next.lag, next.hasLag = lagOf(s.Sources, at)
	for i := range s.Collectors {
		c := &s.Collectors[i]
		next.collectors = append(next.collectors, collectorCount{c.Name, c.Records})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	// When the process begins they are zero.
	next.counted = s.Ready || len(h.samples) == 0
	if len(h.samples) == historySamples {
		copy(h.samples, h.samples[1:])
		h.samples = h.samples[:historySamples-1]
	}
	h.samples = append(h.samples, next)
}

// lagOf returns how far delivery is behind the present, in the source where it is
// the furthest; false if nothing was delivered yet.
func lagOf(sources []SourceState, now time.Time) (time.Duration, bool) {
	var worst time.Duration
	known := false
	for i := range sources {
		if d := sources[i].Delivered; !d.IsZero() {
			worst, known = max(worst, now.Sub(d)), true
		}
	}
	return worst, known
}

// flowRate is how many tuples were read in a second, on average over the last
// minute; false if there are no samples to say it.
func (h *History) flowRate(now time.Time, tuples uint64) (float64, bool) {
	return h.rate(now, tuples, func(s *sample) (uint64, bool) { return s.tuples, true })
}

// recordRate is how many records a collector was sent in a second.
func (h *History) recordRate(now time.Time, collector string, records uint64) (float64, bool) {
	return h.rate(now, records, func(s *sample) (uint64, bool) {
		for _, c := range s.collectors {
			if c.name == collector {
				return c.records, true
			}
		}
		return 0, false
	})
}

// rate compares a counter with what it was at the beginning of the window.
func (h *History) rate(now time.Time, value uint64, of func(*sample) (uint64, bool)) (float64, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.samples {
		s := &h.samples[i]
		passed := now.Sub(s.at)
		if !s.counted || passed >= rateWindow+HistoryInterval {
			continue
		}
		before, found := of(s)
		if !found || before > value || passed < time.Second {
			continue // it came later, or counts from zero again
		}
		return float64(value-before) / passed.Seconds(), true
	}
	return 0, false
}

// minute is what a minute of the clock was like.
type minute struct {
	start    time.Time
	flows    float64 // read in a second, on average
	hasFlows bool
	lag      time.Duration // the largest
	hasLag   bool
}

// historyMinutes is how many minutes minutes returns.
const historyMinutes = int(time.Hour / time.Minute)

// minutes returns the last hour, the present minute last.
func (h *History) minutes(now time.Time) []minute {
	all := make([]minute, historyMinutes)
	first := now.UTC().Truncate(time.Minute).Add(-time.Duration(historyMinutes-1) * time.Minute)
	for i := range all {
		all[i].start = first.Add(time.Duration(i) * time.Minute)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	covered := make([]time.Duration, historyMinutes)
	var last *sample // with counters
	for i := range h.samples {
		s := &h.samples[i]
		if at := s.at.Sub(first); s.hasLag && at >= 0 && at < time.Hour {
			m := &all[at/time.Minute]
			m.lag, m.hasLag = max(m.lag, s.lag), true
		}
		if !s.counted {
			continue
		}
		// A counter that went back counts from zero again: what came meanwhile is
		// not known.
		if last != nil && s.tuples >= last.tuples {
			spread(all, covered, last, s)
		}
		last = s
	}
	for i := range all {
		if covered[i] > 0 {
			all[i].flows /= covered[i].Seconds()
			all[i].hasFlows = true
		}
	}
	return all
}

// spread gives each minute its part of what was read between two samples.
func spread(all []minute, covered []time.Duration, from, to *sample) {
	passed := to.at.Sub(from.at)
	if passed <= 0 {
		return
	}
	perSecond := float64(to.tuples-from.tuples) / passed.Seconds()
	for i := range all {
		begin, end := all[i].start, all[i].start.Add(time.Minute)
		if begin.Before(from.at) {
			begin = from.at
		}
		if end.After(to.at) {
			end = to.at
		}
		if part := end.Sub(begin); part > 0 {
			all[i].flows += perSecond * part.Seconds()
			covered[i] += part
		}
	}
}
