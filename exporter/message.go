package exporter

import (
	"encoding/binary"
	"time"

	"flow2ipfix/templates"
)

// Lengths and numbers of RFC 7011 §3.
const (
	ipfixVersion  = 10
	messageHeader = 16
	setHeader     = 4
	templateSetID = 2
)

// message is an IPFIX message in the making.
type message struct {
	buf      []byte
	domain   *domain // nil: none was begun
	template *templates.Template
	set      int // where the open set begins; 0 if none is
	records  int
}

func (m *message) reset(d *domain) {
	m.domain, m.template, m.set, m.records = d, nil, 0, 0
	b := m.buf[:messageHeader]
	binary.BigEndian.PutUint16(b, ipfixVersion)
	binary.BigEndian.PutUint32(b[8:], d.sequence)
	binary.BigEndian.PutUint32(b[12:], d.id)
	m.buf = b
}

// fits reports whether there is room for r, a record of t.
func (m *message) fits(t *templates.Template, r *templates.Record) bool {
	n := len(m.buf) + t.LengthOf(r)
	if m.template != t {
		n += setHeader
	}
	return n <= cap(m.buf)
}

// add appends a data record, in a new set if the last one is of another
// template.
func (m *message) add(t *templates.Template, r *templates.Record) {
	if m.template != t {
		m.openSet(t.ID)
		m.template = t
	}
	m.buf = t.Append(m.buf, r, 0)
	m.records++
}

// addTemplates appends a template set with all templates of set.
func (m *message) addTemplates(set *templates.Set) {
	m.openSet(templateSetID)
	for _, t := range set.Templates() {
		m.buf = t.AppendTemplate(m.buf)
	}
}

func (m *message) openSet(id uint16) {
	m.closeSet()
	m.set = len(m.buf)
	m.buf = binary.BigEndian.AppendUint16(m.buf, id)
	m.buf = append(m.buf, 0, 0) // the length, by closeSet
}

func (m *message) closeSet() {
	if m.set > 0 {
		binary.BigEndian.PutUint16(m.buf[m.set+2:], uint16(len(m.buf)-m.set))
	}
}

// finish fills in the lengths and the export time, which is when the header
// leaves, and returns the message. It lives until reset.
func (m *message) finish(now time.Time) []byte {
	m.closeSet()
	binary.BigEndian.PutUint32(m.buf[4:], uint32(now.Unix()))
	binary.BigEndian.PutUint16(m.buf[2:], uint16(len(m.buf)))
	return m.buf
}
