package bench

import (
	"fmt"
	"net"
	"sync"

	"github.com/vmware/go-ipfix/pkg/entities"
	"github.com/vmware/go-ipfix/pkg/exporter"
	"github.com/vmware/go-ipfix/pkg/registry"
)

// go-ipfix keeps its registry of information elements in a global.
var loadRegistry = sync.OnceFunc(registry.LoadRegistry)

// Values of the elements, from IANA's registry.
const (
	ingress, egress           = 0, 1     // flowDirection
	forwarded, dropped        = 64, 129  // forwardingStatus
	deleted, denied, reported = 2, 3, 5  // firewallEvent
	idV4, idV6                = 256, 257 // templates
)

// sender turns tuples into records of go-ipfix.
type sender struct {
	add    func(entities.Record) error
	v4, v6 *layout
}

// newSender sends the templates to a buffered exporter, and all records behind
// them. With anew, each record's elements are made for it alone.
func newSender(buffered *exporter.BufferedIPFIXExporter, anew bool) (*sender, error) {
	s, err := newSenderTo(buffered.AddRecord, anew)
	if err != nil {
		return nil, err
	}
	for _, l := range []*layout{s.v4, s.v6} {
		if err := l.template.PrepareRecord(); err != nil {
			return nil, fmt.Errorf("encode template: %w", err)
		}
		if err := s.add(l.template); err != nil {
			return nil, fmt.Errorf("send template: %w", err)
		}
	}
	return s, nil
}

// newSenderTo hands records, and nothing else, to add.
func newSenderTo(add func(entities.Record) error, anew bool) (*sender, error) {
	loadRegistry()
	s := &sender{add: add}
	var err error
	if s.v4, err = newLayout(idV4, 8, 12, anew); err != nil {
		return nil, err
	}
	if s.v6, err = newLayout(idV6, 27, 28, anew); err != nil {
		return nil, err
	}
	return s, nil
}

// values are what a record says.
type values struct {
	source, destination         net.IP
	sourcePort, destinationPort uint16
	protocol, direction, event  uint8
	octets, packets, millis     uint64
	ingress, egress, status     uint32
}

// setWay says on which side of the network interface the packets went.
func (v *values) setWay(outbound bool, index uint32) {
	if outbound {
		v.direction, v.ingress, v.egress = egress, 0, index
	} else {
		v.direction, v.ingress, v.egress = ingress, index, 0
	}
}

// Send sends the records of one tuple, and says how many they are. The interface
// index is that of the network interface that logged it.
func (s *sender) Send(t tuple, index uint32) (int, error) {
	l := s.v6
	if t.Source.To4() != nil {
		l = s.v4
	}
	v := values{
		source: t.Source, destination: t.Destination, sourcePort: t.SourcePort, destinationPort: t.DestinationPort,
		protocol: t.Protocol, octets: t.SentBytes, packets: t.SentPackets, millis: t.Millis, status: forwarded,
	}
	switch t.State {
	case "B":
		return 0, nil
	case "C":
		v.event = reported
	case "E":
		v.event = deleted
	case "D":
		v.status, v.event = dropped, denied
	default:
		return 0, fmt.Errorf("unknown flow state %q", t.State)
	}
	v.setWay(t.Outbound, index)
	if err := s.add(l.fill(&v)); err != nil {
		return 0, fmt.Errorf("send record: %w", err)
	}
	if t.State == "D" || t.ReceivedPackets == 0 && t.ReceivedBytes == 0 {
		return 1, nil
	}

	v.source, v.destination, v.sourcePort, v.destinationPort = t.Destination, t.Source, t.DestinationPort, t.SourcePort
	v.octets, v.packets = t.ReceivedBytes, t.ReceivedPackets
	v.setWay(!t.Outbound, index)
	if err := s.add(l.fill(&v)); err != nil {
		return 1, fmt.Errorf("send record: %w", err)
	}
	return 2, nil
}

// layout is one template.
type layout struct {
	id       uint16
	elements []*entities.InfoElement
	template entities.Record
	// record is filled anew each time, which go-ipfix allows because it encodes a
	// record at once; nil if each record is made.
	record *record
}

// newLayout makes the core template with the given address elements.
func newLayout(template, source, destination uint16, anew bool) (*layout, error) {
	ids := []uint16{source, destination, 7, 11, 4, 1, 2, 152, 153, 10, 14, 61, 34, 89, 233}
	l := &layout{id: template, elements: make([]*entities.InfoElement, len(ids))}
	for i, id := range ids {
		var err error
		if l.elements[i], err = registry.GetInfoElementFromID(id, registry.IANAEnterpriseID); err != nil {
			return nil, fmt.Errorf("find information element %d: %w", id, err)
		}
	}
	l.template = entities.NewTemplateRecordFromElements(template, l.make(&values{}))
	if !anew {
		l.record = newRecord(template, l.make(&values{}))
	}
	return l, nil
}

// fill returns a record that says v.
func (l *layout) fill(v *values) entities.Record {
	if l.record == nil {
		return entities.NewDataRecordFromElements(l.id, l.make(v))
	}
	l.record.set(v)
	return l.record.Record
}

// make makes elements with values, the way that go-ipfix's own tests do; the
// elements' definitions are not looked up again.
func (l *layout) make(v *values) []entities.InfoElementWithValue {
	e := l.elements
	return []entities.InfoElementWithValue{
		entities.NewIPAddressInfoElement(e[0], v.source),
		entities.NewIPAddressInfoElement(e[1], v.destination),
		entities.NewUnsigned16InfoElement(e[2], v.sourcePort),
		entities.NewUnsigned16InfoElement(e[3], v.destinationPort),
		entities.NewUnsigned8InfoElement(e[4], v.protocol),
		entities.NewUnsigned64InfoElement(e[5], v.octets),
		entities.NewUnsigned64InfoElement(e[6], v.packets),
		entities.NewDateTimeMillisecondsInfoElement(e[7], v.millis),
		entities.NewDateTimeMillisecondsInfoElement(e[8], v.millis),
		entities.NewUnsigned32InfoElement(e[9], v.ingress),
		entities.NewUnsigned32InfoElement(e[10], v.egress),
		entities.NewUnsigned8InfoElement(e[11], v.direction),
		entities.NewUnsigned32InfoElement(e[12], 1), // samplingInterval
		entities.NewUnsigned32InfoElement(e[13], v.status),
		entities.NewUnsigned8InfoElement(e[14], v.event),
	}
}

// record is a data record whose elements can be reached without a search.
type record struct {
	entities.Record
	source, destination         *entities.IPAddressInfoElement
	sourcePort, destinationPort *entities.Unsigned16InfoElement
	protocol, direction, event  *entities.Unsigned8InfoElement
	octets, packets             *entities.Unsigned64InfoElement
	start, end                  *entities.DateTimeMillisecondsInfoElement
	ingress, egress, status     *entities.Unsigned32InfoElement
}

// newRecord makes a record of elements that make has made.
//
//nolint:forcetypeassert // make says which they are
func newRecord(template uint16, e []entities.InfoElementWithValue) *record {
	return &record{
		Record:          entities.NewDataRecordFromElements(template, e),
		source:          e[0].(*entities.IPAddressInfoElement),
		destination:     e[1].(*entities.IPAddressInfoElement),
		sourcePort:      e[2].(*entities.Unsigned16InfoElement),
		destinationPort: e[3].(*entities.Unsigned16InfoElement),
		protocol:        e[4].(*entities.Unsigned8InfoElement),
		octets:          e[5].(*entities.Unsigned64InfoElement),
		packets:         e[6].(*entities.Unsigned64InfoElement),
		start:           e[7].(*entities.DateTimeMillisecondsInfoElement),
		end:             e[8].(*entities.DateTimeMillisecondsInfoElement),
		ingress:         e[9].(*entities.Unsigned32InfoElement),
		egress:          e[10].(*entities.Unsigned32InfoElement),
		direction:       e[11].(*entities.Unsigned8InfoElement),
		status:          e[13].(*entities.Unsigned32InfoElement),
		event:           e[14].(*entities.Unsigned8InfoElement),
	}
}

func (r *record) set(v *values) {
	r.source.SetIPAddressValue(v.source)
	r.destination.SetIPAddressValue(v.destination)
	r.sourcePort.SetUnsigned16Value(v.sourcePort)
	r.destinationPort.SetUnsigned16Value(v.destinationPort)
	r.protocol.SetUnsigned8Value(v.protocol)
	r.octets.SetUnsigned64Value(v.octets)
	r.packets.SetUnsigned64Value(v.packets)
	r.start.SetUnsigned64Value(v.millis)
	r.end.SetUnsigned64Value(v.millis)
	r.ingress.SetUnsigned32Value(v.ingress)
	r.egress.SetUnsigned32Value(v.egress)
	r.direction.SetUnsigned8Value(v.direction)
	r.status.SetUnsigned32Value(v.status)
	r.event.SetUnsigned8Value(v.event)
}
