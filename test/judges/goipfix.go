package judges

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
)

// goIPFIX is the collector of go-ipfix, over TCP, in the test's own process. It
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
type goIPFIX struct{}

func (goIPFIX) Name() string { return "go-ipfix-tcp" }

// Version asks go: a test program does not know what it is built of.
func (goIPFIX) Version() (string, error) {
	return firstLine("go", "list", "-m", "github.com/vmware/go-ipfix")
}

func (goIPFIX) Shows() Fields { return ShowsAll }

func (goIPFIX) Merges() bool { return false }

// loadRegistry loads go-ipfix's information model, which is one for the process.
var loadRegistry = sync.OnceValue(func() error {
	registry.LoadRegistry()
	// A new name: by number the last one counts.
	return registry.PutInfoElement(*entities.NewInfoElement("forwardingStatusOctet", 89, entities.Unsigned8, 0, 1), 0)
})

func (goIPFIX) Start(string) (Session, error) {
	if err := loadRegistry(); err != nil {
		return nil, err
	}
	s := &goIPFIXSession{collected: make(chan struct{}), started: make(chan struct{}), sequences: sequences{}}
	klog.LogToStderr(false)
	klog.SetOutput(&s.log)
	var err error
	if s.collector, err = collector.InitCollectingProcess(collector.CollectorInput{Address: "127.0.0.1:0", Protocol: "tcp"}); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.started)
		s.collector.Start() // returns when it is stopped
	}()
	go s.collect()
	err = await("go-ipfix listens", func() (bool, error) { return s.collector.GetAddress() != nil, nil })
	if err == nil {
		s.splitter, err = startSplitter(s.collector.GetAddress().String())
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
	stopped   bool
	started   chan struct{} // closed when the collector has stopped
	collected chan struct{} // closed when its last message was taken
	log       lockedBuffer

	mu        sync.Mutex
	flows     []Flow
	sequences sequences
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
		s.sequences.add(m.GetObsDomainID(), m.GetSequenceNum(), uint64(len(set.GetRecords())))
		for _, r := range set.GetRecords() {
			f, err := flowOfRecord(r)
			f.Domain = m.GetObsDomainID()
			s.flows = append(s.flows, f)
			if s.err == nil {
				s.err = err
			}
		}
		s.mu.Unlock()
	}
}

func flowOfRecord(r entities.Record) (Flow, error) {
	f := Flow{Records: 1}
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
	return awaitAll("go-ipfix collects", func() (bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.flows) >= records, nil
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

func (s *goIPFIXSession) Flows() ([]Flow, error) { return s.flows, s.err }

func (s *goIPFIXSession) Problems() []string {
	problems := s.sequences.problems()
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
func dialLoopback(address string) (net.Conn, error) { return net.DialTimeout("tcp", address, patience) }
