package templates

import "net/netip"

// Record is a flow record as far as any template here can carry it: the values
// of all information elements that this program can fill. It is a plain value
// and holds no other memory.
type Record struct {
	Source, Destination netip.Addr // of the same family
	Start, End          int64      // milliseconds since the Unix epoch

	// Packets and Octets are what went from Source to Destination since Start
	// (deltas); Octets include headers.
	Packets, Octets uint64
	// ReversePackets and ReverseOctets are what came back, for bidirectional
	// records (RFC 5103). Unidirectional templates leave them out.
	ReversePackets, ReverseOctets uint64

	SourcePort, DestinationPort uint16

	// Ingress and Egress are interface indexes; 0 is "elsewhere".
	Ingress, Egress uint32

	Protocol         uint8            // IANA protocol number
	Direction        FlowDirection    // as the VM's interface sees it
	FirewallEvent    FirewallEvent    // what happened to the flow
	ForwardingStatus ForwardingStatus // what happened to its packets
}

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
