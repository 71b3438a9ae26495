package templates

import (
	"net/netip"

	"flow2ipfix/internal/ipaddr"
)

// Record is a flow record as far as any template here can carry it: the values
// of all information elements that this program can fill.
type Record struct {
	Source, Destination ipaddr.Addr
	Start, End          int64 // milliseconds since the Unix epoch

	// Packets and Octets are what went from Source to Destination since Start
	// (deltas); Octets include headers.
	Packets, Octets uint64
	// ReversePackets and ReverseOctets are what came back, in bidirectional
	// records (RFC 5103); 0 in all others.
	ReversePackets, ReverseOctets uint64

	// Context is what the record has in common with others, which it outlives
	// until the record is encoded; nil is nothing.
	Context *Context

	SourcePort, DestinationPort uint16

	// Ingress and Egress are interface indexes; 0 is "elsewhere".
	Ingress, Egress uint32

	Protocol         uint8            // IANA protocol number
	Direction        FlowDirection    // as the VM's interface sees it
	FirewallEvent    FirewallEvent    // what happened to the flow
	ForwardingStatus ForwardingStatus // what happened to its packets
	Encryption       uint8            // value of azureEncryption
	FlowState        FlowState        // value of azureFlowState
	IPv6             bool             // both addresses are of IPv6, else of IPv4
}

// Context is what the flow records of one interface, rule and flow log have in
// common. Texts may be empty.
type Context struct {
	MAC                  [6]byte    // of the network interface
	Exporter             netip.Addr // on whose behalf records are sent; not valid if there is none
	VRF                  uint32     // number of what the flow log is set on: a virtual network, a subnet, a security group
	VRFName              string     // its name
	InterfaceName        string     // of the network interface
	InterfaceDescription string

	Rule                 string // the access rule that decided
	ACL, FlowLog, Target ResourceID
	Subscription, Region string
	ResourceGroup        string
}

// ResourceID is an Azure resource id, whole and as a name for people.
type ResourceID struct{ Long, Short string }

var noContext Context

// context returns the record's context, which is never nil.
func (r *Record) context() *Context {
	if r.Context == nil {
		return &noContext
	}
	return r.Context
}

// bidirectional reports whether anything came back.
func (r *Record) bidirectional() bool { return r.ReversePackets|r.ReverseOctets != 0 }

// FlowDirection is the value of information element 61 (RFC 7012, IANA).
type FlowDirection uint8

// The directions.
const (
	Ingress FlowDirection = 0
	Egress  FlowDirection = 1
)

// FirewallEvent is the value of information element 233 (RFC 8158, IANA).
type FirewallEvent uint8

// The events that Azure's flow states stand for.
const (
	FlowCreated FirewallEvent = 1
	FlowDeleted FirewallEvent = 2
	FlowDenied  FirewallEvent = 3
	FlowUpdate  FirewallEvent = 5
)

// ForwardingStatus is the value of information element 89: two bits of status
// and six of reason, in one octet (RFC 7270 §4.12, IANA).
type ForwardingStatus uint8

// The statuses that Azure's decisions stand for.
const (
	Forwarded      ForwardingStatus = 64  // forwarded, for no known reason
	DroppedUnknown ForwardingStatus = 128 // dropped, for no reason of the list
	DroppedByACL   ForwardingStatus = 129 // dropped, denied by an access list
)

// FlowState is the value of our own element azureFlowState: what Azure says that
// the tuple is in the flow's life.
type FlowState uint8

// The states.
const (
	NoState FlowState = iota // version 1 has none, nor have denied flows
	StateBegin
	StateContinue
	StateEnd
)

// reason is the value of information element 136 (RFC 7012, IANA): why the flow
// was reported.
func (s FlowState) reason() byte {
	switch s {
	case StateContinue:
		return 2 // active timeout
	case StateEnd:
		return 3 // end of flow detected
	default:
		return 0
	}
}
