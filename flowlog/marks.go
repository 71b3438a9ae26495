package flowlog

import "encoding/binary"

// marks says of each byte of a stretch of the window whether it can stand within a
// number: a bit for each, so that the places where fields end are found without
// looking at the text again. A whole stretch is marked at once, which costs a twentieth
// of what reading its tuples does (marks_amd64.s).
//
// They are of the bytes as they were when they were marked: a window that changes drops
// them.
type marks struct {
	from, to int    // the stretch: its places in the window,
	text     []byte // and itself
	six      bool   // colons is marked too

	ends   bitmap // below '0', which is what ends a field, or not ASCII
	above  bitmap // above '9': letters, and what stands among them
	colons bitmap // for IPv6 addresses

	// The beginning of the time that was read last: tuples of a minute share it.
	head, headTime uint64
}

// markBytes is how much is marked at once.
const markBytes = 4096

// bitmap has the bit of byte i of the stretch in bit i%8 of byte i/8. Behind it
// there is room for reading 64 bits at once.
type bitmap [markBytes/8 + 8]byte

// mark marks the stretch of buf that begins at from. At least padBytes must be there, so
// that no less are marked: it is done 64 at a time.
func (m *marks) mark(buf []byte, from int) {
	m.from, m.to = from, from+min(markBytes, len(buf)-from)&^63
	m.text = buf[m.from:m.to]
	m.six = false
	markNumbers(m.text, m.ends[:], m.above[:])
}

// addresses6 marks colons too, which most stretches do without.
func (m *marks) addresses6() *bitmap {
	if !m.six {
		m.six = true
		markByte(m.text, m.colons[:], ':')
	}
	return &m.colons
}

func (m *marks) drop() { m.to, m.text = 0, nil }

const (
	ones = 0x0101010101010101
	tops = 0x80 * ones
)

// markNumbersGo is markNumbers for processors that have no routine of their own, and
// what theirs is compared with: eight bytes in one word, with the answer in the top
// bit of each.
func markNumbersGo(text, ends, above []byte) {
	ends, above = ends[:len(text)/8], above[:len(text)/8]
	for i := range ends {
		w := binary.LittleEndian.Uint64(text[8*i:])
		ends[i] = gather(^(w&^tops + (0x80-'0')*ones) | w)
		above[i] = gather((w&^tops + (0x80-'9'-1)*ones) &^ w)
	}
}

func markByteGo(text, is []byte, b byte) {
	is = is[:len(text)/8]
	for i := range is {
		w := binary.LittleEndian.Uint64(text[8*i:]) ^ uint64(b)*ones
		is[i] = gather(^(w&^tops + 0x7F*ones | w))
	}
}

// gather returns the top bits of eight bytes.
func gather(w uint64) byte { return byte(w & tops >> 7 * 0x0102040810204080 >> 56) }
