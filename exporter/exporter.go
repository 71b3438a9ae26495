// Package exporter is the exporting process of RFC 7011: it sends flow records, and
// options data records about them, to a collector over UDP, TCP, TLS or DTLS, or
// into a file (RFC 5655). They go in messages of IPFIX or, over UDP and DTLS, of
// NetFlow version 9 or 5.
//
// A Session sends once, and an error ends it. A Stream keeps what is not
// delivered, connects again for as long as it takes, and says what is delivered.
// Either talks to one collector.
//
// What is in a record is package convert's business, how it is encoded package
// templates', what messages look like that of package message below.
package exporter

import (
	"fmt"
	"time"

	"flow2ipfix/exporter/message"
	"flow2ipfix/internal/pulse"
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
	// Templates is what records are encoded with, and the protocol.
	Templates *templates.Set
	// Inventory has the names for options data records; nil is none.
	Inventory *templates.Inventory
	// NotSent returns what was lost to this collector so far; nil is nothing. It is
	// called by whoever exports.
	NotSent func() templates.NotSent
	// MaxMessageBytes is the largest message, its header included; 1400. An IP
	// packet is 28 (IPv4) or 48 (IPv6) bytes larger.
	MaxMessageBytes int
	// MaxRecords is how many data records a message has at most; 64, which is
	// all that some collectors read of one. NetFlow version 5 never has more than 30.
	MaxRecords int
	// Rate is how many data records a second are sent at most; 0 is no limit.
	Rate int
	// TemplateRefresh is how often templates are repeated over UDP, and what options
	// data records say; statistics are told as often over any transport; 60 s. All
	// options data records get a tenth of Rate, so many names take longer, and flows do
	// not wait for them.
	TemplateRefresh time.Duration
	// Timeout bounds connecting, and each write of a Session to TCP; 15 s.
	Timeout time.Duration

	// BestEffort is of a Stream that rather loses records than waits: Export
	// returns ErrAway while there is no connection.
	BestEffort bool
	// MaxKeptBytes is how much a Stream keeps of what is not delivered; 16 MiB.
	MaxKeptBytes int
	// Pulse is the sign of the goroutine that uses a Stream, which is shown while it
	// waits; may be nil.
	Pulse *pulse.Sign

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
	least, leastKept := message.Least(c.Templates), 4*c.MaxMessageBytes
	if c.Templates.Protocol == templates.NetFlow5 && c.MaxMessageBytes >= least && c.MaxRecords > 0 {
		// A flow that is split is kept whole or not at all.
		octets, messages := message.New(c.Templates, c.MaxMessageBytes, c.MaxRecords).PartBytes(message.MaxParts)
		leastKept = max(leastKept, octets+messages*costOfKept)
	}
	switch {
	case c.MaxMessageBytes < least || c.MaxMessageBytes > message.MaxBytes:
		return fmt.Errorf("max message bytes: want %d to %d, got %d", least, message.MaxBytes, c.MaxMessageBytes)
	case c.MaxRecords < 1:
		return fmt.Errorf("max records: want 1 or more, got %d", c.MaxRecords)
	case c.MaxKeptBytes < leastKept:
		return fmt.Errorf("max kept bytes: want at least four messages, %d, got %d", leastKept, c.MaxKeptBytes)
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
	if p := c.Templates.Protocol; p != templates.IPFIX && maxDatagram[a.Scheme] == 0 {
		return a, fmt.Errorf("protocol: want ipfix with %s, got %s, whose messages go by udp:// or dtls:// only: they do not say how long they are", a.Scheme, p)
	}
	return a, c.TLS.check(a.Scheme)
}

// Stats counts what a session has sent.
type Stats struct {
	Records   uint64 // data records of flows
	Options   uint64 // options data records, repetitions included
	Templates uint64 // template records, those of options and repetitions included
	Messages  uint64
	Bytes     uint64 // of messages, without the headers of lower layers
	// Clamped counts values that the protocol could not carry: times that are too
	// old for the sysUptime of NetFlow, and of version 5 interface indexes above
	// 65535 (0 is sent) and counters that are too large even for many records.
	Clamped uint64
}
