package collect

import (
	"net/netip"
	"strings"
	"time"

	"github.com/vmware/go-ipfix/pkg/entities"
)

// The values of Record.Protocol.
const (
	IPFIX    = "ipfix"
	NetFlow9 = "netflow9"
	NetFlow5 = "netflow5"
)

// Record is one decoded data record. It, its fields and their values are valid
// only during the call of the sink; they are used again for the next record.
type Record struct {
	Exporter   netip.AddrPort // zero for files
	Protocol   string         // IPFIX, NetFlow9 or NetFlow5
	ExportTime time.Time      // of the message, UTC; whole seconds but for NetFlow v5
	Domain     uint32         // observation domain; v9: source id; v5: engine type * 256 + engine id
	Sequence   uint32         // of the message
	TemplateID uint16         // 0 for NetFlow v5
	Options    bool           // the record is of an options template: it says something about the exporter
	Fields     []Field        // in the order of the template; scope fields first

	origin    string
	uptime    uint32 // ms since the exporter started, at ExportTime (v9 and v5)
	hasUptime bool
}

// Field is one information element of a record with its value.
type Field struct {
	Enterprise uint32 // private enterprise number; 0 for IANA, 29305 for reverse elements (RFC 5103)
	ID         uint16 // without the enterprise bit; of a v9 scope field the scope type
	Name       string // as IANA or the exporter (RFC 5610) spells it; "ie123" or "pen32473/1" when unknown
	Scope      bool   // a scope field of an option record
	Value      []byte // as it was sent; of a variable-length field without its length

	key  string // Name, made unique within the record
	kind entities.IEDataType
}

// Uint returns the value as an unsigned number. Reduced-size encoding (RFC 7011
// §6.2) is accepted: any length from 1 to 8 octets.
func (f *Field) Uint() (uint64, bool) {
	if len(f.Value) == 0 || len(f.Value) > 8 {
		return 0, false
	}
	var v uint64
	for _, b := range f.Value {
		v = v<<8 | uint64(b)
	}
	return v, true
}

// text returns the value without the zeros that pad a string of fixed length.
func (f *Field) text() string { return strings.TrimRight(string(f.Value), "\x00") }

// Field returns the first field with this enterprise number and id, or nil.
// Scope types of NetFlow v9 are not information elements and are not found.
func (r *Record) Field(enterprise uint32, id uint16) *Field {
	for i := range r.Fields {
		f := &r.Fields[i]
		isElement := !f.Scope || r.Protocol != NetFlow9 || f.ID > lastScopeType
		if f.ID == id && f.Enterprise == enterprise && isElement {
			return f
		}
	}
	return nil
}

// Uint returns an information element as an unsigned number, and whether the
// record has it.
func (r *Record) Uint(enterprise uint32, id uint16) (uint64, bool) {
	if f := r.Field(enterprise, id); f != nil {
		return f.Uint()
	}
	return 0, false
}

// first returns the first of some IANA elements that the record has, 0 without
// any.
func (r *Record) first(ids ...uint16) uint64 {
	for _, id := range ids {
		if v, ok := r.Uint(0, id); ok {
			return v
		}
	}
	return 0
}

// addr returns an IPv4 or an IPv6 element. Where a record has both, the one
// that is not zero: some exporters fill one template for both families.
func (r *Record) addr(v4, v6 uint16) netip.Addr {
	var found netip.Addr
	for _, id := range [2]uint16{v4, v6} {
		f := r.Field(0, id)
		if f == nil {
			continue
		}
		a, ok := netip.AddrFromSlice(f.Value)
		if ok && (!found.IsValid() || found.IsUnspecified() && !a.IsUnspecified()) {
			found = a
		}
	}
	return found
}

// SourceAddr returns sourceIPv4Address (8) or sourceIPv6Address (27); the zero
// Addr without either.
func (r *Record) SourceAddr() netip.Addr { return r.addr(8, 27) }

// DestAddr returns destinationIPv4Address (12) or destinationIPv6Address (28);
// the zero Addr without either.
func (r *Record) DestAddr() netip.Addr { return r.addr(12, 28) }

// SourcePort returns sourceTransportPort (7), or the UDP (180) or TCP (182)
// one; 0 without any.
func (r *Record) SourcePort() uint16 { return uint16(r.first(7, 180, 182)) }

// DestPort returns destinationTransportPort (11), or the UDP (181) or TCP
// (183) one; 0 without any.
func (r *Record) DestPort() uint16 { return uint16(r.first(11, 181, 183)) }

// IPProtocol returns protocolIdentifier (4), and whether the record has it.
func (r *Record) IPProtocol() (uint8, bool) {
	v, ok := r.Uint(0, 4)
	return uint8(v), ok
}

// Packets returns packetDeltaCount (2), else packetTotalCount (86), else 0.
func (r *Record) Packets() uint64 { return r.first(2, 86) }

// Octets returns octetDeltaCount (1), else octetTotalCount (85), else 0.
func (r *Record) Octets() uint64 { return r.first(1, 85) }

// ReversePackets returns the reverse packet count of a bidirectional record
// (RFC 5103), and whether it is one.
func (r *Record) ReversePackets() (uint64, bool) { return r.reverse(2, 86) }

// ReverseOctets returns the reverse octet count of a bidirectional record (RFC
// 5103), and whether it is one.
func (r *Record) ReverseOctets() (uint64, bool) { return r.reverse(1, 85) }

func (r *Record) reverse(delta, total uint16) (uint64, bool) {
	if v, ok := r.Uint(reversePEN, delta); ok {
		return v, true
	}
	return r.Uint(reversePEN, total)
}

// Start returns when the flow started, UTC; the zero time when the record does
// not say.
func (r *Record) Start() time.Time { return r.flowTime(152, 150, 154, 156, 22) }

// End returns when the flow ended, UTC; the zero time when the record does not
// say.
func (r *Record) End() time.Time { return r.flowTime(153, 151, 155, 157, 21) }

// flowTime returns the first that the record has: an element in ms, s, µs or
// ns since an epoch, or in ms of the exporter's sysUpTime.
func (r *Record) flowTime(milliseconds, seconds, microseconds, nanoseconds, sysUpTime uint16) time.Time {
	if v, ok := r.Uint(0, milliseconds); ok {
		return time.UnixMilli(int64(v)).UTC()
	}
	if v, ok := r.Uint(0, seconds); ok {
		return time.Unix(int64(v), 0).UTC()
	}
	for _, id := range [2]uint16{microseconds, nanoseconds} {
		if v, ok := r.Uint(0, id); ok {
			return ntpTime(v)
		}
	}
	if v, ok := r.Uint(0, sysUpTime); ok {
		return r.sinceStart(uint32(v))
	}
	return time.Time{}
}

// futureMilliseconds is how far a sysUpTime of a flow may lie after that of
// its message before it is taken for one from before the 32-bit counter of ms
// went round.
const futureMilliseconds = 3600 * 1000

// sinceStart turns a sysUpTime in ms into a time. NetFlow headers give the
// sysUpTime of the export time; IPFIX records need systemInitTimeMilliseconds
// (160) beside it.
func (r *Record) sinceStart(ms uint32) time.Time {
	if !r.hasUptime {
		if init, ok := r.Uint(0, 160); ok {
			return time.UnixMilli(int64(init) + int64(ms)).UTC()
		}
		return time.Time{}
	}
	if ahead := ms - r.uptime; ahead <= futureMilliseconds {
		return r.ExportTime.Add(time.Duration(ahead) * time.Millisecond)
	}
	return r.ExportTime.Add(-time.Duration(r.uptime-ms) * time.Millisecond)
}

// absolute returns what a time in ms of sysUpTime amounts to, and the name of
// the element that would say so; "" for all other fields, where the exporter's
// start is not known, and where the record has that element by itself.
func (r *Record) absolute(f *Field) (name string, at time.Time) {
	var id uint16
	switch {
	case f.Enterprise != 0 || f.key != f.Name: // another's, or there already
	case f.ID == 22:
		name, id = "flowStartMilliseconds", 152
	case f.ID == 21:
		name, id = "flowEndMilliseconds", 153
	}
	ms, ok := f.Uint()
	if name == "" || !ok || r.Field(0, id) != nil {
		return "", at
	}
	if at = r.sinceStart(uint32(ms)); at.IsZero() {
		return "", at
	}
	return name, at
}

// ntpEpoch is 1 January 1900, the epoch of dateTimeMicroseconds and
// dateTimeNanoseconds (RFC 7011 §6.1.9, §6.1.10), in Unix seconds.
const ntpEpoch = -2208988800

// ntpTime converts a 64-bit NTP timestamp.
func ntpTime(v uint64) time.Time {
	seconds, fraction := int64(v>>32), v&0xffffffff
	return time.Unix(ntpEpoch+seconds, int64(fraction*1e9>>32)).UTC()
}

// Direction returns flowDirection (61), seen from the observation point: "in"
// or "out"; "" when the record does not say.
func (r *Record) Direction() string {
	switch v, ok := r.Uint(0, 61); {
	case ok && v == 0:
		return "in"
	case ok && v == 1:
		return "out"
	default:
		return ""
	}
}

// IngressInterface returns ingressInterface (10); 0 when it is unknown.
func (r *Record) IngressInterface() uint32 { return uint32(r.first(10)) }

// EgressInterface returns egressInterface (14); 0 when it is unknown.
func (r *Record) EgressInterface() uint32 { return uint32(r.first(14)) }

// Decision is what a firewall decided about a flow.
type Decision string

// The decisions. NoDecision: the record does not say.
const (
	Allowed    Decision = "allowed"
	Denied     Decision = "denied"
	Begin      Decision = "begin" // allowed, and this is the begin of the flow
	NoDecision Decision = ""
)

// Decision combines firewallEvent (233: 1 created, 2 deleted, 3 denied, 4
// alert, 5 update) and forwardingStatus (89, RFC 7270, of any length: 64..127
// forwarded, 128..191 dropped, 192..255 consumed).
func (r *Record) Decision() Decision {
	event := uint8(r.first(233))
	switch class := uint8(r.first(89)) >> 6; {
	case event == 3, class == 2:
		return Denied
	case event == 1:
		return Begin
	case event != 0, class != 0:
		return Allowed
	default:
		return NoDecision
	}
}
