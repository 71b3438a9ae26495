package convert

import (
	"net/netip"
	"testing"
	"time"

	"flow2ipfix/flowlog"
	"flow2ipfix/templates"
)

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"abc", "abc", true},
		{"abc", "abcd", false},
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "anything/at all", true},
		{"a*", "abc", true},
		{"a*", "ba", false},
		{"*c", "abc", true},
		{"*c", "abcd", false},
		{"*b*", "abc", true},
		{"*x*", "abc", false},
		{"a*c", "ac", true},
		{"a*bc", "abc", true},
		{"ab*bc", "abc", false}, // the pieces may not share a letter
		{"a*b*c", "a-c-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"a**b", "ab", true},
	} {
		if got := match(tc.pattern, tc.name); got != tc.want {
			t.Errorf("match(%q, %q) = %v", tc.pattern, tc.name, got)
		}
	}
}

func TestFilterGroup(t *testing.T) {
	r := flowlog.Record{Target: "/subscriptions/S/virtualNetworks/prod-1"}
	g := flowlog.Group{MAC: flowlog.MAC{1}, Rule: "DefaultRule_DenyAllInBound"}
	for _, tc := range []struct {
		name   string
		filter Filter
		want   bool
	}{
		{"nothing asked", Filter{}, true},
		{"MAC", Filter{MACs: []flowlog.MAC{{2}, {1}}}, true},
		{"other MAC", Filter{MACs: []flowlog.MAC{{2}}}, false},
		{"rule", Filter{Rules: []string{"x", "defaultrule_*"}}, true},
		{"other rule", Filter{Rules: []string{"UserRule_*"}}, false},
		{"target", Filter{Targets: []string{"*/VIRTUALNETWORKS/PROD-*"}}, true},
		{"other target", Filter{Targets: []string{"*/test-*"}}, false},
		{"all of them", Filter{MACs: []flowlog.MAC{{1}}, Rules: []string{"*Deny*"}, Targets: []string{"*"}}, true},
		{"one of them not", Filter{MACs: []flowlog.MAC{{1}}, Rules: []string{"*Allow*"}, Targets: []string{"*"}}, false},
	} {
		if got := tc.filter.Group(&r, &g); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestFilterFlow(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	for _, tc := range []struct {
		name   string
		filter Filter
		time   int64
		want   Skip
	}{
		{"nothing asked", Filter{}, 1, NotSkipped},
		{"source", Filter{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, 1, NotSkipped},
		{"destination", Filter{Prefixes: []netip.Prefix{netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("192.0.2.9/32")}}, 1, NotSkipped},
		{"neither", Filter{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::/0")}}, 1, SkippedFilter},
		{"young", Filter{MaxAge: time.Minute}, 940_000, NotSkipped},
		{"old", Filter{MaxAge: time.Minute}, 939_999, SkippedOld},
	} {
		tc.filter.now = func() time.Time { return now }
		p := Policy{Filter: tc.filter}
		f := flow(func(f *flowlog.Flow) { f.Time = tc.time })
		var out [MaxRecords]templates.Record
		if _, got := p.Records(&Origin{}, p.Filter.Oldest(), &f, &out); got != tc.want {
			t.Errorf("%s: skipped by %q, want %q", tc.name, got, tc.want)
		}
	}
}
