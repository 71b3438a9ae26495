package exporter

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"flow2ipfix/exporter/message"
	"flow2ipfix/templates"
)

// ErrAway says that there is no connection to the collector. Only a Stream with
// Config.BestEffort returns it.
var ErrAway = errors.New("the collector is away")

// ErrClosed says that a Stream was closed.
var ErrClosed = errors.New("the stream is closed")

// Stream sends to one collector for as long as it takes. It connects when it has
// to, again and again, looking the name up each time; each connection is a
// transport session of its own, with templates first and sequence numbers from 0
// (RFC 7011 §3.1, §8). What was not delivered on one is sent again on the next:
// each record arrives at least once.
//
// A message is delivered, over TCP and TLS, when the peer's kernel has
// acknowledged it and the connection was alive and moving a second later; over
// UDP and DTLS, when no refusal of it came back within four seconds (a tenth of
// one on this machine), which is longer than the kernel takes to find out that
// nobody has the collector's address; into a file, when it is written. What is
// lost behind that, nobody tells.
//
// One goroutine at a time may use a Stream; others may call Stats. Nothing happens
// between calls but opening connections: whoever has nothing to export calls
// Delivered every now and then.
type Stream struct {
	cfg     Config
	open    func(context.Context) (link, error)
	limiter *limiter // nil if there is no limit
	away    error

	link     link     // nil: there is no connection
	next     link     // takes over when all that link was given is delivered
	attempt  *attempt // nil: none is under way
	opened   time.Time
	hold     time.Time // nothing but templates is sent before
	retry    time.Time // when to connect
	failures int       // in a row
	moved    bool      // something was delivered on this link
	began    time.Time // the first attempt
	advanced time.Time // when anything was last delivered or sent
	looked   int       // bytes that were finished since the last look
	alarm    alarm     // for wait

	backlog   backlog
	domains   map[uint32]*domain
	announcer announcer
	maker     *message.Maker
	domain    *domain // of the message that was begun; nil if none was
	message   message.Message
	templates message.Message // the last one with templates
	scratch   []byte          // its memory

	unsent uint64 // the first message that is not sent on this link
	fresh  uint64 // the first message that was never sent
	closed bool

	mu    sync.Mutex
	stats StreamStats
}

const (
	// lookEvery is after how many bytes a stream looks what was delivered.
	lookEvery = streamBytes
	// firstPatience is how long a best-effort stream waits for the first
	// connection.
	firstPatience = time.Second
	// stallPatience is how many settle times a best-effort stream waits for a
	// collector that takes nothing.
	stallPatience = 3
	// catchUp is how long Delivered may send at the limited rate: what is sent
	// again after an outage would otherwise wait for the next record.
	catchUp = 20 * time.Millisecond
)

// NewStream does not connect. An error is one of the configuration.
func NewStream(cfg Config) (*Stream, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	a, err := cfg.address()
	if err != nil {
		return nil, err
	}
	if cfg.LocalAddress != "" {
		if _, err := netip.ParseAddr(cfg.LocalAddress); err != nil {
			return nil, &Error{URL: cfg.URL, Err: fmt.Errorf("local address: want an IP address, got %q", cfg.LocalAddress), Hint: hintLocalAddress}
		}
	}
	if a.Scheme == "tls" || a.Scheme == "dtls" {
		if _, err := cfg.credentials(a.Target); err != nil {
			return nil, err
		}
	}
	return newStream(cfg, func(ctx context.Context) (link, error) { return openLink(ctx, &cfg) }), nil
}

func newStream(cfg Config, open func(context.Context) (link, error)) *Stream {
	return &Stream{
		cfg:     cfg,
		open:    open,
		limiter: newLimiter(&cfg),
		away:    &Error{URL: cfg.URL, Err: ErrAway, Hint: "start the collector; it is connected to again by and by"},
		backlog: newBacklog(cfg.MaxKeptBytes, cfg.MaxMessageBytes),
		domains: make(map[uint32]*domain),

		announcer: newAnnouncer(&cfg),
		maker:     message.New(cfg.Templates, cfg.MaxMessageBytes, cfg.MaxRecords),
	}
}

// Export adds a record to the message of its observation domain, and sends what
// is full, as Session.Export does. It waits while the collector is away, or takes
// nothing, and no more can be kept; then the error is why ctx ended. With
// Config.BestEffort it does not wait for that but returns ErrAway. With an error,
// the record was not taken.
func (s *Stream) Export(ctx context.Context, domainID uint32, r *templates.Record) error {
	t := s.cfg.Templates.For(r)
	if t == nil {
		return s.exportParts(ctx, domainID, r)
	}
	if s.domain == nil || s.domain.id != domainID || !s.message.Fits(t, r) {
		if err := s.begin(ctx, domainID, t, r, s.oneMessage()); err != nil {
			return err
		}
	}
	s.message.Add(t, r)
	return nil
}

// exportParts is Export for NetFlow version 5. Of a flow that is split, all parts
// are taken, or none.
func (s *Stream) exportParts(ctx context.Context, domainID uint32, r *templates.Record) error {
	parts, err := message.Parts(r)
	if err != nil {
		return err
	}
	domainID = s.maker.Domain(domainID)
	if parts > 1 || s.domain == nil || s.domain.id != domainID || !s.message.Fits(nil, r) {
		need := s.oneMessage()
		if parts > 1 {
			need.octets, need.messages = s.maker.PartBytes(parts)
		}
		if err := s.begin(ctx, domainID, nil, r, need); err != nil {
			return err
		}
	}
	for i := range parts {
		if !s.message.Fits(nil, r) {
			d := s.domain
			s.finish()
			s.openMessage(d, time.Now())
		}
		s.message.AddPart(r, i, parts)
	}
	return nil
}

// need is how much of the backlog something takes.
type need struct{ octets, messages int }

func (s *Stream) oneMessage() need { return need{s.cfg.MaxMessageBytes, 1} }

func (s *Stream) room(n need) bool { return s.backlog.roomFor(n.octets, n.messages) }

// begin finishes the message that was begun, if any, sends what can be sent, and
// begins another with room for r, a record of t, as soon as there is room for it.
// Before r come options data records that are due, and some names.
func (s *Stream) begin(ctx context.Context, domainID uint32, t *templates.Template, r *templates.Record, n need) error {
	s.finish()
	if err := s.maker.TooLarge(t, r); err != nil {
		return err
	}
	now, err := s.await(ctx, n)
	if err != nil {
		return err
	}
	d := domainOf(s.domains, domainID)
	if err := s.beginWithNames(ctx, d, now, n); err != nil {
		return err
	}
	if !s.message.Fits(t, r) {
		return s.another(ctx, n)
	}
	return nil
}

// another finishes the message that was begun, and begins another of its domain.
func (s *Stream) another(ctx context.Context, n need) error {
	d := s.domain
	s.finish()
	now, err := s.await(ctx, n)
	if err != nil {
		return err
	}
	s.openMessage(d, now)
	return nil
}

// await sends what can be sent, and waits until there is room. It returns the time.
func (s *Stream) await(ctx context.Context, n need) (time.Time, error) {
	now := time.Now()
	switch {
	case s.closed:
		return now, ErrClosed
	case ctx.Err() != nil:
		return now, context.Cause(ctx)
	}
	if s.link == nil || s.looked >= lookEvery {
		s.glance(ctx, now)
	} else {
		s.send(ctx, now, forever)
	}
	for {
		switch {
		case s.cfg.BestEffort && s.isAway(now, n):
			return now, s.away
		case ctx.Err() != nil:
			return now, context.Cause(ctx)
		case s.room(n) && !s.awaitsFirst(now):
			return now, nil
		}
		if err := s.wait(ctx); err != nil {
			return now, err
		}
		now = time.Now()
		s.look(ctx, now, forever)
	}
}

// openMessage begins a message.
func (s *Stream) openMessage(d *domain, now time.Time) {
	s.maker.Begin(&s.message, s.backlog.begin(s.cfg.MaxMessageBytes), d.id, now)
	s.domain = d
}

// finish keeps the message that was begun.
func (s *Stream) finish() {
	m := &s.message
	if s.domain == nil {
		return
	}
	b := m.Finish() // the header is completed when it is sent
	s.backlog.finish(kept{b, s.domain, m.Epoch, int32(m.Records), int32(m.Options)})
	s.looked += len(b)
	s.domain = nil
	if m.Clamped > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stats.Clamped = m.Clamped
	}
}

// Mark says that what was exported so far completes id. Ids ascend.
func (s *Stream) Mark(id uint64) { s.backlog.mark(id) }

// Flush sends what is held back, full messages or not. It waits for the rate
// limit, but not for a collector that is away: that gets it later.
func (s *Stream) Flush(ctx context.Context) error {
	s.finish()
	if s.closed {
		return ErrClosed
	}
	s.look(ctx, time.Now(), forever)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// Delivered returns the largest id that is delivered with all before it. It does
// what can be done without waiting: sends what was not taken before, connects, and
// asks what has arrived. Why a connection failed is in Stats.
func (s *Stream) Delivered(ctx context.Context) (uint64, error) {
	if s.closed {
		return s.backlog.marked, ErrClosed
	}
	s.announceWaiting(ctx, time.Now())
	s.look(ctx, time.Now(), catchUp)
	return s.backlog.marked, nil
}

// Drain flushes, and waits until all that was exported is delivered or ctx ends.
// With Config.BestEffort it does not wait for a collector that is away; how many
// records that one has missed is in Stats.
func (s *Stream) Drain(ctx context.Context) (uint64, error) {
	s.finish()
	for {
		now := time.Now()
		switch {
		case s.closed:
			return s.backlog.marked, ErrClosed
		default:
			s.look(ctx, now, forever)
		}
		switch {
		case s.backlog.kept.len() == 0:
			return s.backlog.marked, nil
		case s.cfg.BestEffort && s.isAway(now, s.oneMessage()):
			return s.backlog.marked, s.away
		}
		if err := s.wait(ctx); err != nil {
			return s.backlog.marked, err
		}
	}
}

// Close ends the connection. What was not delivered may be lost; how many records
// that are is in Stats.
func (s *Stream) Close() error {
	if s.closed {
		return nil
	}
	s.finish()
	s.closed = true
	if s.attempt != nil {
		s.attempt.giveUp()
		s.attempt = nil
	}
	if s.next != nil {
		s.next.close(true)
		s.next = nil
	}
	if s.link != nil {
		s.link.close(true)
		s.link = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Connected, s.stats.Unacknowledged = false, 0
	s.countKept()
	return nil
}

// connected reports whether what is sent now may be expected to arrive.
func (s *Stream) connected(now time.Time) bool { return s.link != nil && !now.Before(s.hold) }

// awaitsFirst reports whether a best-effort stream still waits for its first
// connection.
func (s *Stream) awaitsFirst(now time.Time) bool {
	return s.cfg.BestEffort && s.link == nil && s.attempt != nil && s.failures == 0 && s.opened.IsZero() && now.Sub(s.began) < firstPatience
}

// isAway reports whether a best-effort stream takes nothing that needs so much.
func (s *Stream) isAway(now time.Time, n need) bool {
	if !s.connected(now) {
		return !s.awaitsFirst(now)
	}
	return !s.room(n) && now.Sub(s.advanced) > stallPatience*max(s.cfg.pace.settle, s.link.settleTime())
}

// wait waits until there may be something to do, at most for a tick while there is
// a connection.
func (s *Stream) wait(ctx context.Context) error {
	d := s.cfg.pace.tick
	var done <-chan struct{}
	switch {
	case s.attempt != nil:
		done = s.attempt.done
		if s.link == nil {
			d = s.cfg.Timeout
			if s.cfg.BestEffort {
				d = firstPatience
			}
		}
	case s.link == nil:
		d = max(time.Until(s.retry), d)
	}
	s.cfg.Pulse.ShowFor(d)
	defer s.alarm.clear()
	select {
	case <-s.alarm.set(d):
	case <-done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
