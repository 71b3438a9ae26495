package flowlog

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A maker writes blobs and tuples that are mostly right, and wrong in every way
// now and then. Fuzzing seldom finds valid ones of these.
type maker struct{ *rand.Rand }

func pick[T any](m maker, from ...T) T { return from[m.IntN(len(from))] }

func (m maker) rarely() bool { return m.IntN(40) == 0 }

func (m maker) number(most int) string {
	switch m.IntN(30) {
	case 0:
		return pick(m, "", "0", "00", "-1", "+1", "1.0", "1e3", " 1", "1 ", "x", "0x1F", "１", "1_0", "99999999", "100000000", "000000001",
			"255", "256", "65535", "65536", "18446744073709551615", "18446744073709551616", "99999999999999999999")
	case 1:
		return strconv.FormatUint(m.Uint64(), 10)
	case 2:
		return strings.Repeat("0", m.IntN(9)) + strconv.Itoa(m.IntN(most))
	default:
		return strconv.Itoa(m.IntN(most))
	}
}

func (m maker) address(v6 bool) string {
	switch {
	case m.rarely():
		return pick(m, "", "10.0.0", "10.0.0.0.1", "10.0.0.256", "10.0.0.01", "1.2.3.4.", ".1.2.3", "1..2.3", "::", ":", ":::", "fe80::1%1", "[::1]", "1.2.3.4/8",
			"::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "12345::", "a.b.c.d", "1.2.3.\x004", "1.2.3.４")
	case v6:
		return m.ip6()
	default:
		return m.ip4()
	}
}

func (m maker) ip4() string {
	return fmt.Sprintf("%d.%d.%d.%d", m.IntN(256), m.IntN(256), m.IntN(256), m.IntN(256))
}

// ip6 writes an IPv6 address, or something like one.
func (m maker) ip6() string {
	if m.IntN(3) == 0 {
		return pick(m, "fd00::", "2001:db8::", "::") + strconv.FormatInt(int64(m.IntN(1<<16)), 16)
	}
	groups := make([]string, pick(m, 8, 8, 7, 6, 3, 1+m.IntN(9)))
	for i := range groups {
		groups[i] = fmt.Sprintf(pick(m, "%x", "%X", "%04x"), m.IntN(1<<pick(m, 4, 8, 12, 16)))
		if m.IntN(200) == 0 {
			groups[i] = pick(m, "", "g", "12345", "0x1", "@", "`", "/", "1.2.3.4")
		}
	}
	gap := m.IntN(len(groups) + 1)
	text := strings.Join(groups[:gap], ":") + "::" + strings.Join(groups[gap:], ":")
	if len(groups) == 8 || m.rarely() {
		text = strings.Join(groups, ":")
	}
	return text
}

func (m maker) tuple(kind Kind) string {
	seconds := 1_600_000_000 + m.IntN(400_000_000)
	if m.rarely() {
		seconds = pick(m, 999_999_999, 1_000_000_000, 4_102_444_799, 4_102_444_800, 0)
	}
	text := strconv.Itoa(seconds)
	if (kind == VNet) != m.rarely() {
		text += pick(m, "000", "999", "123")
	}
	v6 := m.IntN(3) == 0
	fields := []string{text, m.address(v6), m.address(v6 != m.rarely()), m.number(65536), m.number(65536)}
	if kind == VNet {
		fields = append(fields, pick(m, "6", "17", m.number(256)), m.letter("IO"), m.letter("BCED"),
			pick(m, "NX", "NX", "X", "NX_HW_NOT_SUPPORTED", "NX_SW_NOT_READY", "NX_NOT_ACCEPTED", "NX_NOT_SUPPORTED", "NX_LOCAL_DST", "NX_FALLBACK", "", "NEW-1", "N;X"))
	} else {
		fields = append(fields, m.letter("TU"), m.letter("IO"), m.letter("AD"), m.letter("BCE"))
	}
	for range 4 {
		fields = append(fields, pick(m, "", m.number(100), m.number(1e8), m.number(1e9)))
	}
	if m.IntN(10) == 0 {
		fields = fields[:1+m.IntN(len(fields))]
	} else if m.rarely() {
		fields = append(fields, m.number(10))
	}
	text = strings.Join(fields, ",")
	if m.rarely() { // one byte wrong
		b := []byte(text)
		b[m.IntN(len(b))] = pick[byte](m, ',', '.', '"', '0', 0, ':', ' ', 0xB1, 0xAC, '/', 'X')
		text = string(b)
	}
	return text
}

func (m maker) letter(letters string) string {
	if m.rarely() {
		return pick(m, "", "X", "o", "IO", "0", ",", "é")
	}
	return string(letters[m.IntN(len(letters))])
}

func TestRandomTuples(t *testing.T) {
	m := maker{rand.New(rand.NewPCG(1, 2))}
	valid := 0
	const count = 20_000
	for range count {
		for _, kind := range []Kind{VNet, NSG} {
			tuple := m.tuple(kind)
			checkTuple(t, kind, tuple)
			if _, reason := tupleOracle(kind, tuple); reason == reasonNone {
				valid++
			}
		}
	}
	if valid < count/2 || valid > 2*count*9/10 {
		t.Errorf("%d of %d tuples were valid: the maker is of little use", valid, 2*count)
	}
}

// text writes a JSON string, with escapes where none are needed.
func (m maker) text(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	escapes := m.rarely()
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ' || escapes && r < 0x10000 && m.IntN(3) == 0:
			fmt.Fprintf(&b, pick(m, `\u%04x`, `\u%04X`), r)
		default:
			b.WriteRune(r)
		}
	}
	if m.IntN(400) == 0 {
		b.WriteString(pick(m, `\ud83d\ude00`, `\ud83d`, `\ude00x`, `\n`, `\t`, `\/`, "\xF6"))
	}
	return b.String() + `"`
}

func (m maker) space() string {
	if m.rarely() {
		return pick(m, " ", "\n", "\r\n", "\t", strings.Repeat(" ", 300))
	}
	return ""
}

// value writes a value of any type.
func (m maker) value() string {
	return pick(m, `null`, `true`, `false`, `0`, `-1.5e-7`, `""`, m.text("x→]}"), `[]`, `{}`, `[[1,{"time":2}],null]`, `{"flows":[],"rule":{"mac":"x"}}`)
}

// object writes members in any order, some left out, some of another type, and
// some that nobody knows.
func (m maker) object(members ...string) string {
	var out []string
	for i := 0; i < len(members); i += 2 {
		value := members[i+1]
		if m.rarely() {
			value = m.value()
		}
		if !m.rarely() {
			out = append(out, m.text(members[i])+m.space()+`:`+m.space()+value)
		}
	}
	if m.IntN(10) == 0 {
		out = append(out, m.text(pick(m, "unknown", "Rule", "flowtuples", "größe", strings.Repeat("k", 100)))+`:`+m.value())
	}
	if m.IntN(3) == 0 {
		m.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	}
	return `{` + m.space() + strings.Join(out, m.space()+`,`+m.space()) + m.space() + `}`
}

func (m maker) list(most int, element func() string) string {
	var out []string
	for range m.IntN(most + 1) {
		e := element()
		if m.rarely() {
			e = m.value()
		}
		out = append(out, e)
	}
	return `[` + m.space() + strings.Join(out, m.space()+`,`+m.space()) + m.space() + `]`
}

func (m maker) record() string {
	mac := func() string {
		return m.text(pick(m, "00224871C205", "6045BDEC2532", "60-45-bd-ec-25-32", "", "123123"))
	}
	rule := func() string { return m.text(pick(m, "DefaultRule_x", "PlatformRule", "größer", "a\nb\\\"", "")) }
	tuples := func(kind Kind) string { return m.list(8, func() string { return m.text(m.tuple(kind)) }) }
	if m.IntN(2) == 0 {
		return m.object("time", m.text("2024-08-19T18:00:06.8944384Z"), "macAddress", mac(), "resourceId", m.text("/nsg"), "properties", m.object(
			"Version", pick(m, "1", "2"), "flows", m.list(3, func() string {
				return m.object("rule", rule(), "flows", m.list(2, func() string { return m.object("mac", mac(), "flowTuples", tuples(NSG)) }))
			})))
	}
	return m.object("time", m.text("2024-08-19T18:00:06.8944384Z"), "flowLogVersion", "4", "macAddress", mac(), "targetResourceID", m.text("/vnet"), "flowRecords", m.object(
		"flows", m.list(3, func() string {
			return m.object("aclID", rule(), "flowGroups", m.list(2, func() string { return m.object("rule", rule(), "flowTuples", tuples(VNet)) }))
		})))
}

// TestRandomBlobs compares with the oracle, as FuzzDecoder does.
func TestRandomBlobs(t *testing.T) {
	m := maker{rand.New(rand.NewPCG(3, 4))}
	d := NewDecoder(strings.NewReader(""), 0, Options{})
	usual, flows := 0, uint64(0)
	const count = 1500
	for range count {
		in := `{"records":` + m.list(5, m.record) + `}`
		d.Reset(chunkReader{strings.NewReader(in), 1 + m.IntN(2000)}, 0)
		res := drain(t, d)
		checkResult(t, in, 0, res)
		flows += res.flows
		if want, ok := blobOracle([]byte(in)); ok {
			usual++
			if diff := cmp.Diff(want, plainDump(t, d, in)); diff != "" {
				t.Fatalf("%s (-oracle +decoder):\n%s", in, diff)
			}
		}
	}
	if usual < count/2 || flows < count {
		t.Errorf("the oracle understood %d of %d blobs, with %d flows: the maker is of little use", usual, count, flows)
	}
}

// TestBatch decodes a blob into one batch, in which nothing may move when
// records that are rejected come between.
func TestBatch(t *testing.T) {
	m := maker{rand.New(rand.NewPCG(5, 6))}
	var blob strings.Builder
	for range 300 {
		record := m.record()
		if m.IntN(5) == 0 {
			record = record[:m.IntN(len(record))] + "\x01"
		}
		blob.WriteString(record + ",")
	}
	in := blob.String()
	want := decode(t, strings.NewReader(in), 0, Options{})
	checkResult(t, in, 0, want)

	d := NewDecoder(strings.NewReader(in), 0, Options{})
	var b Batch
	var then, now strings.Builder
	for d.Next(&b) == nil {
		dumpRecord(&then, &b, &b.Records[len(b.Records)-1])
	}
	for i := range b.Records {
		dumpRecord(&now, &b, &b.Records[i])
	}
	if diff := cmp.Diff(then.String(), now.String()); diff != "" {
		t.Errorf("a record has changed (-when it came +at the end):\n%s", diff)
	}
	if uint64(b.Len()) != want.flows || len(b.Records) != len(want.records) || len(b.Records) < 100 {
		t.Errorf("%d records and %d flows, want %d and %d", len(b.Records), b.Len(), len(want.records), want.flows)
	}
}
