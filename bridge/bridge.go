// Package bridge carries flows from a source to collectors. It is the only
// package that knows the others: it reads blobs (source), decodes them
// (flowlog), and hands batches of flows to one lane a collector, which converts
// (convert) and sends them (exporter).
//
// Every tuple that comes in goes out or is counted: for each lane, decoded
// tuples = exported + skipped by a rule; and tuples read = decoded + rejected.
package bridge

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/flowlog"
	"flow2ipfix/source"
	"flow2ipfix/templates"
)

// Config is what a Bridge works with.
type Config struct {
	Lanes      []Lane
	Interfaces convert.Interfaces
	Domains    convert.Domains
	Names      convert.Names
	// Inventory gets the names of what appears; may be nil.
	Inventory *templates.Inventory
	// MaxRecordBytes is the largest record that is decoded; 0 is 32 MiB.
	MaxRecordBytes int
	// OnReject is called for each rejected piece of a blob, one at a time, and in
	// order until the run is ended; may be nil. It must not keep the caller waiting.
	OnReject func(blob string, r flowlog.Reject)
	// OnBlobError is called for each blob that could not be read to its end, like
	// OnReject; the other blobs go on. May be nil.
	OnBlobError func(blob string, err error)
	// Speed plays records back in the time in which they were logged, this many
	// times faster; 0 is as fast as it goes.
	Speed float64
	// ShiftToNow moves a record's times, starts and ends alike, so that it seems
	// to be logged when it is sent.
	ShiftToNow bool
	// OnLaneError is called once for each lane that cannot send any more; the
	// others go on. May be nil. It is called by the lane's goroutine.
	OnLaneError func(lane string, err error)
}

// Lane is one collector, and what it is told.
type Lane struct {
	Name     string
	Exporter exporter.Config
	Policy   convert.Policy
}

// Bridge carries flows, once: see Run.
type Bridge struct {
	cfg     Config
	lanes   []*lane
	numbers numbering
	clock   clock

	// Progress can be read while Run goes on.
	Progress Progress

	telling sync.Mutex // held while OnReject or OnBlobError is called
	mu      sync.Mutex // while blobs are read
	summary Summary
}

// Progress counts what was read so far.
type Progress struct {
	Bytes, Tuples atomic.Uint64
}

// Summary is what a Bridge has done.
type Summary struct {
	Blobs, FailedBlobs uint64
	BytesRead          uint64
	Read               flowlog.Stats
	ByState            [StateCount]uint64 // decoded tuples
	Lanes              []LaneSummary
	// Interfaces and Targets say what the numbers in the records mean: by
	// interface index, and by observation domain.
	Interfaces map[uint32]flowlog.MAC
	Targets    map[uint32]string
}

// Decoded returns the number of tuples that were decoded.
func (s *Summary) Decoded() uint64 { return s.Read.Tuples - s.Read.Rejected[flowlog.PieceTuple] }

// LaneSummary is what a lane has done. Exported and Skipped count tuples and add
// up to what was decoded; Sent counts records.
// What a lane could not send any more, after an error or when the run was ended,
// is missing in both.
type LaneSummary struct {
	Name     string
	Err      error // why the lane stopped sending; nil if it did not
	Exported uint64
	Skipped  [convert.SkipCount]uint64
	Sent     exporter.Stats
}

// SkippedTuples returns the number of tuples that rules left out.
func (l *LaneSummary) SkippedTuples() uint64 {
	var n uint64
	for _, k := range l.Skipped {
		n += k
	}
	return n
}

// The states by which decoded tuples are counted.
const (
	CountStateless = iota // NSG version 1, allowed
	CountBegin
	CountContinue
	CountEnd
	CountDenied
	StateCount
)

// New connects to all collectors.
func New(ctx context.Context, cfg Config) (*Bridge, error) {
	if len(cfg.Lanes) == 0 {
		return nil, errors.New("bridge: want at least one lane")
	}
	b := &Bridge{
		cfg:     cfg,
		numbers: newNumbering(cfg.Interfaces, cfg.Domains, cfg.Names, cfg.Inventory),
		clock:   clock{speed: cfg.Speed, shift: cfg.ShiftToNow},
	}
	b.lanes = make([]*lane, len(cfg.Lanes))
	for _, files := range []bool{false, true} { // last: they are emptied, and a collector that is not there ends it all
		for i, l := range cfg.Lanes {
			if strings.HasPrefix(l.Exporter.URL, "file:") != files {
				continue
			}
			session, err := exporter.New(ctx, l.Exporter)
			if err != nil {
				return nil, errors.Join(err, b.close())
			}
			b.lanes[i] = &lane{outlet: outlet{name: l.Name, policy: l.Policy}, session: session, in: make(chan *batch, maxReaders*batchCount)}
		}
	}
	return b, nil
}

func (b *Bridge) close() error {
	var errs []error
	for _, l := range b.lanes {
		if l != nil {
			errs = append(errs, l.session.Close())
		}
	}
	return errors.Join(errs...)
}

// Run reads the deltas in order and returns when every lane has sent everything
// or failed, or ctx ends. The error is that of the lanes that failed, or why ctx
// ended. The summary is valid in each case.
func (b *Bridge) Run(ctx context.Context, deltas []*source.Delta) (*Summary, error) {
	group, ctx := errgroup.WithContext(ctx)
	readCtx, stopReading := context.WithCancelCause(ctx)
	defer stopReading(nil)
	var dead atomic.Int32
	for _, l := range b.lanes {
		group.Go(func() error {
			return l.run(ctx, func(err error) {
				if b.cfg.OnLaneError != nil {
					b.cfg.OnLaneError(l.name, err)
				}
				if dead.Add(1) == int32(len(b.lanes)) {
					stopReading(errAllFailed) // nobody is there to read for
				}
			})
		})
	}
	readings := make(chan *reading, maxReaders)
	group.Go(func() error {
		defer func() {
			for _, l := range b.lanes {
				close(l.in)
			}
		}()
		return b.dispatch(ctx, readings)
	})
	group.Go(func() error {
		defer close(readings)
		if err := b.readAll(readCtx, deltas, readings); !errors.Is(err, errAllFailed) { // the lanes say why
			return err
		}
		return nil
	})
	errs := []error{group.Wait()}
	for _, l := range b.lanes {
		if err := l.session.Close(); l.err == nil { // else it only says the same again
			l.err = err
		}
		errs = append(errs, l.err)
		b.summary.Lanes = append(b.summary.Lanes, LaneSummary{Name: l.name, Err: l.err, Exported: l.exported, Skipped: l.skipped, Sent: l.session.Stats()})
	}
	b.summary.BytesRead = b.Progress.Bytes.Load()
	b.summary.ByState, b.summary.Interfaces, b.summary.Targets = b.numbers.byState, b.numbers.interfaces, b.numbers.domains
	return &b.summary, errors.Join(errs...)
}

var errAllFailed = errors.New("all lanes have failed")

// dispatch completes decoded batches and hands them to every lane, blob by blob.
// It has a goroutine of its own so that a second core has more to do.
func (b *Bridge) dispatch(ctx context.Context, readings <-chan *reading) error {
	for r := range readings {
		close(r.turn)
		for bt := range r.decoded {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			b.Progress.Tuples.Add(uint64(bt.Len()))
			if err := b.numbers.number(bt); err != nil {
				return err
			}
			b.numbers.complete(bt)
			bt.lanes.Store(int32(len(b.lanes)))
			for _, l := range b.lanes {
				l.in <- bt // never full: it holds all batches there are
			}
		}
	}
	return nil
}
