package flowlog

// octets has for each octet its text with a '.' behind, right-aligned, and its number,
// where the text multiplied by octetHash says. In each other place is a text that
// stands nowhere.
const octetHash = 0x9cdbcc9

var octets = func() (t [512]struct{ text, n uint32 }) {
	for i := range t {
		t[i].text = noText
	}
	for n := range uint32(256) {
		x := uint32('.')<<24 | ('0'+n%10)<<16
		if n >= 10 {
			x |= ('0' + n/10%10) << 8
		}
		if n >= 100 {
			x |= '0' + n/100
		}
		o := &t[x*octetHash>>23]
		o.text, o.n = x, n
	}
	return t
}()

// noText is four bytes of which none can stand between two ends, and not 0, which is
// what remains of a field that is too long.
const noText = 0x01010101

// lastDigits has a mask for the value of n digits at the end of eight bytes, at n+1.
var lastDigits = func() (t [256]uint64) {
	for n := range 9 {
		t[n+1] = 0x0F * ones &^ (1<<(64-8*n) - 1)
	}
	return t
}()

// lastBytes has a mask for the last n bytes of four.
var lastBytes = func() (t [256]uint32) {
	for n := range 5 {
		t[n] = ^uint32(1<<(32-8*n) - 1)
	}
	return t
}()

// What the letters mean, noLetter for all that are none.
var (
	letterDirection = letters("IO", uint8(Inbound), uint8(Outbound))
	letterState     = letters("BCED", uint8(Begin), uint8(Continue), uint8(End), uint8(StateNone)) // D: denied
	letterProtocol  = letters("TU", 6, 17)
	letterDecision  = letters("AD", 0, 1)
)

const noLetter = 0x80

func letters(from string, to ...uint8) (t [256]uint8) {
	for i := range t {
		t[i] = noLetter
	}
	for i := range from {
		t[from[i]] = to[i]
	}
	return t
}
