package collect

import (
	"bufio"
	"encoding/hex"
	"io"
	"math"
	"net"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/vmware/go-ipfix/pkg/entities"
)

// timeFormat is RFC 3339 in UTC with milliseconds.
const timeFormat = "2006-01-02T15:04:05.000Z07:00"

// outputBufferBytes is how much a printer gathers before it writes.
const outputBufferBytes = 64 << 10

// JSON is a Sink that prints each record as one JSON object on a line:
//
//	exporter     address and port, or "file:NAME"
//	protocol     "ipfix", "netflow9" or "netflow5"
//	export_time  of the message, RFC 3339 with milliseconds, UTC
//	domain, sequence, template  numbers, of the message and the set
//	options      true, and only there for option records
//	fields       an object: a value by the name of its information element
//
// A time in ms of the exporter's sysUpTime, as NetFlow has them, is followed by
// what it amounts to, as flowStartMilliseconds or flowEndMilliseconds.
//
// Numbers are numbers (64-bit counters exact), addresses and MACs strings,
// times like export_time, booleans true and false, strings without the zeros
// that pad them. What has no type, or a length that does not fit its type, is
// a string of hex digits; an empty value is null. An element that comes more
// than once in a record is "name", "name#2" and so on.
type JSON struct {
	w    *bufio.Writer
	line []byte
}

// NewJSON returns a JSON printer that writes to w, in large pieces and on
// Flush.
func NewJSON(w io.Writer) *JSON {
	return &JSON{w: bufio.NewWriterSize(w, outputBufferBytes)}
}

// Flush writes out what is buffered.
func (j *JSON) Flush() error { return j.w.Flush() }

// Write prints a record.
func (j *JSON) Write(r *Record) error {
	b := append(j.line[:0], `{"exporter":`...)
	b = appendString(b, r.origin)
	b = append(b, `,"protocol":`...)
	b = appendString(b, r.Protocol)
	b = append(b, `,"export_time":`...)
	b = appendTime(b, r.ExportTime)
	b = append(b, `,"domain":`...)
	b = strconv.AppendUint(b, uint64(r.Domain), 10)
	b = append(b, `,"sequence":`...)
	b = strconv.AppendUint(b, uint64(r.Sequence), 10)
	b = append(b, `,"template":`...)
	b = strconv.AppendUint(b, uint64(r.TemplateID), 10)
	if r.Options {
		b = append(b, `,"options":true`...)
	}
	b = append(b, `,"fields":{`...)
	for i := range r.Fields {
		if i > 0 {
			b = append(b, ',')
		}
		f := &r.Fields[i]
		b = appendString(b, f.key)
		b = append(b, ':')
		b = f.appendJSON(b)
		if name, at := r.absolute(f); name != "" {
			b = append(b, ',')
			b = appendString(b, name)
			b = append(b, ':')
			b = appendTime(b, at)
		}
	}
	b = append(b, "}}\n"...)
	j.line = b
	_, err := j.w.Write(b)
	return err
}

// appendJSON appends the value as its abstract data type wants it (RFC 7012
// §3.1, encodings in RFC 7011 §6.1).
func (f *Field) appendJSON(dst []byte) []byte {
	v := f.Value
	if f.kind == entities.String {
		return appendString(dst, f.text())
	}
	if len(v) == 0 {
		return append(dst, "null"...)
	}
	number, isNumber := f.Uint()
	switch kind := f.kind; {
	case kind >= entities.Unsigned8 && kind <= entities.Unsigned64 && isNumber:
		return strconv.AppendUint(dst, number, 10)
	case kind >= entities.Signed8 && kind <= entities.Signed64 && isNumber:
		unused := 64 - 8*len(v)
		return strconv.AppendInt(dst, int64(number<<unused)>>unused, 10)
	case (kind == entities.Float32 || kind == entities.Float64) && len(v) == 4:
		return appendFloat(dst, float64(math.Float32frombits(uint32(number))), 32)
	case kind == entities.Float64 && len(v) == 8:
		return appendFloat(dst, math.Float64frombits(number), 64)
	case kind == entities.Boolean && (number == 1 || number == 2) && len(v) == 1:
		return strconv.AppendBool(dst, number == 1)
	case kind == entities.MacAddress && len(v) == 6:
		return appendString(dst, net.HardwareAddr(v).String())
	case kind == entities.DateTimeSeconds && isNumber:
		return appendTime(dst, time.Unix(int64(number), 0))
	case kind == entities.DateTimeMilliseconds && isNumber:
		return appendTime(dst, time.UnixMilli(int64(number)))
	case (kind == entities.DateTimeMicroseconds || kind == entities.DateTimeNanoseconds) && len(v) == 8:
		return appendTime(dst, ntpTime(number))
	case kind == entities.Ipv4Address && len(v) == 4, kind == entities.Ipv6Address && len(v) == 16:
		a, _ := netip.AddrFromSlice(v)
		return appendString(dst, a.String())
	default:
		dst = append(dst, '"')
		dst = hex.AppendEncode(dst, v)
		return append(dst, '"')
	}
}

func appendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, timeFormat)
	return append(dst, '"')
}

// appendFloat appends a float; JSON has no numbers for NaN and infinity, so
// these are strings.
func appendFloat(dst []byte, v float64, bits int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		dst = append(dst, '"')
		dst = strconv.AppendFloat(dst, v, 'g', -1, bits)
		return append(dst, '"')
	}
	return strconv.AppendFloat(dst, v, 'g', -1, bits)
}

// appendString appends s as a JSON string. Control characters are escaped,
// also those of C1 and DEL, which a terminal could obey; bytes that are not
// UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"', r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < ' ', r >= 0x7f && r <= 0x9f:
			const digits = "0123456789abcdef"
			dst = append(dst, `\u00`...)
			dst = append(dst, digits[r>>4], digits[r&15])
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
