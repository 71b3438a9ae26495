package message

import (
	"encoding/binary"
	"errors"
	"math"

	"flow2ipfix/templates"
)

// The record of NetFlow version 5, and how many a message has at most.
const (
	netflow5Record  = 48
	netflow5Records = 30
)

// MaxParts is into how many records of NetFlow version 5 a flow is split whose
// counters 32 bits cannot say. What is beyond that is cut off.
const MaxParts = 64

// ErrIPv6 says that NetFlow version 5 has no room for an IPv6 address.
var ErrIPv6 = errors.New("netflow5 carries no IPv6: such flows must be skipped before")

// Parts returns how many records r takes with NetFlow version 5.
func Parts(r *templates.Record) (int, error) {
	if r.IPv6 {
		return 0, ErrIPv6
	}
	most := max(r.Packets, r.Octets)
	if most <= math.MaxUint32 {
		return 1, nil
	}
	return int(min((most-1)/math.MaxUint32+1, MaxParts)), nil
}

// PartBytes returns how many octets so many parts take, and in how many messages
// at most if the first of them is a new one.
func (k *Maker) PartBytes(parts int) (octets, messages int) {
	each := min(k.maxRecords, (k.maxBytes-netflow5Header)/netflow5Record)
	messages = (parts + each - 1) / each
	return messages*netflow5Header + parts*netflow5Record, messages
}

// AddPart appends the i-th of n records that r is split into, which fits. The
// counters of all are those of r.
func (m *Message) AddPart(r *templates.Record, i, n int) {
	if i == 0 {
		m.clamp(r, n)
	}
	at := len(m.buf)
	m.buf = m.buf[:at+netflow5Record]
	b := (*[netflow5Record]byte)(m.buf[at:])
	*b = [netflow5Record]byte{}
	r.Source.Put4((*[4]byte)(b[0:]))
	r.Destination.Put4((*[4]byte)(b[4:]))
	binary.BigEndian.PutUint16(b[12:], index16(r.Ingress))
	binary.BigEndian.PutUint16(b[14:], index16(r.Egress))
	binary.BigEndian.PutUint32(b[16:], share(r.Packets, i, n))
	binary.BigEndian.PutUint32(b[20:], share(r.Octets, i, n))
	binary.BigEndian.PutUint32(b[24:], templates.Uptime(r.Start, m.Epoch))
	binary.BigEndian.PutUint32(b[28:], templates.Uptime(r.End, m.Epoch))
	binary.BigEndian.PutUint16(b[32:], r.SourcePort)
	binary.BigEndian.PutUint16(b[34:], r.DestinationPort)
	b[38] = r.Protocol
	m.Records++
}

// index16 returns an interface index, or 0 for one that 16 bits cannot say:
// another interface's would be a lie.
func index16(index uint32) uint16 {
	if index > math.MaxUint16 {
		return 0
	}
	return uint16(index)
}

// share returns the i-th of n shares of a counter, which are as even as can be.
func share(total uint64, i, n int) uint32 {
	parts := uint64(n)
	total = min(total, parts*math.MaxUint32)
	each := total / parts
	if uint64(i) < total%parts {
		each++
	}
	return uint32(each)
}

// clamp counts the values of r that n records cannot say.
func (m *Message) clamp(r *templates.Record, n int) {
	m.clampTimes(r)
	for _, index := range [2]uint32{r.Ingress, r.Egress} {
		if index > math.MaxUint16 {
			m.Clamped++
		}
	}
	for _, counter := range [2]uint64{r.Packets, r.Octets} {
		if counter > uint64(n)*math.MaxUint32 {
			m.Clamped++
		}
	}
}
