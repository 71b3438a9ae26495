package peers

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/vmware/go-ipfix/pkg/collector"
	"github.com/vmware/go-ipfix/pkg/entities"
	"github.com/vmware/go-ipfix/pkg/registry"
	"k8s.io/klog/v2" //nolint:depguard // go-ipfix logs there

	"flow2ipfix/test/expect"
)

// GoIPFIX is the collector of go-ipfix, over TCP, in the test's own process. It
// reads less than RFC 7011 allows, and is helped over that:
//
//   - It reads the first set of a message, and of a template set the first
//     template. A splitter in front of it takes messages apart: see there.
//   - It takes the length of a field from its registry, not from the template
//     (§6.2). forwardingStatus would have four octets there and the collector
//     would lose its place, and panic at the end of the message; it is told that
//     the element has one.
//
// So it judges the transport, the framing, templates and records, not how
// messages are put together; tshark judges that.
type GoIPFIX struct{}

// Name says what it is, and over what.
func (GoIPFIX) Name() string { return "go-ipfix-tcp" }

// Version asks go: a test program does not know what it is built of.
func (GoIPFIX) Version() (string, error) {
	return FirstLine("go", "list", "-m", "github.com/vmware/go-ipfix")
}

// Shows returns the fields that it shows.
func (GoIPFIX) Shows() expect.Fields { return expect.ShowsAll }

// Merges reports that it keeps records apart.
func (GoIPFIX) Merges() bool { return false }

// loadRegistry loads go-ipfix's information model, which is one for the process.
var loadRegistry = sync.OnceValue(func() error {
	registry.LoadRegistry()
	// A new name: by number the last one counts.
	return registry.PutInfoElement(*entities.NewInfoElement("forwardingStatusOctet", 89, entities.Unsigned8, 0, 1), 0)
})

// Start starts it on a free port.
func (GoIPFIX) Start(string) (Session, error) { return startGoIPFIX("127.0.0.1:0", 0, nil) }

// RecordSession is a Session whose records went elsewhere.
type RecordSession interface {
	Session
	// Err returns what a record could not be taken for.
	Err() error
}

// StartGoIPFIXRecords starts it on a free port. emit gets the flow records one
// after the other, whatever elements they have; unknown ones are octets.
func StartGoIPFIXRecords(emit func(domain uint32, r entities.Record) error) (RecordSession, error) {
	return startGoIPFIXWith(collector.CollectorInput{DecodingMode: collector.DecodingModeLenientKeepUnknown}, "127.0.0.1:0", 0, emit)
}

// startGoIPFIX starts the collector behind a splitter that listens at address, with
// a socket buffer of this size if it is not 0.
// If there is an emit it gets the flow records, and the session keeps none; the
// splitter looks at sequence numbers then, connection by connection.
func startGoIPFIX(address string, buffer int, emit func(expect.Flow) error) (*goIPFIXSession, error) {
	var take func(uint32, entities.Record) error
	if emit != nil {
		take = func(domain uint32, r entities.Record) error {
			f, err := flowOfRecord(r)
			f.Domain = domain
			if err != nil {
				return err
			}
			return emit(f)
		}
	}
	return startGoIPFIXWith(collector.CollectorInput{}, address, buffer, take)
}

func startGoIPFIXWith(input collector.CollectorInput, address string, buffer int, emit func(uint32, entities.Record) error) (*goIPFIXSession, error) {
	if err := loadRegistry(); err != nil {
		return nil, err
	}
	s := &goIPFIXSession{
		collected: make(chan struct{}), started: make(chan struct{}), sequences: expect.Sequences{}, emit: emit,
	}
	klog.LogToStderr(false)
	klog.SetOutput(&s.log)
	var err error
	input.Address, input.Protocol = "127.0.0.1:0", "tcp"
	if s.collector, err = collector.InitCollectingProcess(input); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.started)
		s.collector.Start() // returns when it is stopped
	}()
	go s.collect()
	err = Await("go-ipfix listens", func() (bool, error) { return s.collector.GetAddress() != nil, nil })
	if err == nil {
		s.splitter, err = startSplitter(address, buffer, s.collector.GetAddress().String())
	}
	if err != nil {
		_ = s.Stop()
		return nil, err
	}
	return s, nil
}

type goIPFIXSession struct {
	collector *collector.CollectingProcess
	splitter  *splitter
	emit      func(uint32, entities.Record) error
	stopped   bool
	started   chan struct{} // closed when the collector has stopped
	collected chan struct{} // closed when its last message was taken
	log       lockedBuffer

	mu        sync.Mutex
	flows     []expect.Flow
	records   int
	sequences expect.Sequences
	err       error
}

// collect takes messages until the collector closes their channel.
func (s *goIPFIXSession) collect() {
	defer close(s.collected)
	for m := range s.collector.GetMsgChan() {
		set := m.GetSet()
		if set.GetSetType() != entities.Data {
			continue
		}
		s.mu.Lock()
		if s.emit == nil {
			s.sequences.Add(m.GetObsDomainID(), m.GetSequenceNum(), uint64(len(set.GetRecords())))
		}
		for _, r := range set.GetRecords() {
			var err error
			if s.emit != nil {
				err = s.emit(m.GetObsDomainID(), r)
			} else {
				var f expect.Flow
				f, err = flowOfRecord(r)
				f.Domain = m.GetObsDomainID()
				s.flows = append(s.flows, f)
			}
			s.records++
			if s.err == nil {
				s.err = err
			}
		}
		s.mu.Unlock()
	}
}

func flowOfRecord(r entities.Record) (expect.Flow, error) {
	f := expect.Flow{Records: 1}
	for _, e := range r.GetOrderedElementList() {
		switch e.GetName() {
		case "sourceIPv4Address", "sourceIPv6Address":
			f.Source = addrOf(e)
		case "destinationIPv4Address", "destinationIPv6Address":
			f.Destination = addrOf(e)
		case "sourceTransportPort":
			f.SourcePort = e.GetUnsigned16Value()
		case "destinationTransportPort":
			f.DestinationPort = e.GetUnsigned16Value()
		case "protocolIdentifier":
			f.Protocol = e.GetUnsigned8Value()
		case "octetDeltaCount":
			f.Bytes = e.GetUnsigned64Value()
		case "packetDeltaCount":
			f.Packets = e.GetUnsigned64Value()
		case "flowStartMilliseconds":
			f.Start = int64(e.GetUnsigned64Value())
		case "flowEndMilliseconds":
			f.End = int64(e.GetUnsigned64Value())
		case "ingressInterface":
			f.Ingress = e.GetUnsigned32Value()
		case "egressInterface":
			f.Egress = e.GetUnsigned32Value()
		case "flowDirection":
			f.Direction = e.GetUnsigned8Value()
		case "samplingInterval":
			f.Sampling = e.GetUnsigned32Value()
		case "forwardingStatusOctet":
			f.ForwardingStatus = e.GetUnsigned8Value()
		case "firewallEvent":
			f.FirewallEvent = e.GetUnsigned8Value()
		default:
			return f, fmt.Errorf("a record has %s", e.GetName())
		}
	}
	return f, nil
}

func addrOf(e entities.InfoElementWithValue) netip.Addr {
	a, _ := netip.AddrFromSlice(e.GetIPAddressValue()) // the zero one will not compare equal
	return a
}

func (s *goIPFIXSession) URL() string { return "tcp://" + s.splitter.listener.Addr().String() }

// Wait implements Session.
func (s *goIPFIXSession) Wait(records int) error {
	if err := s.splitter.wait(); err != nil {
		return err
	}
	return AwaitAll("go-ipfix collects", func() (bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.records >= records, nil
	})
}

func (s *goIPFIXSession) Stop() error {
	if s.stopped {
		return nil
	}
	s.stopped = true
	var err error
	if s.splitter != nil {
		err = s.splitter.stop()
	}
	s.collector.Stop()
	<-s.started
	<-s.collected
	return err
}

// Err implements RecordSession.
func (s *goIPFIXSession) Err() error { return s.err }

func (s *goIPFIXSession) Flows() ([]expect.Flow, error) { return s.flows, s.err }

func (s *goIPFIXSession) Problems() []string {
	problems := s.sequences.Problems()
	for line := range strings.Lines(s.log.String()) {
		if !strings.HasPrefix(line, "I") { // information
			problems = append(problems, strings.TrimSpace(line))
		}
	}
	return problems
}

// lockedBuffer can be written to from anywhere.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var _ io.Writer = (*lockedBuffer)(nil)

// dialLoopback connects to a listener of this process.
func dialLoopback(address string) (net.Conn, error) { return net.DialTimeout("tcp", address, Patience) }
