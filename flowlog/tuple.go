package flowlog

import (
	"net/netip"
	"unsafe"

	"flow2ipfix/internal/ipaddr"
)

// The tuple parsers read from a slice in which a '"' stands behind the tuple, or
// a byte that no tuple can hold (0 at the end of the window), so that no loop
// needs to ask for the length: every number and address ends at a byte that is
// not its own. They do not keep the slice, and allocate for an invalid address
// only.
//
// They return where they stopped, which is at the '"' when the reason is
// reasonNone. Nearly all tuples of the world never get here: see fastTuple.

// Times outside these bounds are implausible: September 2001 and the year 2100.
const (
	minSeconds = 1_000_000_000
	maxSeconds = 4_102_444_800
)

// parseVNet reads a tuple of a virtual network flow log:
// time in ms, source, destination, ports, IANA protocol, I/O, B/C/E/D,
// encryption, packets and bytes sent, packets and bytes received.
func parseVNet(b []byte, i int, f *Flow) (int, Reason) {
	i, r := parseHead(b, i, f)
	if r != reasonNone {
		return i, r
	}
	n, i, ok := parseUint(b, i)
	if !ok || n > 255 {
		return i, BadProtocol
	}
	if b[i] != ',' {
		return i, endOr(b[i], BadProtocol)
	}
	f.Protocol = uint8(n)
	if i, r = parseDirection(b, i+1, f); r != reasonNone {
		return i, r
	}
	switch b[i] {
	case 'B':
		f.State = Begin
	case 'C':
		f.State = Continue
	case 'E':
		f.State = End
	case 'D':
		f.Denied = true
	default:
		return i, BadState
	}
	i++
	if b[i] == '"' {
		return i, reasonNone
	}
	if b[i] != ',' {
		return i, BadState
	}
	i++
	start := i
	for isCode(b[i]) {
		i++
	}
	f.Encryption = encryptionOf(b[start:i])
	if b[i] == '"' {
		return i, reasonNone
	}
	if b[i] != ',' {
		return i, BadFieldCount
	}
	return parseCounters(b, i+1, f)
}

// parseNSG reads a tuple of an NSG flow log: time in seconds, source,
// destination, ports, T/U, I/O, A/D, and in version 2 B/C/E, packets and bytes
// sent, packets and bytes received.
func parseNSG(b []byte, i int, f *Flow) (int, Reason) {
	i, r := parseHead(b, i, f)
	if r != reasonNone {
		return i, r
	}
	switch b[i] {
	case 'T':
		f.Protocol = 6
	case 'U':
		f.Protocol = 17
	default:
		return i, BadProtocol
	}
	i++
	if b[i] != ',' {
		return i, endOr(b[i], BadProtocol)
	}
	if i, r = parseDirection(b, i+1, f); r != reasonNone {
		return i, r
	}
	switch b[i] {
	case 'A':
	case 'D':
		f.Denied = true
	default:
		return i, BadDecision
	}
	i++
	if b[i] == '"' { // version 1 ends here
		return i, reasonNone
	}
	if b[i] != ',' {
		return i, BadDecision
	}
	i++
	switch b[i] {
	case 'B':
		f.State = Begin
		i++
	case 'C':
		f.State = Continue
		i++
	case 'E':
		f.State = End
		i++
	case ',', '"':
	default:
		return i, BadState
	}
	if b[i] == '"' {
		return i, reasonNone
	}
	if b[i] != ',' {
		return i, BadState
	}
	return parseCounters(b, i+1, f)
}

// parseHead reads what both kinds begin with: time, addresses and ports, each
// with the comma behind it. It also clears f, which is used memory.
func parseHead(b []byte, i int, f *Flow) (int, Reason) {
	*f = Flow{}
	t, i, ok := parseUint(b, i)
	if !ok {
		return i, BadTime
	}
	// Seconds and milliseconds are told apart by size alone: tools and
	// replayed logs mix them up, and the ranges are far apart.
	switch {
	case t >= minSeconds && t < maxSeconds:
		t *= 1000
	case t >= minSeconds*1000 && t < maxSeconds*1000:
	default:
		return i, BadTime
	}
	f.Time = int64(t)
	if b[i] != ',' {
		return i, endOr(b[i], BadTime)
	}
	if f.Source, f.IPv6, i, ok = parseAddr(b, i+1); !ok {
		return i, BadAddress
	}
	if b[i] != ',' {
		return i, endOr(b[i], BadAddress)
	}
	ipv6 := false
	if f.Destination, ipv6, i, ok = parseAddr(b, i+1); !ok {
		return i, BadAddress
	}
	if ipv6 != f.IPv6 {
		return i, MixedAddresses
	}
	if b[i] != ',' {
		return i, endOr(b[i], BadAddress)
	}
	n, i, ok := parseUint(b, i+1)
	if !ok || n > 65535 {
		return i, BadPort
	}
	f.SourcePort = uint16(n)
	if b[i] != ',' {
		return i, endOr(b[i], BadPort)
	}
	n, i, ok = parseUint(b, i+1)
	if !ok || n > 65535 {
		return i, BadPort
	}
	f.DestinationPort = uint16(n)
	if b[i] != ',' {
		return i, endOr(b[i], BadPort)
	}
	return i + 1, reasonNone
}

// parseDirection reads I or O and the comma behind it.
func parseDirection(b []byte, i int, f *Flow) (int, Reason) {
	switch b[i] {
	case 'I':
	case 'O':
		f.Direction = Outbound
	default:
		return i, BadDirection
	}
	i++
	if b[i] != ',' {
		return i, endOr(b[i], BadDirection)
	}
	return i + 1, reasonNone
}

// parseCounters reads the four counters. Each may be empty; those at the end
// may be missing.
func parseCounters(b []byte, i int, f *Flow) (int, Reason) {
	into := [4]*uint64{&f.PacketsSent, &f.BytesSent, &f.PacketsReceived, &f.BytesReceived}
	for k, dst := range into {
		if b[i]-'0' <= 9 {
			n, next, ok := parseUint(b, i)
			if !ok {
				return next, BadCounter
			}
			*dst = n
			f.Counters |= 1 << k
			i = next
		}
		switch b[i] {
		case '"':
			return i, reasonNone
		case ',':
			i++
		default:
			return i, BadCounter
		}
	}
	return i, BadFieldCount
}

// endOr returns BadFieldCount if the tuple ended at c, else r.
func endOr(c byte, r Reason) Reason {
	if c == '"' {
		return BadFieldCount
	}
	return r
}

// parseUint reads a decimal number of at least one digit. It reports false for
// none and for a number above 2^64-1.
func parseUint(b []byte, i int) (uint64, int, bool) {
	start := i
	var n uint64
	for {
		d := uint64(b[i] - '0')
		if d > 9 {
			return n, i, i > start
		}
		if i-start >= 19 && (n > (1<<64-1)/10 || n*10 > 1<<64-1-d) {
			return 0, i, false
		}
		n = n*10 + d
		i++
	}
}

// parseAddr reads an IPv4 address in dotted decimal, or an IPv6 address
// without brackets and zone.
func parseAddr(b []byte, i int) (addr ipaddr.Addr, ipv6 bool, next int, ok bool) {
	start := i
	colons := 0
	for {
		c := b[i]
		if c == ':' {
			colons++
		} else if c != '.' && !isHex(c) {
			break
		}
		i++
	}
	if b[i] == 0 {
		return addr, false, i, false // the window ends within it; the error below would allocate
	}
	if i-start > len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") {
		return addr, false, i, false
	}
	// ParseAddr keeps nothing of its argument for an address without a zone,
	// and '%' cannot be in it: the string may stand on the window's memory.
	a, err := netip.ParseAddr(unsafe.String(&b[start], i-start))
	if err != nil {
		return addr, false, i, false
	}
	return ipaddr.From(a), a.Is6(), i, true
}

func isHex(c byte) bool {
	return c-'0' <= 9 || c-'a' <= 5 || c-'A' <= 5
}

func isCode(c byte) bool {
	return c-'A' <= 25 || c-'a' <= 25 || c-'0' <= 9 || c == '_' || c == '-'
}

func encryptionOf(code []byte) Encryption {
	switch string(code) {
	case "":
		return EncryptionUnset
	case "X":
		return EncryptionX
	case "NX":
		return EncryptionNX
	case "NX_HW_NOT_SUPPORTED":
		return EncryptionNoHardware
	case "NX_SW_NOT_READY":
		return EncryptionSoftwareNotYet
	case "NX_NOT_ACCEPTED":
		return EncryptionNotAccepted
	case "NX_NOT_SUPPORTED":
		return EncryptionNotSupported
	case "NX_LOCAL_DST":
		return EncryptionLocal
	case "NX_FALLBACK":
		return EncryptionFallback
	default:
		return EncryptionOther
	}
}
