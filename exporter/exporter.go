// Package exporter is the exporting process of RFC 7011: it assembles IPFIX
// messages from flow records and sends them to a collector over UDP, TCP, TLS or
// DTLS, or into a file (RFC 5655).
//
// A Session sends once, and an error ends it. A Stream keeps what is not
// delivered, connects again for as long as it takes, and says what is delivered.
// Either talks to one collector.
//
// What is in a record is package convert's business, how it is encoded package
// templates'.
package exporter

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"golang.org/x/time/rate"

	"flow2ipfix/templates"
)

// Config says where and how a session sends. Zero values mean the defaults that
// the fields' comments name.
type Config struct {
	// URL is the collector: udp://, tcp://, tls:// or dtls:// and host:port, or
	// file:PATH, where file:- is standard output.
	URL string
	// LocalAddress is the address to send from; empty lets the system choose.
	LocalAddress string
	// TLS is for tls:// and dtls://.
	TLS TLS
	// Templates is what records are encoded with.
	Templates *templates.Set
	// MaxMessageBytes is the largest message, IPFIX header included; 1400. An IP
	// packet is 28 (IPv4) or 48 (IPv6) bytes larger.
	MaxMessageBytes int
	// MaxRecords is how many data records a message has at most; 64, which is
	// all that some collectors read of one.
	MaxRecords int
	// Rate is how many data records a second are sent at most; 0 is no limit.
	Rate int
	// TemplateRefresh is how often templates are repeated over UDP; 60 s.
	TemplateRefresh time.Duration
	// Timeout bounds connecting, and each write of a Session to TCP; 15 s.
	Timeout time.Duration

	// BestEffort is of a Stream that rather loses records than waits: Export
	// returns ErrAway while there is no connection.
	BestEffort bool
	// MaxKeptBytes is how much a Stream keeps of what is not delivered; 16 MiB.
	MaxKeptBytes int

	pace pace // how patient a Stream is; tests are less so
}

// The defaults of Config.
const (
	DefaultMaxMessageBytes = 1400
	DefaultMaxRecords      = 64
	DefaultTemplateRefresh = time.Minute
	DefaultTimeout         = 15 * time.Second
	DefaultMaxKeptBytes    = 16 << 20
)

// maxMessage is the largest length that an IPFIX message header can say.
const maxMessage = math.MaxUint16

func (c *Config) setDefaults() error {
	if c.MaxMessageBytes == 0 {
		c.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if c.MaxRecords == 0 {
		c.MaxRecords = DefaultMaxRecords
	}
	if c.TemplateRefresh == 0 {
		c.TemplateRefresh = DefaultTemplateRefresh
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxKeptBytes == 0 {
		c.MaxKeptBytes = DefaultMaxKeptBytes
	}
	c.pace.setDefaults()
	least := messageHeader + setHeader
	for _, t := range c.Templates.Templates() {
		least += setHeader + len(t.AppendTemplate(nil)) + t.Length()
	}
	switch {
	case c.MaxMessageBytes < least || c.MaxMessageBytes > maxMessage:
		return fmt.Errorf("max message bytes: want %d to %d, got %d", least, maxMessage, c.MaxMessageBytes)
	case c.MaxRecords < 1:
		return fmt.Errorf("max records: want 1 or more, got %d", c.MaxRecords)
	case c.MaxKeptBytes < 4*c.MaxMessageBytes:
		return fmt.Errorf("max kept bytes: want at least four messages, %d, got %d", 4*c.MaxMessageBytes, c.MaxKeptBytes)
	case c.Rate < 0:
		return fmt.Errorf("rate: want 0 (no limit) or more records/s, got %d", c.Rate)
	}
	return nil
}

// maxDatagram is the largest message that a scheme can carry: of UDP what fits
// behind an IPv4 header, of DTLS what fits into a record (RFC 6347 §4.1).
var maxDatagram = map[string]int{"udp": 65507, "dtls": 1 << 14}

// address parses the URL and checks what depends on it.
func (c *Config) address() (Address, error) {
	a, err := ParseURL(c.URL)
	if err != nil {
		return a, err
	}
	if most := maxDatagram[a.Scheme]; most > 0 && c.MaxMessageBytes > most {
		return a, fmt.Errorf("max message bytes: want %d at most with %s://, got %d", most, a.Scheme, c.MaxMessageBytes)
	}
	return a, c.TLS.check(a.Scheme)
}

// Stats counts what a session has sent.
type Stats struct {
	Records   uint64 // data records
	Templates uint64 // template records, repetitions included
	Messages  uint64
	Bytes     uint64 // of messages, without the headers of lower layers
}

// Session is one transport session, or a succession of them, to one collector.
// One goroutine at a time may use it; it starts none of its own.
type Session struct {
	cfg       Config
	transport transport
	limiter   *rate.Limiter // nil if there is no limit
	stats     Stats
	now       func() time.Time

	domains map[uint32]*domain
	message message
}

// domain is what a session knows of an observation domain.
type domain struct {
	id uint32
	// sequence is the number of data records sent so far (RFC 7011 §3.1).
	sequence uint32
	// templatesSent is when the templates were last sent; zero is never.
	templatesSent time.Time
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
	s := &Session{cfg: cfg, transport: t, limiter: newLimiter(&cfg), now: time.Now, domains: make(map[uint32]*domain)}
	s.message.buf = make([]byte, 0, cfg.MaxMessageBytes)
	return s
}

// newLimiter returns what holds a configured rate; nil if there is no limit.
func newLimiter(cfg *Config) *rate.Limiter {
	if cfg.Rate == 0 {
		return nil
	}
	// The bucket holds 5 ms: small enough for a collector's socket buffer, large
	// enough for the granularity of timers.
	return rate.NewLimiter(rate.Limit(cfg.Rate), max(cfg.MaxRecords, cfg.Rate/200))
}

// Export adds a record to the message of its observation domain and sends the
// message when it is full. The records of one domain arrive in order; a record
// of another domain sends the message that was begun.
//
// An error of the transport is final for the session.
func (s *Session) Export(ctx context.Context, domainID uint32, r *templates.Record) error {
	m := &s.message
	if m.domain == nil || m.domain.id != domainID || m.records == s.cfg.MaxRecords {
		if err := s.send(ctx); err != nil {
			return err
		}
		s.begin(domainID)
	}
	t := s.cfg.Templates.For(r)
	if !m.fits(t, r) {
		if err := s.send(ctx); err != nil {
			return err
		}
		s.begin(domainID)
	}
	m.add(t, r)
	return nil
}

// begin starts a message, with the templates in front if they are due.
func (s *Session) begin(domainID uint32) {
	d := s.domains[domainID]
	if d == nil {
		d = &domain{id: domainID}
		s.domains[domainID] = d
	}
	now := s.now()
	s.message.reset(d)
	if d.templatesSent.IsZero() || s.transport.repeatTemplates() && now.Sub(d.templatesSent) >= s.cfg.TemplateRefresh {
		s.message.addTemplates(s.cfg.Templates)
		d.templatesSent = now
		s.stats.Templates += uint64(len(s.cfg.Templates.Templates()))
	}
}

// send hands the message that was begun, if any, to the transport.
func (s *Session) send(ctx context.Context) error {
	m := &s.message
	if m.domain == nil {
		return nil
	}
	if s.limiter != nil && m.records > 0 {
		if err := s.limiter.WaitN(ctx, m.records); err != nil {
			return fmt.Errorf("wait for the rate limit: %w", cmp.Or(context.Cause(ctx), err))
		}
	}
	b := m.finish(s.now())
	if err := s.transport.send(ctx, b); err != nil {
		return err
	}
	m.domain.sequence += uint32(m.records)
	s.stats.Records += uint64(m.records)
	s.stats.Messages++
	s.stats.Bytes += uint64(len(b))
	m.domain = nil
	return nil
}

// Flush sends everything that is held back, full messages or not.
func (s *Session) Flush(ctx context.Context) error {
	if err := s.send(ctx); err != nil {
		return err
	}
	return s.transport.flush(ctx)
}

// Sync flushes, and returns when the collector has had time to refuse what was
// sent, as far as the transport can tell.
func (s *Session) Sync(ctx context.Context) error {
	if err := s.send(ctx); err != nil {
		return err
	}
	return s.transport.sync(ctx)
}

// Close ends the session. What was not synced may be lost.
func (s *Session) Close() error { return s.transport.close() }

// Stats returns what was handed to the transport so far.
func (s *Session) Stats() Stats { return s.stats }
