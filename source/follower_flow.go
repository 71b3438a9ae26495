package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"flow2ipfix/internal/pulse"
)

// followed is a flow log. What it has belongs to its goroutine; what others see
// too is changed under mu.
type followed struct {
	f     *Follower
	name  string
	whole bool // wanted whatever the MAC
	stop  context.CancelFunc
	sign  *pulse.Sign // its goroutine's

	known map[string]Cursor // State's, of blobs that were not seen yet
	low   time.Time         // the low-water mark
	next  time.Time         // hours before this one were opened
	ready bool              // State has said these

	strand   uint32        // of the last hour that was opened
	failures int           // passes that failed, one after another
	busy     *hour         // of the backlog, that is read beside all else; nil if none is
	unwell   bool          // reads of it had failed before
	after    time.Time     // the backlog goes on with hours behind this one, then the others
	over     chan struct{} // says that busy has been read

	mu          sync.Mutex
	hours       []*hour // that are not finished, in order
	blobs       map[string]*blob
	undelivered int // of blobs, those that are behind
	newest      time.Time
	delivered   time.Time // the newest record that is delivered with all before it in its blob
	lastErr     error
}

// hour is one of a flow log. It is listed until it is settled, and done when all
// its blobs have been delivered.
type hour struct {
	begin   time.Time
	blobs   []*blob
	lists   int       // how often it was listed
	changed time.Time // when it was last seen to change, or had before; zero if unknown
	settled bool      // listed so late that no more is expected
	done    bool
	late    bool // was over when it was opened
	strand  uint32
	first   int // of blobs, the one to begin with

	failures int       // lists that failed where others did not, one after another
	retry    time.Time // not to be listed before
	listed   time.Time // when it was last tried to
}

func (h *hour) end() time.Time { return h.begin.Add(time.Hour) }

// blob is one of an hour that is not done.
type blob struct {
	name      string
	size      int64 // as it was last listed or opened, and so is etag
	etag      string
	ended     int64  // the size that it had when it was last read to its end; 0 if that was not since the start
	cursor    Cursor // how far it was read; changed under mu
	delivered int64  // under mu
	behind    bool   // read further than delivered; under mu
	since     time.Time
	listed    int       // the last of the hour's lists that has it
	rewritten bool      // to be read from its start once all before is delivered
	gone      bool      // not there any more
	closed    bool      // read to its end with nothing to follow
	changed   bool      // found to be another than had been listed
	failures  int       // reads that failed, one after another
	retry     time.Time // not before
}

// hasNews reports whether a blob has something that was not read yet, or another
// content. What was read to its end with the ETag and the size that it has now has
// none: an answer may carry the ETag of a write that came in between and not its
// content, as Azurite's does. If no end is known, the two bytes at the end are taken
// for the blob's foot.
func (b *blob) hasNews() bool {
	if b.cursor.ETag != "" {
		return b.cursor.ETag != b.etag || b.size != b.ended && b.hasRest()
	}
	return b.hasRest() || b.size < b.cursor.Offset
}

// hasRest reports whether more than the foot stands behind what was read.
func (b *blob) hasRest() bool { return b.size-2 > b.cursor.Offset }

func newFollowed(f *Follower, name string, stop context.CancelFunc) *followed {
	return &followed{f: f, name: name, whole: f.filter.whole(name), stop: stop, blobs: map[string]*blob{}, over: make(chan struct{}, 1)}
}

// idle reports whether nothing of the flow log waits for anything.
func (w *followed) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.blobs) == 0
}

func (w *followed) event(e Event) {
	e.FlowLog = w.name
	if e.Err != nil {
		w.mu.Lock()
		w.lastErr = e.Err
		w.mu.Unlock()
		w.f.failed(e.Err)
	}
	w.f.cfg.OnEvent(e)
}

func (w *followed) run(ctx context.Context) {
	w.sign = w.f.cfg.Pulse.Add("flow log " + w.name)
	defer w.sign.Done()
	defer w.leave()
	listAt := time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		listing := !now.Before(listAt)
		err := w.pass(ctx, listing)
		least := time.Duration(0)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.failures++
			wait := backoff(w.f.cfg.PollInterval, w.failures)
			listAt = time.Now().Add(wait)
			least = min(wait, firstRetry)
			kind := ListFailed
			if errors.Is(err, errState) {
				kind = StateFailed
				w.f.counts.stateErrors.Add(1)
			} else {
				w.f.counts.listErrors.Add(1)
			}
			w.event(Event{Kind: kind, Err: err, Retry: wait})
		case listing:
			if w.failures > 0 {
				w.event(Event{Kind: ListRecovered})
			}
			w.failures = 0
			listAt = now.Add(jitter(w.f.cfg.PollInterval, 10))
			w.forgive()
		}
		w.wait(ctx, max(least, time.Until(w.retryAt(listAt))))
	}
}

// wait waits, or until the busy hour has been read.
func (w *followed) wait(ctx context.Context, d time.Duration) {
	w.sign.ShowFor(d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.over:
		w.busy = nil
	case <-ctx.Done():
	}
}

// leave waits for those who read the busy hour; they have signs of their own.
func (w *followed) leave() {
	if w.busy != nil {
		w.sign.ShowFor(pulse.Forever)
		<-w.over
	}
}

// forgive forgets the last error if nothing fails any more.
func (w *followed) forgive() {
	for _, h := range w.hours {
		if h.failures > 0 || h == w.busy && w.unwell || h != w.busy && h.unwell() {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastErr = nil
}

// unwell reports whether a blob of the hour could not be read the last time.
func (h *hour) unwell() bool {
	return slices.ContainsFunc(h.blobs, func(b *blob) bool { return b.failures > 0 })
}

var errState = errors.New("read or write the checkpoint")

// retryAt returns when the next blob is to be read, or the given time. The backlog
// goes on when the busy hour has been read.
func (w *followed) retryAt(at time.Time) time.Time {
	now := time.Now()
	for _, h := range w.hours {
		if w.busy != nil && (h == w.busy || h.backlog(now, w.f.cfg.Grace)) {
			continue
		}
		for _, b := range h.blobs {
			if b.retry.Before(at) && w.wanted(h, b) {
				at = b.retry
			}
		}
	}
	return at
}

// remember asks State where the last run of the program had come to. The times of
// what it delivered are said from then on, even if the backend says nothing.
func (w *followed) remember() error {
	if w.ready {
		return nil
	}
	cfg := &w.f.cfg
	low, err := cfg.State.LowWater(cfg.Name, w.name)
	if err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	if low.IsZero() {
		low = w.f.begin.Truncate(time.Hour)
	}
	known, err := cfg.State.Cursors(cfg.Name, w.name)
	if err != nil {
		return fmt.Errorf("%w: %w", errState, err)
	}
	w.known, w.low, w.next, w.ready = known, low, low, true
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, cursor := range known {
		if w.wants(name) {
			w.see(&blob{cursor: cursor, delivered: cursor.Offset})
		}
	}
	return nil
}

// catchUp is behind how many hours the clock is not asked which there are, but
// the backend.
const catchUp = 24 * time.Hour

// open opens the hours that have begun.
func (w *followed) open(ctx context.Context) error {
	now := time.Now()
	current := now.UTC().Truncate(time.Hour)
	if w.next.After(current) {
		return nil
	}
	var hours []time.Time
	first := w.next
	if len(w.hours) == 0 || current.Sub(w.next) >= catchUp {
		if !acquire(ctx, w.f.lists, w.sign) {
			return context.Cause(ctx)
		}
		w.sign.ShowFor(listTimeout)
		asked, cancel := context.WithTimeout(ctx, listTimeout)
		found, err := w.f.cfg.Backend.Hours(asked, w.name, w.next)
		cancel()
		<-w.f.lists
		if err != nil {
			return fmt.Errorf("look for hours: %w", err)
		}
		for _, at := range found {
			if !at.Before(w.next) && !at.After(current) {
				hours = append(hours, at)
			}
		}
		// Those that may still come into being.
		if young := now.Add(-w.f.cfg.Grace).UTC().Truncate(time.Hour); young.After(first) {
			first = young
		}
	}
	for at := first; !at.After(current); at = at.Add(time.Hour) {
		hours = append(hours, at)
	}
	slices.SortFunc(hours, time.Time.Compare)
	w.mu.Lock()
	defer w.mu.Unlock()
	behind := false
	for _, at := range slices.CompactFunc(hours, time.Time.Equal) {
		h := &hour{begin: at.UTC(), late: at.Before(current)}
		if behind && !h.late {
			w.strand++ // it does not wait for those before it
		}
		behind = h.late
		h.strand = w.strand
		w.hours = append(w.hours, h)
	}
	w.next = current.Add(time.Hour)
	return nil
}

// close ends an hour that is settled and delivered.
func (w *followed) close(h *hour) {
	if !h.settled || h.done {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range h.blobs {
		if !b.gone && (b.rewritten || b.hasNews() || b.hasRest() && !b.closed || b.delivered < b.cursor.Offset) {
			return
		}
	}
	for _, b := range h.blobs {
		if delete(w.blobs, b.name); b.behind {
			w.undelivered--
		}
	}
	h.blobs, h.done = nil, true
	w.f.counts.finished.Add(1)
}

// finish moves the low-water mark over hours that are done.
func (w *followed) finish() error {
	n := 0
	for n < len(w.hours) && w.hours[n].done {
		n++
	}
	if n == 0 {
		return nil
	}
	low := w.next
	if n < len(w.hours) {
		low = w.hours[n].begin
	}
	if err := w.f.cfg.State.Finish(w.f.cfg.Name, w.name, low); err != nil {
		w.f.counts.stateErrors.Add(1)
		w.event(Event{Kind: StateFailed, Hour: low, Err: fmt.Errorf("%w: %w", errState, err)})
		return err
	}
	w.low = low
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hours = slices.Delete(w.hours, 0, n)
	return nil
}
