package flowlog

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"flow2ipfix/internal/ipaddr"
)

// This file is the hottest code of the program. It reads the tuples that are
// all of Azure's traffic but a fraction: 8 or 13 fields, times in the unit of
// their kind, ports and protocols without leading zeros, counters of at most 12
// digits or empty. For everything else, and for every doubt, it says no and the
// parsers in tuple.go decide: what it accepts, they accept with the same result
// (FuzzTuple holds that).
//
// Why it looks as it does: reading a tuple byte by byte costs a mispredicted
// branch wherever a number's length changes, and looking for one field's end
// behind the other makes each wait for the last. So the ends of all fields are
// marked first (marks.go), and then the fields are read independently, without a
// branch that depends on their length. What can be asked by a branch that is never
// taken is, since that is free.

// padBytes is how far behind a tuple's first byte may be looked. Places are worked out
// of 64 marks: they are less than 64 behind where those were loaded, or 64 if there was
// no mark. Marks are loaded behind the time (14 bytes), behind each IPv6 address (39 and
// a comma), and behind the letters (63, 5, and 20 for the longest code): 14 + 40 + 40 +
// 88 + 64 is 246. Of text, 8 bytes are read at a place at most (16 where an address
// begins, which is far before the end), and of marks as many as begin there, so that
// nothing is read from 256 on. What is read in front of a place, at
// most 16 bytes, begins behind that of the time at most, and never before the tuple.
const padBytes = 256

// text is a tuple and what stands behind it: padBytes from the tuple's first byte on
// can be read. Or it is a bitmap, which has room for 64 bits behind padBytes.
type text struct{ p unsafe.Pointer }

func (t text) from(i uint64) text { return text{unsafe.Add(t.p, i)} }

func (t text) at(i uint64) byte { return *(*byte)(unsafe.Add(t.p, i)) }

func (t text) load32(i uint64) uint32 {
	return binary.LittleEndian.Uint32((*[4]byte)(unsafe.Add(t.p, i))[:])
}

func (t text) load64(i uint64) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(t.p, i))[:])
}

// textAt returns the text at in[i:], after a look whether there is enough of it.
func textAt(in []byte, i int) text { return text{unsafe.Pointer((*[padBytes]byte)(in[i:]))} }

// load returns the marks of at least 57 bytes from i on, the first one in the lowest
// bit.
func (b *bitmap) load(i uint64) uint64 {
	return text{unsafe.Pointer(b)}.load64(i>>3) >> (i & 7)
}

// fastTuples reads tuples from the one on whose '"' stands at pos, and goes behind
// each. It reports true at the end of the list, or where it would not go further,
// and false before a tuple that it does not read.
func (d *Decoder) fastTuples(kind Kind) bool {
	w, m := &d.w, &d.w.marks
	room := d.batch.room()
	n := 0 // flows in it
	keep := 1
	if w.dropping {
		keep = 0
	}
	pos := w.pos
	ok := false
	for {
		i := pos + 1
		if i < m.from || i+padBytes > m.to {
			m.mark(w.buf[:w.end+padBytes], i)
		}
		if n == len(room) {
			d.batch.flows += n
			room, n = d.batch.room(), 0
		}
		var end uint64
		end, ok = fastTuple(kind, textAt(w.buf, i), uint64(i-m.from), m, &room[n])
		if !ok {
			break
		}
		n += keep
		pos = i + int(end) + 1
		// Azure writes no space between tuples.
		if w.buf[pos] != ',' || w.buf[pos+1] != '"' {
			break
		}
		pos++
	}
	w.pos = pos
	d.batch.flows += n
	return ok
}

// fastTuple reads the tuple at b, whose marks begin at r, and returns how far behind b
// the '"' is that ends it, or false. It may leave anything in f then. padBytes from b
// on must be readable and marked, whatever they are.
func fastTuple(kind Kind, b text, r uint64, m *marks, f *Flow) (uint64, bool) {
	// The time has a fixed length: eight digits, which the tuples of a minute share,
	// five or two more, and a comma.
	if head := b.load64(0); head != m.head {
		w := head ^ zeros
		if (w+0x76*ones|w)&tops != 0 {
			return 0, false
		}
		m.head, m.headTime = head, eight(w)*100_000
	}
	start, tail, t := uint64(0), uint64(0), m.headTime
	if kind == VNet {
		start = uint64(len("1663146003606,"))
		tail = b.load64(start-8) ^ commaBehind
		t += eight(tail << 8 &^ (1<<24 - 1))
	} else {
		start = uint64(len("1663146003,"))
		tail = b.load64(start-8) ^ commaBehind
		t += (tail>>40&15)*10_000 + (tail>>48&15)*1000
	}
	if (tail+(0x76*ones+9<<56)|tail)&tops != 0 || t-minSeconds*1000 >= (maxSeconds-minSeconds)*1000 {
		return 0, false
	}
	f.Time, f.Start = int64(t), 0

	// From here on places count from start, and last is the last one that was dealt
	// with.
	b, r = b.from(start), r+start
	marked := m.ends.load(r)
	if marked == 0 {
		return 0, false
	}
	last := before
	if end := first(marked); b.at(end) == '.' {
		var source, destination uint32
		if vectorAddresses {
			if source, destination, last = addresses4(b, marked); last == 0 {
				return 0, false
			}
			marked &= -(2 << last)
		} else {
			var bad1, bad2 uint32
			source, last, marked, bad1 = address4(b, last, marked)
			destination, last, marked, bad2 = address4(b, last, marked)
			if bad1|bad2 != 0 {
				return 0, false
			}
		}
		f.Source, f.Destination, f.IPv6 = ipaddr.From4(source), ipaddr.From4(destination), false
	} else {
		ok, colons := false, m.addresses6()
		if f.Source, ok = address6(b, colons.load(r), end); !ok {
			return 0, false
		}
		start += end + 1
		b, r = b.from(end+1), r+end+1
		end = first(m.ends.load(r))
		if f.Destination, ok = address6(b, colons.load(r), end); !ok {
			return 0, false
		}
		start += end + 1
		b, r = b.from(end+1), r+end+1
		marked = m.ends.load(r)
		f.IPv6 = true
	}

	if marked == 0 {
		return 0, false
	}
	end1 := first(marked)
	if marked &= marked - 1; marked == 0 {
		return 0, false
	}
	end2 := first(marked)
	sourcePort, destPort := b.number(last, end1), b.number(end1, end2)
	if sourcePort > 65535 || destPort > 65535 || end1-last-2 > 7 || end2-end1-2 > 7 || b.at(end1) != ',' {
		return 0, false
	}
	f.SourcePort, f.DestinationPort = uint16(sourcePort), uint16(destPort)
	last = end2

	// Single letters with their commas follow, eight bytes in all but for VNet's code
	// of the encryption, which is NX as a rule.
	var direction, state uint8
	next := uint64(0)
	if kind == VNet {
		if marked &= marked - 1; marked == 0 {
			return 0, false
		}
		last = first(marked)
		protocol, bad := octet(b, end2, last, ',')
		if bad != 0 || b.at(end2) != ',' {
			return 0, false
		}
		f.Protocol = uint8(protocol)
		letters := b.load64(last)
		direction, state = letterDirection[uint8(letters>>8)], letterState[uint8(letters>>24)]
		f.Denied = state == 0
		f.Encryption, next = EncryptionNX, last+8
		if letters&^(0xFF<<8|0xFF<<24) != ','|','<<16|','<<32|'N'<<40|'X'<<48|','<<56 {
			if letters&0xFF00FF00FF != ','|','<<16|','<<32 {
				return 0, false
			}
			code := last + 5
			next = code + first(m.ends.load(r+code))
			f.Encryption = encryptionOf(unsafe.Slice((*byte)(b.from(code).p), next-code))
			if f.Encryption == EncryptionOther || f.Encryption == EncryptionUnset || b.at(next) != ',' {
				return 0, false
			}
			next++
		}
	} else {
		letters := b.load64(last)
		separators := letters & 0x00FF00FF00FF00FF
		if separators&(1<<48-1) != ','|','<<16|','<<32 {
			return 0, false
		}
		direction = letterDirection[uint8(letters>>24)]
		protocol, decision := letterProtocol[uint8(letters>>8)], letterDecision[uint8(letters>>40)]
		if (protocol|decision)&noLetter != 0 {
			return 0, false
		}
		f.Protocol, f.Denied, f.Encryption = protocol, decision != 0, EncryptionUnset
		switch separators >> 48 {
		case ',':
			next = last + 9
			if state = letterState[uint8(letters>>56)]; state == 0 || b.at(last+8) != ',' {
				return 0, false
			}
		case '"': // version 1
			next = last + 6
		default:
			return 0, false
		}
	}
	// Letters between the numbers that were read.
	if (direction|state)&noLetter != 0 || m.above.load(r)<<(-last&63) != 0 {
		return 0, false
	}
	f.Direction, f.State = Direction(direction), State(state)
	if kind == NSG && state == 0 {
		f.PacketsSent, f.BytesSent, f.PacketsReceived, f.BytesReceived, f.Counters = 0, 0, 0, 0, 0
		return start + next, true
	}
	// Nearly half of all tuples say that a flow began, or was denied: they have no
	// counters, and to foretell that wrongly now and then costs less than to read them.
	if kind == NSG {
		if b.load32(next) == ','|','<<8|','<<16|'"'<<24 {
			f.PacketsSent, f.BytesSent, f.PacketsReceived, f.BytesReceived, f.Counters = 0, 0, 0, 0, 0
			return start + next + 3, true
		}
	} else if b.load64(next) == '0'|','<<8|'0'<<16|','<<24|'0'<<32|','<<40|'0'<<48|'"'<<56 {
		f.PacketsSent, f.BytesSent, f.PacketsReceived, f.BytesReceived, f.Counters = 0, 0, 0, 0, hasAll
		return start + next + 7, true
	}
	end, ok := counters(b.from(next), m.ends.load(r+next), m.above.load(r+next), f)
	return start + next + end, ok
}

// counters reads four numbers, each of which may be empty, and the '"' behind them.
func counters(b text, marked, above uint64, f *Flow) (uint64, bool) {
	if marked == 0 {
		return 0, false
	}
	end1 := first(marked)
	if marked &= marked - 1; marked == 0 {
		return 0, false
	}
	end2 := first(marked)
	if marked &= marked - 1; marked == 0 {
		return 0, false
	}
	end3 := first(marked)
	if marked &= marked - 1; marked == 0 {
		return 0, false
	}
	end4 := first(marked)
	if above&(marked^(marked-1)) != 0 || b.at(end1) != ',' || b.at(end2) != ',' || b.at(end3) != ',' || b.at(end4) != '"' {
		return 0, false
	}
	f.PacketsSent, f.BytesSent = b.number(before, end1), b.number(end1, end2)
	f.PacketsReceived, f.BytesReceived = b.number(end2, end3), b.number(end3, end4)
	// The lengths, but one more.
	n1, n2, n3, n4 := end1-before, end2-end1, end3-end2, end4-end3
	f.Counters = Counters((1-n1)>>63 | (1-n2)>>63<<1 | (1-n3)>>63<<2 | (1-n4)>>63<<3)
	if (n1+6)|(n2+6)|(n3+6)|(n4+6) < 16 {
		return end4, true
	}
	// One has more than eight digits.
	ok1, ok2 := b.long(before, end1, &f.PacketsSent), b.long(end1, end2, &f.BytesSent)
	ok3, ok4 := b.long(end2, end3, &f.PacketsReceived), b.long(end3, end4, &f.BytesReceived)
	return end4, ok1 && ok2 && ok3 && ok4
}

const (
	zeros       = '0' * ones
	commaBehind = zeros ^ ('0'^',')<<56

	before = ^uint64(0) // the place in front of the first one
)

// first returns the place of the first mark. Who has asked whether there is one saves
// the processor asking.
func first(marked uint64) uint64 { return uint64(bits.TrailingZeros64(marked)) }

// number returns the number of 0 to 8 digits between two places.
func (t text) number(last, end uint64) uint64 {
	return eight(t.load64(end-8) & lastDigits[uint8(end-last)])
}

// long sets n to the number between two places if it has 9 to 16 digits.
func (t text) long(last, end uint64, n *uint64) bool {
	length := end - last - 1
	if length > 8 {
		*n = eight(t.load64(end-16)&lastDigits[uint8(length-7)])*100_000_000 + eight(t.load64(end-8)&(0x0F*ones))
	}
	return length <= 16
}

// eight returns the number of eight digits, each the value of a byte, the last one on
// top: they become pairs, and pairs of pairs.
func eight(w uint64) uint64 {
	w = w * (10<<8 + 1) >> 8 & pairs
	w = w * (100<<16 + 1) >> 16 & fours
	return w * (10000<<32 + 1) >> 32
}

// As variables they are operands in memory, which costs less than to load them as
// constants again and again.
var pairs, fours uint64 = 0x00FF00FF00FF00FF, 0x0000FFFF0000FFFF
