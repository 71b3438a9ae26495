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
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/flowlog"
	"flow2ipfix/source"
)

// Config is what a Bridge works with.
type Config struct {
	Lanes      []Lane
	Interfaces convert.Interfaces
	Domains    convert.Domains
	// MaxRecordBytes is the largest record that is decoded; 0 is 32 MiB.
	MaxRecordBytes int
	// OnReject is called for each rejected piece of a blob; may be nil. It is
	// called by the reading goroutine and must not keep it waiting.
	OnReject func(blob string, r flowlog.Reject)
	// OnBlobError is called for each blob that could not be read to its end; the
	// other blobs go on. May be nil.
	OnBlobError func(blob string, err error)
	// Speed plays records back in the time in which they were logged, this many
	// times faster; 0 is as fast as it goes.
	Speed float64
	// ShiftToNow moves a record's times so that it seems to be logged when it
	// is sent.
	ShiftToNow bool
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
	free    chan *batch
	decoded chan *batch
	starts  *convert.Starts
	clock   clock

	// Progress can be read while Run goes on.
	Progress Progress

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
}

// Decoded returns the number of tuples that were decoded.
func (s *Summary) Decoded() uint64 { return s.Read.Tuples - s.Read.Rejected[flowlog.PieceTuple] }

// LaneSummary is what a lane has done. Exported and Skipped count tuples and add
// up to what was decoded; Sent counts records.
type LaneSummary struct {
	Name     string
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
	b := &Bridge{
		cfg:     cfg,
		free:    make(chan *batch, batchCount),
		decoded: make(chan *batch, batchCount),
		starts:  convert.NewStarts(convert.DefaultMaxFlows),
		clock:   clock{speed: cfg.Speed, shift: cfg.ShiftToNow},
	}
	for range batchCount {
		b.free <- new(batch)
	}
	for _, l := range cfg.Lanes {
		session, err := exporter.New(ctx, l.Exporter)
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
		b.lanes = append(b.lanes, &lane{name: l.Name, policy: l.Policy, session: session, in: make(chan *batch, batchCount)})
	}
	return b, nil
}

func (b *Bridge) close() error {
	var errs []error
	for _, l := range b.lanes {
		errs = append(errs, l.session.Close())
	}
	return errors.Join(errs...)
}

// Run reads the deltas in order and returns when every lane has sent everything,
// or a lane cannot send, or ctx ends. The summary is true in each case.
func (b *Bridge) Run(ctx context.Context, deltas []*source.Delta) (*Summary, error) {
	group, ctx := errgroup.WithContext(ctx)
	for _, l := range b.lanes {
		group.Go(func() error { return l.run(ctx, b.free) })
	}
	group.Go(func() error {
		defer func() {
			for _, l := range b.lanes {
				close(l.in)
			}
		}()
		return b.dispatch(ctx)
	})
	group.Go(func() error {
		defer close(b.decoded)
		for _, d := range deltas {
			if err := b.read(ctx, d); err != nil {
				return err
			}
		}
		return nil
	})
	err := group.Wait()
	err = errors.Join(err, b.close())
	for _, l := range b.lanes {
		s := LaneSummary{Name: l.name, Exported: l.exported, Skipped: l.skipped, Sent: l.session.Stats()}
		b.summary.Lanes = append(b.summary.Lanes, s)
	}
	return &b.summary, err
}

// read decodes one delta and hands its records to the lanes. Only errors that
// end the whole run are returned.
func (b *Bridge) read(ctx context.Context, d *source.Delta) error {
	r, err := d.Open(ctx)
	if err != nil {
		b.failed(d, err)
		return nil
	}
	defer func() { _ = r.Close() }()
	b.summary.Blobs++
	in := &countingReader{r: r, n: &b.Progress.Bytes}
	dec := flowlog.NewDecoder(in, d.Offset, flowlog.Options{
		MaxRecordBytes: b.cfg.MaxRecordBytes,
		OnReject: func(r flowlog.Reject) {
			if b.cfg.OnReject != nil {
				b.cfg.OnReject(d.Blob, r)
			}
		},
	})
	mac, _ := flowlog.ParseMAC(d.Path.MAC)
	defer func() {
		b.summary.BytesRead = b.Progress.Bytes.Load()
		b.summary.Read.Add(dec.Stats())
	}()
	for {
		var bt *batch
		select {
		case bt = <-b.free:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		bt.Reset()
		decodeErr := error(nil)
		for decodeErr == nil && bt.Len() < batchFlows {
			if decodeErr = dec.Next(&bt.Batch); decodeErr == nil {
				r := &bt.Records[len(bt.Records)-1]
				if err := b.clock.wait(ctx, &bt.Batch, r); err != nil {
					return err
				}
				if b.cfg.Speed > 0 {
					break // records leave when their time has come, not when a batch is full
				}
			}
		}
		if bt.Len() == 0 {
			b.free <- bt
		} else {
			bt.mac = mac
			b.decoded <- bt // never full: there are no more batches than it holds
		}
		switch {
		case decodeErr == nil:
		case errors.Is(decodeErr, io.EOF):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			b.failed(d, decodeErr)
			return nil
		}
	}
}

// dispatch completes decoded batches and hands them to every lane. It has a
// goroutine of its own so that a second core has more to do.
func (b *Bridge) dispatch(ctx context.Context) error {
	for {
		var bt *batch
		select {
		case next, ok := <-b.decoded:
			if !ok {
				return nil
			}
			bt = next
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := b.complete(bt); err != nil {
			return err
		}
		bt.lanes.Store(int32(len(b.lanes)))
		for _, l := range b.lanes {
			l.in <- bt // never full either
		}
	}
}

// complete adds to a batch what no record says of itself.
func (b *Bridge) complete(bt *batch) error {
	b.Progress.Tuples.Add(uint64(bt.Len()))
	bt.origins = bt.origins[:0]
	for i := range bt.Records {
		r := &bt.Records[i]
		domain := b.cfg.Domains.Of(r)
		groups := bt.Groups(r)
		for k := range groups {
			g := &groups[k]
			if g.MAC == (flowlog.MAC{}) {
				g.MAC = bt.mac
			}
			index, err := b.cfg.Interfaces.Index(g.MAC)
			if err != nil {
				return fmt.Errorf("number interface %s: %w", g.MAC, err)
			}
			flows := bt.Flows(g)
			b.starts.Mark(g.MAC, flows)
			for j := range flows {
				b.summary.ByState[stateOf(&flows[j])]++
			}
			bt.origins = append(bt.origins, convert.Origin{Domain: domain, Interface: index})
		}
	}
	return nil
}

func stateOf(f *flowlog.Flow) int {
	if f.Denied {
		return CountDenied
	}
	return int(f.State) // in the same order
}

func (b *Bridge) failed(d *source.Delta, err error) {
	b.summary.FailedBlobs++
	if b.cfg.OnBlobError != nil {
		b.cfg.OnBlobError(d.Blob, err)
	}
}

type countingReader struct {
	r io.Reader
	n *atomic.Uint64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(uint64(n))
	return n, err
}

// clock plays records back in their own time.
type clock struct {
	speed float64
	shift bool

	first int64 // log time of the first record, ms
	begun time.Time
}

// wait returns when it is time for a record, and moves its times if asked to.
func (c *clock) wait(ctx context.Context, b *flowlog.Batch, r *flowlog.Record) error {
	if c.speed == 0 && !c.shift {
		return nil
	}
	at := r.Time
	groups := b.Groups(r)
	for i := range groups {
		if flows := b.Flows(&groups[i]); at == 0 {
			at = flows[len(flows)-1].Time
		}
	}
	if at == 0 {
		return nil // nothing in it
	}
	if c.begun.IsZero() {
		c.first, c.begun = at, time.Now()
	}
	if c.speed > 0 {
		due := c.begun.Add(time.Duration(float64(at-c.first) / c.speed * float64(time.Millisecond)))
		t := time.NewTimer(time.Until(due))
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if c.shift {
		by := time.Now().UnixMilli() - at
		for i := range groups {
			flows := b.Flows(&groups[i])
			for k := range flows {
				flows[k].Time += by
			}
		}
	}
	return nil
}
