package interop

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"flow2ipfix/test/interop/show"
)

// fate is what becomes of an element at a collector. The zero fate is that it is
// not shown.
type fate struct {
	mark string
	note string // what it shows instead, or where it takes the value from
	// tell adds to got what the collector shows of want.
	tell func(got, want show.Record, name string)
}

// The marks of the table.
const (
	markExact  = "yes"
	markMapped = "mapped"
	markOther  = "differs"
	markAbsent = "–"
)

// marks are in order: the better ones first.
var marks = []string{markExact, markMapped, markOther, markAbsent}

func same(got, want show.Record, name string) { got[name] = want[name] }

var (
	// exact shows the value that was sent.
	exact = fate{mark: markExact, tell: same}
	// mapped shows it, but only because it was told about the element.
	mapped = fate{mark: markMapped, tell: same}
	absent = fate{mark: markAbsent, tell: func(_, _ show.Record, _ string) {}}
)

// noted is a fate with a note.
func (f fate) noted(note string) fate {
	f.note = note
	return f
}

// differs shows something else.
func differs(note string, value func(want string) string) fate {
	return fate{mark: markOther, note: note, tell: func(got, want show.Record, name string) { got[name] = value(want[name]) }}
}

// lost shows something that says nothing of what was sent.
func lost(note string, value string) fate {
	return fate{mark: markAbsent, note: note, tell: func(got, _ show.Record, name string) { got[name] = value }}
}

// fates are those of a collector's elements; what is missing is not shown.
type fates map[string]fate

func (f fates) of(name string) fate {
	if one, ok := f[name]; ok {
		return one
	}
	return absent
}

// with adds elements with a fate.
func (f fates) with(one fate, names ...string) fates {
	all := fates{}
	for name, other := range f {
		all[name] = other
	}
	for _, name := range names {
		all[name] = one
	}
	return all
}

// optionFate is what becomes of options data records of a kind. The zero fate is
// that they are not shown.
type optionFate struct {
	mark, note string
	tell       func(o option) show.Record
}

// wholly shows what was sent.
var wholly = optionFate{mark: markExact, tell: func(o option) show.Record { return o.record }}

// otherwise shows something else.
func otherwise(mark, note string, change func(r show.Record, o option)) optionFate {
	return optionFate{mark: mark, note: note, tell: func(o option) show.Record {
		r := maps.Clone(o.record)
		change(r, o)
		return r
	}}
}

// complaint is one that a collector makes of messages that are right.
type complaint struct {
	says string // part of it
	note string
	of   func(v *variant) bool
}

// behaviour is what is declared of a collector.
type behaviour struct {
	fates map[string]fates // by protocol
	// options are the kinds of options data records that it shows, by protocol.
	options map[string]map[string]optionFate
	// inFlows adds to a flow record what options data records have it show there.
	inFlows func(got show.Record, v *variant)
	// finish changes what it shows of a record as a whole.
	finish     func(got, want show.Record, v *variant)
	complaints []complaint
}

var (
	tuple      = []string{"sourceIPv4Address", "destinationIPv4Address", "sourceTransportPort", "destinationTransportPort", "protocolIdentifier"}
	counters   = []string{"octetDeltaCount", "packetDeltaCount"}
	times      = []string{"flowStartMilliseconds", "flowEndMilliseconds"}
	interfaces = []string{"ingressInterface", "egressInterface"}
	macs       = []string{"sourceMacAddress", "destinationMacAddress"}
	vrfs       = []string{"ingressVRFID", "egressVRFID"}
	reverse    = []string{"reverseOctetDeltaCount", "reversePacketDeltaCount"}
	biflow     = "biflowDirection"
	names      = []string{"interfaceName", "interfaceDescription", "VRFname"}
	codes      = []string{
		"flowDirection", "samplingInterval", "samplingAlgorithm", "forwardingStatus", "firewallEvent", "flowEndReason",
		"flowId", "observationPointId", "ipVersion", "flowDurationMilliseconds",
	}
	domain = "observationDomainId"
	device = "device" // what a collector takes for the exporter
)

// basic are what every collector shows of every protocol.
var basic = fates{}.with(exact, tuple...).with(exact, counters...).with(exact, interfaces...)

// ownTexts and ownCodes are our own elements.
var (
	ownTexts = ownNames[:7]
	ownCodes = ownNames[7:]
)

// upToSeconds is a time in milliseconds, the next whole second.
func upToSeconds(want string) string {
	n, err := strconv.ParseInt(want, 10, 64)
	if err != nil {
		return err.Error()
	}
	return strconv.FormatInt((n+999)/1000*1000, 10)
}

// hexOf is a text's octets in hexadecimal digits.
func hexOf(want string) string { return fmt.Sprintf("%x", want) }

// lowOctet is the low octet of a number.
func lowOctet(want string) string {
	n, err := strconv.ParseUint(want, 10, 64)
	if err != nil {
		return err.Error()
	}
	return strconv.FormatUint(n&0xff, 10)
}

func hasOptions(kinds ...string) func(v *variant) bool {
	return func(v *variant) bool {
		for _, kind := range kinds {
			if strings.Contains(strings.Join(v.options, ","), kind) {
				return true
			}
		}
		return false
	}
}
