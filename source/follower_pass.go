package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"flow2ipfix/internal/pulse"
)

// backlog reports whether what an hour has is old: it was over before it could be
// read, or could not be read to its end in time.
func (h *hour) backlog(now time.Time, grace time.Duration) bool {
	return h.late || now.After(h.end().Add(grace))
}

// pass goes through the hours: lists what is new and reads it. Those of the backlog
// come last, oldest first, and somebody else reads them, so that the others are not
// kept waiting. Without listing it only goes on with what was listed before. An hour
// that cannot be listed does not hold up the others; it is an error if none can.
func (w *followed) pass(ctx context.Context, listing bool) error {
	if err := w.remember(); err != nil {
		return err
	}
	finishing := w.settle() == nil
	if listing {
		if err := w.open(ctx); err != nil {
			return err
		}
	}
	now := time.Now()
	l := lists{worked: !listing}
	var old []*hour
	for _, h := range w.hours {
		if h.done {
			continue
		}
		if h == w.busy || h.backlog(now, w.f.cfg.Grace) {
			old = append(old, h)
			continue
		}
		w.sign.Show()
		found, err := w.look(ctx, h, listing, &l)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		w.sign.ShowFor(pulse.Forever) // each blob that is read has a sign of its own
		w.readHour(ctx, h, fresh)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		w.close(h)
	}
	// However long that took: the backlog comes each time, and with it the ends of
	// hours.
	w.relieve()
	if err := w.passBacklog(ctx, old, listing, &l); err != nil {
		return err
	}
	if finishing {
		_ = w.settle() // it has said so
	}
	return w.failed(&l)
}

// passBacklog goes through the hours of the backlog until one is being read.
func (w *followed) passBacklog(ctx context.Context, old []*hour, listing bool, l *lists) error {
	begun := time.Now()
	if i := slices.IndexFunc(old, func(h *hour) bool { return h.begin.After(w.after) }); i > 0 {
		old = slices.Concat(old[i:], old[:i])
	}
	for _, h := range old {
		if w.busy != nil || time.Since(begun) > w.f.cfg.PollInterval {
			break
		}
		w.sign.Show()
		// Between the polls one that fails is enough: all may.
		due := listing || w.failures == 0 && len(l.failed) == 0 && time.Since(h.listed) >= w.f.cfg.PollInterval
		found, err := w.look(ctx, h, due, l)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if some, well := w.readable(h); some {
			w.begin(ctx, h, well)
		}
	}
	return nil
}

// begin begins to read an hour of the backlog. If all has failed before, later hours
// come before it the next time: it may fail for as long as it is there.
func (w *followed) begin(ctx context.Context, h *hour, well bool) {
	if w.after = h.begin; well {
		w.after = time.Time{}
	}
	w.busy, w.unwell = h, h.unwell()
	go func() {
		w.readHour(ctx, h, backlog)
		w.over <- struct{}{}
	}()
}

// relieve notes that the busy hour has been read, if it has.
func (w *followed) relieve() {
	select {
	case <-w.over:
		w.busy = nil
	default:
	}
}

// readable reports whether an hour has a blob that is to be read now, and whether
// one has that did not fail the last time.
func (w *followed) readable(h *hour) (some, well bool) {
	now := time.Now()
	for _, b := range h.blobs {
		if !now.Before(b.retry) && w.wanted(h, b) {
			if some = true; b.failures == 0 {
				return true, true
			}
		}
	}
	return some, false
}

// lists are those of a pass.
type lists struct {
	failed []failedHour
	worked bool // one of them said something
}

type failedHour struct {
	hour *hour
	err  error
}

// look lists an hour, if it is time to. It reports whether the hour may be read; an
// error is one of all hours.
func (w *followed) look(ctx context.Context, h *hour, due bool, l *lists) (bool, error) {
	if !due || h.settled || time.Now().Before(h.retry) {
		return true, nil
	}
	h.listed = time.Now()
	found, err := w.list(ctx, h)
	l.worked = l.worked || found
	switch {
	case ctx.Err() != nil:
		return false, context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded) && !l.worked:
		return false, err // the others would take as long
	case err != nil:
		l.failed = append(l.failed, failedHour{h, err})
	case h.failures > 0:
		h.failures, h.retry = 0, time.Time{}
		w.event(Event{Kind: ListRecovered, Hour: h.begin})
	}
	return err == nil || found, nil
}

// failed says which hours could not be listed: all at once if there was nothing
// else, or else each, which then waits alone.
func (w *followed) failed(l *lists) error {
	if len(l.failed) == 0 {
		return nil
	}
	if !l.worked {
		if more := len(l.failed) - 1; more > 0 {
			return fmt.Errorf("%w (and %d more hours)", l.failed[0].err, more)
		}
		return l.failed[0].err
	}
	for _, f := range l.failed {
		f.hour.failures++
		wait := backoff(w.f.cfg.PollInterval, f.hour.failures)
		f.hour.retry = time.Now().Add(wait)
		w.f.counts.listErrors.Add(1)
		w.event(Event{Kind: ListFailed, Hour: f.hour.begin, Err: f.err, Retry: wait})
	}
	return nil
}

// settle ends the hours that are delivered, and keeps that they are.
func (w *followed) settle() error {
	for _, h := range w.hours {
		if h != w.busy {
			w.close(h)
		}
	}
	return w.finish()
}
