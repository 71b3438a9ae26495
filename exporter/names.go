package exporter

import (
	"context"
	"math"
	"time"
)

// beginWithNames begins a message of d, to which flows will be added, with what is
// to be said of d. Before it, another domain that waits gets a message.
func (s *Stream) beginWithNames(ctx context.Context, d *domain, now time.Time, n need) error {
	a := &s.announcer
	if a.waiting.len() > 0 {
		a.refill(now)
		s.announceNext(d, now, n)
	}
	s.openMessage(d, now)
	for a.wants(d, now, s.link != nil, s.link != nil && s.link.repeatTemplates()) {
		s.noteFirst(d)
		if err := a.announce(d, &s.message, now, a.beforeFlows(d, s.connected(now)), func() error { return s.another(ctx, n) }); err != nil {
			return err
		}
		if !d.told.due {
			break
		}
	}
	return nil
}

// noteFirst notes where it begins, if all is to be said of a domain.
func (s *Stream) noteFirst(d *domain) {
	if d.told.due {
		d.told.first = s.backlog.end()
	}
}

// announceWaiting sends names that wait, as far as that goes without waiting: one
// message after the other, so that flows find none before them but one.
func (s *Stream) announceWaiting(ctx context.Context, now time.Time) {
	a := &s.announcer
	if a.waiting.len() == 0 || !s.connected(now) || s.unsent < s.backlog.end() {
		return
	}
	if a.refill(now); a.budget < namesApart {
		return
	}
	s.finish()
	for until := now.Add(catchUp); ; now = time.Now() {
		s.send(ctx, now, until.Sub(now))
		if s.unsent < s.backlog.end() || !s.announceNext(nil, now, s.oneMessage()) {
			return
		}
	}
}

// announceNext keeps a message of the domain whose turn it is, if that is not own,
// and leaves room for n. It reports whether there was one.
func (s *Stream) announceNext(own *domain, now time.Time, n need) bool {
	more := need{n.octets + s.cfg.MaxMessageBytes, n.messages + 1}
	if !s.connected(now) || !s.room(more) {
		return false
	}
	d := s.announcer.turn(own)
	if d == nil {
		return false
	}
	more.octets += s.cfg.MaxMessageBytes
	more.messages++
	s.openMessage(d, now)
	s.noteFirst(d)
	// The error is that there is no room; then d waits again.
	_ = s.announcer.announce(d, &s.message, now, s.announcer.inTurn(), func() error {
		if !s.room(more) {
			return errEnough
		}
		s.finish()
		s.openMessage(d, now)
		return nil
	})
	s.finish()
	return true
}

// beginWithNames is what that of Stream is.
func (s *Session) beginWithNames(ctx context.Context, d *domain, now time.Time) error {
	a := &s.announcer
	next := func() error { return s.another(ctx) }
	if a.waiting.len() > 0 {
		a.refill(now)
		if o := a.turn(d); o != nil {
			if err := s.openWithTemplates(ctx, o, now); err != nil {
				return err
			}
			if err := a.announce(o, &s.message, now, a.inTurn(), next); err != nil {
				return err
			}
			var err error
			if now, err = s.send(ctx); err != nil {
				return err
			}
		}
	}
	if err := s.openWithTemplates(ctx, d, now); err != nil {
		return err
	}
	if a.wants(d, now, true, s.transport.repeatTemplates()) {
		return a.announce(d, &s.message, now, a.beforeFlows(d, true), next)
	}
	return nil
}

// finish sends the message that was begun, if any, and the names that were not told
// yet.
func (s *Session) finish(ctx context.Context) error {
	now, err := s.send(ctx)
	if err != nil {
		return err
	}
	a := &s.announcer
	g := grant{fresh: math.MaxInt, messages: true}
	if end, ok := ctx.Deadline(); ok && s.limiter != nil {
		g.fresh = int(max(0, end.Sub(now).Seconds()/2*float64(s.cfg.Rate)))
	}
	for range a.waiting.len() {
		d := *a.waiting.at(0)
		a.waiting.pop()
		d.told.waiting = false
		if a.news(d) > 0 && g.fresh > 0 {
			if err := s.openWithTemplates(ctx, d, now); err != nil {
				return err
			}
			if err := a.sayNames(d, &s.message, &g, func() error { return s.another(ctx) }); err != nil {
				return err
			}
			if now, err = s.send(ctx); err != nil {
				return err
			}
		}
		a.wait(d)
	}
	return nil
}
