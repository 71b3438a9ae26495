// Package starts works out when the counters of flows began to count.
//
// It reads flows (package flowlog) and remembers those that live.
package starts

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"flow2ipfix/flowlog"
	"flow2ipfix/internal/largepages"
)

// Table works out when a tuple's counters began to count: at the flow's
// previous tuple. Azure does not say, so the last tuple of every live flow is
// remembered, in a table that is bounded: when it is full, flows that have been
// quiet for long are forgotten, and their next tuple starts when it ends.
//
// It is not safe for concurrent use.
type Table struct {
	table []set
	rest  map[hash]stamp // flows whose set was full
	over  []uint64       // a bit for each set: some of its flows are in rest
	used  int            // flows in table and rest
	limit int            // of len(table)
	seed  [2]uint64
}

// DefaultMaxFlows is how many live flows are remembered by default, in a table of up to
// 16 MiB.
const DefaultMaxFlows = 1 << 20

// maxGap is the longest time between two tuples of one flow, in milliseconds.
// Azure reports live flows every 5 minutes and ends idle ones after at most 30;
// what comes later is another flow between the same ports.
const maxGap = 60 * 60 * 1000

// The table is an array of sets of six flows: a set is a cache line, so that a
// look-up costs one miss. While the table is less than half full, some one flow in a
// hundred finds its set full; those are kept in a map, as many as a 64th of what the
// table can hold. Close to the limit flows are forgotten.
const ways = 6

type set struct {
	tags  [ways]uint32 // 0 is an empty place
	more  [ways]uint16 // of the flow's hash
	times [ways]stamp
	_     uint32
}

// hash is what a flow is known by: 60 bits, with a seed of the process alone, the upper
// 32 of which are not all 0. The last twelve are not kept: in which set a flow is says
// them, and a table that has fewer sets never grows. With a million flows the chance that
// any two are mixed up is one in two million, and then a start time is wrong, not a
// count.
type hash uint64

const (
	impliedBits = 12
	firstSets   = 1 << impliedBits // 256 KiB, which the processor's cache holds
)

func (h hash) tag() uint32 { return uint32(h >> 28) }

func (h hash) more() uint16 { return uint16(h >> impliedBits) }

// hashAt returns the hash of a flow in a set of a table that can grow.
func (l *set) hashAt(place int, set int) hash {
	return hash(l.tags[place])<<28 | hash(l.more[place])<<impliedBits | hash(set)&(firstSets-1)
}

// with returns a bit for each place with that tag. Which place it is nobody can
// foretell: so that no branch depends on it, all are compared.
func (l *set) with(tag uint32) uint {
	t := &l.tags
	return one(t[0] == tag) | one(t[1] == tag)<<1 | one(t[2] == tag)<<2 | one(t[3] == tag)<<3 | one(t[4] == tag)<<4 | one(t[5] == tag)<<5
}

// find returns the place of a flow in the set, or more than there are.
func (l *set) find(h hash) int {
	for here := l.with(h.tag()); here != 0; here &= here - 1 {
		if i := bits.TrailingZeros(here); l.more[i] == h.more() {
			return i
		}
	}
	return ways
}

// empty returns a place without a flow, or more than there are.
func (l *set) empty() int { return bits.TrailingZeros(l.with(0)) }

// put writes a flow to a place.
func (l *set) put(place int, h hash, now stamp) {
	l.tags[place], l.more[place], l.times[place] = h.tag(), h.more(), now
}

// one returns 1 for true. The compiler makes no branch of it.
func one(b bool) (n uint) {
	if b {
		n = 1
	}
	return n
}

// stamp is a time in milliseconds, the last 32 bits of it. A flow that was never
// ended and comes again after just 49 days begins too early, by less than maxGap.
type stamp uint32

// since returns how long after the other time this one is; less than 0 if before.
func (t stamp) since(other stamp) int32 { return int32(t - other) }

// New returns a table for up to maxFlows live flows, rounded up to sets of a
// power of two. It begins small and grows.
func New(maxFlows int) *Table {
	sets := max(1, (maxFlows+ways-1)/ways)
	limit := 1 << bits.Len(uint(sets-1))
	first := min(firstSets, limit)
	s := &Table{limit: limit, seed: [2]uint64{rand.Uint64() | 1, rand.Uint64() | 1}, table: make([]set, first)}
	touch(s.table)
	s.restart()
	return s
}

// restart forgets the flows beside the table.
func (s *Table) restart() {
	s.rest, s.over = map[hash]stamp{}, make([]uint64, (len(s.table)+63)/64)
}

// touch writes to each page, all of which are going to be used. One that is read first
// and written then costs the kernel's work twice.
func touch(sets []set) {
	const page = 4096 / 64 // sets; larger pages are no harm
	for i := 0; i < len(sets); i += page {
		sets[i].times[0] = 0
	}
}

// Mark sets the start of each flow of a group, and remembers them. Flows must
// come in the order of the blob. Two flow logs may report the same flow of one
// interface: target, a hash of what the log is set on, tells them apart. Denied
// flows and those of version 1 stand for themselves.
func (s *Table) Mark(target uint32, mac flowlog.MAC, flows []flowlog.Flow) {
	var m [8]byte
	copy(m[:], mac[:])
	nic := mix(binary.LittleEndian.Uint64(m[:])^s.seed[0], uint64(target)^s.seed[1])
	// The table does not fit into a processor's nearest caches. The sets of some
	// flows are asked for while those before them are visited.
	var now, next [askedAtOnce]hash
	n := s.ask(&now, nic, flows)
	for n > 0 {
		some := flows[:n]
		flows = flows[n:]
		n = s.ask(&next, nic, flows)
		for i := range some {
			f := &some[i]
			f.Start = f.Time
			if f.Denied || f.State == flowlog.StateNone {
				continue
			}
			if gap, known := s.visit(now[i], stamp(f.Time), f.State == flowlog.End); known && f.State != flowlog.Begin {
				f.Start -= gap
			}
		}
		now, next = next, now
	}
}

// askedAtOnce is how many sets a processor can wait for at the same time, about.
const askedAtOnce = 16

// ask sets hashes to those of the first of the flows, and asks for their sets. It
// returns how many those are.
func (s *Table) ask(hashes *[askedAtOnce]hash, nic uint64, flows []flowlog.Flow) int {
	flows = flows[:min(len(flows), len(hashes))]
	for i := range flows {
		hashes[i] = s.hash(nic, &flows[i])
	}
	prefetch(s.table, hashes)
	return len(flows)
}

// visit returns how long ago a flow was last seen, if that can be when its
// counters began, and remembers now instead, or forgets the flow if it ends.
func (s *Table) visit(h hash, now stamp, ends bool) (gap int64, known bool) {
	at := uint64(h) & uint64(len(s.table)-1)
	line := &s.table[at]
	if i := line.find(h); i < ways {
		ago := now.since(line.times[i])
		if ends {
			line.tags[i] = 0
			s.used--
		} else if newer(ago) {
			line.times[i] = now
		}
		return plausible(ago)
	}
	if s.over[at/64]>>(at%64)&1 != 0 {
		if last, ok := s.rest[h]; ok {
			ago := now.since(last)
			if ends {
				delete(s.rest, h)
				s.used--
			} else if newer(ago) {
				s.rest[h] = now
			}
			return plausible(ago)
		}
	}
	if !ends {
		s.remember(h, line, now)
	}
	return 0, false
}

// newer reports whether a tuple is to be remembered instead of one so long before
// it: one that is a little older comes late, one that is much older belongs to
// another hour, which is read now.
func newer(ago int32) bool { return ago > 0 || ago < -maxGap }

// plausible returns the time since a flow's previous tuple, if that can be when
// its counters began.
func plausible(ago int32) (gap int64, ok bool) {
	// Rules log apart from each other: a tuple may come after a younger one.
	return int64(ago), ago >= 0 && ago <= maxGap
}

// remember stores a new flow: in an empty place of its set, or else in the map,
// or else, when there may be no more flows, in the place of the one of its set that
// was quiet longest.
func (s *Table) remember(h hash, line *set, now stamp) {
	mayGrow := len(s.table) < s.limit
	i := line.empty()
	switch {
	case i < ways:
		line.put(i, h, now)
		s.used++
	case mayGrow || len(s.rest) < s.limit*ways/64:
		s.keep(h, now)
		s.used++
	default:
		i = 0
		for k := range ways {
			if now.since(line.times[k]) > now.since(line.times[i]) {
				i = k
			}
		}
		line.put(i, h, now)
	}
	if mayGrow && s.used*24 > len(s.table)*ways*11 {
		s.grow()
	}
}

// grow doubles the table where it is: a flow of set i goes to set i+n or stays.
func (s *Table) grow() {
	n := len(s.table)
	if 2*n > cap(s.table) { // the first time
		table := largepages.Make[set](s.limit)
		copy(table, s.table)
		s.table = table[:n]
	}
	s.table = s.table[:2*n]
	touch(s.table[n:])
	rest := s.rest
	s.restart()
	for i := range n {
		line := &s.table[i]
		for k, tag := range line.tags {
			if tag == 0 {
				continue
			}
			if h := line.hashAt(k, i); uint64(h)&uint64(n) != 0 {
				line.tags[k] = 0
				s.move(h, line.times[k])
			}
		}
	}
	for h, time := range rest {
		s.move(h, time)
	}
}

// move puts a flow into the table that has just grown.
func (s *Table) move(h hash, time stamp) {
	line := &s.table[uint64(h)&uint64(len(s.table)-1)]
	if i := line.empty(); i < ways {
		line.put(i, h, time)
		return
	}
	s.keep(h, time)
}

// keep stores a flow outside of the table.
func (s *Table) keep(h hash, time stamp) {
	at := uint64(h) & uint64(len(s.table)-1)
	s.over[at/64] |= 1 << (at % 64)
	s.rest[h] = time
}

// hash returns the hash of a flow's key: interface, addresses, ports and protocol.
func (s *Table) hash(nic uint64, f *flowlog.Flow) hash {
	rest := nic ^ (uint64(f.Protocol)<<32 | uint64(f.SourcePort)<<16 | uint64(f.DestinationPort))
	var h uint64
	if f.IPv6 {
		hi, lo := f.Source.Words()
		h = mix(hi^s.seed[0], lo^rest)
		hi, lo = f.Destination.Words()
		h = mix(hi^h, lo^s.seed[1])
	} else {
		pair := uint64(f.Source.V4())<<32 | uint64(f.Destination.V4())
		h = mix(pair^s.seed[0], rest)
	}
	if h>>32 == 0 {
		h |= 1 << 32
	}
	return hash(h >> 4)
}

// mix folds the 128-bit product of its arguments.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
