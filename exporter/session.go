package exporter

import (
	"context"
	"fmt"
	"time"

	"flow2ipfix/exporter/message"
	"flow2ipfix/templates"
)

// Session is one transport session, or a succession of them, to one collector.
// One goroutine at a time may use it; it starts none of its own.
type Session struct {
	cfg       Config
	transport transport
	limiter   *limiter // nil if there is no limit
	stats     Stats
	now       func() time.Time

	domains   map[uint32]*domain
	announcer announcer
	maker     *message.Maker
	buf       []byte

	left time.Time // when the last message left
	held bool      // it has not yet: the transport waits for more

	domain  *domain // of the message that was begun; nil if none was
	message message.Message
}

// New connects to the collector. The error says what to do.
func New(ctx context.Context, cfg Config) (*Session, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	t, err := dial(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	return newSession(cfg, t), nil
}

func newSession(cfg Config, t transport) *Session {
	return &Session{
		cfg:       cfg,
		transport: t,
		limiter:   newLimiter(&cfg),
		now:       time.Now,
		domains:   make(map[uint32]*domain),
		announcer: newAnnouncer(&cfg),
		maker:     message.New(cfg.Templates, cfg.MaxMessageBytes, cfg.MaxRecords),
		buf:       make([]byte, 0, cfg.MaxMessageBytes),
	}
}

// Export adds a record to the message of its observation domain and sends the
// message when it is full. The records of one domain arrive in order; a record
// of another domain sends the message that was begun. With NetFlow version 5, a
// flow with large counters becomes several records, and one of IPv6 is an error.
// Now and then Pause is to be called: before the next record may be long in coming.
//
// An error of the transport is final for the session.
func (s *Session) Export(ctx context.Context, domainID uint32, r *templates.Record) error {
	t := s.cfg.Templates.For(r)
	if t == nil {
		return s.exportParts(ctx, domainID, r)
	}
	if s.domain == nil || s.domain.id != domainID || !s.message.Fits(t, r) {
		if err := s.begin(ctx, domainID, t, r); err != nil {
			return err
		}
	}
	s.message.Add(t, r)
	return nil
}

// exportParts is Export for NetFlow version 5.
func (s *Session) exportParts(ctx context.Context, domainID uint32, r *templates.Record) error {
	parts, err := message.Parts(r)
	if err != nil {
		return err
	}
	domainID = s.maker.Domain(domainID)
	for i := range parts {
		if s.domain == nil || s.domain.id != domainID || !s.message.Fits(nil, r) {
			if err := s.begin(ctx, domainID, nil, r); err != nil {
				return err
			}
		}
		s.message.AddPart(r, i, parts)
	}
	return nil
}

// begin sends the message that was begun, if any, and begins another with room for
// r, a record of t. Before r come templates and options data records that are due,
// and some names.
func (s *Session) begin(ctx context.Context, domainID uint32, t *templates.Template, r *templates.Record) error {
	if err := s.maker.TooLarge(t, r); err != nil {
		return err
	}
	now, err := s.send(ctx)
	if err != nil {
		return err
	}
	d := domainOf(s.domains, domainID)
	if err := s.beginWithNames(ctx, d, now); err != nil {
		return err
	}
	if !s.message.Fits(t, r) {
		return s.another(ctx)
	}
	return nil
}

// openWithTemplates begins a message with the templates that are due.
func (s *Session) openWithTemplates(ctx context.Context, d *domain, now time.Time) error {
	s.open(d, now)
	if s.maker.Templates() == 0 || !d.templatesDue(now, s.transport.repeatTemplates(), s.cfg.TemplateRefresh) {
		return nil
	}
	for next := s.message.AddTemplates(0); next < s.maker.Templates(); next = s.message.AddTemplates(next) {
		if err := s.another(ctx); err != nil {
			return err
		}
	}
	d.templatesSent = now
	return nil
}

// another sends the message that was begun, and begins another of its domain.
func (s *Session) another(ctx context.Context) error {
	d := s.domain
	now, err := s.send(ctx)
	if err != nil {
		return err
	}
	s.open(d, now)
	return nil
}

func (s *Session) open(d *domain, now time.Time) {
	s.maker.Begin(&s.message, s.buf, d.id, now)
	s.domain = d
}

// time returns the time for a message that leaves. Those that the transport gathers leave
// together: to ask for each of them costs as much as encoding two records.
func (s *Session) time() time.Time {
	if !s.held || s.limiter != nil {
		s.left = s.now()
	}
	return s.left
}

// send hands the message that was begun, if any, to the transport. It returns when
// that was.
func (s *Session) send(ctx context.Context) (time.Time, error) {
	now := s.time()
	d, m := s.domain, &s.message
	if d == nil {
		return now, nil
	}
	if s.limiter != nil {
		if wait := s.limiter.delay(now, m.Records+m.Options); wait > 0 {
			if err := s.hold(ctx, now, wait); err != nil {
				return now, err
			}
			now = s.now()
		}
	}
	b := m.Finish()
	s.maker.Seal(b, m.Epoch, d.sequence, now)
	var err error
	if s.held, err = s.transport.send(ctx, b); err != nil {
		return now, err
	}
	if s.limiter != nil && s.limiter.pass(now, m.Records+m.Options) {
		if err := s.transport.flush(ctx); err != nil {
			return now, err
		}
	}
	d.sequence += s.maker.Steps(m.Records, m.Options)
	d.sent(m.Records, len(b))
	s.stats.Records += uint64(m.Records)
	s.stats.Options += uint64(m.Options)
	s.stats.Templates += uint64(m.Templates)
	s.stats.Messages++
	s.stats.Bytes += uint64(len(b))
	s.stats.Clamped = m.Clamped
	s.domain = nil
	return now, nil
}

// hold waits for the rate limit. What is gathered does not.
func (s *Session) hold(ctx context.Context, now time.Time, d time.Duration) error {
	if err := s.flush(ctx, now); err != nil {
		return err
	}
	if err := s.limiter.wait(ctx, d); err != nil {
		return fmt.Errorf("wait for the rate limit: %w", err)
	}
	return nil
}

func (s *Session) flush(ctx context.Context, now time.Time) error {
	s.held = false
	if s.limiter != nil {
		s.limiter.left(now)
	}
	return s.transport.flush(ctx)
}

// Pause sends the messages that wait for others, but none that is not full: the next
// record may be long in coming.
func (s *Session) Pause(ctx context.Context) error { return s.flush(ctx, s.now()) }

// Flush sends everything that is held back, full messages or not, and behind it
// the names that were not told yet. If ctx has a deadline, they take half of the
// time at most.
func (s *Session) Flush(ctx context.Context) error {
	s.held = false
	if err := s.finish(ctx); err != nil {
		return err
	}
	return s.flush(ctx, s.now())
}

// Sync flushes, and returns when the collector has had time to refuse what was
// sent, as far as the transport can tell.
func (s *Session) Sync(ctx context.Context) error {
	s.held = false
	if err := s.finish(ctx); err != nil {
		return err
	}
	if err := s.flush(ctx, s.now()); err != nil {
		return err
	}
	return s.transport.sync(ctx)
}

// Close ends the session. What was not synced may be lost.
func (s *Session) Close() error { return s.transport.close() }

// Stats returns what was handed to the transport so far.
func (s *Session) Stats() Stats { return s.stats }
