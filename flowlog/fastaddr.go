package flowlog

import (
	"math/bits"

	"flow2ipfix/internal/ipaddr"
)

// This file reads addresses for fast.go.

// address4 reads an IPv4 address between last and the fourth mark, where a comma must
// be. Unless it is one, bad is not 0.
func address4(b text, last, marked uint64) (v4 uint32, end, rest uint64, bad uint32) {
	if marked == 0 {
		return 0, 0, 0, 1
	}
	dot1 := first(marked)
	if marked &= marked - 1; marked == 0 {
		return 0, 0, 0, 1
	}
	dot2 := first(marked)
	if marked &= marked - 1; marked == 0 {
		return 0, 0, 0, 1
	}
	dot3 := first(marked)
	if marked &= marked - 1; marked == 0 {
		return 0, 0, 0, 1
	}
	end = first(marked)
	n0, bad0 := octet(b, last, dot1, '.')
	n1, bad1 := octet(b, dot1, dot2, '.')
	n2, bad2 := octet(b, dot2, dot3, '.')
	n3, bad3 := octet(b, dot3, end, ',')
	return n0<<24 | n1<<16 | n2<<8 | n3, end, marked & (marked - 1), bad0 | bad1 | bad2 | bad3
}

// octet returns the number between two places, at the second of which stands the
// separator. Unless that is so and it has 1 to 3 digits, no leading zero and is not
// above 255, bad is not 0.
func octet(b text, last, end uint64, separator uint32) (n, bad uint32) {
	x := b.load32(end-3)&lastBytes[uint8(end-last)] ^ (separator^'.')<<24
	o := &octets[x*octetHash>>23]
	return o.n, o.text ^ x
}

// address6 reads an IPv6 address of the given length, without an IPv4 address in it. A
// comma must follow.
func address6(b text, colons, length uint64) (ipaddr.Addr, bool) {
	if length > uint64(len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")) || b.at(length) != ',' {
		return ipaddr.Addr{}, false
	}
	colons &= 1<<length - 1
	double := colons & (colons >> 1)
	if double == 0 {
		hi, lo, n, bad := groups(b, 0, length, colons)
		return ipaddr.FromWords(hi, lo), n == 8 && bad == 0
	}
	gap := bits.TrailingZeros64(double)
	hi, lo, n1, bad1 := groups(b, 0, uint64(gap), colons&(1<<gap-1))
	tailHi, tailLo, n2, bad2 := groups(b, uint64(gap)+2, length, colons&^(1<<gap<<2-1))
	if n1+n2 >= 8 {
		return ipaddr.Addr{}, false // "::" stands for at least one
	}
	if shift := 16 * (8 - n1); shift >= 64 {
		hi, lo = lo<<(shift-64), 0
	} else {
		hi, lo = hi<<shift|lo>>(64-shift), lo<<shift
	}
	return ipaddr.FromWords(hi|tailHi, lo|tailLo), bad1|bad2 == 0
}

// groups reads hexadecimal numbers of 1 to 4 digits with colons between them, which
// stand from one place to another. Unless they do, bad is not 0.
func groups(b text, from, to, colons uint64) (hi, lo uint64, n uint, bad uint32) {
	for from < to {
		end := to
		if colons != 0 {
			end = first(colons)
			colons &= colons - 1
			if end+1 == to {
				return 0, 0, 0, 1 // nothing comes behind the last colon
			}
		}
		length := end - from
		if length-1 > 3 {
			return 0, 0, 0, 1
		}
		x := b.load32(end-4) & lastBytes[uint8(length)]
		// Digits, letters a to f in either case, and the zeros in front of them.
		const ones = 0x01010101
		lower := x | 0x20*ones
		bad |= (lower + (0x7F-'f')*ones | (lower+(0x7F-'9')*ones)&^(lower+(0x80-'a')*ones)) & (0x80 * ones)
		x = x&(0x0F*ones) + x>>6&ones*9
		x = (x<<4 | x>>8) & 0x00FF00FF
		hi, lo = hi<<16|lo>>48, lo<<16|uint64((x<<8|x>>16)&0xFFFF)
		from = end + 1
		n++
	}
	return hi, lo, n, bad
}
