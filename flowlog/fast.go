package flowlog

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// This file is the hottest code of the program. It reads the tuples that are
// all of Azure's traffic but a fraction: 13 fields, IPv4, times in the unit of
// their kind, counters of at most 8 digits or empty. For everything else, and
// for every doubt, it says no and the parsers in tuple.go decide: what it
// accepts, they accept with the same result (FuzzTuple holds that).
//
// Why it looks as it does: reading a tuple byte by byte costs a mispredicted
// branch wherever a number's length changes, and looking for one field's end
// behind the other makes each wait for the last. So the ends of all fields are
// found first, 64 bytes at a time and without a branch, and then the fields are
// read independently, eight digits in one multiplication. What is wrong with a
// field gathers in the top bits of bad, which is asked once.

// padBytes is how far behind a tuple's first byte fastTuple may look.
const padBytes = 264

// The ends of the fields behind the time, the dots of the addresses included,
// in the order in which they stand.
const (
	endSource      = 3 // after three dots
	endDestination = 7
	endSourcePort  = 8
	endDestPort    = 9
	endProtocol    = 10
	endDirection   = 11
	endCode1       = 12 // VNet: state; NSG: decision
	endCode2       = 13 // VNet: encryption; NSG: state
	endCounters    = 14 // of four
	endTuple       = 17
	endCount       = 18
)

// fastTuple reads the tuple at b[i:] and returns the place of the '"' behind
// it, or false. It may leave anything in f then. padBytes from i on must be
// readable, whatever they are.
func fastTuple(kind Kind, in []byte, i int, f *Flow) (int, bool) {
	b := (*[padBytes]byte)(in[i:])

	// The time has a fixed length.
	var bad uint64
	t, wrong := digits(b, 0, 8)
	bad |= wrong
	start := uint8(len("1663146003606,"))
	if kind == VNet {
		ms, wrong := digits(b, 8, 13)
		bad |= wrong
		t = t*100_000 + ms
	} else {
		s, wrong := digits(b, 8, 10)
		bad |= wrong
		t = (t*100 + s) * 1000
		start = uint8(len("1663146003,"))
	}
	if b[start-1] != ',' || t < minSeconds*1000 || t >= maxSeconds*1000 {
		return 0, false
	}

	var end [endCount]uint8
	m := ends64((*[64]byte)(b[start:]))
	if bits.OnesCount64(m) >= endCount {
		for k := range end {
			end[k] = start + uint8(bits.TrailingZeros64(m))
			m &= m - 1
		}
	} else {
		base := start
		for k := range end {
			if m == 0 {
				if base != start {
					return 0, false
				}
				base += 64
				if m = ends64((*[64]byte)(b[base:])); m == 0 {
					return 0, false
				}
			}
			end[k] = base + uint8(bits.TrailingZeros64(m))
			m &= m - 1
		}
	}
	if b[end[endTuple]] != '"' || b[end[endSource]] != ',' || b[end[endDestination]] != ',' ||
		b[end[endSourcePort]] != ',' || b[end[endDestPort]] != ',' || b[end[endProtocol]] != ',' ||
		b[end[endDirection]] != ',' || b[end[endCode1]] != ',' || b[end[endCode2]] != ',' ||
		b[end[endCounters]] != ',' || b[end[endCounters+1]] != ',' || b[end[endCounters+2]] != ',' {
		return 0, false
	}
	source, ok := address(b, start, end[0], end[1], end[2], end[endSource])
	if !ok {
		return 0, false
	}
	destination, ok := address(b, end[endSource]+1, end[4], end[5], end[6], end[endDestination])
	if !ok {
		return 0, false
	}

	sourcePort, wrong := digits(b, end[endDestination]+1, end[endSourcePort])
	bad |= wrong | (65535-sourcePort)&topBit | emptiness(end[endDestination], end[endSourcePort])
	destPort, wrong := digits(b, end[endSourcePort]+1, end[endDestPort])
	bad |= wrong | (65535-destPort)&topBit | emptiness(end[endSourcePort], end[endDestPort])

	direction := Inbound
	switch b[end[endProtocol]+1] {
	case 'I':
	case 'O':
		direction = Outbound
	default:
		return 0, false
	}
	if end[endDirection]-end[endProtocol] != 2 || end[endCode1]-end[endDirection] != 2 {
		return 0, false
	}
	var protocol uint64
	var state State
	var encryption Encryption
	denied := false
	code1 := b[end[endDirection]+1]
	if kind == VNet {
		protocol, wrong = digits(b, end[endDestPort]+1, end[endProtocol])
		bad |= wrong | (255-protocol)&topBit | emptiness(end[endDestPort], end[endProtocol])
		switch code1 {
		case 'B':
			state = Begin
		case 'C':
			state = Continue
		case 'E':
			state = End
		case 'D':
			denied = true
		default:
			return 0, false
		}
		text := b[end[endCode1]+1 : end[endCode2]]
		if len(text) == 2 && text[0] == 'N' && text[1] == 'X' {
			encryption = EncryptionNX
		} else if encryption = encryptionOf(text); encryption == EncryptionOther || encryption == EncryptionUnset {
			return 0, false
		}
	} else {
		if end[endProtocol]-end[endDestPort] != 2 || end[endCode2]-end[endCode1] != 2 {
			return 0, false
		}
		switch b[end[endDestPort]+1] {
		case 'T':
			protocol = 6
		case 'U':
			protocol = 17
		default:
			return 0, false
		}
		switch code1 {
		case 'A':
		case 'D':
			denied = true
		default:
			return 0, false
		}
		switch b[end[endCode1]+1] {
		case 'B':
			state = Begin
		case 'C':
			state = Continue
		case 'E':
			state = End
		default:
			return 0, false
		}
	}

	packetsSent, wrong := digits(b, end[endCode2]+1, end[endCounters])
	bad |= wrong
	bytesSent, wrong := digits(b, end[endCounters]+1, end[endCounters+1])
	bad |= wrong
	packetsReceived, wrong := digits(b, end[endCounters+1]+1, end[endCounters+2])
	bad |= wrong
	bytesReceived, wrong := digits(b, end[endCounters+2]+1, end[endTuple])
	bad |= wrong
	if bad != 0 {
		return 0, false
	}
	*f = Flow{
		Source: source, Destination: destination,
		Time:        int64(t),
		PacketsSent: packetsSent, BytesSent: bytesSent,
		PacketsReceived: packetsReceived, BytesReceived: bytesReceived,
		SourcePort: uint16(sourcePort), DestinationPort: uint16(destPort),
		Protocol: uint8(protocol), Direction: direction, State: state, Encryption: encryption,
		Counters: presence(end[endCode2], end[endCounters])*HasPacketsSent |
			presence(end[endCounters], end[endCounters+1])*HasBytesSent |
			presence(end[endCounters+1], end[endCounters+2])*HasPacketsReceived |
			presence(end[endCounters+2], end[endTuple])*HasBytesReceived,
		Denied: denied,
	}
	return i + int(end[endTuple]), true
}

const (
	topBit = 1 << 63
	zeros  = 0x3030303030303030 // "00000000"
	tops   = 0x8080808080808080
)

// ends64 returns a bit for each of the first 64 bytes that may end a field:
// those below '0'. Within a field none is, in ASCII. Other bytes may set a bit
// too, which makes the tuple no fast one.
func ends64(b *[64]byte) uint64 {
	var m uint64
	for k := 0; k < 64; k += 8 {
		w := binary.LittleEndian.Uint64(b[k:])
		w = ^(w&^tops + 0x5050505050505050) & tops // the top bit of each such byte
		m |= w >> 7 * 0x0102040810204080 >> 56 << k
	}
	return m
}

// digits returns the number that stands in b[from:to], or 0 if that is empty.
// Unless it is 0 to 8 digits, bad is not 0.
func digits(b *[padBytes]byte, from, to uint8) (n, bad uint64) {
	length := uint64(to - from)
	w := binary.LittleEndian.Uint64(b[from:]) ^ zeros
	// Moving the digits to the top leaves zeros in front of them; a shift by
	// 64, for no digits at all, leaves 0.
	w <<= 64 - 8*length
	bad = (w+0x7676767676767676|w)&tops | (8-length)&topBit
	// Pairs first, then pairs of pairs.
	w = w*10 + w>>8
	return ((w&0x000000FF000000FF)*(100+1000000<<32) + (w>>16&0x000000FF000000FF)*(1+10000<<32)) >> 32, bad
}

// address reads an IPv4 address that begins at from, and whose three dots and
// end stand at dot1, dot2, dot3 and to.
func address(b *[padBytes]byte, from, dot1, dot2, dot3, to uint8) (netip.Addr, bool) {
	n0, bad0 := octet(b, from, dot1)
	n1, bad1 := octet(b, dot1+1, dot2)
	n2, bad2 := octet(b, dot2+1, dot3)
	n3, bad3 := octet(b, dot3+1, to)
	ok := bad0|bad1|bad2|bad3 == 0 && b[dot1] == '.' && b[dot2] == '.' && b[dot3] == '.'
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], n0<<24|n1<<16|n2<<8|n3)
	return netip.AddrFrom4(a), ok
}

// octet returns the number that stands in b[from:to]. Unless that is 1 to 3
// digits, without a leading zero and not above 255, bad is not 0.
func octet(b *[padBytes]byte, from, to uint8) (n, bad uint32) {
	length := uint32(to - from)
	w := binary.LittleEndian.Uint32(b[from:]) ^ zeros&(1<<32-1)
	w <<= 32 - 8*length
	n = w>>24 + w>>16&0xFF*10 + w>>8&0xFF*100
	least := uint32(0x640A0000) >> (8 * length) & 0xFF // by length; a negative number has the top bit
	bad = (w+0x76767676|w)&(tops&(1<<32-1)) | ((length-1)|(3-length)|(n-least)|(255-n))&(1<<31)
	return n, bad
}

// emptiness returns topBit if the field between two ends is empty.
func emptiness(before, end uint8) uint64 { return (uint64(end-before) - 2) & topBit }

// presence returns 1 if there is something between two ends, else 0.
func presence(before, end uint8) Counters { return Counters((uint64(end-before)-2)>>63) ^ 1 }
