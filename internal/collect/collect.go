// Package collect is the small collector behind "flow2ipfix collect" and
// "flow2ipfix demo": it receives IPFIX over UDP and TCP, NetFlow v9 and v5 over
// UDP, and reads IPFIX files (RFC 5655), and hands each decoded record to a
// sink. Two sinks live here too: a table for people and JSON lines for
// programs.
//
// The bytes of headers, templates, records and NetFlow v5 packets are decoded
// by goflow2, so that what the exporter writes is judged by somebody else's
// reading of the RFCs. What lives here is around it: transports, sessions,
// sequence numbers, limits against hostile input, names and types of the
// information elements. What does not live here: storing, aggregating or
// enriching flows, TLS and DTLS, metrics, flags and exit codes.
package collect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// MaxMessageBytes is the longest message that can be received: the length
// field of an IPFIX message header has 16 bits (RFC 7011 §3.1).
const MaxMessageBytes = 65535

// ErrStop is returned by a sink that has seen enough. Run then ends without an
// error.
var ErrStop = errors.New("stop collecting")

// ErrNoTemplate is wrapped by the errors given to Options.OnError for data
// that came before its template. Over UDP that is normal for a while after a
// collector starts: it ends with the exporter's next template refresh.
var ErrNoTemplate = errors.New("no template yet")

// Sink takes the records that Run decodes. Run calls it from one goroutine, in
// the order in which the messages arrived.
type Sink interface {
	// Write takes one record. The record, its fields and their values are
	// valid only during the call. An error other than ErrStop ends Run with
	// that error.
	Write(*Record) error

	// Flush is called when all that has arrived is written, and at the end. A
	// sink that buffers its output writes it out then.
	Flush() error
}

// SinkFunc is a Sink without a buffer.
type SinkFunc func(*Record) error

// Write calls f.
func (f SinkFunc) Write(r *Record) error { return f(r) }

// Flush does nothing.
func (f SinkFunc) Flush() error { return nil }

// Options are what a collector can be told besides its URL. The zero value is
// good.
type Options struct {
	// OnError hears of every message, set, template or connection that could
	// not be used, with its exporter and reason. It is called from the
	// goroutine that calls the sink and must not block. Nil: they are only
	// counted.
	OnError func(error)

	// EnterpriseNumber is the private enterprise number under which flow2ipfix
	// was told to send its own elements (azureRule and others), so that they
	// have names. 0: they have those that the exporter tells (RFC 5610).
	EnterpriseNumber uint32
}

// Stats counts what a collector has seen. All counters start at 0 and only
// grow, but for SequenceGaps, which shrinks when a message that was missing
// comes in late.
type Stats struct {
	Sessions           uint64 // transport sessions: UDP exporters (address and port), TCP connections, files
	RefusedConnections uint64 // TCP connections closed at once because too many were open
	Messages           uint64
	Bytes              uint64 // octets of the messages, without IP, UDP or TCP headers
	DataRecords        uint64 // flow records, not counting option records
	OptionRecords      uint64 // records of options templates
	Templates          uint64 // template and options template records, refreshes counted each time
	MissingTemplate    uint64 // data sets skipped because their template was not known
	SequenceGaps       uint64 // IPFIX and v5: records missing by the sequence numbers (RFC 7011 §3.1)
	MissingMessages    uint64 // v9: messages missing by the sequence numbers (RFC 3954 §5.1)
	DecodeErrors       uint64 // messages, sets, templates and TCP frames that could not be used
}

// Collector receives messages on one transport. Make one with Listen, run it
// once with Run.
type Collector struct {
	url     string
	source  source
	opts    Options
	started atomic.Bool
	refused atomic.Uint64

	mu    sync.Mutex
	stats Stats
}

// URL returns the URL the collector listens on, with the port that was picked
// where port 0 was asked for.
func (c *Collector) URL() string { return c.url }

// Stats returns the counters as they were after the last whole message. It is
// safe for concurrent use, also while Run runs and after it.
func (c *Collector) Stats() Stats {
	c.mu.Lock()
	s := c.stats
	c.mu.Unlock()
	s.RefusedConnections = c.refused.Load()
	return s
}

func (c *Collector) publish(s Stats) {
	c.mu.Lock()
	c.stats = s
	c.mu.Unlock()
}

// Close releases the socket or file of a collector. Run does it by itself; call
// Close for a collector that is never run. It may be called more than once.
func (c *Collector) Close() error {
	if err := c.source.Close(); err != nil && !isClosed(err) {
		return fmt.Errorf("close %s: %w", c.url, err)
	}
	return nil
}

// Run receives messages and gives their records to sink, until ctx ends, a
// file is read to its end, or the sink returns ErrStop: then it returns nil.
// When ctx ends, what was received by then is still given to the sink.
//
// A message that cannot be decoded is counted and skipped. Run returns an
// error when the sink fails, when the transport as a whole fails, or when a
// file is not a series of whole IPFIX messages. It closes the collector, waits
// for its goroutines (see Listen for the one exception) and cannot be called
// again.
func (c *Collector) Run(ctx context.Context, sink Sink) error {
	if c.started.Swap(true) {
		return errors.New("run collector: it has run already")
	}
	defer c.Close()
	// Once the consumer has stopped nothing empties the intake any more, so
	// the readers have to stop too.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := newIntake()
	var g errgroup.Group
	g.Go(func() error {
		defer close(in.queue)
		return c.source.read(ctx, in)
	})
	err := c.consume(in, sink)
	cancel()
	if readErr := g.Wait(); err == nil {
		err = readErr
	}
	if errors.Is(err, ErrStop) {
		return nil
	}
	return err
}

// consume decodes what the readers queue, until they close the queue or the
// sink fails.
func (c *Collector) consume(in *intake, sink Sink) (err error) {
	d := newDecoder(sink.Write, c.opts)
	defer func() {
		c.publish(d.stats)
		if flushErr := sink.Flush(); flushErr != nil && (err == nil || errors.Is(err, ErrStop)) {
			err = fmt.Errorf("write records: %w", flushErr)
		}
	}()
	for p := range in.queue {
		if err := d.packet(p); err != nil {
			if errors.Is(err, ErrStop) {
				return ErrStop
			}
			return fmt.Errorf("write records: %w", err)
		}
		in.release(p)
		c.publish(d.stats)
		if len(in.queue) == 0 {
			if err := sink.Flush(); err != nil {
				return fmt.Errorf("write records: %w", err)
			}
		}
	}
	return nil
}
