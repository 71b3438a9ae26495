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

// sender turns tuples into records of go-ipfix's buffered exporter.
type sender struct {
	buffered *exporter.BufferedIPFIXExporter
	v4, v6   *layout
}

// newSender sends the templates.
func newSender(process *exporter.ExportingProcess) (*sender, error) {
	loadRegistry()
	s := &sender{buffered: exporter.NewBufferedIPFIXExporter(process)}
	var err error
	if s.v4, err = newLayout(idV4, 8, 12); err != nil {
		return nil, err
	}
	if s.v6, err = newLayout(idV6, 27, 28); err != nil {
		return nil, err
	}
	for _, l := range []*layout{s.v4, s.v6} {
		if err := l.template.PrepareRecord(); err != nil {
			return nil, fmt.Errorf("encode template: %w", err)
		}
		if err := s.buffered.AddRecord(l.template); err != nil {
			return nil, fmt.Errorf("send template: %w", err)
		}
	}
	return s, nil
}

// Send sends the records of one tuple, and says how many they are. The interface
// index is that of the network interface that logged it.
func (s *sender) Send(t tuple, index uint32) (int, error) {
	l := s.v6
	if t.Source.To4() != nil {
		l = s.v4
	}
	status, event := uint32(forwarded), uint8(0)
	switch t.State {
	case "B":
		return 0, nil
	case "C":
		event = reported
	case "E":
		event = deleted
	case "D":
		status, event = dropped, denied
	default:
		return 0, fmt.Errorf("unknown flow state %q", t.State)
	}

	l.start.SetUnsigned64Value(t.Millis)
	l.end.SetUnsigned64Value(t.Millis)
	l.protocol.SetUnsigned8Value(t.Protocol)
	l.status.SetUnsigned32Value(status)
	l.event.SetUnsigned8Value(event)
	l.setEnds(t.Source, t.Destination, t.SourcePort, t.DestinationPort)
	l.setWay(t.Outbound, index)
	l.packets.SetUnsigned64Value(t.SentPackets)
	l.octets.SetUnsigned64Value(t.SentBytes)
	if err := s.buffered.AddRecord(l.record); err != nil {
		return 0, fmt.Errorf("send record: %w", err)
	}
	if t.State == "D" || t.ReceivedPackets == 0 && t.ReceivedBytes == 0 {
		return 1, nil
	}

	l.setEnds(t.Destination, t.Source, t.DestinationPort, t.SourcePort)
	l.setWay(!t.Outbound, index)
	l.packets.SetUnsigned64Value(t.ReceivedPackets)
	l.octets.SetUnsigned64Value(t.ReceivedBytes)
	if err := s.buffered.AddRecord(l.record); err != nil {
		return 1, fmt.Errorf("send record: %w", err)
	}
	return 2, nil
}

// Flush sends what is still in the buffers.
func (s *sender) Flush() error {
	if err := s.buffered.Flush(); err != nil {
		return fmt.Errorf("send last records: %w", err)
	}
	return nil
}

// layout is one template with elements that are made once and filled anew for
// every record, which go-ipfix allows because it encodes a record at once.
type layout struct {
	template, record            entities.Record
	source, destination         *entities.IPAddressInfoElement
	sourcePort, destinationPort *entities.Unsigned16InfoElement
	protocol, direction, event  *entities.Unsigned8InfoElement
	octets, packets             *entities.Unsigned64InfoElement
	start, end                  *entities.DateTimeMillisecondsInfoElement
	ingress, egress             *entities.Unsigned32InfoElement
	samplingInterval, status    *entities.Unsigned32InfoElement
}

// newLayout makes the core template with the given address elements.
func newLayout(template, source, destination uint16) (*layout, error) {
	ids := []uint16{source, destination, 7, 11, 4, 1, 2, 152, 153, 10, 14, 61, 34, 89, 233}
	e := make([]*entities.InfoElement, len(ids))
	for i, id := range ids {
		var err error
		if e[i], err = registry.GetInfoElementFromID(id, registry.IANAEnterpriseID); err != nil {
			return nil, fmt.Errorf("find information element %d: %w", id, err)
		}
	}
	l := &layout{
		source:           entities.NewIPAddressInfoElement(e[0], nil),
		destination:      entities.NewIPAddressInfoElement(e[1], nil),
		sourcePort:       entities.NewUnsigned16InfoElement(e[2], 0),
		destinationPort:  entities.NewUnsigned16InfoElement(e[3], 0),
		protocol:         entities.NewUnsigned8InfoElement(e[4], 0),
		octets:           entities.NewUnsigned64InfoElement(e[5], 0),
		packets:          entities.NewUnsigned64InfoElement(e[6], 0),
		start:            entities.NewDateTimeMillisecondsInfoElement(e[7], 0),
		end:              entities.NewDateTimeMillisecondsInfoElement(e[8], 0),
		ingress:          entities.NewUnsigned32InfoElement(e[9], 0),
		egress:           entities.NewUnsigned32InfoElement(e[10], 0),
		direction:        entities.NewUnsigned8InfoElement(e[11], 0),
		samplingInterval: entities.NewUnsigned32InfoElement(e[12], 1),
		status:           entities.NewUnsigned32InfoElement(e[13], 0),
		event:            entities.NewUnsigned8InfoElement(e[14], 0),
	}
	elements := []entities.InfoElementWithValue{
		l.source, l.destination, l.sourcePort, l.destinationPort, l.protocol, l.octets, l.packets,
		l.start, l.end, l.ingress, l.egress, l.direction, l.samplingInterval, l.status, l.event,
	}
	l.template = entities.NewTemplateRecordFromElements(template, elements)
	l.record = entities.NewDataRecordFromElements(template, elements)
	return l, nil
}

// setEnds says who talks to whom.
func (l *layout) setEnds(source, destination net.IP, sourcePort, destinationPort uint16) {
	l.source.SetIPAddressValue(source)
	l.destination.SetIPAddressValue(destination)
	l.sourcePort.SetUnsigned16Value(sourcePort)
	l.destinationPort.SetUnsigned16Value(destinationPort)
}

// setWay says on which side of the network interface the packets went.
func (l *layout) setWay(outbound bool, index uint32) {
	if outbound {
		l.direction.SetUnsigned8Value(egress)
		l.ingress.SetUnsigned32Value(0)
		l.egress.SetUnsigned32Value(index)
		return
	}
	l.direction.SetUnsigned8Value(ingress)
	l.ingress.SetUnsigned32Value(index)
	l.egress.SetUnsigned32Value(0)
}
