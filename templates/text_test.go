package templates

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// variable returns templates with texts, and a record that has some.
func variable(tb testing.TB, maxMessage int) (*Set, Record) {
	s := mustNew(tb, Config{MaxMessageBytes: maxMessage, Enterprise: Enterprise{Number: 32473, Long: true, Elements: []string{"azureRule", "azureAcl", "azureEncryption", "azureFlowLog"}}})
	return s, full4()
}

// read reads a data record back by its template's fields.
func read(tb testing.TB, t *Template, b []byte) (values []string) {
	tb.Helper()
	for _, f := range t.Fields() {
		n := f.Length
		if n == VariableLength {
			if n, b = int(b[0]), b[1:]; n == 255 {
				n, b = int(binary.BigEndian.Uint16(b)), b[2:]
			}
		}
		values = append(values, string(b[:n]))
		b = b[n:]
	}
	if len(b) > 0 {
		tb.Errorf("%d octets are left", len(b))
	}
	return values
}

func TestTextLengths(t *testing.T) {
	s, r := variable(t, 1400)
	for _, n := range []int{0, 1, 254, 255, 256, 700} {
		r.Context.Rule = strings.Repeat("x", n)
		b := s.IPv4.Append([]byte{9}, &r, 0)
		got := read(t, s.IPv4, b[1:])
		if want := []string{r.Context.Rule, "/long/acl", "\x02", "/long/log"}; !slices.Equal(got[len(got)-4:], want) {
			t.Errorf("rule of %d octets: got %q", n, got[len(got)-4:])
		}
		if len(b)-1 != s.IPv4.LengthOf(&r) {
			t.Errorf("LengthOf says %d, want %d", s.IPv4.LengthOf(&r), len(b)-1)
		}
	}
}

// TestTextsAreCut: only if the record would not fit, the longest first, and
// between characters.
func TestTextsAreCut(t *testing.T) {
	s, r := variable(t, 512)
	room := 512 - overhead - s.IPv4.Length() - 2*3
	r.Context.Rule = strings.Repeat("é", 300)
	r.Context.FlowLog.Long = strings.Repeat("f", 290)
	b := s.IPv4.Append(nil, &r, 0)
	// Room is left for prefixes of three octets each, and for half a character.
	if len(b) > 512-overhead || len(b) < 512-overhead-8 {
		t.Errorf("the record takes %d octets, want nearly all of %d", len(b), 512-overhead)
	}
	got := read(t, s.IPv4, b)
	half := (room - len("/long/acl")) / 2
	if want := strings.Repeat("é", half/2); got[len(got)-4] != want || got[len(got)-3] != "/long/acl" || len(got[len(got)-1]) != half {
		t.Errorf("got %q", got[len(got)-4:])
	}
	if n := testing.AllocsPerRun(100, func() { b = s.IPv4.Append(b[:0], &r, 0) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func FuzzTexts(f *testing.F) {
	f.Add("rule", "acl", "flow log", 512)
	f.Add(strings.Repeat("ü", 400), "", strings.Repeat("x", 1000), 600)
	sets := map[int]*Set{}
	f.Fuzz(func(t *testing.T, rule, acl, flowLog string, maxMessage int) {
		maxMessage = 512 + (maxMessage&0x7fffffff)%2000
		r := full4()
		if sets[maxMessage] == nil {
			sets[maxMessage], _ = variable(t, maxMessage)
		}
		r.Context.Rule, r.Context.ACL.Long, r.Context.FlowLog.Long = rule, acl, flowLog
		tp := sets[maxMessage].IPv4
		b := tp.Append(nil, &r, 0)
		if len(b) != tp.LengthOf(&r) || len(b) > maxMessage-overhead {
			t.Fatalf("%d octets, LengthOf says %d, room is %d", len(b), tp.LengthOf(&r), maxMessage-overhead)
		}
		got := read(t, tp, b)
		whole := true
		for i, want := range []string{rule, acl, "\x02", flowLog} {
			text := got[len(got)-4+i]
			if !strings.HasPrefix(want, text) {
				t.Fatalf("got %q, want a beginning of %q", text, want)
			}
			whole = whole && text == want
		}
		if fits := tp.Length()+len(rule)+len(acl)+len(flowLog)+6 <= maxMessage-overhead; fits && !whole {
			t.Fatal("cut without need")
		}
	})
}

func TestFixedTexts(t *testing.T) {
	s := mustNew(t, Config{Fields: []string{"azureRule", "octetDeltaCount"}, Enterprise: Enterprise{Number: 1, StringOctets: 8}})
	r := full4()
	for rule, want := range map[string]string{
		"":         "\x00\x00\x00\x00\x00\x00\x00\x00",
		"abc":      "abc\x00\x00\x00\x00\x00",
		"abcdefgh": "abcdefgh",
		"abcdefgé": "abcdefg\x00",
	} {
		r.Context.Rule = rule
		b := bytes.Repeat([]byte{0xFF}, 16)
		if got := s.IPv4.Append(b[:0], &r, 0); string(got[:8]) != want || len(got) != 16 {
			t.Errorf("%q: got %q", rule, got)
		}
	}
}
