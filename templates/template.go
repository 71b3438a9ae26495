// Package templates says which information elements a flow record carries and
// how they are encoded (RFC 7011, 7012 and 5103, RFC 3954 for NetFlow version 9):
// the elements, the presets for kinds of collectors, templates and options
// templates, and the mapping of Azure's fields to them.
//
// What a flow means is package convert's business, how records become messages
// package exporter's. No network, no configuration.
package templates

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// Field is a field of a template: an information element, and the length that
// it is sent with.
type Field struct {
	Name       string // as registered with IANA
	ID         uint16
	Enterprise uint32 // 0 for IANA's own
	Type       string // abstract data type (RFC 7012 §3.1)
	Length     int    // octets, or VariableLength
}

// Template is a template record and the encoder of its data records. It is
// immutable and safe for concurrent use.
type Template struct {
	ID     uint16
	Name   string
	fields []Field
	record []byte // the encoded template record, without set header
	keys   uint64 // bit i: field i is a flow key

	length int    // octets of a data record with empty texts
	parts  []part // one, if no field has a variable length
	limit  int    // octets of a data record at most; texts are cut to it
}

// part is a run of fields at fixed places, and the text of variable length that
// comes behind it, if any.
type part struct {
	steps  []step
	length int
	text   source // none: nothing comes behind
}

// step writes one field at a fixed place of its part.
type step struct {
	source source
	offset int32
	length int32
}

// Fields returns the fields in the order in which they are sent.
func (t *Template) Fields() []Field { return t.fields }

// Length returns the length of a data record in octets; with fields of variable
// length, that of one in which all of them are empty.
func (t *Template) Length() int { return t.length }

// Variable reports whether there are fields of variable length.
func (t *Template) Variable() bool { return len(t.parts) > 1 }

// FlowKeys returns the flowKeyIndicator: bit i says that field i is a flow key
// (RFC 7011 §4.4).
func (t *Template) FlowKeys() uint64 { return t.keys }

// AppendTemplate appends the template record (RFC 7011 §3.4.1, RFC 3954 §5.2),
// without a set header around it.
func (t *Template) AppendTemplate(dst []byte) []byte { return append(dst, t.record...) }

// LengthOf returns the length of r as a data record in octets.
func (t *Template) LengthOf(r *Record) int {
	if len(t.parts) == 1 {
		return t.length
	}
	n, _ := t.measure(r)
	return n
}

// Append appends r as a data record (RFC 7011 §3.4.3). It does not allocate if
// dst has room for LengthOf octets. Texts are cut, the longest first, if the
// record would not fit into a message otherwise.
//
// Of NetFlow version 9 alone, epoch is the time when sysUptime was 0, in
// milliseconds since the Unix epoch.
func (t *Template) Append(dst []byte, r *Record, epoch int64) []byte {
	if len(t.parts) == 1 {
		n := len(dst)
		if cap(dst)-n < t.length {
			dst = append(dst, make([]byte, t.length)...)
		}
		dst = dst[:n+t.length]
		if steps := t.parts[0].steps; len(steps) == 1 && steps[0].source == coreRun4 { // nearly all records in the world
			putCore4((*[core4Length]byte)(dst[n:]), r)
			return dst
		}
		put(dst[n:], t.parts[0].steps, r, epoch)
		return dst
	}
	_, most := t.measure(r)
	for i := range t.parts {
		p := &t.parts[i]
		n := len(dst)
		if cap(dst)-n < p.length {
			dst = append(dst, make([]byte, p.length)...)
		}
		dst = dst[:n+p.length]
		put(dst[n:], p.steps, r, epoch)
		if p.text != none {
			dst = appendText(dst, cut(text(r, p.text), most))
		}
	}
	return dst
}

// maxTexts is how many fields of variable length a template may have.
const maxTexts = 16

// measure returns the length of r as a data record, and to how many octets each
// text is cut so that it is no longer than the limit.
func (t *Template) measure(r *Record) (length, most int) {
	var lengths [maxTexts]int
	texts := lengths[:0]
	n := t.length
	for i := range t.parts {
		if s := t.parts[i].text; s != none {
			k := len(text(r, s))
			texts = append(texts, k)
			n += k + extraPrefix(k)
		}
	}
	if n <= t.limit {
		return n, math.MaxUint16
	}
	// As much for each as there is, but no more than it has.
	room := t.limit - t.length - (longPrefix-shortPrefix)*len(texts)
	for i := 1; i < len(texts); i++ { // in ascending order
		for k := i; k > 0 && texts[k] < texts[k-1]; k-- {
			texts[k], texts[k-1] = texts[k-1], texts[k]
		}
	}
	for i, k := range texts {
		most = room / (len(texts) - i)
		if k > most {
			break
		}
		room -= k
	}
	n = t.length
	for i := range t.parts {
		if s := t.parts[i].text; s != none {
			k := len(cut(text(r, s), most))
			n += k + extraPrefix(k)
		}
	}
	return n, most
}

// The octets before a text of variable length that say how long it is: one, or
// three for 255 octets and more (RFC 7011 §7).
const (
	shortPrefix = 1
	longPrefix  = 3
)

// extraPrefix is how many octets more than one say a length.
func extraPrefix(n int) int {
	if n < math.MaxUint8 {
		return 0
	}
	return longPrefix - shortPrefix
}

func appendText(dst []byte, s string) []byte {
	if len(s) < math.MaxUint8 {
		dst = append(dst, byte(len(s)))
	} else {
		dst = append(dst, math.MaxUint8)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	}
	return append(dst, s...)
}

// cut returns at most n octets of s, and whole characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
