package flowlog

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	seen := map[string]Reason{}
	for _, r := range Reasons() {
		name, text := r.String(), r.Text()
		if name == "" || name != strings.ToLower(name) || strings.ContainsAny(name, " -.") {
			t.Errorf("reason %d has the name %q", r, name)
		}
		for _, s := range []string{name, text} {
			if other, ok := seen[s]; ok || s == "" {
				t.Errorf("reasons %d and %d are both called %q", r, other, s)
			}
			seen[s] = r
		}
		if strings.HasSuffix(text, ".") || text[:1] != strings.ToLower(text[:1]) && !strings.HasPrefix(text, "JSON") {
			t.Errorf("reason %s is told as %q", name, text)
		}
	}
	if n := len(Reasons()); n != int(reasonCount)-1 {
		t.Errorf("%d reasons, want %d", n, reasonCount-1)
	}
	if s := Reason(200); s.String() != "unknown" || s.Text() != "unknown reason" {
		t.Errorf("an unknown reason is %s, %s", s, s.Text())
	}
	for p, want := range []string{"tuple", "element", "record", "unknown", "unknown"} {
		if got := Piece(p).String(); got != want {
			t.Errorf("piece %d is %q, want %q", p, got, want)
		}
	}
	for k, want := range []string{"none", "nsg", "vnet", "none"} {
		if got := Kind(k).String(); got != want {
			t.Errorf("kind %d is %q, want %q", k, got, want)
		}
	}
}

// What is quoted may hold anything: none of it may reach a terminal as it is.
func TestRejectString(t *testing.T) {
	r := Reject{Piece: PieceTuple, Reason: BadPort, Offset: 4711, Length: 9, Quote: "\"a\\\x1b[2J\r\n\u202e\xff→\""}
	got := r.String()
	if !strings.HasPrefix(got, "byte 4711: tuple rejected: tuple has an invalid port: ") {
		t.Errorf("%s", got)
	}
	if strings.ContainsAny(got, "\x1b\r\n\u202e") || strings.Contains(got, "\xff") || !strings.Contains(got, "→") {
		t.Errorf("%q", got)
	}
}

// TestInterner fills the interner with more strings than it keeps.
func TestInterner(t *testing.T) {
	in := interner{}
	long := strings.Repeat("x", maxInternedBytes+1)
	for i := range 3 * maxInterned {
		s := long[:i%maxInternedBytes] + string(rune('a'+i%26))
		if got := in.get([]byte(s)); got != s {
			t.Fatalf("%q became %q", s, got)
		}
		if got := in.get([]byte{'r', 0xF6, byte(i), byte(i >> 8)}); !strings.HasPrefix(got, "r\uFFFD") {
			t.Fatalf("an invalid string became %q", got)
		}
		if got := in.get([]byte(long)); got != long {
			t.Fatalf("a long string became %q", got)
		}
		if len(in) > maxInterned {
			t.Fatalf("%d strings are kept, want at most %d", len(in), maxInterned)
		}
	}
}
