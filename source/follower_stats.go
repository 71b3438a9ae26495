package source

import (
	"sync/atomic"
	"time"
)

// FollowerStats says how a Follower stands.
type FollowerStats struct {
	FlowLogs int // that are followed
	Hours    int // that are not finished
	Blobs    int // of these hours
	// Undelivered is how many of these blobs have been read further than
	// delivered.
	Undelivered int
	// OldestHour is the first hour that is not finished; zero if there is none.
	OldestHour time.Time
	// Newest is the time of the newest record that was read, Delivered of the newest
	// that was delivered with all before it in its blob; also in an earlier run of
	// the program, as far as State says: nothing of hours that are finished, nor of
	// flow logs that were not found yet. Zero if there was none.
	Newest, Delivered time.Time
	// Answered is when the Backend last said what there is, without an error.
	Answered time.Time
	// LastError is the last thing that went wrong. It stays when all is well again.
	LastError     error
	LastErrorTime time.Time

	Discoveries, Lists, ListErrors uint64
	Reads, ReadErrors              uint64
	Rewritten, Deleted, Late       uint64
	HoursFinished                  uint64
	StateErrors                    uint64
}

// FlowLogStats says how a flow log stands.
type FlowLogStats struct {
	Name              string
	Newest, Delivered time.Time // as in FollowerStats
	Interfaces        int       // blobs of the newest hour that has any
	Backlog           int       // hours of which not all is delivered, beyond the newest
	LastError         error     // of what does not work now; nil if all does
}

// counters are the sums in FollowerStats.
type counters struct {
	discoveries, lists, listErrors atomic.Uint64
	reads, readErrors              atomic.Uint64
	rewritten, deleted, late       atomic.Uint64
	finished, stateErrors          atomic.Uint64
	newest, delivered              latest
	answered                       atomic.Int64 // Unix ns; 0 if never
	failure                        atomic.Pointer[failure]
}

type failure struct {
	err error
	at  time.Time
}

func (f *Follower) failed(err error) { f.counts.failure.Store(&failure{err, time.Now()}) }

// latest is the latest of times.
type latest struct{ ns atomic.Int64 }

func (l *latest) record(t time.Time) {
	for ns := t.UnixNano(); ; {
		old := l.ns.Load()
		if old >= ns || l.ns.CompareAndSwap(old, ns) {
			return
		}
	}
}

func (l *latest) time() time.Time { return unixTime(l.ns.Load()) }

func unixTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// see takes down how far a blob is read and delivered, after each change. The
// caller holds the lock. That way nobody who asks has to go through all blobs.
func (w *followed) see(b *blob) {
	if behind := b.delivered < b.cursor.Offset; behind != b.behind {
		if b.behind = behind; behind {
			w.undelivered++
		} else {
			w.undelivered--
		}
	}
	last := b.cursor.Last
	if last.IsZero() {
		return
	}
	if last.After(w.newest) {
		w.newest = last
		w.f.counts.newest.record(last)
	}
	if !b.behind && last.After(w.delivered) {
		w.delivered = last
		w.f.counts.delivered.record(last)
	}
}

// Stats may be called at any time. It takes as long as there are flow logs, not
// blobs.
func (f *Follower) Stats() FollowerStats {
	c := &f.counts
	s := FollowerStats{
		Discoveries: c.discoveries.Load(), Lists: c.lists.Load(), ListErrors: c.listErrors.Load(),
		Reads: c.reads.Load(), ReadErrors: c.readErrors.Load(),
		Rewritten: c.rewritten.Load(), Deleted: c.deleted.Load(), Late: c.late.Load(),
		HoursFinished: c.finished.Load(), StateErrors: c.stateErrors.Load(),
		Newest: c.newest.time(), Delivered: c.delivered.time(), Answered: unixTime(c.answered.Load()),
	}
	if failed := c.failure.Load(); failed != nil {
		s.LastError, s.LastErrorTime = failed.err, failed.at
	}
	for _, w := range f.all() {
		w.mu.Lock()
		s.Hours += len(w.hours)
		s.Blobs += len(w.blobs)
		s.Undelivered += w.undelivered
		if len(w.hours) > 0 && (s.OldestHour.IsZero() || w.hours[0].begin.Before(s.OldestHour)) {
			s.OldestHour = w.hours[0].begin
		}
		w.mu.Unlock()
		s.FlowLogs++
	}
	return s
}

// FlowLogs says how each flow log stands, in no order. It may be called at any
// time.
func (f *Follower) FlowLogs() []FlowLogStats {
	flows := f.all()
	all := make([]FlowLogStats, len(flows))
	for i, w := range flows {
		w.mu.Lock()
		s := FlowLogStats{Name: w.name, Newest: w.newest, Delivered: w.delivered, LastError: w.lastErr}
		for _, h := range w.hours[:max(0, len(w.hours)-1)] {
			if !h.done {
				s.Backlog++
			}
		}
		for k := len(w.hours) - 1; k >= 0 && s.Interfaces == 0; k-- {
			s.Interfaces = len(w.hours[k].blobs)
		}
		w.mu.Unlock()
		all[i] = s
	}
	return all
}

// all returns the flow logs, so that nobody waits for who looks at each.
func (f *Follower) all() []*followed {
	f.mu.RLock()
	defer f.mu.RUnlock()
	all := make([]*followed, 0, len(f.flows))
	for _, w := range f.flows {
		all = append(all, w)
	}
	return all
}
