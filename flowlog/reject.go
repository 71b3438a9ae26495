package flowlog

import (
	"fmt"
	"strconv"
	"strings"
)

// Reason says why a piece of a flow log was rejected.
type Reason uint8

// The reasons. Their names are part of the metrics and of the rejects file.
const (
	reasonNone     Reason = iota
	BadSyntax             // not JSON
	BadType               // JSON of another type than the format has there
	NotRecord             // JSON, but neither a record nor a list of records
	Truncated             // the input ended inside it
	TooLarge              // larger than Options.MaxRecordBytes
	TooDeep               // nested deeper than any flow log
	BadTime               // tuple: time is missing, not a number or implausible
	BadAddress            // tuple: not an IP address
	MixedAddresses        // tuple: one IPv4 and one IPv6 address
	BadPort               // tuple: not a number from 0 to 65535
	BadProtocol           // tuple: unknown protocol
	BadDirection          // tuple: neither I nor O
	BadDecision           // tuple: neither A nor D
	BadState              // tuple: unknown flow state
	BadCounter            // tuple: not a number from 0 to 2^64-1
	BadFieldCount         // tuple: fields missing, or too many
	reasonCount
)

var reasonNames = [reasonCount]string{
	"none", "syntax", "type", "not_record", "truncated", "too_large", "too_deep",
	"time", "address", "mixed_addresses", "port", "protocol", "direction",
	"decision", "state", "counter", "field_count",
}

var reasonTexts = [reasonCount]string{
	"no reason",
	"not valid JSON",
	"JSON of a type that a flow log does not have there",
	"neither a flow-log record nor a list of them",
	"the data end inside the record",
	"the record is larger than the limit",
	"nested deeper than any flow log",
	"tuple time is missing or implausible",
	"tuple has an invalid IP address",
	"tuple mixes an IPv4 and an IPv6 address",
	"tuple has an invalid port",
	"tuple has an unknown protocol",
	"tuple has an unknown direction (want I or O)",
	"tuple has an unknown decision (want A or D)",
	"tuple has an unknown flow state",
	"tuple has an invalid counter",
	"tuple has too few or too many fields",
}

// String returns the reason's name: lower case, no spaces.
func (r Reason) String() string {
	if r < reasonCount {
		return reasonNames[r]
	}
	return "unknown"
}

// Text returns the reason in words for people.
func (r Reason) Text() string {
	if r < reasonCount {
		return reasonTexts[r]
	}
	return "unknown reason"
}

// Reasons returns all reasons.
func Reasons() []Reason {
	all := make([]Reason, 0, reasonCount-1)
	for r := reasonNone + 1; r < reasonCount; r++ {
		all = append(all, r)
	}
	return all
}

// Piece is what a rejection cost.
type Piece uint8

const (
	// PieceTuple costs one flow tuple.
	PieceTuple Piece = iota
	// PieceElement costs a part of a record that should hold flows and is of
	// the wrong type; the rest of the record goes on.
	PieceElement
	// PieceRecord costs a record, or what stood where a record should be.
	PieceRecord
	pieceCount
)

// String returns the piece's name.
func (p Piece) String() string {
	return [...]string{"tuple", "element", "record", "unknown"}[min(p, pieceCount)]
}

// MaxQuoteBytes is how much of a rejected piece a Reject quotes.
const MaxQuoteBytes = 256

// Reject is one rejected piece of a flow log.
type Reject struct {
	Piece  Piece
	Reason Reason
	Offset int64  // of the piece's first byte in the blob
	Length int64  // of the piece in bytes, as far as it was read: up to a fault
	Quote  string // the beginning of the piece, at most MaxQuoteBytes
}

func (r Reject) String() string {
	// As it stands in the blob, but for what a terminal could mistake for orders.
	quote := strconv.Quote(r.Quote)
	quote = strings.ReplaceAll(quote[1:len(quote)-1], `\"`, `"`)
	return fmt.Sprintf("byte %d: %s rejected: %s: %s", r.Offset, r.Piece, r.Reason.Text(), quote)
}

// Stats counts what a decoder has read. Tuples = decoded + rejected tuples.
type Stats struct {
	Records         uint64 // records decoded, those without flows included
	Tuples          uint64 // tuples in decoded records, rejected ones included
	UnknownVersions uint64 // decoded records whose version this program does not know; they are read by shape
	Rejected        [pieceCount]uint64
	RejectedReasons [reasonCount]uint64 // of all pieces
}

// RejectedPieces returns how many pieces of all kinds were rejected.
func (s *Stats) RejectedPieces() uint64 {
	return s.Rejected[PieceTuple] + s.Rejected[PieceElement] + s.Rejected[PieceRecord]
}

// Sub returns what was counted since s was o.
func (s Stats) Sub(o Stats) Stats {
	s.Records -= o.Records
	s.Tuples -= o.Tuples
	s.UnknownVersions -= o.UnknownVersions
	for i, n := range o.Rejected {
		s.Rejected[i] -= n
	}
	for i, n := range o.RejectedReasons {
		s.RejectedReasons[i] -= n
	}
	return s
}

// Add adds what o counted.
func (s *Stats) Add(o Stats) {
	s.Records += o.Records
	s.Tuples += o.Tuples
	s.UnknownVersions += o.UnknownVersions
	for i, n := range o.Rejected {
		s.Rejected[i] += n
	}
	for i, n := range o.RejectedReasons {
		s.RejectedReasons[i] += n
	}
}
