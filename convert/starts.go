package convert

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"flow2ipfix/flowlog"
)

// Starts works out when a tuple's counters began to count: at the flow's
// previous tuple. Azure does not say, so the last tuple of every live flow is
// remembered, in a table that is bounded: when it is full, flows that have been
// quiet for long are forgotten, and their next tuple starts when it ends.
//
// It is not safe for concurrent use.
type Starts struct {
	table []set
	rest  map[uint64]stamp // flows whose set was full
	over  []uint64         // a bit for each set: some of its flows are in rest
	used  int              // flows in table and rest
	limit int              // of len(table)
	seed  [2]uint64
	asked uint64 // see Mark
}

// DefaultMaxFlows is how many live flows are remembered by default: 16 MiB.
const DefaultMaxFlows = 1 << 20

// maxGap is the longest time between two tuples of one flow, in milliseconds.
// Azure reports live flows every 5 minutes and ends idle ones after at most 30;
// what comes later is another flow between the same ports.
const maxGap = 60 * 60 * 1000

// The table is an array of sets of five flows: a set is a cache line, so that a
// look-up costs one miss. While the table is at most three eighths full, one flow
// in a hundred or less finds its set full; those are kept in a map, so that none is
// forgotten before the limit is reached. A flow is known by a 64-bit hash with a
// seed of the process alone. With a million flows the chance that any two are mixed
// up is one in 30 million, and then a start time is wrong, not a count.
const ways = 5

type set struct {
	hashes [ways]uint64 // 0 is an empty place
	times  [ways]stamp
}

const firstSets = 1 << 12 // 256 KiB, which the processor's cache holds

// find returns the place of a hash in the set, or more than there are. Which place
// it is nobody can foretell: so that no branch depends on it, all are compared.
func (l *set) find(hash uint64) uint {
	h := &l.hashes
	here := one(h[0] == hash) | one(h[1] == hash)<<1 | one(h[2] == hash)<<2 | one(h[3] == hash)<<3 | one(h[4] == hash)<<4
	return uint(bits.TrailingZeros(here))
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

// NewStarts returns a table for up to maxFlows live flows, rounded up to sets of a
// power of two. It begins small and grows.
func NewStarts(maxFlows int) *Starts {
	sets := max(1, (maxFlows+ways-1)/ways)
	limit := 1 << bits.Len(uint(sets-1))
	s := &Starts{limit: limit, seed: [2]uint64{rand.Uint64() | 1, rand.Uint64() | 1}}
	s.resize(min(firstSets, limit))
	return s
}

// resize makes a new table of so many sets, a power of two.
func (s *Starts) resize(sets int) {
	s.table, s.rest, s.over = make([]set, sets), map[uint64]stamp{}, make([]uint64, (sets+63)/64)
}

// Mark sets the start of each flow of a group, and remembers them. Flows must
// come in the order of the blob. Two flow logs may report the same flow of one
// interface: target, a hash of what the log is set on, tells them apart. Denied
// flows and those of version 1 stand for themselves.
func (s *Starts) Mark(target uint32, mac flowlog.MAC, flows []flowlog.Flow) {
	var m [8]byte
	copy(m[:], mac[:])
	nic := mix(binary.LittleEndian.Uint64(m[:])^s.seed[0], uint64(target)^s.seed[1])
	// The table does not fit into a processor's nearest caches. The sets of some
	// flows are asked for at once, so that they are waited for together.
	var hashes [16]uint64
	for len(flows) > 0 {
		some := flows[:min(len(flows), len(hashes))]
		flows = flows[len(some):]
		asked := uint64(0)
		for i := range some {
			hashes[i] = s.hash(nic, &some[i])
			asked += s.table[hashes[i]&uint64(len(s.table)-1)].hashes[0]
		}
		s.asked = asked // else the compiler would not ask
		for i := range some {
			f := &some[i]
			f.Start = f.Time
			if f.Denied || f.State == flowlog.StateNone {
				continue
			}
			if gap, known := s.visit(hashes[i], stamp(f.Time), f.State == flowlog.End); known && f.State != flowlog.Begin {
				f.Start -= gap
			}
		}
	}
}

// visit returns how long ago a flow was last seen, if that can be when its
// counters began, and remembers now instead, or forgets the flow if it ends.
func (s *Starts) visit(hash uint64, now stamp, ends bool) (gap int64, known bool) {
	at := hash & uint64(len(s.table)-1)
	line := &s.table[at]
	if i := line.find(hash); i < ways {
		ago := now.since(line.times[i])
		if ends {
			line.hashes[i] = 0
			s.used--
		} else if newer(ago) {
			line.times[i] = now
		}
		return plausible(ago)
	}
	if s.over[at/64]>>(at%64)&1 != 0 {
		if last, ok := s.rest[hash]; ok {
			ago := now.since(last)
			if ends {
				delete(s.rest, hash)
				s.used--
			} else if newer(ago) {
				s.rest[hash] = now
			}
			return plausible(ago)
		}
	}
	if !ends {
		s.remember(hash, line, now)
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
func (s *Starts) remember(hash uint64, line *set, now stamp) {
	mayGrow := len(s.table) < s.limit
	i := line.find(0)
	switch {
	case i < ways:
		line.hashes[i], line.times[i] = hash, now
		s.used++
	case mayGrow || len(s.rest) < s.limit*ways/64:
		s.keep(hash, now)
		s.used++
	default:
		i = 0
		for k := range uint(ways) {
			if now.since(line.times[k]) > now.since(line.times[i]) {
				i = k
			}
		}
		line.hashes[i], line.times[i] = hash, now
	}
	if mayGrow && s.used*8 > len(s.table)*ways*3 {
		s.grow()
	}
}

// grow doubles the table.
func (s *Starts) grow() {
	old, rest := s.table, s.rest
	s.resize(2 * len(old))
	for i := range old {
		for k, hash := range old[i].hashes {
			if hash != 0 {
				s.move(hash, old[i].times[k])
			}
		}
	}
	for hash, time := range rest {
		s.move(hash, time)
	}
}

// move puts a flow into the table that has just grown.
func (s *Starts) move(hash uint64, time stamp) {
	line := &s.table[hash&uint64(len(s.table)-1)]
	if i := line.find(0); i < ways {
		line.hashes[i], line.times[i] = hash, time
		return
	}
	s.keep(hash, time)
}

// keep stores a flow outside of the table.
func (s *Starts) keep(hash uint64, time stamp) {
	at := hash & uint64(len(s.table)-1)
	s.over[at/64] |= 1 << (at % 64)
	s.rest[hash] = time
}

// hash returns the hash of a flow's key: interface, addresses, ports and
// protocol. It is never 0.
func (s *Starts) hash(nic uint64, f *flowlog.Flow) uint64 {
	rest := nic ^ (uint64(f.Protocol)<<32 | uint64(f.SourcePort)<<16 | uint64(f.DestinationPort))
	if !f.IPv6 {
		pair := uint64(f.Source.V4())<<32 | uint64(f.Destination.V4())
		return max(mix(pair^s.seed[0], rest), 1)
	}
	hi, lo := f.Source.Words()
	h := mix(hi^s.seed[0], lo^rest)
	hi, lo = f.Destination.Words()
	return max(mix(hi^h, lo^s.seed[1]), 1)
}

// mix folds the 128-bit product of its arguments.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
