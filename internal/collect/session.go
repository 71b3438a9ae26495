package collect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/vmware/go-ipfix/pkg/entities"
)

// Limits against exporters that are broken or hostile. They are far above what
// ten thousand network interfaces in as many observation domains need.
const (
	maxExporters      = 1024    // UDP sessions; the one that was silent longest makes room
	maxTemplateFields = 1 << 22 // fields in all templates of all sessions
	maxStreams        = 1 << 18 // observation domains of all sessions whose sequence is followed
	maxEmptyFields    = 8       // zero-length fields in a template; they cost work without costing bytes
	maxTypes          = 1 << 14 // elements of all sessions that exporters described
	maxNameBytes      = 255     // of such an element's name
)

// session is a transport session (RFC 7011 §2): the scope of templates and
// sequence numbers. Only the decoder touches it once it is made.
type session struct {
	exporter  netip.AddrPort // zero for files
	origin    string         // the exporter, or the file, in words
	datagrams bool
	counted   bool
	seen      uint64 // the message count when it was last heard of
	templates map[templateKey]*template
	streams   map[streamKey]*sequence

	// types are the enterprise elements that the exporter described (RFC 5610),
	// and changes how often they have changed.
	types   map[elementKey]element
	changes uint64
}

type templateKey struct {
	version uint16
	id      uint16
	domain  uint32
}

type streamKey struct {
	version uint16
	domain  uint32
}

func newSession(exporter netip.AddrPort, origin string) *session {
	return &session{
		exporter:  exporter,
		origin:    origin,
		templates: make(map[templateKey]*template),
		streams:   make(map[streamKey]*sequence),
		types:     make(map[elementKey]element),
	}
}

// datagramSession returns the session of a UDP exporter, a new one if needed.
func (d *decoder) datagramSession(from netip.AddrPort) *session {
	if s := d.exporters[from]; s != nil {
		return s
	}
	if len(d.exporters) >= maxExporters {
		var oldest *session
		for _, s := range d.exporters {
			if oldest == nil || s.seen < oldest.seen {
				oldest = s
			}
		}
		d.forget(oldest)
		delete(d.exporters, oldest.exporter)
	}
	s := newSession(from, from.String())
	s.datagrams = true
	d.exporters[from] = s
	return s
}

// forget gives back what a session that is over held of the limits.
func (d *decoder) forget(s *session) {
	for _, t := range s.templates {
		d.fields -= len(t.fields)
	}
	d.streams -= len(s.streams)
	d.types -= len(s.types)
	clear(s.templates)
	clear(s.streams)
	clear(s.types)
}

// template says how the records of a data set are laid out.
type template struct {
	id      uint16
	options bool
	scopes  int             // how many of the first fields are scope fields
	fields  []netflow.Field // scope fields first; the enterprise bit is cleared
	fixed   bool            // no field has variable length
	minimum int             // octets of the shortest record

	// layout are the same fields as a record shows them, without values, as of
	// so many changes of the session's types.
	layout  []Field
	changes uint64
}

// learn checks a template and keeps it. One that cannot be used is counted, and
// an older one with its id is dropped, for it would decode wrongly.
func (d *decoder) learn(m message, id uint16, scopes, fields []netflow.Field, options bool) {
	d.stats.Templates++
	key := templateKey{m.version, id, m.domain}
	all := make([]netflow.Field, 0, len(scopes)+len(fields))
	all = append(append(all, scopes...), fields...)
	for i := range all {
		// goflow2 leaves the enterprise bit in the fields of options templates.
		if all[i].PenProvided {
			all[i].Type &^= enterpriseBit
		}
	}
	old := m.session.templates[key]
	if old != nil && old.options == options && old.scopes == len(scopes) && slices.Equal(old.fields, all) {
		return // a refresh
	}
	d.unlearn(m.session, key)
	t, err := newTemplate(m.version, id, len(scopes), all, options)
	if err == nil && d.fields+len(all) > maxTemplateFields {
		err = errors.New("too many templates")
	}
	if err != nil {
		d.fault(m.session, fmt.Errorf("template %d in domain %d: %w", id, m.domain, err))
		return
	}
	d.fields += len(all)
	m.session.templates[key] = t
}

func (d *decoder) unlearn(s *session, key templateKey) {
	if t := s.templates[key]; t != nil {
		d.fields -= len(t.fields)
		delete(s.templates, key)
	}
}

// newTemplate rejects what would make a decoder loop or work without end: a
// template without fields or without length. goflow2's DecodeDataSet does not
// return from one.
func newTemplate(version, id uint16, scopes int, fields []netflow.Field, options bool) (*template, error) {
	t := &template{id: id, options: options, scopes: scopes, fields: fields, fixed: true}
	empty := 0
	for _, f := range fields {
		switch f.Length {
		case 0:
			empty++
		case variableLength:
			t.fixed = false
			t.minimum++
		default:
			t.minimum += int(f.Length)
		}
	}
	switch {
	case id < firstTemplateID:
		return nil, fmt.Errorf("ids below %d are not for templates", firstTemplateID)
	case options && scopes == 0 && version == versionIPFIX:
		return nil, errors.New("an options template needs a scope field (RFC 7011 §3.4.2.2)")
	case len(fields) == 0:
		return nil, errors.New("it has no fields")
	case t.minimum == 0:
		return nil, errors.New("its records have no length")
	case t.minimum > MaxMessageBytes:
		return nil, fmt.Errorf("its records are at least %d bytes long, longer than any message", t.minimum)
	case empty > maxEmptyFields:
		return nil, fmt.Errorf("it has %d fields without length", empty)
	}
	return t, nil
}

// describe makes the layout of a template, if there is none that holds.
func (d *decoder) describe(m message, t *template) {
	if t.layout == nil || t.changes != m.session.changes {
		t.layout = layout(m.version, t.scopes, t.fields, elements(), m.session.types, d.own)
		t.changes = m.session.changes
	}
}

// learnType keeps what an option record says about an enterprise's element, if
// it is a type record (RFC 5610). What the registry knows keeps its name.
func (d *decoder) learnType(s *session, r *Record) {
	enterprise, id, name := uint32(r.first(346)), uint16(r.first(303))&^enterpriseBit, r.Field(0, 341)
	if enterprise == 0 || id == 0 || name == nil {
		return
	}
	e := element{printable(name.text()), entities.IEDataType(r.first(339))}
	key := elementKey{enterprise, id}
	old, known := s.types[key]
	if e.name == "" || len(e.name) > maxNameBytes || e == old || !known && d.types >= maxTypes {
		return
	}
	if !known {
		d.types++
	}
	s.types[key] = e
	s.changes++
}

// measure returns the length of the first record in data, and false when the
// record is cut short. goflow2 would hand out short values without a word.
func (t *template) measure(data []byte) (int, bool) {
	if t.fixed {
		return t.minimum, t.minimum <= len(data)
	}
	n := 0
	for _, f := range t.fields {
		if f.Length != variableLength {
			n += int(f.Length)
			continue
		}
		// RFC 7011 §7: one octet of length, or 255 and two octets.
		if n >= len(data) {
			return 0, false
		}
		length := int(data[n])
		n++
		if length == 255 {
			if n+2 > len(data) {
				return 0, false
			}
			length = int(binary.BigEndian.Uint16(data[n:]))
			n += 2
		}
		n += length
	}
	return n, n <= len(data)
}
