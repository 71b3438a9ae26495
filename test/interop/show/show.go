// Package show runs collectors and says what they show of what they received, by
// the names of IANA's information elements, whatever each calls them itself.
//
// What does not live here: what they should show (package interop), and how they
// are started (package peers).
package show

import (
	"fmt"
	"strconv"
	"strings"
)

// Record is what a collector shows of a flow record or an options data record:
// texts by element name. Numbers are decimal, times milliseconds since 1970, MACs
// like 00:0d:3a:00:00:01. An element that has a name for each address family has
// that of IPv4's. A value for which there is no name here has the collector's own
// name, so that nothing is overlooked.
type Record map[string]string

// Job says what a collector is going to be sent.
type Job struct {
	Protocol string // ipfix, netflow9 or netflow5
	// Elements are those of the flow records, in order.
	Elements []string
	// OptionsElements are those of the options data records; empty if there are
	// none.
	OptionsElements []string
	// Enterprise is the private enterprise number of our own elements.
	Enterprise uint32
	// IPv6Exporter says that the exporter address is one of IPv6.
	IPv6Exporter bool
	// FixedStrings says that strings of flow records have a fixed length.
	FixedStrings bool
}

// Collector is a program that receives.
type Collector interface {
	// Name is the program's.
	Name() string
	// Version returns an error if the program is missing.
	Version() (string, error)
	// Takes reports whether it knows the protocol.
	Takes(protocol string) bool
	// Start starts it. It keeps its files in dir, which is empty.
	Start(dir string, j *Job) (Session, error)
}

// Session is a running collector.
type Session interface {
	// URL is where to send to.
	URL() string
	// Wait returns when it has worked off what was sent, at the latest when it has
	// so many flow records. That fewer came is no error.
	Wait(flows int) error
	// Stop ends it, and may be called again.
	Stop() error
	// Records returns what it shows. It is called after Stop.
	Records() (flows, options []Record, err error)
	// Problems returns what it complained of. It is called after Records.
	Problems() []string
}

// Collectors returns all of them.
func Collectors() []Collector {
	return []Collector{nfcapd{}, nfacctd{}, goflow2{}, telegraf{}, tshark{}, goIPFIX{}}
}

// Told reports whether a collector shows an element only because it was told
// about it: pmacct through a primitive, goflow2 through a mapping, Telegraf through
// a PEN file. Of NetFlow version 5 there is nothing to tell.
func Told(collector, protocol, name string) bool {
	if protocol == "netflow5" {
		return false
	}
	e := find(name)
	switch collector {
	case "nfacctd":
		_, own := nfacctdOwn[name]
		return !own
	case "goflow2":
		return ownField(name) == ""
	case "telegraf":
		return e.own || e.reverse
	}
	return false
}

// kind is how a value is encoded.
type kind int

const (
	number kind = iota
	address
	mac
	text
	moment
)

// element is an information element.
type element struct {
	name   string
	id     uint16
	octets int // 0: as long as it is
	kind   kind
	// own says that it stands under the private enterprise number, reverse that it
	// stands under RFC 5103's.
	own, reverse bool
}

const reversePEN = 29305

func (e *element) pen(j *Job) uint32 {
	switch {
	case e.own:
		return j.Enterprise
	case e.reverse:
		return reversePEN
	}
	return 0
}

// elements are all that flow records may have, and some of options data records.
var elements = []element{
	{name: "sourceIPv4Address", id: 8, octets: 4, kind: address},
	{name: "destinationIPv4Address", id: 12, octets: 4, kind: address},
	{name: "sourceTransportPort", id: 7, octets: 2},
	{name: "destinationTransportPort", id: 11, octets: 2},
	{name: "protocolIdentifier", id: 4, octets: 1},
	{name: "octetDeltaCount", id: 1, octets: 8},
	{name: "packetDeltaCount", id: 2, octets: 8},
	{name: "flowStartMilliseconds", id: 152, octets: 8, kind: moment},
	{name: "flowEndMilliseconds", id: 153, octets: 8, kind: moment},
	{name: "ingressInterface", id: 10, octets: 4},
	{name: "egressInterface", id: 14, octets: 4},
	{name: "flowDirection", id: 61, octets: 1},
	{name: "samplingInterval", id: 34, octets: 4},
	{name: "samplingAlgorithm", id: 35, octets: 1},
	{name: "forwardingStatus", id: 89, octets: 1},
	{name: "firewallEvent", id: 233, octets: 1},
	{name: "flowEndReason", id: 136, octets: 1},
	{name: "sourceMacAddress", id: 56, octets: 6, kind: mac},
	{name: "destinationMacAddress", id: 80, octets: 6, kind: mac},
	{name: "exporterIPv4Address", id: 130, octets: 4, kind: address},
	{name: "flowId", id: 148, octets: 8},
	{name: "ingressVRFID", id: 234, octets: 4},
	{name: "egressVRFID", id: 235, octets: 4},
	{name: "observationPointId", id: 138, octets: 8},
	{name: "ipVersion", id: 60, octets: 1},
	{name: "flowDurationMilliseconds", id: 161, octets: 4},
	{name: "biflowDirection", id: 239, octets: 1},
	{name: "reverseOctetDeltaCount", id: 1, octets: 8, reverse: true},
	{name: "reversePacketDeltaCount", id: 2, octets: 8, reverse: true},
	{name: "interfaceName", id: 82, kind: text},
	{name: "interfaceDescription", id: 83, kind: text},
	{name: "VRFname", id: 236, kind: text},
	{name: "azureRule", id: 1001, kind: text, own: true},
	{name: "azureAcl", id: 1002, kind: text, own: true},
	{name: "azureFlowLog", id: 1003, kind: text, own: true},
	{name: "azureTargetResource", id: 1004, kind: text, own: true},
	{name: "azureSubscription", id: 1005, kind: text, own: true},
	{name: "azureRegion", id: 1006, kind: text, own: true},
	{name: "azureResourceGroup", id: 1007, kind: text, own: true},
	{name: "azureEncryption", id: 1008, octets: 1, own: true},
	{name: "azureFlowState", id: 1009, octets: 1, own: true},
}

// find returns an element by its name.
func find(name string) *element {
	for i := range elements {
		if elements[i].name == name {
			return &elements[i]
		}
	}
	return &element{name: name}
}

// chosen returns the elements of these names.
func chosen(names []string) []*element {
	var all []*element
	for _, name := range names {
		all = append(all, find(name))
	}
	return all
}

// Plain is the name that an element has here: IPv4's for one with a name for each
// address family, that of absolute times for NetFlow version 9's.
func Plain(name string) string {
	switch name {
	case "flowStartSysUpTime":
		return "flowStartMilliseconds"
	case "flowEndSysUpTime":
		return "flowEndMilliseconds"
	}
	return strings.Replace(name, "IPv6Address", "IPv4Address", 1)
}

// protocolNumber reads a protocol's number, or its name in /etc/protocols.
func protocolNumber(s string) string {
	switch s {
	case "icmp":
		return "1"
	case "tcp":
		return "6"
	case "udp":
		return "17"
	}
	return s
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// trimmed is a text of fixed length without its padding.
func trimmed(s string) string { return strings.TrimRight(s, "\x00") }

// unexpectedVersion says that a record came in another form than was sent.
func unexpectedVersion(got any, j *Job) error { return fmt.Errorf("%s came as %v", j.Protocol, got) }
