package flowlog

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"flow2ipfix/internal/ipaddr"
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
// field gathers in bad, which is asked once.

// padBytes is how far behind a tuple's first byte fastTuple may look.
const padBytes = 160

// text is the tuple and what stands behind it: padBytes from its first byte on
// can be read. No place that fastTuple asks for lies farther: ends are found in
// the 128 bytes behind the time's comma, and 8 bytes are read from each.
type text struct{ p unsafe.Pointer }

func (t text) at(i uint64) byte { return *(*byte)(unsafe.Add(t.p, i)) }

func (t text) load32(i uint64) uint32 {
	return binary.LittleEndian.Uint32((*[4]byte)(unsafe.Add(t.p, i))[:])
}

func (t text) load64(i uint64) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(t.p, i))[:])
}

// fastTuple reads the tuple at in[i:] and returns the place of the '"' behind
// it, or false. It may leave anything in f then. padBytes from i on must be
// readable, whatever they are.
func fastTuple(kind Kind, in []byte, i int, f *Flow) (int, bool) {
	b := text{unsafe.Pointer((*[padBytes]byte)(in[i:]))}

	// The time has a fixed length.
	t, bad := digits(b, 0, 8)
	var start uint64
	if kind == VNet {
		ms, wrong := digits(b, 8, 13)
		bad |= wrong
		t = t*100_000 + ms
		start = uint64(len("1663146003606,"))
	} else {
		s, wrong := digits(b, 8, 10)
		bad |= wrong
		t = (t*100 + s) * 1000
		start = uint64(len("1663146003,"))
	}
	if b.at(start-1) != ',' || t < minSeconds*1000 || t >= maxSeconds*1000 {
		return 0, false
	}
	f.Time, f.Start = int64(t), 0

	// 18 ends follow, the dots of the addresses included.
	e := ends{first: ends64(b, start), base: start}
	if bits.OnesCount64(e.first) < 18 {
		e.second = ends64(b, start+64)
		if bits.OnesCount64(e.second)+bits.OnesCount64(e.first) < 18 {
			return 0, false
		}
	}
	dot1, dot2, dot3, end := e.next(), e.next(), e.next(), e.next()
	source, wrong := address(b, start, dot1, dot2, dot3, end)
	bad |= wrong
	start = end + 1
	dot1, dot2, dot3, end = e.next(), e.next(), e.next(), e.next()
	destination, wrong := address(b, start, dot1, dot2, dot3, end)
	bad |= wrong
	start = end + 1
	end = e.next()
	sourcePort, wrong := digits(b, start, end)
	bad |= wrong | ((65535-sourcePort)|(end-start-1))&topBit | notComma(b, end)
	start = end + 1
	end = e.next()
	destPort, wrong := digits(b, start, end)
	bad |= wrong | ((65535-destPort)|(end-start-1))&topBit | notComma(b, end)
	start = end + 1
	end = e.next()
	bad |= notComma(b, end)

	// Single letters with their commas follow: direction and state or decision.
	var protocol uint64
	state, encryption, denied := StateNone, EncryptionUnset, false
	direction := Inbound
	switch b.at(end + 1) {
	case 'I':
	case 'O':
		direction = Outbound
	default:
		return 0, false
	}
	code := b.at(end + 3)
	bad |= notComma(b, end+2) | notComma(b, end+4)
	e.skip()
	e.skip()
	protocolStart, codeStart := start, end+5
	protocolEnd := end
	end = e.next()
	if kind == VNet {
		protocol, wrong = digits(b, protocolStart, protocolEnd)
		bad |= wrong | ((255-protocol)|(protocolEnd-protocolStart-1))&topBit
		switch code {
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
		if b.load32(codeStart)&0xFFFFFF == 'N'|'X'<<8|','<<16 {
			encryption = EncryptionNX
		} else {
			encryption = encryptionOf(in[i+int(codeStart) : i+int(end)])
			if encryption == EncryptionOther || encryption == EncryptionUnset {
				return 0, false
			}
		}
	} else {
		if protocolEnd-protocolStart != 1 || end-codeStart != 1 {
			return 0, false
		}
		switch b.at(protocolStart) {
		case 'T':
			protocol = 6
		case 'U':
			protocol = 17
		default:
			return 0, false
		}
		switch code {
		case 'A':
		case 'D':
			denied = true
		default:
			return 0, false
		}
		switch b.at(codeStart) {
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
	bad |= notComma(b, end)

	start = end + 1
	end = e.next()
	n, wrong := digits(b, start, end)
	bad |= wrong | notComma(b, end)
	f.PacketsSent = n
	present := presence(start, end) * HasPacketsSent
	start = end + 1
	end = e.next()
	n, wrong = digits(b, start, end)
	bad |= wrong | notComma(b, end)
	f.BytesSent = n
	present |= presence(start, end) * HasBytesSent
	start = end + 1
	end = e.next()
	n, wrong = digits(b, start, end)
	bad |= wrong | notComma(b, end)
	f.PacketsReceived = n
	present |= presence(start, end) * HasPacketsReceived
	start = end + 1
	end = e.next()
	n, wrong = digits(b, start, end)
	f.BytesReceived = n
	present |= presence(start, end) * HasBytesReceived
	if bad|wrong != 0 || b.at(end) != '"' {
		return 0, false
	}
	f.Source, f.Destination = source, destination
	f.SourcePort, f.DestinationPort = uint16(sourcePort), uint16(destPort)
	f.Protocol, f.Direction, f.State, f.Encryption = uint8(protocol), direction, state, encryption
	f.Counters, f.Denied, f.IPv6 = present, denied, false
	return i + int(end), true
}

const (
	topBit = 1 << 63
	zeros  = 0x3030303030303030 // "00000000"
	tops   = 0x8080808080808080
)

// ends gives out the places where fields end, in order: those of the first 64
// bytes behind base, then those of the next.
type ends struct{ first, second, base uint64 }

func (e *ends) next() uint64 {
	if e.first == 0 {
		e.first, e.base = e.second, e.base+64
	}
	at := e.base + uint64(bits.TrailingZeros64(e.first))
	e.first &= e.first - 1
	return at
}

func (e *ends) skip() {
	if e.first == 0 {
		e.first, e.base = e.second, e.base+64
	}
	e.first &= e.first - 1
}

// ends64 returns a bit for each of 64 bytes that may end a field: those below
// '0'. Within a field none is, in ASCII. Other bytes may set a bit too, which
// makes the tuple no fast one.
func ends64(b text, i uint64) uint64 {
	return ends8(b, i) | ends8(b, i+8)<<8 | ends8(b, i+16)<<16 | ends8(b, i+24)<<24 |
		ends8(b, i+32)<<32 | ends8(b, i+40)<<40 | ends8(b, i+48)<<48 | ends8(b, i+56)<<56
}

func ends8(b text, i uint64) uint64 {
	w := ^(b.load64(i)&^tops + 0x5050505050505050) & tops // the top bit of each such byte
	return w >> 7 * 0x0102040810204080 >> 56
}

// notComma returns 0 if there is a comma at i.
func notComma(b text, i uint64) uint64 { return uint64(b.at(i) ^ ',') }

// presence returns 1 if there is something between two places, else 0.
func presence(from, to uint64) Counters { return Counters((from - to) >> 63) }

// digits returns the number that stands in b[from:to], or 0 if that is empty.
// Unless it is 0 to 8 digits, bad is not 0.
func digits(b text, from, to uint64) (n, bad uint64) {
	length := to - from
	// Moving the digits to the top leaves zeros in front of them; a shift by
	// 64, for no digits at all, leaves 0.
	w := (b.load64(from) ^ zeros) << (64 - 8*length)
	bad = (w+0x7676767676767676|w)&tops | (8-length)&topBit
	// Pairs first, then pairs of pairs.
	w = w*10 + w>>8
	return ((w&0x000000FF000000FF)*(100+1000000<<32) + (w>>16&0x000000FF000000FF)*(1+10000<<32)) >> 32, bad
}

// address reads an IPv4 address that begins at from, and whose three dots and
// comma stand at dot1, dot2, dot3 and to. Unless it is one, bad is not 0.
func address(b text, from, dot1, dot2, dot3, to uint64) (a ipaddr.Addr, bad uint64) {
	n0, bad0 := octet(b, from, dot1)
	n1, bad1 := octet(b, dot1+1, dot2)
	n2, bad2 := octet(b, dot2+1, dot3)
	n3, bad3 := octet(b, dot3+1, to)
	between := (b.at(dot1) ^ '.') | (b.at(dot2) ^ '.') | (b.at(dot3) ^ '.') | (b.at(to) ^ ',')
	return ipaddr.From4(n0<<24 | n1<<16 | n2<<8 | n3), uint64(bad0|bad1|bad2|bad3) | uint64(between)
}

// octet returns the number that stands in b[from:to]. Unless that is 1 to 3
// digits, without a leading zero and not above 255, bad is not 0.
func octet(b text, from, to uint64) (n, bad uint32) {
	length := uint32(to - from)
	w := b.load32(from) ^ zeros&(1<<32-1)
	w <<= (32 - 8*length) & 31 // a wrong length shows in the table
	// Three digits of four bits each: hundreds, tens, ones.
	e := octets[w>>8*0x01001001>>16&0xFFF]
	return e & 0xFF, e>>8 ^ length | w&0xF0F0F0F0
}

// octets has for each three decimal digits the number in its low octet, and
// above it how many digits it has when written without leading zeros. What is no
// octet has a length that no field has.
var octets = func() (t [1 << 12]uint32) {
	for i := range t {
		h, ten, one := i>>8, i>>4&15, i&15
		n := 100*h + 10*ten + one
		length := uint32(1)
		if n >= 100 {
			length = 3
		} else if n >= 10 {
			length = 2
		}
		if h > 9 || ten > 9 || one > 9 || n > 255 {
			n, length = 0, 1<<16
		}
		t[i] = length<<8 | uint32(n)
	}
	return t
}()
