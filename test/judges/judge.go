// Package judges lets collectors that are not ours judge the whole program: it
// runs flow2ipfix as a child process against each of them and compares what they
// say that they received with what the flow logs say, as an oracle reads them
// that shares no code with the program.
//
// A Judge is a collector, a testCase (in cases_test.go) what it is given; both
// are rows of tables. A collector that is missing fails the tests.
package judges

import (
	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// Judge is a collector, and what it can show of a flow record.
type Judge interface {
	// Name is that of the program, and how it is used.
	Name() string
	// Version returns the version of the installed program. An error means that
	// it is missing.
	Version() (string, error)
	// Shows returns the fields that it shows.
	Shows() expect.Fields
	// Merges reports whether it adds up records that differ in nothing but their
	// counters.
	Merges() bool
	// Start starts it. It keeps its files in dir, which is empty.
	Start(dir string) (peers.Session, error)
}

// Judges returns all judges.
func Judges() []Judge {
	return []Judge{
		peers.Nfcapd{}, nfacctd{}, goflow2{}, peers.Telegraf{}, tsharkLive{"udp"}, tsharkLive{"tcp"}, tsharkFile{}, peers.GoIPFIX{}, ownCollect{},
	}
}

// templateField is a field of a template: an information element's number, and
// its length in octets.
type templateField struct{ id, length int }

// coreTemplates is what the templates of the generic preset should say. Only
// IANA's elements are in it.
var coreTemplates = map[int][]templateField{
	256: append([]templateField{{8, 4}, {12, 4}}, coreFields...),
	257: append([]templateField{{27, 16}, {28, 16}}, coreFields...),
}

var coreFields = []templateField{
	{7, 2}, {11, 2}, // ports
	{4, 1},         // protocolIdentifier
	{1, 8}, {2, 8}, // octetDeltaCount, packetDeltaCount
	{152, 8}, {153, 8}, // flowStartMilliseconds, flowEndMilliseconds
	{10, 4}, {14, 4}, // ingressInterface, egressInterface
	{61, 1},  // flowDirection
	{34, 4},  // samplingInterval
	{89, 1},  // forwardingStatus: four octets are registered, one is what collectors read
	{233, 1}, // firewallEvent
}

// The limits that a message has to keep.
const (
	maxMessageBytes   = 1400
	maxMessageRecords = 64
)
