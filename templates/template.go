// Package templates says which information elements a flow record carries and
// how they are encoded (RFC 7011 and 7012): the templates, their presets, and
// the mapping of Azure's fields to them.
//
// What a flow means is package convert's business, how records become messages
// package exporter's. No network, no configuration.
package templates

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/vmware/go-ipfix/pkg/entities"
	"github.com/vmware/go-ipfix/pkg/registry"
)

// Field is a field of a template: an information element, and the length that
// it is sent with.
type Field struct {
	Name       string // as registered with IANA
	ID         uint16
	Enterprise uint32 // 0 for IANA's own
	Type       string // abstract data type (RFC 7012 §3.1)
	Length     int    // octets
}

// Template is a template record and the encoder of its data records. It is
// immutable and safe for concurrent use.
type Template struct {
	ID     uint16
	Name   string
	fields []Field
	record []byte // the encoded template record, without set header
	steps  []step
	length int
}

// step writes one field at a fixed place of the record.
type step struct {
	source source
	offset int32
}

// Fields returns the fields in the order in which they are sent.
func (t *Template) Fields() []Field { return t.fields }

// Length returns the length of a data record in octets.
func (t *Template) Length() int { return t.length }

// AppendTemplate appends the template record (RFC 7011 §3.4.1), without a set
// header around it.
func (t *Template) AppendTemplate(dst []byte) []byte { return append(dst, t.record...) }

// Append appends r as a data record (RFC 7011 §3.4.3). It does not allocate if
// dst has room for Length octets.
func (t *Template) Append(dst []byte, r *Record) []byte {
	n := len(dst)
	if cap(dst)-n < t.length {
		dst = append(dst, make([]byte, t.length)...)
	}
	dst = dst[:n+t.length]
	b := dst[n:]
	for _, s := range t.steps {
		at := b[s.offset:]
		switch s.source {
		case sourceIPv4:
			*(*[4]byte)(at) = r.Source.As4()
		case destinationIPv4:
			*(*[4]byte)(at) = r.Destination.As4()
		case sourceIPv6:
			*(*[16]byte)(at) = r.Source.As16()
		case destinationIPv6:
			*(*[16]byte)(at) = r.Destination.As16()
		case sourcePort:
			binary.BigEndian.PutUint16(at, r.SourcePort)
		case destinationPort:
			binary.BigEndian.PutUint16(at, r.DestinationPort)
		case protocol:
			at[0] = r.Protocol
		case octets:
			binary.BigEndian.PutUint64(at, r.Octets)
		case packets:
			binary.BigEndian.PutUint64(at, r.Packets)
		case start:
			binary.BigEndian.PutUint64(at, uint64(r.Start))
		case end:
			binary.BigEndian.PutUint64(at, uint64(r.End))
		case ingress:
			binary.BigEndian.PutUint32(at, r.Ingress)
		case egress:
			binary.BigEndian.PutUint32(at, r.Egress)
		case direction:
			at[0] = byte(r.Direction)
		case sampling:
			binary.BigEndian.PutUint32(at, 1)
		case forwarding:
			at[0] = byte(r.ForwardingStatus)
		case firewall:
			at[0] = byte(r.FirewallEvent)
		case coreRun:
			appendCore((*[coreRunLength]byte)(at), r)
		}
	}
	return dst
}

// source names a value of Record.
type source uint8

const (
	sourceIPv4 source = iota
	destinationIPv4
	sourceIPv6
	destinationIPv6
	sourcePort
	destinationPort
	protocol
	octets
	packets
	start
	end
	ingress
	egress
	direction
	sampling
	forwarding
	firewall

	// coreRun stands for all that coreElements name, in their order.
	coreRun
)

// coreRunLength is how many octets coreElements take.
const coreRunLength = 52

// appendCore writes what coreElements name. Field by field, that costs twice the
// time; nearly all templates have this run.
func appendCore(b *[coreRunLength]byte, r *Record) {
	binary.BigEndian.PutUint16(b[0:], r.SourcePort)
	binary.BigEndian.PutUint16(b[2:], r.DestinationPort)
	b[4] = r.Protocol
	binary.BigEndian.PutUint64(b[5:], r.Octets)
	binary.BigEndian.PutUint64(b[13:], r.Packets)
	binary.BigEndian.PutUint64(b[21:], uint64(r.Start))
	binary.BigEndian.PutUint64(b[29:], uint64(r.End))
	binary.BigEndian.PutUint32(b[37:], r.Ingress)
	binary.BigEndian.PutUint32(b[41:], r.Egress)
	b[45] = byte(r.Direction)
	binary.BigEndian.PutUint32(b[46:], 1)
	b[50] = byte(r.ForwardingStatus)
	b[51] = byte(r.FirewallEvent)
}

// joinCore replaces the steps of coreElements, where they stand together, by the
// one that does them all.
func joinCore(steps []step) []step {
	for i := 0; i+len(coreElements) <= len(steps); i++ {
		same := true
		for k, e := range coreElements {
			same = same && steps[i+k].source == e.source
		}
		if same {
			joined := append(steps[:i:i], step{coreRun, steps[i].offset})
			return append(joined, steps[i+len(coreElements):]...)
		}
	}
	return steps
}

// element ties a value of Record to the information element that carries it.
type element struct {
	name   string
	source source
	length int // if other than the registered one
}

var loadRegistry = sync.OnceFunc(registry.LoadRegistry)

// build makes a template of elements, from the information model of go-ipfix.
func build(id uint16, name string, elements ...element) (*Template, error) {
	loadRegistry()
	t := &Template{ID: id, Name: name}
	record := entities.NewTemplateRecord(id, len(elements))
	for _, e := range elements {
		registered, err := registry.GetInfoElement(e.name, registry.IANAEnterpriseID)
		if err != nil {
			return nil, fmt.Errorf("template %d %s: information element %s: %w", id, name, e.name, err)
		}
		sent := *registered
		if e.length != 0 { // reduced-size encoding, RFC 7011 §6.2
			sent.Len = uint16(e.length)
		}
		if err := addField(record, &sent); err != nil {
			return nil, fmt.Errorf("template %d %s: information element %s: %w", id, name, e.name, err)
		}
		t.fields = append(t.fields, Field{
			Name: sent.Name, ID: sent.ElementId, Enterprise: sent.EnterpriseId,
			Type: typeNames[sent.DataType], Length: int(sent.Len),
		})
		t.steps = append(t.steps, step{e.source, int32(t.length)})
		t.length += int(sent.Len)
	}
	t.steps = joinCore(t.steps)
	if err := record.PrepareRecord(); err != nil {
		return nil, fmt.Errorf("template %d %s: %w", id, name, err)
	}
	encoded, err := record.GetBuffer()
	if err != nil {
		return nil, fmt.Errorf("template %d %s: %w", id, name, err)
	}
	t.record = encoded
	return t, nil
}

// adder is what go-ipfix's template records, whose type has no name for us, do.
type adder interface {
	AddInfoElement(entities.InfoElementWithValue) error
}

func addField(record adder, e *entities.InfoElement) error {
	value, err := entities.DecodeAndCreateInfoElementWithValue(e, nil)
	if err != nil {
		return err
	}
	return record.AddInfoElement(value)
}

var typeNames = map[entities.IEDataType]string{
	entities.Unsigned8: "unsigned8", entities.Unsigned16: "unsigned16",
	entities.Unsigned32: "unsigned32", entities.Unsigned64: "unsigned64",
	entities.Ipv4Address: "ipv4Address", entities.Ipv6Address: "ipv6Address",
	entities.MacAddress: "macAddress", entities.String: "string",
	entities.DateTimeMilliseconds: "dateTimeMilliseconds",
}
