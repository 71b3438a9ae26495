package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
)

// readHour reads what an hour has to be read, several blobs at once, for about as
// long as a poll interval. What is fresh has a turn each, so that soon all are looked
// at again; blobs of a backlog are read one after another.
func (w *followed) readHour(ctx context.Context, h *hour, k kind) {
	var group errgroup.Group
	group.SetLimit(w.readers())
	now := time.Now()
	inTime := func() bool { return ctx.Err() == nil && time.Since(now) < w.f.cfg.PollInterval }
	first := h.first
	h.first = 0
	for i := range h.blobs {
		at := (first + i) % len(h.blobs)
		b := h.blobs[at]
		if now.Before(b.retry) || !w.wanted(h, b) {
			continue
		}
		if !inTime() {
			h.first = at
			break
		}
		group.Go(func() error {
			for again := true; again && w.f.readers.acquire(ctx, k); {
				again = w.readBlob(ctx, h, b) && k == backlog && inTime()
				w.f.readers.release(k)
			}
			return nil
		})
	}
	_ = group.Wait() // no errors
	for _, b := range h.blobs {
		if b.changed {
			b.changed = false
			h.changed, h.settled = now, false // it is to be listed again
		}
	}
}

// readers returns how many readers the flow log may have: all but one if there are
// others, who must not wait for it.
func (w *followed) readers() int {
	w.f.mu.RLock()
	defer w.f.mu.RUnlock()
	if n := w.f.cfg.Readers; n == 1 || len(w.f.flows) == 1 {
		return n
	}
	return w.f.cfg.Readers - 1
}

// wanted reports whether there is something to read of a blob.
func (w *followed) wanted(h *hour, b *blob) bool {
	switch {
	case b.gone:
		return false
	case b.rewritten:
		return w.settled(b)
	default:
		return b.hasNews() || h.settled && !b.closed && b.hasRest()
	}
}

// settled reports whether all that was read of a blob has been delivered.
func (w *followed) settled(b *blob) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return b.delivered >= b.cursor.Offset
}

// readBlob reads what is new in a blob, and reads it from its start if it was
// written anew. It reports whether there is more, for another turn.
func (w *followed) readBlob(ctx context.Context, h *hour, b *blob) (again bool) {
	sign := w.f.cfg.Pulse.Add("blob of flow log " + w.name)
	defer sign.Done()
	begun := time.Now()
	for again = true; again && ctx.Err() == nil && time.Since(begun) < turn; {
		if b.rewritten {
			if !w.settled(b) {
				return false // what it has must not be mixed up with what it had
			}
			if b.cursor.Last.After(b.since) {
				b.since = b.cursor.Last
			}
			w.mu.Lock()
			b.cursor, b.delivered = Cursor{}, 0
			w.see(b)
			w.mu.Unlock()
			b.rewritten, b.closed = false, false
		}
		s := w.stretch(h, b)
		s.Sign = sign
		cursor, err := w.f.read(ctx, &s.Delta)
		w.f.counts.reads.Add(1)
		again = w.took(ctx, h, b, s, cursor, err)
	}
	return again
}

// stretch is a Delta and what came of opening it.
type stretch struct {
	Delta
	opened bool
	ended  bool  // read to the end of the blob
	err    error // of opening it
}

func (w *followed) stretch(h *hour, b *blob) *stretch {
	s := &stretch{Delta: Delta{
		Blob:    b.name,
		Offset:  b.cursor.Offset,
		Size:    max(0, b.size-b.cursor.Offset),
		Growing: !h.settled,
		Since:   b.since,
		Left:    LeftDelivered,
		Tail:    b.cursor.Tail,
		Turn:    turn,
		Strand:  h.strand,
		Info:    Info{Name: b.name, Size: b.size, ETag: b.etag},
	}}
	s.Path, _ = ParsePath(b.name)
	if begin := w.f.begin; !h.begin.After(begin) && begin.After(b.since) {
		s.Since, s.Left = begin, LeftBeforeStart
	}
	s.Open = func(ctx context.Context) (io.ReadCloser, error) {
		r, err := s.open(ctx, w.f.cfg.Backend)
		if err != nil {
			err = fmt.Errorf("open %s: %w", s.Blob, err)
		}
		s.opened, s.err = err == nil, err
		return r, err
	}
	return s
}

// took notes how far a read came. It reports whether to read more at once.
func (w *followed) took(ctx context.Context, h *hour, b *blob, s *stretch, cursor Cursor, err error) (again bool) {
	progress := s.opened && cursor.Offset > s.Offset
	if errors.Is(err, ErrTurn) {
		err, s.ended = nil, false // what was read ahead is not taken
	}
	w.mu.Lock()
	if progress {
		if cursor.Last.IsZero() {
			cursor.Last = b.cursor.Last
		}
		cursor.ETag = ""
		b.cursor = cursor
		w.see(b)
	}
	if s.opened && s.ended && err == nil {
		b.cursor.ETag = s.Info.ETag
		b.ended = s.Info.Size
	}
	w.mu.Unlock()
	if s.opened {
		if b.size != s.Info.Size {
			b.changed = true
			w.late(h, b, time.Now())
		}
		b.size, b.etag = s.Info.Size, s.Info.ETag
	}
	if ctx.Err() != nil {
		return false
	}
	if progress {
		b.failures = 0
	}
	switch {
	case errors.Is(s.err, ErrRewritten):
		w.f.counts.rewritten.Add(1)
		w.event(Event{Kind: BlobRewritten, Blob: b.name, Hour: h.begin})
		b.rewritten, b.changed = true, true
		b.failures, b.retry = 0, time.Time{}
		return true
	case errors.Is(s.err, ErrNotFound):
		// All may be away: the next list says whether it is gone.
		b.changed = true
		b.failures++
		b.retry = time.Now().Add(backoff(2*w.f.cfg.PollInterval, b.failures)) // behind that list
		if b.failures > 1 {
			w.f.counts.readErrors.Add(1)
			w.event(Event{Kind: ReadFailed, Blob: b.name, Hour: h.begin, Err: err, Retry: time.Until(b.retry)})
		}
		return false
	case err == nil && s.ended:
		b.closed = !s.Growing
		b.failures, b.retry = 0, time.Time{}
		return false
	case err == nil && progress:
		return true
	}
	// It failed, or came no further without saying why.
	b.failures++
	wait := backoff(firstRetry, b.failures)
	b.retry = time.Now().Add(wait)
	if err != nil {
		w.f.counts.readErrors.Add(1)
		w.event(Event{Kind: ReadFailed, Blob: b.name, Hour: h.begin, Err: err, Retry: wait})
	}
	return false
}

// open opens the blob where the stretch begins, after a look at what stands
// before it.
func (s *stretch) open(ctx context.Context, backend Backend) (io.ReadCloser, error) {
	s.ended = false
	if s.Info.Size < s.Offset {
		return nil, ErrRewritten
	}
	s.Sign.ShowFor(stallTimeout)
	ctx, cancel := context.WithCancelCause(ctx)
	r := &reader{stretch: s, cancel: cancel, at: s.Offset}
	r.watch = time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	body, info, err := backend.Open(ctx, s.Blob, s.Offset-int64(len(s.Tail)))
	r.body = body
	if errors.Is(err, ErrNothing) {
		_ = r.Close()
		if s.Offset > 0 && (len(s.Tail) > 0 || s.Info.Size > s.Offset) {
			return nil, ErrRewritten
		}
		s.ended = true
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	if err == nil {
		s.Info, r.info = info, info
		s.Size = info.Size - s.Offset
		err = r.prove(s.Tail)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		_ = r.Close()
		return nil, err
	}
	r.watch.Stop()
	return r, nil
}

// reader gives a blob from the stretch's offset to the end that it had when it
// was opened. While it grows, its foot is held back.
type reader struct {
	stretch *stretch
	body    io.ReadCloser
	info    Info
	at      int64
	foot    []byte // its last two bytes, or what is left of them
	watch   *time.Timer
	cancel  context.CancelCauseFunc
	failed  error
}

const foot = "]}"

// prove reads what must stand before the offset.
func (r *reader) prove(tail []byte) error {
	if r.info.Size < r.stretch.Offset {
		return ErrRewritten
	}
	got := make([]byte, len(tail))
	if _, err := io.ReadFull(r.body, got); err != nil {
		return unexpected(err)
	}
	if !bytes.Equal(got, tail) {
		return ErrRewritten
	}
	return nil
}

// unexpected makes an end that comes too early an error.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *reader) Read(b []byte) (int, error) {
	if r.failed != nil || len(b) == 0 {
		return 0, r.failed
	}
	n, err := r.read(b)
	if err != nil {
		r.failed = err
		r.stretch.ended = errors.Is(err, io.EOF)
	}
	return n, err
}

func (r *reader) read(b []byte) (int, error) {
	last := r.info.Size
	if r.stretch.Growing {
		last -= int64(len(foot))
	}
	if r.at < last {
		return r.fill(b[:min(int64(len(b)), last-r.at)])
	}
	if r.at < r.info.Size && r.foot == nil { // only while it grows
		rest := make([]byte, r.info.Size-r.at)
		for got := 0; got < len(rest); {
			n, err := r.fill(rest[got:])
			if err != nil {
				return 0, err
			}
			got += n
		}
		if string(rest) != foot {
			r.foot = rest
		}
	}
	if len(r.foot) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.foot)
	r.foot = r.foot[n:]
	return n, nil
}

// fill reads from the blob, which may take only so long.
func (r *reader) fill(b []byte) (int, error) {
	r.watch.Reset(stallTimeout)
	r.stretch.Sign.ShowFor(stallTimeout)
	n, err := r.body.Read(b)
	r.stretch.Sign.Show()
	if !r.watch.Stop() && n == 0 && err != nil && !errors.Is(err, io.EOF) {
		err = errStalled
	}
	r.at += int64(n)
	if n > 0 {
		return n, nil // an error will come again
	}
	return 0, unexpected(err)
}

func (r *reader) Close() error {
	r.watch.Stop()
	r.cancel(nil)
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}
