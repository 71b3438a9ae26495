package collect

// sequence follows the sequence numbers of one stream: an observation domain
// within a session. What is counted depends on the protocol: data records in
// IPFIX (RFC 7011 §3.1) and NetFlow v5, messages in NetFlow v9 (RFC 3954 §5.1).
// Numbers are modulo 2^32.
type sequence struct {
	next  uint32 // the number the next message should have
	known bool   // next is valid

	// The latest hole, from (inclusive) to (exclusive). A message that falls
	// into it is late, not lost.
	holeFrom, holeTo uint32

	// A message from before next that fills no hole is a duplicate or the
	// first of an exporter that started again. restart is the number that
	// would follow in the second case.
	restart   uint32
	restarted bool
}

// observe takes the number of a message and the units (records or messages) it
// carried. It returns how many units are newly missing, or how many that were
// missing came late.
//
// exact is false when units is not the whole truth, since part of the message
// could not be decoded: the following number is then taken as it comes.
func (s *sequence) observe(number, units uint32, exact bool) (missing, late uint32) {
	if !s.known {
		s.resume(number+units, exact)
		return 0, 0
	}
	ahead := int32(number - s.next)
	switch {
	case ahead == 0:
		s.resume(number+units, exact)
	case s.restarted && number == s.restart:
		s.resume(number+units, exact)
		s.holeFrom, s.holeTo = 0, 0
	case ahead > 0:
		missing = uint32(ahead)
		s.holeFrom, s.holeTo = s.next, number
		s.resume(number+units, exact)
	case s.fill(number, units):
		late = units
	default:
		s.restart, s.restarted = number+units, true
	}
	return missing, late
}

func (s *sequence) resume(next uint32, exact bool) {
	s.next, s.known, s.restarted = next, exact, false
}

// fill reports whether a late message lies in the latest hole, and shrinks the
// hole by it. Of a hole that is split the later part is remembered.
func (s *sequence) fill(number, units uint32) bool {
	size, offset := s.holeTo-s.holeFrom, number-s.holeFrom
	if units == 0 || offset >= size || units > size-offset {
		return false
	}
	if offset+units == size && offset > 0 {
		s.holeTo = number
	} else {
		s.holeFrom = number + units
	}
	return true
}
