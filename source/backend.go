package source

import (
	"context"
	"errors"
	"io"
	"time"
)

// Backend is a place where blobs lie under Azure's paths: a storage account, a
// directory. It is only ever read. Its methods may be called at the same time.
//
// Names have '/' between their parts and begin with the container, if there is
// one. The name of a blob is its flow log's, '/', and what ParsePath reads:
// y=2026/m=11/d=21/h=02/….
type Backend interface {
	// FlowLogs lists the flow logs that have blobs: what stands left of "/y=" in
	// their names. It walks through folders and never lists blobs of all hours.
	// What could not be listed is in the error, beside the flow logs that were
	// found.
	FlowLogs(ctx context.Context) ([]string, error)
	// Hours lists, in order, the hours of a flow log from a given one on for
	// which there may be blobs. It walks through folders, too. A flow log that is not
	// there has none, or is ErrNotFound if the place can tell: then it may be away.
	Hours(ctx context.Context, flowLog string, from time.Time) ([]time.Time, error)
	// List lists the PT1H.json blobs of one hour of a flow log: one request for
	// each 5000. Blobs that are missing from a list without an error are gone. What
	// could not be listed is in the error, beside the blobs that were found; a flow
	// log that is not there is as for Hours.
	List(ctx context.Context, flowLog string, hour time.Time) ([]Info, error)
	// Open reads a blob from an offset to its end, in one request. Info is what is
	// being read, its whole size included. The error is ErrNotFound or ErrNothing
	// if it is one of these. The caller closes the reader.
	Open(ctx context.Context, name string, offset int64) (io.ReadCloser, Info, error)
}

// Info is what a listing says of a blob.
type Info struct {
	Name string
	Size int64
	// ETag is different after each write to the blob.
	ETag string
	// Modified is when it was last written to, by the clock of where it lies; zero
	// if that is not known. UTC.
	Modified time.Time
}

var (
	// ErrNotFound says that a blob, or all of its container, is not there.
	ErrNotFound = errors.New("not found")
	// ErrNothing says that a blob ends at or before the offset to read from.
	ErrNothing = errors.New("nothing to read from there")
	// ErrRewritten says that a blob is not the one that was read before: it is
	// shorter, or something else stands before the offset.
	ErrRewritten = errors.New("the blob was written anew")
	// ErrTurn says that whoever reads has stopped because the turn is over.
	ErrTurn = errors.New("the turn is over")
)

// Cursor says how far a blob has been read, or delivered.
type Cursor struct {
	// Offset is that of the first byte to come, behind a whole record.
	Offset int64
	// ETag is the blob's when it was read to its end; empty if it was not.
	ETag string
	// Last is the time of the last record before Offset; zero if none had one.
	Last time.Time
	// Tail is what stands before Offset, up to TailBytes of it: as long as it
	// stands there, the blob was not written anew.
	Tail []byte
}

// Entry says how far a blob of a source is delivered.
type Entry struct {
	Source, Blob string
	Cursor       Cursor
}

// TailBytes is how much of a blob proves that it was not written anew.
const TailBytes = 64

// State is what a Follower remembers from one run of the program to the next. A
// source has a name of its own there.
type State interface {
	// Begin returns the time from which a source is read: at the first call
	// the one given, from then on what it was at that call.
	Begin(source string, at time.Time) (time.Time, error)
	// LowWater returns the first hour of a flow log that is not finished; zero if
	// none is known.
	LowWater(source, flowLog string) (time.Time, error)
	// Cursors returns the cursors of a flow log's blobs, by blob name.
	Cursors(source, flowLog string) (map[string]Cursor, error)
	// Finish says that all before an hour of a flow log is delivered: hour is its
	// new low-water mark, cursors of blobs of earlier hours are forgotten.
	Finish(source, flowLog string, hour time.Time) error
	// Forget forgets the cursor of a blob that is gone.
	Forget(source, blob string) error
}
