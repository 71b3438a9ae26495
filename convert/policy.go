// Package convert says what a flow means as flow records: how many it becomes,
// which way it went through which interface, what numbers and
// names it has in common with others, what a denial looks like, and what is left
// out.
//
// It reads flows (package flowlog) and fills records (package templates). How
// records are encoded and sent is not its business. When each flow began is that of
// package convert/starts.
package convert

import (
	"flow2ipfix/flowlog"
	"flow2ipfix/templates"
)

// Policy is what a collector is told about flows, and about which. The zero value
// is the default.
type Policy struct {
	// ExportBegin exports tuples of state B, which say that a flow was created
	// and have no counters. NSG flow logs of version 1 have nothing else: they
	// are exported always.
	ExportBegin bool
	// SkipDenied leaves out denied flows.
	SkipDenied bool
	// DeniedCountOne gives denied flows one packet of the smallest size of
	// their protocol, for collectors that discard records without packets.
	// The volume is invented.
	DeniedCountOne bool
	// Bidirectional makes one record of a flow, which has what came back in it
	// (RFC 5103).
	Bidirectional bool
	// IPv4Only leaves out IPv6 flows, for protocols that cannot carry them.
	IPv4Only bool
	// Filter chooses among all flows.
	Filter Filter
}

// Skip is the rule by which a flow becomes no record at all.
type Skip uint8

const (
	// NotSkipped is a flow that was exported.
	NotSkipped Skip = iota
	// SkippedBegin is a tuple of state B under a policy that leaves them out.
	SkippedBegin
	// SkippedDenied is a denied flow under a policy that leaves them out.
	SkippedDenied
	// SkippedFilter is a flow that the filter did not choose.
	SkippedFilter
	// SkippedOld is a flow that ended too long ago.
	SkippedOld
	// SkippedIPv6 is an IPv6 flow that no other rule left out, under a policy
	// that has IPv4 alone.
	SkippedIPv6
	// SkipCount is how many values Skip has.
	SkipCount
)

// String returns the rule's name: lower case, no spaces.
func (s Skip) String() string {
	return [...]string{"none", "begin", "denied", "filter", "old", "ipv6", "unknown"}[min(s, SkipCount)]
}

// MaxRecords is how many records a flow becomes at most.
const MaxRecords = 2

// Records converts a flow to records and writes them to the beginning of out: the
// forward one, from source to destination with what was sent, and, if anything
// was received, the reverse one with addresses, ports and direction swapped; or
// one bidirectional record. It returns how many records it wrote, or by which
// rule it wrote none. It does not allocate.
//
// Records refer to the origin, which must not change while they are in use.
// Oldest is what Filter.Oldest says now.
func (p *Policy) Records(o *Origin, oldest int64, f *flowlog.Flow, out *[MaxRecords]templates.Record) (int, Skip) {
	if f.Time < oldest {
		return 0, SkippedOld
	}
	if len(p.Filter.Prefixes) > 0 && !p.Filter.has(f) {
		return 0, SkippedFilter
	}
	event := templates.FlowUpdate
	switch {
	case f.Denied:
		if p.SkipDenied {
			return 0, SkippedDenied
		}
		event = templates.FlowDenied
	case f.State == flowlog.Begin:
		if !p.ExportBegin {
			return 0, SkippedBegin
		}
		event = templates.FlowCreated
	case f.State == flowlog.End:
		event = templates.FlowDeleted
	case f.State == flowlog.StateNone:
		event = templates.FlowCreated
	}
	if p.IPv4Only && f.IPv6 {
		return 0, SkippedIPv6
	}
	r := &out[0]
	setCommon(r, o, f, event)
	r.Source, r.Destination = f.Source, f.Destination
	r.SourcePort, r.DestinationPort = f.SourcePort, f.DestinationPort
	r.Packets, r.Octets = f.PacketsSent, f.BytesSent
	setWay(r, f.Direction == flowlog.Outbound, o.Interface)
	if f.Denied {
		p.deny(r, f)
		return 1, NotSkipped
	}
	if f.PacketsReceived == 0 && f.BytesReceived == 0 {
		return 1, NotSkipped
	}
	if p.Bidirectional {
		r.ReversePackets, r.ReverseOctets = f.PacketsReceived, f.BytesReceived
		return 1, NotSkipped
	}
	back := &out[1]
	setCommon(back, o, f, event)
	back.Source, back.Destination = f.Destination, f.Source
	back.SourcePort, back.DestinationPort = f.DestinationPort, f.SourcePort
	back.Packets, back.Octets = f.PacketsReceived, f.BytesReceived
	setWay(back, f.Direction == flowlog.Inbound, o.Interface)
	return 2, NotSkipped
}

// setCommon writes what both records of a flow have in common. To copy one to the other
// costs more: the copy waits until all that was just written is in memory.
func setCommon(r *templates.Record, o *Origin, f *flowlog.Flow, event templates.FirewallEvent) {
	r.Start, r.End = f.Start, f.Time
	if r.Start == 0 {
		r.Start = f.Time
	}
	r.ReversePackets, r.ReverseOctets = 0, 0
	r.Context = &o.Context
	r.Protocol, r.IPv6 = f.Protocol, f.IPv6
	r.Encryption = uint8(f.Encryption)         // of the same numbers
	r.FlowState = templates.FlowState(f.State) // in the same order
	r.FirewallEvent = event
	r.ForwardingStatus = templates.Forwarded
}

// setWay says which way packets go through the VM's interface: those into the
// VM come in by it, those out of it go out by it.
func setWay(r *templates.Record, out bool, index uint32) {
	if out {
		r.Direction, r.Ingress, r.Egress = templates.Egress, 0, index
	} else {
		r.Direction, r.Ingress, r.Egress = templates.Ingress, index, 0
	}
}

// deny fills in what a denied flow has instead of traffic. The decision ended
// it: whatever counters stand in the tuple went nowhere.
func (p *Policy) deny(r *templates.Record, f *flowlog.Flow) {
	r.ForwardingStatus = templates.DroppedByACL
	switch f.Encryption {
	case flowlog.EncryptionSoftwareNotYet, flowlog.EncryptionNotAccepted, flowlog.EncryptionNotSupported:
		r.ForwardingStatus = templates.DroppedUnknown // no rule did it
	}
	if p.DeniedCountOne && r.Packets == 0 && r.Octets == 0 {
		r.Packets, r.Octets = 1, smallestPacket(f)
	}
}

// smallestPacket returns the bytes of an IP header and that of the transport
// protocol, without options and payload.
func smallestPacket(f *flowlog.Flow) uint64 {
	size := uint64(20)
	if f.IPv6 {
		size = 40
	}
	switch f.Protocol {
	case 6:
		size += 20
	case 1, 17, 58:
		size += 8
	}
	return size
}
