package convert

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"flow2ipfix/flowlog"
)

// Filter chooses the flows that are exported. Each list that is not empty must
// have a match; the zero value chooses everything.
//
// Patterns match whole names without regard to case; '*' stands for any
// characters, also none.
type Filter struct {
	Targets  []string       // patterns for the resource id that the flow log is set on
	Rules    []string       // patterns for the access rule
	MACs     []flowlog.MAC  // of the network interface
	Prefixes []netip.Prefix // in one of which source or destination lies
	// MaxAge leaves out flows that ended longer ago; 0 is no limit.
	MaxAge time.Duration

	now func() time.Time // for tests
}

// Group reports whether flows of a group may be exported, as far as what they
// have in common decides.
func (f *Filter) Group(r *flowlog.Record, g *flowlog.Group) bool {
	return (len(f.MACs) == 0 || slices.Contains(f.MACs, g.MAC)) &&
		matchAny(f.Rules, g.Rule) && matchAny(f.Targets, r.Target)
}

// Oldest returns the end that a flow must have at least to be young enough, in
// milliseconds since the Unix epoch.
func (f *Filter) Oldest() int64 {
	if f.MaxAge == 0 {
		return 0
	}
	now := time.Now
	if f.now != nil {
		now = f.now
	}
	return now().Add(-f.MaxAge).UnixMilli()
}

// has reports whether one of the prefixes chooses a flow.
func (f *Filter) has(flow *flowlog.Flow) bool {
	source, destination := flow.Source.Netip(flow.IPv6), flow.Destination.Netip(flow.IPv6)
	for _, p := range f.Prefixes {
		if p.Contains(source) || p.Contains(destination) {
			return true
		}
	}
	return false
}

func matchAny(patterns []string, name string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, p := range patterns {
		if match(strings.ToLower(p), strings.ToLower(name)) {
			return true
		}
	}
	return false
}

// match is a pattern of literal pieces with anything between them: the first
// must stand at the beginning, the last at the end, the others in order.
func match(pattern, name string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	for {
		piece, more, wild := strings.Cut(rest, "*")
		if !wild {
			return strings.HasSuffix(name, piece)
		}
		_, after, ok := strings.Cut(name, piece)
		if !ok {
			return false
		}
		name, rest = after, more
	}
}
