package exporter

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/pion/dtls/v3"
)

// forever is the patience of who can wait for the rate limit.
const forever = time.Duration(math.MaxInt64)

// look does what can be done now: it connects, sends, and asks what was
// delivered. For the rate limit it waits no longer than patience.
func (s *Stream) look(ctx context.Context, now time.Time, patience time.Duration) {
	s.connect(now)
	s.send(ctx, now, patience)
	s.flush(time.Now())
	s.see(now)
}

// glance is look while more is to come: what the link gathers stays there.
func (s *Stream) glance(ctx context.Context, now time.Time) {
	s.connect(now)
	s.send(ctx, now, forever)
	s.see(now)
}

// see asks what was delivered, and notes how it is.
func (s *Stream) see(now time.Time) {
	s.looked = 0
	s.ask(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.connected(now); c != s.stats.Connected || s.stats.Since.IsZero() {
		s.stats.Connected, s.stats.Since = c, now
	}
	s.countKept()
	s.stats.Unacknowledged = s.unacknowledged()
	s.stats.RetryAt = time.Time{}
	if s.link == nil && s.attempt == nil {
		s.stats.RetryAt = s.retry
	}
}

// countKept notes what is kept. The caller holds the lock.
func (s *Stream) countKept() {
	s.stats.KeptMessages, s.stats.KeptRecords, s.stats.KeptBytes = s.backlog.kept.len(), s.backlog.records, s.backlog.used
}

// connect begins an attempt that is due, and takes over a link that came of one.
func (s *Stream) connect(now time.Time) {
	if a := s.attempt; a != nil && a.ready() {
		s.attempt = nil
		switch {
		case s.link == nil && a.err != nil:
			s.fail(a.err)
		case s.link == nil:
			s.use(a.link, now)
		case a.err == nil:
			s.next = a.link
		default:
			s.renewalFailed(a.err)
		}
	}
	if s.next != nil && s.link != nil && s.backlog.first == s.unsent {
		s.link.close(true)
		s.link = nil
	}
	if s.next != nil && s.link == nil {
		l := s.next
		s.next = nil
		s.use(l, now)
	}
	due := s.link == nil && !now.Before(s.retry)
	if s.link != nil && s.next == nil {
		life := s.link.renew()
		due = life > 0 && now.Sub(s.opened) >= life && !now.Before(s.retry)
	}
	if due && s.attempt == nil {
		if s.began.IsZero() {
			s.began = now
		}
		s.attempt = newAttempt(s.open)
	}
}

// use begins a transport session. After a failure, a link that knows nothing of
// its peer is tried with templates first.
func (s *Stream) use(l link, now time.Time) {
	first := s.opened.IsZero()
	again := s.failures > 0
	s.link, s.opened, s.advanced, s.hold, s.moved = l, now, now, time.Time{}, false
	s.unsent = s.backlog.first
	for _, d := range s.domains {
		d.newSession()
		// What the collector was told is to be told again, unless it is sent again.
		d.told.due = d.told.due || d.told.first < s.backlog.first
	}
	s.mu.Lock()
	s.stats.Connections++
	if !first && again {
		s.stats.Reconnects++
	}
	s.mu.Unlock()
	if probe := l.probe(); probe > 0 && again {
		if d := s.anyDomain(); d != nil {
			err := s.sendTemplates(d, now)
			if err == nil {
				err = l.flush()
			}
			if err != nil {
				s.lose(err)
				return
			}
			s.hold = now.Add(probe)
		}
	}
}

// anyDomain returns the domain of the next message to send, or another.
func (s *Stream) anyDomain() *domain {
	if s.unsent < s.backlog.end() {
		return s.backlog.message(s.unsent).domain
	}
	for _, d := range s.domains {
		return d
	}
	return nil
}

// lose ends a link that failed.
func (s *Stream) lose(err error) {
	s.link.close(false)
	s.link = nil
	s.unsent = s.backlog.first
	if time.Since(s.opened) >= s.cfg.pace.retryMost {
		s.failures = 0
	}
	s.fail(err)
}

// fail says that there is no connection, and when to try again.
func (s *Stream) fail(err error) {
	s.failures++
	now := time.Now()
	s.retry = now.Add(s.cfg.pace.backoff(s.failures))
	s.note(err, now)
}

func (s *Stream) note(err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Failures++
	s.stats.LastError, s.stats.LastErrorTime = err, now
}

// renewalFailed judges a link by why its successor did not come about: a collector
// that shakes no hands is not there. Other reasons are ours, and the link goes
// on.
func (s *Stream) renewalFailed(err error) {
	var handshake *dtls.HandshakeError
	if errors.As(err, &handshake) {
		s.lose(err)
		return
	}
	now := time.Now()
	s.retry = now.Add(s.cfg.pace.retryMost)
	s.note(err, now)
}

// ask asks the link what was delivered.
func (s *Stream) ask(now time.Time) {
	if s.link == nil {
		return
	}
	upTo, err := s.link.poll(now)
	if upTo > s.backlog.first {
		s.backlog.drop(upTo)
		s.advanced, s.moved = now, true
	}
	if err != nil {
		s.lose(err)
		return
	}
	if s.moved && s.proven(now) {
		s.failures = 0
	}
}

// proven reports whether the link has lived for longer than it takes the collector
// to object to what came first and, since that may be late once, as long again. A
// link that was lost before is not the end of a row of failures, whatever was
// delivered on it.
func (s *Stream) proven(now time.Time) bool {
	since := s.opened
	if s.hold.After(since) {
		since = s.hold
	}
	return now.Sub(since) >= 2*s.link.settleTime()
}

// send sends what was not sent on this link, until the link takes no more or the
// rate limit would keep it waiting for longer than patience.
func (s *Stream) send(ctx context.Context, now time.Time, patience time.Duration) {
	for s.connected(now) && s.next == nil && s.unsent < s.backlog.end() {
		k := s.backlog.message(s.unsent)
		n := int(k.records + k.options)
		if s.limiter != nil && s.limiter.delay(now, n) > 0 {
			now = time.Now() // much may have been sent since
			d := s.limiter.delay(now, n)
			if d > patience || d > 0 && !s.pause(ctx, now, d) {
				return
			}
			if d > 0 {
				patience -= d
				now = time.Now()
				k = s.backlog.message(s.unsent)
			}
		}
		switch err := s.sendKept(k, now); {
		case errors.Is(err, errBusy):
			return
		case err != nil:
			s.lose(err)
			return
		}
		if s.limiter != nil && s.limiter.pass(now, n) {
			s.flush(now)
		}
	}
}

// pause waits for the rate limit, and reports whether there is something to send
// behind that. What is gathered does not wait.
func (s *Stream) pause(ctx context.Context, now time.Time, d time.Duration) bool {
	s.flush(now)
	if s.ask(now); s.link == nil {
		return false
	}
	s.cfg.Pulse.ShowFor(d)
	err := s.limiter.wait(ctx, d)
	s.waited(time.Since(now))
	return err == nil
}

// flush hands what is gathered to the kernel.
func (s *Stream) flush(now time.Time) {
	if s.limiter != nil {
		s.limiter.left(now)
	}
	if s.link == nil {
		return
	}
	if err := s.link.flush(); err != nil && !errors.Is(err, errBusy) {
		s.lose(err)
	}
}

// waited counts what was waited for the rate limit.
func (s *Stream) waited(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.PacingWait += d
}

// unacknowledged returns how much of what left the peer has not acknowledged, if
// the link can tell.
func (s *Stream) unacknowledged() int64 {
	if l, ok := s.link.(interface{ unacknowledged() int64 }); ok {
		return l.unacknowledged()
	}
	return 0
}

// sendKept sends a message, with the templates of its domain before it if they
// are due. They go apart, so that the message can be sent again as it is.
func (s *Stream) sendKept(k *kept, now time.Time) error {
	d := k.domain
	if s.maker.Templates() > 0 && d.templatesDue(now, s.link.repeatTemplates(), s.cfg.TemplateRefresh) {
		if err := s.sendTemplates(d, now); err != nil {
			return err
		}
	}
	s.maker.Seal(k.data, k.epoch, d.sequence, now)
	if err := s.link.send(k.data, s.unsent+1); err != nil {
		return err
	}
	d.sequence += s.maker.Steps(int(k.records), int(k.options))
	d.sent(int(k.records), len(k.data))
	s.advanced = now
	s.unsent++
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Messages++
	s.stats.Bytes += uint64(len(k.data))
	s.stats.Options += uint64(k.options)
	if s.unsent > s.fresh {
		s.fresh = s.unsent
		s.stats.Records += uint64(k.records)
	} else {
		s.stats.ResentRecords += uint64(k.records)
	}
	return nil
}

// sendTemplates sends the templates of a domain, in messages of their own. Of
// NetFlow version 5, which has none, it sends a message without anything.
func (s *Stream) sendTemplates(d *domain, now time.Time) error {
	if s.scratch == nil {
		s.scratch = make([]byte, 0, s.cfg.MaxMessageBytes)
	}
	for m := &s.templates; ; {
		s.maker.Begin(m, s.scratch, d.id, now)
		next := m.AddTemplates(d.nextTemplate)
		b := m.Finish()
		s.maker.Seal(b, m.Epoch, d.sequence, now)
		if err := s.link.send(b, s.unsent); err != nil {
			return err
		}
		d.sequence += s.maker.Steps(0, 0)
		d.sent(0, len(b))
		d.nextTemplate = next
		s.mu.Lock()
		s.stats.Messages++
		s.stats.Bytes += uint64(len(b))
		s.stats.Templates += uint64(m.Templates)
		s.mu.Unlock()
		if next == s.maker.Templates() {
			break
		}
	}
	d.nextTemplate, d.templatesSent = 0, now
	return nil
}

// StreamStats says what a stream has done, and how it is.
type StreamStats struct {
	// Stats counts what was handed to the transport, repetitions included; but
	// Records counts each record once.
	Stats
	ResentRecords uint64 // records that were sent again, each time
	Connections   uint64 // transport sessions that were begun
	Reconnects    uint64 // of them, after one that failed
	Failures      uint64 // connections that ended or did not come about

	Connected    bool
	Since        time.Time // when Connected became what it is; zero before the first attempt
	KeptMessages int       // that are finished and not delivered
	KeptBytes    int
	// KeptRecords is how many flow records are in these messages. They may have been
	// sent; of a stream that is closed, they are those that may never have arrived.
	KeptRecords int
	// Unacknowledged is how many bytes were handed to the connection and are not
	// acknowledged by the peer's kernel; of TCP and TLS alone.
	Unacknowledged int64
	// PacingWait is how long sending has waited for the rate limit, in all.
	PacingWait time.Duration
	// LastError is why the last connection ended or did not come about; an *Error
	// with a hint. It stays when there is a connection again.
	LastError     error
	LastErrorTime time.Time
	RetryAt       time.Time // when the next attempt begins; zero if none is planned
}

// Stats returns what the stream has done so far. Any goroutine may call it.
func (s *Stream) Stats() StreamStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}
