package flowlog

import (
	"math/rand/v2"
	"strconv"
	"testing"
)

// TestAddressPair holds that the processor's own routine reads the pairs of IPv4
// addresses that the plain one reads, and no others.
func TestAddressPair(t *testing.T) {
	if !vectorAddresses {
		t.Fatal("this processor has no SSSE3, and cannot say whether the routine is right")
	}
	m := maker{rand.New(rand.NewPCG(21, 22))}
	check := func(pair string) (ok bool) {
		t.Helper()
		text := make([]byte, 16+2*padBytes)[16:] // a time stands in front, and may be looked at
		n := copy(text, pair)
		for i := n; i < len(text); i++ {
			text[i] = byte(m.Uint32()) // whatever stands behind
		}
		var ends, above bitmap
		markNumbers(text[:64], ends[:], above[:])
		b, marked := textAt(text, 0), ends.load(0)
		source, rest1, marked1, bad1 := address4(b, before, marked)
		destination, end, _, bad2 := address4(b, rest1, marked1)
		ok = bad1|bad2 == 0
		gotSource, gotDestination, gotEnd := addresses4(b, marked)
		if letters := above.load(0)&(1<<gotEnd-1) != 0; letters && !ok {
			return false // refused by whoever asked
		}
		switch {
		case ok != (gotEnd != 0):
			t.Fatalf("%q is a pair of addresses: %v, want %v", text[:64], gotEnd != 0, ok)
		case ok && (gotSource != source || gotDestination != destination || gotEnd != end):
			t.Fatalf("%q is %08x, %08x to %d, want %08x, %08x to %d", text[:64], gotSource, gotDestination, gotEnd, source, destination, end)
		}
		return ok
	}
	number := func() string {
		switch m.IntN(60) {
		case 0:
			return pick(m, "", "00", "01", "001", "010", "099", "256", "260", "300", "999", "1000", "0000", "25a", "a", "/", "2:5", "-1", "\x80", "\xff")
		case 1:
			return pick(m, "0", "1", "9", "10", "99", "100", "199", "249", "250", "255")
		default:
			return strconv.Itoa(m.IntN(256))
		}
	}
	separator := func(usual string) string {
		if m.IntN(100) == 0 {
			return pick(m, ".", ",", "", "..", "\"", "/", "-", "+", " ", "\x00", "\xae", "\x1e")
		}
		return usual
	}
	pairs, others := 0, 0
	for range 300_000 {
		pair := ""
		for i := range 8 {
			pair += number()
			if i%4 == 3 {
				pair += separator(",")
			} else {
				pair += separator(".")
			}
		}
		if check(pair) {
			pairs++
		} else {
			others++
		}
	}
	if pairs < 100_000 || others < 50_000 {
		t.Errorf("%d pairs and %d others were tried", pairs, others)
	}
	for n := range 256 { // each number at each place
		for i := range 8 {
			all := [8]int{1, 22, 133, 4, 55, 166, 7, 88}
			all[i] = n
			pair := ""
			for k, x := range all {
				pair += strconv.Itoa(x) + string("...,"[k%4])
			}
			if !check(pair) {
				t.Errorf("%q is not read", pair)
			}
		}
	}
}

// eachWay calls f once for each of the ways in which this processor can read tuples.
func eachWay(f func()) {
	f()
	if vectorAddresses {
		vectorAddresses = false
		f()
		vectorAddresses = true
	}
}
