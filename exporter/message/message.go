// Package message puts records into export messages: of IPFIX (RFC 7011), of
// NetFlow version 9 (RFC 3954) and of version 5.
//
// It knows headers, sets and limits, and the times that depend on a header. When a
// message leaves, and which records belong into it, is package exporter's business;
// how a record is encoded package templates'.
package message

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"flow2ipfix/templates"
)

// MaxBytes is the largest length that an IPFIX message header can say.
const MaxBytes = math.MaxUint16

// The ids of sets that hold templates (RFC 7011 §3.3.2, RFC 3954 §5.2, §6.1).
const (
	setHeader = 4

	ipfixTemplates  = 2
	ipfixOptions    = 3
	netflow9Set     = 0
	netflow9Options = 1
)

// Maker makes messages for one collector. One goroutine at a time may use it.
type Maker struct {
	protocol   templates.Protocol
	header     int // octets
	padding    int // sets are filled up to a multiple of one more
	maxBytes   int
	maxRecords int
	uptimes    bool // records have times that are counted in sysUptime

	templates []announced
	epoch     int64
}

// announced is a template record and the set that it is sent in.
type announced struct {
	set    uint32
	apart  bool // no other record is in that set
	record []byte
}

// New returns a maker of messages of at most so many octets and data records.
func New(set *templates.Set, maxBytes, maxRecords int) *Maker {
	k := &Maker{protocol: set.Protocol, header: HeaderBytes, maxBytes: maxBytes, maxRecords: maxRecords}
	flows, options := uint32(ipfixTemplates), uint32(ipfixOptions)
	switch set.Protocol {
	case templates.NetFlow9:
		k.header, k.padding = netflow9Header, netflow9Padding
		flows, options = netflow9Set, netflow9Options
	case templates.NetFlow5:
		k.header, k.uptimes = netflow5Header, true
		k.maxRecords = min(maxRecords, netflow5Records)
	}
	for _, t := range set.Templates() {
		k.templates = append(k.templates, announced{set: flows, record: t.AppendTemplate(nil)})
		k.uptimes = k.uptimes || countsUptime(t)
	}
	for _, t := range set.Options {
		// nfdump reads only the first options template of a set.
		k.templates = append(k.templates, announced{set: options, apart: true, record: t.AppendTemplate(nil)})
	}
	return k
}

// Least returns the smallest limit of octets with which everything can be sent: a
// message has room for any template, and for any record with empty texts.
func Least(set *templates.Set) int {
	k := New(set, MaxBytes, math.MaxInt)
	if set.Protocol == templates.NetFlow5 {
		return netflow5Header + netflow5Record
	}
	most := 0
	for _, t := range k.templates {
		most = max(most, len(t.record))
	}
	for _, t := range set.Templates() {
		most = max(most, t.Length())
	}
	for _, t := range set.Options {
		n := 0
		for _, fields := range [][]templates.Field{t.Scope, t.Fields} {
			for _, f := range fields {
				n += optionOctets(f)
			}
		}
		most = max(most, n)
	}
	return k.padded(k.header + setHeader + most)
}

// optionOctets is how long a field of an options data record may be. Texts of
// variable length there are names of elements.
func optionOctets(f templates.Field) int {
	if f.Length == templates.VariableLength {
		return 1 + math.MaxUint8/2
	}
	return f.Length
}

// Templates returns how many template records there are, those of options
// included.
func (k *Maker) Templates() int { return len(k.templates) }

// Domain returns the part of an observation domain that messages can say.
func (k *Maker) Domain(id uint32) uint32 {
	if k.protocol == templates.NetFlow5 {
		return id & math.MaxUint16 // engine type and engine id
	}
	return id
}

// Message is a message in the making. The zero value is none; Maker.Begin begins
// one.
type Message struct {
	// Records, Options and Templates are how many flow records, options data
	// records and template records are in it.
	Records, Options, Templates int
	// Epoch is when sysUptime was 0, in milliseconds since the Unix epoch; Seal
	// wants to know. IPFIX has none.
	Epoch int64
	// Clamped counts values that the protocol could not carry. It goes on from
	// message to message.
	Clamped uint64

	maker    *Maker
	buf      []byte
	limit    int                 // of octets, padding included
	most     int                 // data records
	set      int                 // where the open set begins
	id       uint32              // of the open set, or noSet
	template *templates.Template // of the open set, if that is of flow records
	room     int                 // how many of these fit at least
}

// noSet is the id of no set; 0 is one.
const noSet = math.MaxUint16 + 1

// Begin begins a message of an observation domain in buf, whose content is
// overwritten, and whose capacity is MaxBytes at least. now is the time from which
// old flows are told.
func (k *Maker) Begin(m *Message, buf []byte, domain uint32, now time.Time) {
	buf = buf[:k.header:k.maxBytes]
	clear(buf)
	*m = Message{maker: k, buf: buf, limit: k.maxBytes &^ k.padding, most: k.maxRecords, id: noSet, Clamped: m.Clamped}
	if k.protocol != templates.IPFIX {
		k.epoch = epoch(k.epoch, now)
		m.Epoch = k.epoch
	}
	switch k.protocol {
	case templates.NetFlow9:
		binary.BigEndian.PutUint16(buf, netflow9Version)
		binary.BigEndian.PutUint32(buf[16:], domain)
	case templates.NetFlow5:
		binary.BigEndian.PutUint16(buf, netflow5Version)
		binary.BigEndian.PutUint16(buf[20:], uint16(domain))
		binary.BigEndian.PutUint16(buf[22:], netflow5Sampling)
	default:
		binary.BigEndian.PutUint16(buf, Version)
		binary.BigEndian.PutUint32(buf[12:], domain)
	}
}

// padded returns where a set ends that ends at n.
func (k *Maker) padded(n int) int { return (n + k.padding) &^ k.padding }

// fits reports whether there is room for n octets in a set.
func (m *Message) fits(id uint32, n int) bool {
	at := len(m.buf)
	if m.id != id {
		at = m.maker.padded(at) + setHeader
	}
	return at+n <= m.limit
}

// Fits reports whether there is room for r, a record of t. t is nil with NetFlow
// version 5.
func (m *Message) Fits(t *templates.Template, r *templates.Record) bool {
	return m.template == t && m.room > 0 || m.measure(t, r)
}

// measure is Fits where that is not known yet.
func (m *Message) measure(t *templates.Template, r *templates.Record) bool {
	switch {
	case m.Records+m.Options >= m.most:
		return false
	case t == nil:
		return len(m.buf)+netflow5Record <= m.limit
	}
	return m.fits(uint32(t.ID), t.LengthOf(r))
}

// Add appends a record of t that fits.
func (m *Message) Add(t *templates.Template, r *templates.Record) {
	if m.template != t {
		m.openFor(t)
	}
	m.buf = t.Append(m.buf, r, m.Epoch)
	m.Records++
	m.room--
	if m.Epoch != 0 && m.maker.uptimes {
		m.clampTimes(r)
	}
}

// openFor sees to it that a set of t is open, and finds out how many records fit
// into it if all are of one length.
func (m *Message) openFor(t *templates.Template) {
	m.open(uint32(t.ID))
	m.template, m.room = t, 0
	if !t.Variable() {
		m.room = min(m.most-m.Records-m.Options, (m.limit-len(m.buf))/t.Length())
	}
}

// FitsOption reports whether there is room for an options data record, which has a
// set of its own: nfdump finds only the first name in a set, if anything stands
// beside it.
func (m *Message) FitsOption(record []byte) bool {
	return m.Records+m.Options < m.most && m.maker.padded(len(m.buf))+setHeader+len(record) <= m.limit
}

// AddOption appends an options data record of t that fits.
func (m *Message) AddOption(t *templates.OptionsTemplate, record []byte) {
	m.close()
	m.open(uint32(t.ID))
	m.buf = append(m.buf, record...)
	m.close()
	m.Options++
}

// AddTemplates appends template records as far as there is room, without the first
// so many, and returns how many there are in this message and before it.
func (m *Message) AddTemplates(first int) (next int) {
	for next = first; next < len(m.maker.templates); next++ {
		t := &m.maker.templates[next]
		if t.apart {
			m.close()
		}
		if !m.fits(t.set, len(t.record)) {
			break
		}
		m.open(t.set)
		m.buf = append(m.buf, t.record...)
		m.Templates++
	}
	return next
}

// open sees to it that a set is open.
func (m *Message) open(id uint32) {
	if m.id == id {
		return
	}
	m.close()
	m.set, m.id = len(m.buf), id
	m.buf = binary.BigEndian.AppendUint16(m.buf, uint16(id))
	m.buf = append(m.buf, 0, 0) // the length, by close
}

func (m *Message) close() {
	if m.id == noSet {
		return
	}
	for range m.maker.padded(len(m.buf)) - len(m.buf) {
		m.buf = append(m.buf, 0)
	}
	binary.BigEndian.PutUint16(m.buf[m.set+2:], uint16(len(m.buf)-m.set))
	m.id, m.template = noSet, nil
}

// Finish ends the message and returns it, which still wants Seal. It is in the
// memory that Begin was given.
func (m *Message) Finish() []byte {
	m.close()
	n := len(m.buf)
	if m.maker.protocol != templates.IPFIX {
		n = m.Records + m.Options + m.Templates
	}
	binary.BigEndian.PutUint16(m.buf[2:], uint16(n))
	return m.buf
}

// TooLarge returns the error of a record that no message has room for; nil if one
// has.
func (k *Maker) TooLarge(t *templates.Template, r *templates.Record) error {
	if t == nil {
		return nil
	}
	if n := t.LengthOf(r); k.padded(k.header+setHeader+n) > k.maxBytes {
		return fmt.Errorf("a record of %d octets does not fit into a message of %d", n, k.maxBytes)
	}
	return nil
}
