package expect

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
)

// tally adds flow records up.
type tally struct{ records, packets, bytes uint64 }

func (t *tally) add(f *Flow) {
	t.records += f.Records
	t.packets += f.Packets
	t.bytes += f.Bytes
}

func (t tally) String() string {
	return fmt.Sprintf("%d records, %d packets, %d bytes", t.records, t.packets, t.bytes)
}

// collection is a multiset of flows.
type collection struct {
	byFlow      map[Flow]tally
	byDirection map[uint8]tally
	all         tally
}

// collect gathers flows with the fields that a collector shows. If it merges
// records, those that differ in nothing but their counters are one.
func collect(flows []Flow, shown Fields, merges bool) collection {
	c := collection{byFlow: map[Flow]tally{}, byDirection: map[uint8]tally{}}
	for _, f := range flows {
		f = f.Only(shown)
		key := f
		key.Records = 0
		if merges {
			key.Packets, key.Bytes = 0, 0
		}
		t := c.byFlow[key]
		t.add(&f)
		c.byFlow[key] = t
		t = c.byDirection[f.Direction]
		t.add(&f)
		c.byDirection[f.Direction] = t
		c.all.add(&f)
	}
	return c
}

// shownDifferences is how many differing flows a comparison tells in full.
const shownDifferences = 6

// Compare returns "" if the judge got what it should have, or what differs
// in words.
func Compare(want, got []Flow, shown Fields, merges bool) string {
	w, g := collect(want, shown, merges), collect(got, shown, merges)
	missing, unexpected := w.without(g), g.without(w)
	if len(missing) == 0 && len(unexpected) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "want %v\n got %v\n", w.all, g.all)
	for _, d := range slices.Sorted(maps.Keys(w.byDirection)) {
		if w.byDirection[d] != g.byDirection[d] {
			fmt.Fprintf(&b, "direction %d: want %v\n              got %v\n", d, w.byDirection[d], g.byDirection[d])
		}
	}
	fmt.Fprintf(&b, "%d flows are missing, %d are unexpected; the first of them:\n", len(missing), len(unexpected))
	paired := map[int]bool{}
	for _, f := range missing[:min(len(missing), shownDifferences)] {
		i := slices.IndexFunc(unexpected, func(u Flow) bool { return u.conversation() == f.conversation() })
		if i < 0 || paired[i] {
			fmt.Fprintf(&b, "  missing     %v\n", f)
			continue
		}
		paired[i] = true
		fmt.Fprintf(&b, "  missing     %v\n  differs in  %s\n", f, differences(&f, &unexpected[i]))
	}
	for i, f := range unexpected[:min(len(unexpected), shownDifferences)] {
		if !paired[i] {
			fmt.Fprintf(&b, "  unexpected  %v\n", f)
		}
	}
	return b.String()
}

// without returns the flows that c has more often than other, or with other
// sums, by time.
func (c collection) without(other collection) []Flow {
	var left []Flow
	for f, t := range c.byFlow {
		o := other.byFlow[f]
		if t == o || t.records < o.records {
			continue
		}
		f.Records, f.Packets, f.Bytes = t.records, t.packets, t.bytes
		if t.records > o.records {
			f.Records, f.Packets, f.Bytes = t.records-o.records, t.packets-o.packets, t.bytes-o.bytes
		}
		left = append(left, f)
	}
	slices.SortFunc(left, func(a, b Flow) int {
		return cmp.Or(cmp.Compare(a.End, b.End), strings.Compare(a.String(), b.String()))
	})
	return left
}

// differences names what differs between two records of one conversation.
func differences(want, got *Flow) string {
	var parts []string
	g := got.details()
	for i, w := range want.details() {
		if w != g[i] {
			name, value, _ := strings.Cut(g[i], " ")
			parts = append(parts, fmt.Sprintf("%s: got %s", name, value))
		}
	}
	return strings.Join(parts, ", ")
}

// Digest says of any number of flows whether they are the same, and keeps none.
type Digest struct {
	all         tally
	byDirection map[uint8]tally
	byProtocol  map[uint8]tally
	// sums are of hashes over the fields that all show, and one of the others
	// each, so that the order does not matter.
	sums [fieldCount]uint64
}

var digestSeed = maphash.MakeSeed()

// NewDigest returns the digest of no flows.
func NewDigest() *Digest {
	return &Digest{byDirection: map[uint8]tally{}, byProtocol: map[uint8]tally{}}
}

// Add adds a flow.
func (d *Digest) Add(f Flow) {
	d.all.add(&f)
	t := d.byDirection[f.Direction]
	t.add(&f)
	d.byDirection[f.Direction] = t
	t = d.byProtocol[f.Protocol]
	t.add(&f)
	d.byProtocol[f.Protocol] = t
	for i := range d.sums {
		d.sums[i] += maphash.Comparable(digestSeed, f.Only(1<<i))
	}
}

// Compare returns "" if both digests are of the same flows.
func (d *Digest) Compare(got *Digest) string {
	var b strings.Builder
	line := func(what string, want, got tally) {
		if want != got {
			fmt.Fprintf(&b, "%s: want %v\n got %v\n", what, want, got)
		}
	}
	line("all", d.all, got.all)
	for k, want := range d.byDirection {
		line(fmt.Sprintf("direction %d", k), want, got.byDirection[k])
	}
	for k, want := range d.byProtocol {
		line(fmt.Sprintf("protocol %d", k), want, got.byProtocol[k])
	}
	for i, name := range fieldNames {
		if b.Len() == 0 && d.sums[i] != got.sums[i] {
			return "all sums are as they should be, but not what single flows have; see their " + name
		}
	}
	return b.String()
}

// Sequences checks the sequence numbers of messages, in whatever order their
// records come: RFC 7011 §3.1 wants in each message the number of data records
// that went before it in its observation domain.
type Sequences map[uint32]map[uint32]uint64 // domain, sequence number: records

// Add adds a message, or a part of one: so many records that it has.
func (s Sequences) Add(domain, sequence uint32, records uint64) {
	if s[domain] == nil {
		s[domain] = map[uint32]uint64{}
	}
	s[domain][sequence] += records
}

// Problems returns what is wrong with the first gap of each domain.
func (s Sequences) Problems() []string {
	var all []string
	for domain, records := range s {
		next := uint32(0)
		for _, sequence := range slices.Sorted(maps.Keys(records)) {
			if sequence != next {
				all = append(all, fmt.Sprintf("domain %d: a message has sequence number %d, want %d", domain, sequence, next))
				break
			}
			next += uint32(records[sequence])
		}
	}
	return all
}
