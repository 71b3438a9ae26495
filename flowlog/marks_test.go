package flowlog

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// TestMarks holds that a processor's own routines mark what the plain ones do, and
// both what they say, and nothing behind it.
func TestMarks(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for round := range 2000 {
		n := 64 * r.IntN(markBytes/64+1)
		if round < 64 {
			n = 64 * (round % 16)
		}
		text := make([]byte, n+16)
		for i := range text {
			text[i] = byte(r.Uint32())
			if round%2 == 0 { // around the bounds
				text[i] = pick[byte](maker{r}, '/', '0', '9', ':', ';', ',', '.', '"', 0, 0x7F, 0x80, 0xAF, 0xB0, 0xBA, 0xFF)
			}
		}
		text = text[:n]
		const behind = 0xA5
		used := bytes.Repeat([]byte{behind}, len(bitmap{}))
		ends, above, colons := bytes.Clone(used), bytes.Clone(used), bytes.Clone(used)
		markNumbers(text, ends, above)
		markByte(text, colons, ':')
		for _, other := range []struct {
			name       string
			plain, got []byte
			want       func(byte) bool
		}{
			{"ends", bytes.Clone(used), ends, func(b byte) bool { return b < '0' || b >= 0x80 }},
			{"above", bytes.Clone(used), above, func(b byte) bool { return b > '9' && b < 0x80 }},
			{"colons", bytes.Clone(used), colons, func(b byte) bool { return b == ':' }},
		} {
			switch other.name {
			case "ends":
				markNumbersGo(text, other.plain, bytes.Clone(used))
			case "above":
				markNumbersGo(text, bytes.Clone(used), other.plain)
			default:
				markByteGo(text, other.plain, ':')
			}
			if !bytes.Equal(other.plain, other.got) {
				t.Fatalf("%s of %q: %x, want %x", other.name, text, other.got, other.plain)
			}
			for i, b := range text {
				if other.got[i/8]>>(i%8)&1 == 1 != other.want(b) {
					t.Fatalf("%s: wrong of %#x, byte %d of %d", other.name, b, i, n)
				}
			}
			if !bytes.Equal(other.got[n/8:], used[n/8:]) {
				t.Fatalf("%s: written behind %d bytes", other.name, n)
			}
		}
	}
}

// TestOctets holds that the table has every octet in a place of its own.
func TestOctets(t *testing.T) {
	seen := 0
	for _, o := range octets {
		if o.text != noText {
			seen++
		}
	}
	if seen != 256 {
		t.Errorf("%d octets, want 256", seen)
	}
	for n := range 1000 {
		for _, digits := range []string{strconv.Itoa(n), "0" + strconv.Itoa(n), "00" + strconv.Itoa(n)} {
			for _, separator := range ".,:" {
				in := append([]byte(",,,"+digits+string(separator)), make([]byte, padBytes)...)
				for _, want := range ".," {
					got, bad := octet(textAt(in, 0), 2, uint64(3+len(digits)), uint32(want))
					if ok := n < 256 && digits == strconv.Itoa(n) && separator == want; ok != (bad == 0) || ok && int(got) != n {
						t.Fatalf("%q before %q: %d, %x", digits, separator, got, bad)
					}
				}
			}
		}
	}
}

// TestMarksAreTrue holds that no marks are used of a window that has changed, nor for
// a place before them, to which the search for a record goes back.
func TestMarksAreTrue(t *testing.T) {
	in := `{"records":[` + strings.Repeat(" ", 300) + vnetRecord(vnetTuple)
	d := NewDecoder(chunkReader{strings.NewReader(in), len(in) - 10}, 0, Options{})
	if err := d.w.fill(); err != nil {
		t.Fatal(err)
	}
	d.w.marks.mark(d.w.buf[:d.w.end+padBytes], 0)
	if err := d.w.fill(); err != nil || d.w.marks.to != 0 || d.w.marks.text != nil {
		t.Errorf("marks up to %d behind a fill (%v)", d.w.marks.to, err)
	}

	// A rule of a broken record that looks like a record of its own: its tuple stands
	// before those that were read as the rule's.
	inner := `{"time":1,"flowRecords":{"flows":[{"flowGroups":[{"flowTuples":["` + vnetTuple + `"]}]}]},` +
		`"flows":[{"flowTuples":["` + nsgTuple + strings.Repeat(`","`+nsgTuple, 200) + `"]}]}`
	in = `{"properties":{"flows":[` + inner + `]},!}`
	res := decode(t, strings.NewReader(in), 0, Options{})
	if len(res.records) != 1 || res.flows != 1 {
		t.Errorf("%d records with %d flows, want 1 and 1:\n%s", len(res.records), res.flows, res.text)
	}
}
