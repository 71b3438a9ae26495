package flowlog

import (
	"bytes"
	"strings"
	"time"
)

// MAC is a network interface's address. The zero MAC means that there was none.
type MAC [6]byte

// ParseMAC reads 12 hexadecimal digits of either case, with or without dashes,
// colons or dots between them. It reports false for anything else.
func ParseMAC(s string) (MAC, bool) { return parseMAC([]byte(s)) }

func parseMAC(s []byte) (MAC, bool) {
	var m MAC
	n := 0
	for _, c := range s {
		if c == '-' || c == ':' || c == '.' {
			continue
		}
		digit, ok := hexDigit(c)
		if !ok || n == 12 {
			return MAC{}, false
		}
		m[n/2] = m[n/2]<<4 | digit
		n++
	}
	if n != 12 {
		return MAC{}, false
	}
	return m, true
}

// String returns the 12 upper-case digits that Azure writes.
func (m MAC) String() string {
	const digits = "0123456789ABCDEF"
	var s [12]byte
	for i, b := range m {
		s[2*i], s[2*i+1] = digits[b>>4], digits[b&15]
	}
	return string(s[:])
}

// parseTime reads a record's time: ISO 8601 with 0 to 9 digits of a second's
// fraction; without a zone it is UTC. It returns milliseconds since the Unix
// epoch, or 0 if it cannot be read.
func parseTime(s []byte) int64 {
	layout := "2006-01-02T15:04:05.999999999Z07:00"
	if n := len(s); n > 0 && s[n-1] != 'Z' && !bytes.ContainsAny(s[min(n, len("2006-01-02")):], "+-") {
		layout = "2006-01-02T15:04:05.999999999"
	}
	t, err := time.Parse(layout, string(s))
	if err != nil {
		return 0
	}
	return t.UnixMilli()
}

// parseVersion reads a version that was written as 2, 2.0 or "2", or null,
// which is as good as missing. Anything else is -1.
func parseVersion(s []byte) int {
	if string(s) == "null" {
		return 0
	}
	s = bytes.TrimSuffix(bytes.Trim(s, `"`), []byte(".0"))
	if len(s) == 1 && s[0]-'0' <= 9 {
		return int(s[0] - '0')
	}
	return -1
}

// interner keeps one copy of each string that records say again and again:
// resource ids, rules, access lists.
type interner map[string]string

const (
	maxInterned      = 8192
	maxInternedBytes = 1024 // longer strings are rare, and would pin memory
)

func (in interner) get(b []byte) string {
	if len(b) > maxInternedBytes {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	if s, ok := in[string(b)]; ok { // does not allocate
		return s
	}
	if len(in) >= maxInterned {
		clear(in)
	}
	s := strings.ToValidUTF8(string(b), "\uFFFD")
	in[string(b)] = s
	return s
}
