package collectorside

import (
	"strconv"
	"strings"
	"unicode"

	"flow2ipfix/templates"
)

// field is an element as a collector meets it.
type field struct {
	templates.Field
	own, reverse bool
	// value says what is in it, if it is our own.
	value string
}

// reverseNumber is the enterprise number of reverse elements (RFC 5103 §6.1).
const reverseNumber = 29305

// snake is the name with underscores, as programs that are not about IPFIX write
// names: octet_delta_count.
func (f field) snake() string {
	if name, ok := snakes[f.Name]; ok {
		return name
	}
	var b strings.Builder
	var before rune
	for _, c := range f.Name {
		if unicode.IsUpper(c) && unicode.IsLower(before) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
		before = c
	}
	return strings.NewReplacer("ipv4address", "ipv4_address", "ipv6address", "ipv6_address").Replace(b.String())
}

// snakes are the names whose words cannot be told by their capitals.
var snakes = map[string]string{"VRFname": "vrf_name", "ingressVRFID": "ingress_vrf_id", "egressVRFID": "egress_vrf_id"}

// screaming is the same in capitals.
func (f field) screaming() string { return strings.ToUpper(f.snake()) }

// text reports whether it is a string.
func (f field) text() bool { return f.Type == "string" }

// address reports whether it is an IP address.
func (f field) address() bool { return f.Type == "ipv4Address" || f.Type == "ipv6Address" }

// mac reports whether it is a MAC address.
func (f field) mac() bool { return f.Type == "macAddress" }

// variable reports whether the length is in each record.
func (f field) variable() bool { return f.Length == templates.VariableLength }

// length is the number of octets, or what stands for a length in each record.
func (f field) length(variable string) string {
	if f.variable() {
		return variable
	}
	return strconv.Itoa(f.Length)
}

// index is a number that no other element has: where goflow2 keeps it in its
// protobuf. Some have one in the mapping that goflow2 comes with.
func (f field) index() int {
	if n, ok := goflow2Indexes[f.ID]; ok && f.Enterprise == 0 {
		return n
	}
	base := 2000
	switch {
	case f.reverse:
		base = 3000
	case f.own:
		base = 4000
	}
	return base + int(f.ID)
}

var goflow2Indexes = map[uint16]int{61: 42, 234: 39, 235: 40, 239: 41}
