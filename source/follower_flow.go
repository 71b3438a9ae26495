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

	failures int       // lists that failed where others did not, one after another
	retry    time.Time // not to be listed before
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
	return &followed{f: f, name: name, whole: f.filter.whole(name), stop: stop, blobs: map[string]*blob{}}
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
	failures := 0
	listAt := time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		listing := !now.Before(listAt)
		err := w.pass(ctx, listing)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			wait := backoff(w.f.cfg.PollInterval, failures)
			listAt = time.Now().Add(wait)
			kind := ListFailed
			if errors.Is(err, errState) {
				kind = StateFailed
				w.f.counts.stateErrors.Add(1)
			} else {
				w.f.counts.listErrors.Add(1)
			}
			w.event(Event{Kind: kind, Err: err, Retry: wait})
		case listing:
			if failures > 0 {
				w.event(Event{Kind: ListRecovered})
			}
			failures = 0
			listAt = now.Add(jitter(w.f.cfg.PollInterval, 10))
			w.forgive()
		}
		wait := time.Until(w.retryAt(listAt))
		w.sign.ShowFor(wait)
		sleep(ctx, wait)
	}
}

// forgive forgets the last error if nothing fails any more.
func (w *followed) forgive() {
	for _, h := range w.hours {
		if h.failures > 0 {
			return
		}
		for _, b := range h.blobs {
			if b.failures > 0 {
				return
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lastErr = nil
}

var errState = errors.New("read or write the checkpoint")

// retryAt returns when the next blob may be tried again, or the given time.
func (w *followed) retryAt(at time.Time) time.Time {
	for _, h := range w.hours {
		for _, b := range h.blobs {
			if b.failures > 0 && b.retry.Before(at) && w.wanted(h, b) {
				at = b.retry
			}
		}
	}
	return at
}

// pass goes through the hours, oldest first: lists what is new and reads it.
// Without listing it only tries again what failed. An hour that cannot be listed
// does not hold up the others; it is an error if none can.
func (w *followed) pass(ctx context.Context, listing bool) error {
	if err := w.remember(); err != nil {
		return err
	}
	var failed []failedHour
	worked, finishing := false, true
	for i := 0; ; i++ {
		// What was delivered meanwhile is not kept until all is read.
		for _, h := range w.hours[:i] {
			w.close(h)
		}
		if finishing {
			n, err := w.finish()
			i, finishing = max(0, i-n), err == nil // done hours may be waiting behind this one
		}
		if err := w.open(ctx); err != nil {
			return err
		}
		if i >= len(w.hours) {
			return w.failed(failed, worked)
		}
		w.sign.Show()
		h := w.hours[i]
		if h.done {
			continue
		}
		if listing && !h.settled && !time.Now().Before(h.retry) {
			found, err := w.list(ctx, h)
			worked = worked || found
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case errors.Is(err, context.DeadlineExceeded) && !worked:
				return err // the others would take as long
			case err != nil:
				failed = append(failed, failedHour{h, err})
			case h.failures > 0:
				h.failures, h.retry = 0, time.Time{}
				w.event(Event{Kind: ListRecovered, Hour: h.begin})
			}
			if err != nil && !found {
				continue
			}
		}
		w.readHour(ctx, h)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		w.close(h)
	}
}

type failedHour struct {
	hour *hour
	err  error
}

// failed says which hours could not be listed: all at once if there was nothing
// else, or else each, which then waits alone.
func (w *followed) failed(failed []failedHour, worked bool) error {
	if len(failed) == 0 {
		return nil
	}
	if !worked {
		if more := len(failed) - 1; more > 0 {
			return fmt.Errorf("%w (and %d more hours)", failed[0].err, more)
		}
		return failed[0].err
	}
	for _, f := range failed {
		f.hour.failures++
		wait := backoff(w.f.cfg.PollInterval, f.hour.failures)
		f.hour.retry = time.Now().Add(wait)
		w.f.counts.listErrors.Add(1)
		w.event(Event{Kind: ListFailed, Hour: f.hour.begin, Err: f.err, Retry: wait})
	}
	return nil
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
	for _, at := range slices.CompactFunc(hours, time.Time.Equal) {
		w.hours = append(w.hours, &hour{begin: at.UTC()})
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

// finish moves the low-water mark over hours that are done and returns how many
// these are.
func (w *followed) finish() (int, error) {
	n := 0
	for n < len(w.hours) && w.hours[n].done {
		n++
	}
	if n == 0 {
		return 0, nil
	}
	low := w.next
	if n < len(w.hours) {
		low = w.hours[n].begin
	}
	if err := w.f.cfg.State.Finish(w.f.cfg.Name, w.name, low); err != nil {
		w.f.counts.stateErrors.Add(1)
		w.event(Event{Kind: StateFailed, Hour: low, Err: fmt.Errorf("%w: %w", errState, err)})
		return 0, err
	}
	w.low = low
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hours = slices.Delete(w.hours, 0, n)
	return n, nil
}
