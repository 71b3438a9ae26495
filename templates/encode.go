package templates

import (
	"encoding/binary"
	"math"
	"math/bits"

	"flow2ipfix/internal/ipaddr"
)

// put writes the fields of one part.
func put(b []byte, steps []step, r *Record, epoch int64) {
	for _, s := range steps {
		at := b[s.offset:]
		switch s.source {
		case coreRun4:
			putCore4((*[core4Length]byte)(at), r)
		case coreRun:
			putCore((*[coreRunLength]byte)(at), r)
		case sourceIPv4:
			r.Source.Put4((*[4]byte)(at))
		case destinationIPv4:
			r.Destination.Put4((*[4]byte)(at))
		case sourceIPv6:
			r.Source.Put16((*[16]byte)(at))
		case destinationIPv6:
			r.Destination.Put16((*[16]byte)(at))
		case sourcePort:
			binary.BigEndian.PutUint16(at, r.SourcePort)
		case destinationPort:
			binary.BigEndian.PutUint16(at, r.DestinationPort)
		case protocol:
			at[0] = r.Protocol
		case octets:
			binary.BigEndian.PutUint64(at, r.Octets)
		case packets:
			binary.BigEndian.PutUint64(at, r.Packets)
		case reverseOctets:
			binary.BigEndian.PutUint64(at, r.ReverseOctets)
		case reversePackets:
			binary.BigEndian.PutUint64(at, r.ReversePackets)
		case start:
			binary.BigEndian.PutUint64(at, uint64(r.Start))
		case end:
			binary.BigEndian.PutUint64(at, uint64(r.End))
		case startSeconds:
			binary.BigEndian.PutUint32(at, uint32(r.Start/1000))
		case endSeconds:
			binary.BigEndian.PutUint32(at, uint32(r.End/1000))
		case startUptime:
			binary.BigEndian.PutUint32(at, Uptime(r.Start, epoch))
		case endUptime:
			binary.BigEndian.PutUint32(at, Uptime(r.End, epoch))
		case duration:
			binary.BigEndian.PutUint32(at, uint32(min(max(r.End-r.Start, 0), math.MaxUint32)))
		case ingress:
			binary.BigEndian.PutUint32(at, r.Ingress)
		case egress:
			binary.BigEndian.PutUint32(at, r.Egress)
		case pointID:
			binary.BigEndian.PutUint64(at, uint64(max(r.Ingress, r.Egress)))
		case direction:
			at[0] = byte(r.Direction)
		case sampling:
			binary.BigEndian.PutUint32(at, 1)
		case algorithm, one:
			at[0] = 1
		case zero:
			clear(at[:s.length])
		case forwarding:
			at[0] = byte(r.ForwardingStatus)
		case firewall:
			at[0] = byte(r.FirewallEvent)
		case endReason:
			at[0] = r.FlowState.reason()
		case sourceMAC:
			putMAC(at, r, Egress)
		case destinationMAC:
			putMAC(at, r, Ingress)
		case vrf:
			binary.BigEndian.PutUint32(at, r.context().VRF)
		case exporter4:
			if a := r.context().Exporter; a.Is4() {
				*(*[4]byte)(at) = a.As4()
			} else {
				clear(at[:4])
			}
		case exporter6:
			if a := r.context().Exporter; a.Is6() {
				*(*[16]byte)(at) = a.As16()
			} else {
				clear(at[:16])
			}
		case flowID:
			binary.BigEndian.PutUint64(at, hashFlow(r))
		case ipVersion:
			at[0] = 4
			if r.IPv6 {
				at[0] = 6
			}
		case encryption:
			at[0] = r.Encryption
		case flowState:
			at[0] = byte(r.FlowState)
		default: // a text of fixed length
			field := at[:s.length]
			clear(field[copy(field, cut(text(r, s.source), len(field))):])
		}
	}
}

// putMAC writes the interface's MAC address if packets go this way through it.
func putMAC(b []byte, r *Record, way FlowDirection) {
	if r.Direction == way {
		*(*[6]byte)(b) = r.context().MAC
		return
	}
	clear(b[:6])
}

// Uptime returns the time of sysUptime in milliseconds at a time: 0 before its
// epoch, and all ones 49 days behind it.
func Uptime(at, epoch int64) uint32 { return uint32(min(max(at-epoch, 0), math.MaxUint32)) }

// text returns the value of a string element.
func text(r *Record, s source) string {
	c := r.context()
	switch s {
	case vrfName:
		return c.VRFName
	case interfaceName:
		return c.InterfaceName
	case interfaceDescription:
		return c.InterfaceDescription
	case rule:
		return c.Rule
	case acl:
		return c.ACL.Short
	case aclLong:
		return c.ACL.Long
	case flowLog:
		return c.FlowLog.Short
	case flowLogLong:
		return c.FlowLog.Long
	case target:
		return c.Target.Short
	case targetLong:
		return c.Target.Long
	case subscription:
		return c.Subscription
	case region:
		return c.Region
	case resourceGroup:
		return c.ResourceGroup
	}
	return ""
}

// hashFlow returns a number that both records of a flow have, and that stays the
// same from day to day: the sum, which knows no order, of a hash of each end.
func hashFlow(r *Record) uint64 {
	a := hashEnd(r.Source, r.SourcePort)
	b := hashEnd(r.Destination, r.DestinationPort)
	var mac [8]byte
	m := r.context().MAC
	copy(mac[:], m[:])
	return mix(a+b, binary.BigEndian.Uint64(mac[:])^uint64(r.Protocol)<<8^0x9E3779B97F4A7C15)
}

func hashEnd(a ipaddr.Addr, port uint16) uint64 {
	hi, lo := a.Words()
	h := mix(hi^0xA0761D6478BD642F, lo^0xE7037ED1A0B428DB)
	return mix(h^uint64(port), 0x8EBC6AF09C88C6E3)
}

// mix folds the 128-bit product of its arguments.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// source names a value of Record.
type source uint8

const (
	none source = iota

	sourceIPv4
	destinationIPv4
	sourceIPv6
	destinationIPv6
	sourcePort
	destinationPort
	protocol
	octets
	packets
	reverseOctets
	reversePackets
	start
	end
	startSeconds
	endSeconds
	startUptime
	endUptime
	duration
	ingress
	egress
	pointID
	direction
	sampling
	algorithm
	one
	zero
	forwarding
	firewall
	endReason
	sourceMAC
	destinationMAC
	vrf
	exporter4
	exporter6
	flowID
	ipVersion
	encryption
	flowState

	vrfName
	interfaceName
	interfaceDescription
	rule
	acl
	aclLong
	flowLog
	flowLogLong
	target
	targetLong
	subscription
	region
	resourceGroup

	// coreRun stands for all that coreSources name, in their order, coreRun4 for
	// IPv4 addresses and them.
	coreRun
	coreRun4
)

// coreSources are the sources of coreElements, behind the addresses.
var coreSources = []source{
	sourcePort, destinationPort, protocol, octets, packets, start, end, ingress, egress, direction, sampling, forwarding, firewall,
}

// coreRunLength is how many octets coreSources take.
const coreRunLength = 52

// putCore writes what coreSources name. Field by field, that costs twice the
// time; nearly all templates have this run.
func putCore(b *[coreRunLength]byte, r *Record) {
	binary.BigEndian.PutUint16(b[0:], r.SourcePort)
	binary.BigEndian.PutUint16(b[2:], r.DestinationPort)
	b[4] = r.Protocol
	binary.BigEndian.PutUint64(b[5:], r.Octets)
	binary.BigEndian.PutUint64(b[13:], r.Packets)
	binary.BigEndian.PutUint64(b[21:], uint64(r.Start))
	binary.BigEndian.PutUint64(b[29:], uint64(r.End))
	binary.BigEndian.PutUint32(b[37:], r.Ingress)
	binary.BigEndian.PutUint32(b[41:], r.Egress)
	b[45] = byte(r.Direction)
	binary.BigEndian.PutUint32(b[46:], 1)
	b[50] = byte(r.ForwardingStatus)
	b[51] = byte(r.FirewallEvent)
}

// core4Length is how many octets IPv4 addresses and coreSources take.
const core4Length = 8 + coreRunLength

func putCore4(b *[core4Length]byte, r *Record) {
	binary.BigEndian.PutUint32(b[0:], r.Source.V4())
	binary.BigEndian.PutUint32(b[4:], r.Destination.V4())
	putCore((*[coreRunLength]byte)(b[8:]), r)
}

// joinCore replaces the steps of coreSources, where they stand together, by the
// one that does them all.
func joinCore(steps []step) []step {
	for i := 0; i+len(coreSources) <= len(steps); i++ {
		same := true
		for k, s := range coreSources {
			same = same && steps[i+k].source == s
		}
		if !same {
			continue
		}
		run, rest := step{source: coreRun, offset: steps[i].offset}, steps[i+len(coreSources):]
		if i >= 2 && steps[i-2].source == sourceIPv4 && steps[i-1].source == destinationIPv4 {
			i -= 2
			run = step{source: coreRun4, offset: steps[i].offset}
		}
		return append(append(steps[:i:i], run), rest...)
	}
	return steps
}
