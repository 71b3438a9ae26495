package source

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// list lists an hour and notes what has changed in it. It reports whether it found
// anything out, which may be so beside an error; then nothing is taken for gone.
func (w *followed) list(ctx context.Context, h *hour) (found bool, err error) {
	if !acquire(ctx, w.f.lists, w.sign) {
		return false, context.Cause(ctx)
	}
	w.sign.ShowFor(listTimeout)
	at := time.Now()
	asked, cancel := context.WithTimeout(ctx, listTimeout)
	infos, err := w.f.cfg.Backend.List(asked, w.name, h.begin)
	cancel()
	<-w.f.lists
	w.f.counts.lists.Add(1)
	if err != nil {
		err = fmt.Errorf("list blobs of %s: %w", h.begin.Format("2006-01-02T15"), err)
		if len(infos) == 0 {
			return false, err
		}
	}
	first := h.lists == 0
	if err == nil {
		h.lists++
		w.f.counts.answered.Store(time.Now().UnixNano())
	}
	for _, info := range infos {
		b := w.blobs[info.Name]
		if b == nil {
			b = w.meet(h, info.Name)
			if b == nil {
				continue
			}
			if !first {
				h.changed = at
				w.late(h, b, at)
			}
		} else if b.size != info.Size || b.gone {
			h.changed = at
			w.late(h, b, at)
		}
		if first { // nobody looked before; their clock may be ahead
			modified := info.Modified
			if modified.After(at) {
				modified = at
			}
			if modified.After(h.changed) {
				h.changed = modified
			}
		}
		b.gone = false
		b.closed = b.closed && b.etag == info.ETag
		b.size, b.etag, b.listed = info.Size, info.ETag, h.lists
	}
	if err != nil {
		return true, err
	}
	for _, b := range h.blobs {
		if b.listed != h.lists && !b.gone {
			w.delete(h, b)
		}
	}
	if first { // what went while nobody looked
		prefix := w.name + h.begin.Format("/y=2006/m=01/d=02/h=15/")
		for name, cursor := range w.known {
			if strings.HasPrefix(name, prefix) {
				delete(w.known, name)
				w.delete(h, &blob{name: name, cursor: cursor})
			}
		}
	}
	last := h.end()
	if h.changed.After(last) {
		last = h.changed
	}
	h.settled = at.After(last.Add(w.f.cfg.Grace))
	return true, nil
}

// meet returns a blob that was not listed before; nil if it is not wanted.
func (w *followed) meet(h *hour, name string) *blob {
	cursor := w.known[name]
	delete(w.known, name)
	if !w.wants(name) {
		return nil
	}
	b := &blob{name: name, cursor: cursor, delivered: cursor.Offset}
	w.mu.Lock()
	defer w.mu.Unlock()
	h.blobs = append(h.blobs, b)
	w.blobs[name] = b
	w.see(b)
	return b
}

// wants reports whether a blob of that name is to be read.
func (w *followed) wants(name string) bool {
	path, ok := ParsePath(name)
	return ok && w.f.filter.blob(w.whole, path.MAC)
}

// late says that a blob changed so late that it might have been missed.
func (w *followed) late(h *hour, b *blob, at time.Time) {
	if at.After(h.end().Add(w.f.cfg.Grace)) {
		w.f.counts.late.Add(1)
		w.event(Event{Kind: BlobLate, Blob: b.name, Hour: h.begin})
	}
}

// delete forgets a blob that is gone. Should it come back, it is taken for
// written anew. To forget it may take a while, and there may be thousands: each
// shows that it goes on.
func (w *followed) delete(h *hour, b *blob) {
	w.sign.Show()
	b.gone, b.rewritten = true, true
	b.failures, b.retry = 0, time.Time{}
	w.f.counts.deleted.Add(1)
	w.event(Event{Kind: BlobDeleted, Blob: b.name, Hour: h.begin})
	if err := w.f.cfg.State.Forget(w.f.cfg.Name, b.name); err != nil {
		w.f.counts.stateErrors.Add(1)
		w.event(Event{Kind: StateFailed, Blob: b.name, Err: fmt.Errorf("%w: %w", errState, err)})
	}
}
