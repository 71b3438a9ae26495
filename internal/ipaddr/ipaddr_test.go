package ipaddr

import (
	"net/netip"
	"testing"
)

func TestAddr(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.255":         "10.1.2.255",
		"0.0.0.0":            "0.0.0.0",
		"255.255.255.255":    "255.255.255.255",
		"::ffff:192.0.2.1":   "192.0.2.1",
		"::":                 "::",
		"::192.0.2.1":        "::c000:201",
		"2001:db8::1":        "2001:db8::1",
		"fe80::1%eth0":       "fe80::1",
		"1:2:3:4:5:6:7:8":    "1:2:3:4:5:6:7:8",
		"0:0:0:1:0:ffff:1:2": "::1:0:ffff:1:2",
	} {
		a, given := MustParse(text), netip.MustParseAddr(text)
		if a.String() != want {
			t.Errorf("%s: got %s", text, a)
		}
		if ipv6 := given.Is6(); a.Netip(ipv6) != given.WithZone("") {
			t.Errorf("%s: Netip is %v", text, a.Netip(ipv6))
		}
		var b [16]byte
		a.Put16(&b)
		if b != given.As16() || From16(b) != a {
			t.Errorf("%s: octets %v", text, b)
		}
		if hi, lo := a.Words(); FromWords(hi, lo) != a {
			t.Errorf("%s: words %x %x", text, hi, lo)
		}
		if given.Is4() {
			var four [4]byte
			a.Put4(&four)
			if four != given.As4() || From4(a.V4()) != a {
				t.Errorf("%s: octets %v", text, four)
			}
		}
	}
	if (Addr{}) != MustParse("::") {
		t.Error("the zero value is not ::")
	}
}
