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
	rest  map[uint64]int64 // flows whose set was full
	over  []uint64         // a bit for each set: some of its flows are in rest
	used  int              // flows in table and rest
	limit int              // of len(table)
	seed  [2]uint64
}

// DefaultMaxFlows is how many live flows are remembered by default: 16 MiB.
const DefaultMaxFlows = 1 << 20

// maxGap is the longest time between two tuples of one flow, in milliseconds.
// Azure reports live flows every 5 minutes and ends idle ones after at most 30;
// what comes later is another flow between the same ports.
const maxGap = 60 * 60 * 1000

// The table is an array of sets of eight: a set is a pair of cache lines, which
// processors fetch together, so that a look-up costs one miss. While the table
// is at most three eighths full, one flow in a thousand finds its set full; those
// are kept in a map, so that none is forgotten before the limit is reached. A
// flow is known by a 64-bit hash with a seed of the process alone. With a million
// flows the chance that any two are mixed up is one in 30 million, and then a
// start time is wrong, not a count.
const ways = 8

type set [ways]entry

type entry struct {
	hash uint64 // 0 is an empty place
	time int64
}

const firstSets = 1 << 11 // 256 KiB, which the processor's cache holds

// NewStarts returns a table for up to maxFlows live flows, rounded up to a power
// of two. It begins small and grows.
func NewStarts(maxFlows int) *Starts {
	sets := max(1, (maxFlows+ways-1)/ways)
	limit := 1 << bits.Len(uint(sets-1))
	s := &Starts{limit: limit, seed: [2]uint64{rand.Uint64() | 1, rand.Uint64() | 1}}
	s.resize(min(firstSets, limit))
	return s
}

// resize makes a new table of so many sets, a power of two.
func (s *Starts) resize(sets int) {
	s.table, s.rest, s.over = make([]set, sets), map[uint64]int64{}, make([]uint64, (sets+63)/64)
}

// Mark sets the start of each flow of a group, and remembers them. Flows must
// come in the order of the blob. Two flow logs may report the same flow of one
// interface: target, a hash of what the log is set on, tells them apart. Denied
// flows and those of version 1 stand for themselves.
func (s *Starts) Mark(target uint32, mac flowlog.MAC, flows []flowlog.Flow) {
	var m [8]byte
	copy(m[:], mac[:])
	nic := mix(binary.LittleEndian.Uint64(m[:])^s.seed[0], uint64(target)^s.seed[1])
	for i := range flows {
		f := &flows[i]
		f.Start = f.Time
		if f.Denied || f.State == flowlog.StateNone {
			continue
		}
		if previous := s.visit(s.hash(nic, f), f.Time, f.State == flowlog.End); previous != 0 && f.State != flowlog.Begin {
			f.Start = previous
		}
	}
}

// visit returns the time at which a flow was last seen, or 0, and remembers now
// instead, or forgets the flow if it ends.
func (s *Starts) visit(hash uint64, now int64, ends bool) int64 {
	at := hash & uint64(len(s.table)-1)
	line := &s.table[at]
	oldest := 0
	for i := range line {
		e := &line[i]
		if e.hash == hash {
			previous := e.time
			switch {
			case ends:
				e.hash, e.time = 0, 0
				s.used--
			case now > previous:
				e.time = now
			}
			return since(previous, now)
		}
		if e.time < line[oldest].time { // empty places have time 0
			oldest = i
		}
	}
	if s.over[at/64]>>(at%64)&1 != 0 {
		if previous, ok := s.rest[hash]; ok {
			if ends {
				delete(s.rest, hash)
				s.used--
			} else {
				s.rest[hash] = max(previous, now)
			}
			return since(previous, now)
		}
	}
	if !ends {
		s.remember(&line[oldest], hash, now)
	}
	return 0
}

// since returns the time of a flow's previous tuple, or 0 if that can't be when
// its counters began.
func since(previous, now int64) int64 {
	// Rules log apart from each other: a tuple may come after a younger one.
	if previous > now || now-previous > maxGap {
		return 0
	}
	return previous
}

// remember stores a new flow: in an empty place of its set, or else in the map,
// or else, when there may be no more flows, in the place of the one of its set
// that was quiet longest.
func (s *Starts) remember(place *entry, hash uint64, now int64) {
	mayGrow := len(s.table) < s.limit
	switch {
	case place.hash == 0:
		*place = entry{hash, now}
		s.used++
	case mayGrow || len(s.rest) < s.limit/8:
		s.keep(entry{hash, now})
		s.used++
	default:
		*place = entry{hash, now}
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
		for _, e := range old[i] {
			if e.hash != 0 {
				s.move(e)
			}
		}
	}
	for hash, time := range rest {
		s.move(entry{hash, time})
	}
}

// move puts a flow into the table that has just grown.
func (s *Starts) move(e entry) {
	line := &s.table[e.hash&uint64(len(s.table)-1)]
	for i := range line {
		if line[i].hash == 0 {
			line[i] = e
			return
		}
	}
	s.keep(e)
}

// keep stores a flow outside of the table.
func (s *Starts) keep(e entry) {
	at := e.hash & uint64(len(s.table)-1)
	s.over[at/64] |= 1 << (at % 64)
	s.rest[e.hash] = e.time
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
	h = mix(hi^h, lo^s.seed[1])
	return max(h, 1)
}

// mix folds the 128-bit product of its arguments.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
