// Package ipaddr has IP addresses for the hot path: two words without a pointer,
// so that a million of them cost the garbage collector nothing and are hashed,
// compared and encoded without a branch. Elsewhere net/netip serves.
package ipaddr

import (
	"encoding/binary"
	"net/netip"
)

// Addr is an IP address of 16 octets: an IPv4 one stands as an IPv4-mapped IPv6
// address (RFC 4291 §2.5.5.2). Which of the two it is, whoever has it knows: both
// ends of a flow are of one family. The zero value is "::".
type Addr struct{ hi, lo uint64 }

const mapped = 0xFFFF << 32

// From4 returns an IPv4 address, whose first octet is the top one.
func From4(v4 uint32) Addr { return Addr{0, mapped | uint64(v4)} }

// From16 returns the address of these octets.
func From16(b [16]byte) Addr {
	return Addr{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])}
}

// FromWords returns the address of these octets, the first one on top.
func FromWords(hi, lo uint64) Addr { return Addr{hi, lo} }

// From returns an address without its zone.
func From(a netip.Addr) Addr { return From16(a.As16()) }

// MustParse is for addresses that stand in a program.
func MustParse(s string) Addr { return From(netip.MustParseAddr(s)) }

// V4 returns the last four octets, which are all of an IPv4 address.
func (a Addr) V4() uint32 { return uint32(a.lo) }

// Words returns all octets, the first one on top of hi.
func (a Addr) Words() (hi, lo uint64) { return a.hi, a.lo }

// Put4 writes the octets of an IPv4 address.
func (a Addr) Put4(b *[4]byte) { binary.BigEndian.PutUint32(b[:], uint32(a.lo)) }

// Put16 writes all octets.
func (a Addr) Put16(b *[16]byte) {
	binary.BigEndian.PutUint64(b[:], a.hi)
	binary.BigEndian.PutUint64(b[8:], a.lo)
}

// Netip returns an address of the given family for all that is not in a hurry.
func (a Addr) Netip(ipv6 bool) netip.Addr {
	var b [16]byte
	a.Put16(&b)
	n := netip.AddrFrom16(b)
	if !ipv6 {
		n = n.Unmap()
	}
	return n
}

// String returns the address as it is written, a mapped one as that of IPv4.
func (a Addr) String() string { return a.Netip(false).String() }
