package source

import (
	"sync/atomic"
	"time"
)

// Event is something that an operator should know.
type Event struct {
	Kind    EventKind
	FlowLog string
	Blob    string    // if it is about one
	Hour    time.Time // if it is about one
	Err     error
	Retry   time.Duration // how long until the next attempt, if there will be one
}

// EventKind is what happened.
type EventKind uint8

// The kinds of events.
const (
	// DiscoveryFailed: the flow logs could not be listed, or not all of them.
	DiscoveryFailed EventKind = iota
	FlowLogFound
	// FlowLogGone: nothing is left of it.
	FlowLogGone
	// ListFailed: the blobs of a flow log could not be listed, or not all those of
	// the hour, if there is one. It waits; the others go on.
	ListFailed
	ListRecovered
	// ReadFailed: a blob could not be read to its end. It goes on from there.
	ReadFailed
	// BlobRewritten: it is read anew, records that were delivered are left out.
	BlobRewritten
	// BlobDeleted: what it may have had beyond what was read is lost.
	BlobDeleted
	// BlobLate: it was written later than Grace after the end of its hour, and
	// seen only because the hour was not finished for another reason.
	BlobLate
	// StateFailed: State could not read or write. It is tried again.
	StateFailed
	EventKindCount
)

func (k EventKind) String() string {
	return [...]string{
		"discovery failed", "flow log found", "flow log gone", "list failed", "list recovered",
		"read failed", "blob rewritten", "blob deleted", "blob late", "state failed",
	}[k]
}

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
	// Newest is the time of the newest record that was read.
	Newest time.Time

	Discoveries, Lists, ListErrors uint64
	Reads, ReadErrors              uint64
	Rewritten, Deleted, Late       uint64
	HoursFinished                  uint64
	StateErrors                    uint64
}

// counters are the sums in FollowerStats.
type counters struct {
	discoveries, lists, listErrors atomic.Uint64
	reads, readErrors              atomic.Uint64
	rewritten, deleted, late       atomic.Uint64
	finished, stateErrors          atomic.Uint64
	newest                         atomic.Int64 // Unix ns; 0 if there was none
}

func (c *counters) record(t time.Time) {
	for ns := t.UnixNano(); ; {
		old := c.newest.Load()
		if old >= ns || c.newest.CompareAndSwap(old, ns) {
			return
		}
	}
}

// Stats may be called at any time.
func (f *Follower) Stats() FollowerStats {
	c := &f.counts
	s := FollowerStats{
		Discoveries: c.discoveries.Load(), Lists: c.lists.Load(), ListErrors: c.listErrors.Load(),
		Reads: c.reads.Load(), ReadErrors: c.readErrors.Load(),
		Rewritten: c.rewritten.Load(), Deleted: c.deleted.Load(), Late: c.late.Load(),
		HoursFinished: c.finished.Load(), StateErrors: c.stateErrors.Load(),
	}
	if ns := c.newest.Load(); ns != 0 {
		s.Newest = time.Unix(0, ns).UTC()
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	s.FlowLogs = len(f.flows)
	for _, w := range f.flows {
		w.mu.Lock()
		s.Hours += len(w.hours)
		s.Blobs += len(w.blobs)
		if len(w.hours) > 0 && (s.OldestHour.IsZero() || w.hours[0].begin.Before(s.OldestHour)) {
			s.OldestHour = w.hours[0].begin
		}
		for _, b := range w.blobs {
			if b.delivered < b.cursor.Offset {
				s.Undelivered++
			}
		}
		w.mu.Unlock()
	}
	return s
}
