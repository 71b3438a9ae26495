package collect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
)

// The versions in the first two octets of a message, and the lengths of the
// headers (RFC 7011 §3.1, RFC 3954 §5.1, Cisco's NetFlow v5 format).
const (
	versionIPFIX    = 10
	versionNetFlow9 = 9
	versionNetFlow5 = 5

	ipfixHeaderBytes    = 16
	netflow9HeaderBytes = 20
	setHeaderBytes      = 4
)

// decoder turns messages into records. It belongs to one goroutine.
type decoder struct {
	write     func(*Record) error
	onError   func(error)
	stats     Stats
	exporters map[netip.AddrPort]*session
	fields    int // held by templates, of maxTemplateFields
	streams   int // held by sequences, of maxStreams
	types     int // held by descriptions of elements, of maxTypes
	own       map[elementKey]element
	record    Record
}

func newDecoder(write func(*Record) error, opts Options) *decoder {
	return &decoder{
		write:     write,
		onError:   opts.OnError,
		exporters: make(map[netip.AddrPort]*session),
		own:       ownElements(opts.EnterpriseNumber),
	}
}

// message is what the sets of one message have in common.
type message struct {
	session *session
	version uint16
	domain  uint32
}

// packet decodes a packet. Its error is that of the sink.
func (d *decoder) packet(p *packet) error {
	s := p.session
	if s == nil {
		s = d.datagramSession(p.exporter)
	}
	if !s.counted {
		s.counted = true
		d.stats.Sessions++
	}
	if p.end {
		if p.err != nil {
			d.fault(s, p.err)
		}
		d.forget(s)
		return nil
	}
	return d.message(s, p.data)
}

// fault counts something that could not be used.
func (d *decoder) fault(s *session, err error) {
	d.stats.DecodeErrors++
	d.report(s, err)
}

func (d *decoder) report(s *session, err error) {
	if d.onError != nil {
		d.onError(fmt.Errorf("decode %s: %w", s.origin, err))
	}
}

// message decodes one message and gives its records to the sink. Its error is
// that of the sink; what is wrong with the message is counted.
func (d *decoder) message(s *session, data []byte) error {
	d.stats.Messages++
	d.stats.Bytes += uint64(len(data))
	s.seen = d.stats.Messages
	if len(data) < 2 {
		d.fault(s, fmt.Errorf("message of %d bytes has no version", len(data)))
		return nil
	}
	switch version := binary.BigEndian.Uint16(data); version {
	case versionIPFIX:
		return d.ipfix(s, data)
	case versionNetFlow9:
		return d.netflow9(s, data)
	case versionNetFlow5:
		return d.netflow5(s, data)
	default:
		d.fault(s, fmt.Errorf("message has version %d, want 10 (IPFIX), 9 or 5 (NetFlow)", version))
		return nil
	}
}

// ipfix decodes a message of RFC 7011 §3.1.
func (d *decoder) ipfix(s *session, data []byte) error {
	var h netflow.IPFIXPacket
	if !d.header(s, data, ipfixHeaderBytes, nil, &h) {
		return nil
	}
	if int(h.Length) != len(data) {
		d.fault(s, fmt.Errorf("message of %d bytes says it has %d", len(data), h.Length))
		return nil
	}
	d.record = Record{
		Exporter: s.exporter, Protocol: IPFIX,
		ExportTime: time.Unix(int64(h.ExportTime), 0).UTC(),
		Domain:     h.ObservationDomainId, Sequence: h.SequenceNumber,
		origin: s.origin, Fields: d.record.Fields,
	}
	m := message{s, versionIPFIX, h.ObservationDomainId}
	records, exact, err := d.sets(m, data[ipfixHeaderBytes:])
	if err != nil {
		return err
	}
	missing, late := d.observe(m, h.SequenceNumber, records, exact)
	d.stats.SequenceGaps += uint64(missing)
	d.stats.SequenceGaps -= min(uint64(late), d.stats.SequenceGaps)
	return nil
}

// netflow9 decodes a message of RFC 3954 §5.1.
func (d *decoder) netflow9(s *session, data []byte) error {
	var h netflow.NFv9Packet
	if !d.header(s, data, netflow9HeaderBytes, &h, nil) {
		return nil
	}
	d.record = Record{
		Exporter: s.exporter, Protocol: NetFlow9,
		ExportTime: time.Unix(int64(h.UnixSeconds), 0).UTC(),
		Domain:     h.SourceId, Sequence: h.SequenceNumber,
		origin: s.origin, Fields: d.record.Fields,
		uptime: h.SystemUptime, hasUptime: true,
	}
	m := message{s, versionNetFlow9, h.SourceId}
	if _, _, err := d.sets(m, data[netflow9HeaderBytes:]); err != nil {
		return err
	}
	missing, late := d.observe(m, h.SequenceNumber, 1, true)
	d.stats.MissingMessages += uint64(missing)
	d.stats.MissingMessages -= min(uint64(late), d.stats.MissingMessages)
	return nil
}

// header decodes the header of a message alone. Its sets are walked here and
// not by goflow2, which gives up a whole message for one bad set, and takes
// sets that run past the end.
func (d *decoder) header(s *session, data []byte, size int, v9 *netflow.NFv9Packet, ipfix *netflow.IPFIXPacket) bool {
	if len(data) < size {
		d.fault(s, fmt.Errorf("message of %d bytes is shorter than its header", len(data)))
		return false
	}
	if err := netflow.DecodeMessageVersion(bytes.NewBuffer(data[:size]), nil, v9, ipfix); err != nil {
		d.fault(s, fmt.Errorf("message header: %w", err))
		return false
	}
	return true
}

// observe follows the sequence numbers of a message's stream.
func (d *decoder) observe(m message, number, units uint32, exact bool) (missing, late uint32) {
	key := streamKey{m.version, m.domain}
	seq := m.session.streams[key]
	if seq == nil {
		if d.streams >= maxStreams {
			return 0, 0
		}
		d.streams++
		seq = new(sequence)
		m.session.streams[key] = seq
	}
	return seq.observe(number, units, exact)
}

// sets walks the sets of a message (RFC 7011 §3.3, RFC 3954 §5). It returns
// how many records they held, and whether that is all of them. The error is
// the sink's.
func (d *decoder) sets(m message, data []byte) (records uint32, exact bool, err error) {
	exact = true
	for len(data) > 0 {
		if len(data) < setHeaderBytes {
			d.fault(m.session, fmt.Errorf("%d stray bytes after the last set", len(data)))
			return records, exact, nil
		}
		id, length := binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
		if length < setHeaderBytes || length > len(data) {
			d.fault(m.session, fmt.Errorf("set %d says it has %d bytes where %d are left", id, length, len(data)))
			return records, false, nil
		}
		body := data[setHeaderBytes:length]
		data = data[length:]
		if id < firstTemplateID {
			if err := d.templateSet(m, id, body); err != nil {
				// Such a message is not to be trusted any further.
				d.fault(m.session, fmt.Errorf("set %d: %w", id, err))
				return records, false, nil
			}
			continue
		}
		t := m.session.templates[templateKey{m.version, id, m.domain}]
		if t == nil {
			d.stats.MissingTemplate++
			d.report(m.session, fmt.Errorf("set %d in domain %d: %w", id, m.domain, ErrNoTemplate))
			exact = false
			continue
		}
		n, whole, err := d.dataSet(m, t, body)
		records += n
		exact = exact && whole
		if err != nil {
			return records, exact, err
		}
	}
	return records, exact, nil
}

// templateSet learns what a set of templates, options templates or withdrawals
// says (RFC 7011 §3.4, §8.1; RFC 3954 §5.2, §6.1).
func (d *decoder) templateSet(m message, id uint16, body []byte) error {
	ipfix := m.version == versionIPFIX
	switch {
	case ipfix && (id == 2 || id == 3) && len(body) >= 4 && binary.BigEndian.Uint16(body[2:]) == 0:
		return d.withdraw(m, id == 3, body)
	case ipfix && id == 2, !ipfix && id == 0:
		records, err := netflow.DecodeTemplateSet(m.version, bytes.NewBuffer(body))
		for _, t := range records {
			d.learn(m, t.TemplateId, nil, t.Fields, false)
		}
		return err
	case ipfix && id == 3:
		records, err := netflow.DecodeIPFIXOptionsTemplateSet(bytes.NewBuffer(body))
		for _, t := range records {
			d.learn(m, t.TemplateId, t.Scopes, t.Options, true)
		}
		return err
	case !ipfix && id == 1:
		records, err := netflow.DecodeNFv9OptionsTemplateSet(bytes.NewBuffer(body))
		for _, t := range records {
			d.learn(m, t.TemplateId, t.Scopes, t.Options, true)
		}
		return err
	default:
		d.fault(m.session, fmt.Errorf("set id %d is reserved", id))
		return nil
	}
}

// withdraw forgets templates (RFC 7011 §8.1). Withdrawals do not exist over
// UDP (§8.4); one that comes all the same is counted and has no effect.
func (d *decoder) withdraw(m message, options bool, body []byte) error {
	if m.session.datagrams {
		d.fault(m.session, errors.New("template withdrawal over UDP (RFC 7011 §8.4)"))
		return nil
	}
	for ; len(body) >= 4; body = body[4:] {
		id, fields := binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])
		if fields != 0 {
			return fmt.Errorf("template %d amid withdrawals", id)
		}
		// The ids 2 and 3 withdraw all templates of their kind in the domain.
		all := id == 2 || id == 3
		for key, t := range m.session.templates {
			if key.version == m.version && key.domain == m.domain && t.options == options && (all || key.id == id) {
				d.unlearn(m.session, key)
			}
		}
	}
	return nil
}

// dataSet decodes the records of a set. whole is false when some could not be
// decoded. The error is the sink's.
func (d *decoder) dataSet(m message, t *template, body []byte) (records uint32, whole bool, err error) {
	r := &d.record
	r.TemplateID, r.Options = t.id, t.options
	if len(body) >= t.minimum {
		d.describe(m, t)
	}
	for len(body) >= t.minimum {
		n, ok := t.measure(body)
		if !ok {
			d.fault(m.session, fmt.Errorf("set %d: its last record is cut short", t.id))
			return records, false, nil
		}
		values, err := netflow.DecodeDataSetUsingFields(m.version, bytes.NewBuffer(body[:n]), t.fields)
		if err != nil {
			d.fault(m.session, fmt.Errorf("set %d: %w", t.id, err))
			return records, false, nil
		}
		body = body[n:]
		r.Fields = append(r.Fields[:0], t.layout...)
		for i := range values {
			r.Fields[i].Value, _ = values[i].Value.([]byte)
		}
		records++
		if t.options {
			d.stats.OptionRecords++
			d.learnType(m.session, r)
		} else {
			d.stats.DataRecords++
		}
		if err := d.write(r); err != nil {
			return records, false, err
		}
	}
	// Padding is of zeros and shorter than any record (RFC 7011 §3.3.1).
	if m.version == versionIPFIX && slices.ContainsFunc(body, func(b byte) bool { return b != 0 }) {
		d.fault(m.session, fmt.Errorf("set %d: %d bytes after its last record are not padding", t.id, len(body)))
	}
	return records, true, nil
}
