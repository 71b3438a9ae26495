package source

import "time"

// Event is something that an operator should know.
type Event struct {
	Kind    EventKind
	FlowLog string
	Blob    string    // if it is about one
	Hour    time.Time // if it is about one
	Err     error
	Retry   time.Duration // how long until the next attempt, if there will be one
}

// EventKind is what happened.
type EventKind uint8

// The kinds of events.
const (
	// DiscoveryFailed: the flow logs could not be listed, or not all of them.
	DiscoveryFailed EventKind = iota
	FlowLogFound
	// FlowLogGone: nothing is left of it.
	FlowLogGone
	// ListFailed: the blobs of a flow log could not be listed, or not all those of
	// the hour, if there is one. It waits; the others go on.
	ListFailed
	ListRecovered
	// ReadFailed: a blob could not be read to its end. It goes on from there.
	ReadFailed
	// BlobRewritten: it is read anew, records that were delivered are left out.
	BlobRewritten
	// BlobDeleted: what it may have had beyond what was read is lost.
	BlobDeleted
	// BlobLate: it was written later than Grace after the end of its hour, and
	// seen only because the hour was not finished for another reason.
	BlobLate
	// StateFailed: State could not read or write. It is tried again.
	StateFailed
	EventKindCount
)

func (k EventKind) String() string {
	return [...]string{
		"discovery failed", "flow log found", "flow log gone", "list failed", "list recovered",
		"read failed", "blob rewritten", "blob deleted", "blob late", "state failed",
	}[k]
}
