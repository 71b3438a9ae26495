package flowlog

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// vectorAddresses says that the processor has SSSE3, as all have since 2011.
var vectorAddresses = cpu.X86.HasSSSE3

// addresses4 is addressPair with what that needs.
func addresses4(b text, marked uint64) (source, destination uint32, end uint64) {
	return addressPair(b.p, marked, &addressShapes)
}

// addressPair reads the IPv4 addresses that begin at b and end at the fourth and the
// eighth mark, where commas must be. It returns where the second one ends, or 0 unless
// both are addresses. It does not look at characters above '9': the caller must see that
// none is marked before the end. 16 bytes from where an address begins can be read.
//
//go:noescape
func addressPair(b unsafe.Pointer, marked uint64, shapes *[256]shape) (source, destination uint32, end uint64)

// shape is how the digits of an address stand.
type shape struct {
	// shuffle moves each number to four bytes: three digits, and the separator.
	shuffle [16]byte
	least   [4]uint32 // of each number: one of two digits has no leading zero if it is 10 at least
	marks   uint32    // of the ends, counted from the address's first character
	_       [28]byte
}

const shapeHash = 0x372da969

// addressShapes has each of the 81 shapes where its marks, multiplied by shapeHash, say.
var addressShapes = func() (t [256]shape) {
	for n := range 81 {
		var s shape
		at := byte(0)
		for i, digits := range [4]byte{byte(n / 27), byte(n / 9 % 3), byte(n / 3 % 3), byte(n % 3)} {
			digits++
			for k := range byte(3) {
				const none = 0x80
				if s.shuffle[4*i+int(k)] = none; k >= 3-digits {
					s.shuffle[4*i+int(k)] = at + k - (3 - digits)
				}
			}
			at += digits
			s.shuffle[4*i+3] = at
			s.least[i] = [...]uint32{1: 0, 2: 10, 3: 100}[digits]
			s.marks |= 1 << at
			at++
		}
		t[s.marks*shapeHash>>24] = s
	}
	return t
}()
