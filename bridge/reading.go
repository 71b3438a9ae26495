package bridge

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"flow2ipfix/flowlog"
	"flow2ipfix/source"
)

// maxReaders is how many blobs are decoded beside each other at most: one lane
// keeps up with two or three.
const maxReaders = 4

// reading is a blob that is being decoded, or was.
type reading struct {
	delta   *source.Delta
	turn    chan struct{} // closed when all blobs before it have been dealt with
	decoded chan *batch   // in order, closed behind the last one
}

// blobReader decodes one blob after the other, with batches of its own: those that
// wait for an earlier blob's end must not be what its reader waits for.
type blobReader struct {
	bridge  *Bridge
	decoder *flowlog.Decoder

	idle []*batch    // a stack: those that can be filled
	free chan *batch // those that have come back from the lanes since take looked
	away int         // flows in batches that are in neither
	most int         // flows in the largest batch so far
}

// readAll decodes the deltas, several at once, and hands them on in order. Only
// errors that end the whole run are returned.
func (b *Bridge) readAll(ctx context.Context, deltas []*source.Delta, readings chan<- *reading) error {
	count := min(runtime.GOMAXPROCS(0), maxReaders, len(deltas))
	if b.cfg.Speed > 0 || b.cfg.ShiftToNow {
		count = 1 // records have their times
	}
	group, ctx := errgroup.WithContext(ctx)
	next := make(chan *reading)
	group.Go(func() error {
		defer close(next)
		for _, d := range deltas {
			r := &reading{delta: d, turn: make(chan struct{}), decoded: make(chan *batch, batchCount)}
			select {
			case next <- r: // to its reader first: whoever waits for it waits for somebody
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			select {
			case readings <- r:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for range count {
		rd := &blobReader{bridge: b, free: make(chan *batch, batchCount), decoder: flowlog.NewDecoder(nil, 0, flowlog.Options{})}
		for range batchCount {
			rd.idle = append(rd.idle, &batch{home: rd.free})
		}
		group.Go(func() error {
			for r := range next {
				if err := rd.read(ctx, r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// read decodes one delta and hands its records on. Only errors that end the whole
// run are returned.
func (rd *blobReader) read(ctx context.Context, in *reading) error {
	defer close(in.decoded)
	b, d := rd.bridge, in.delta
	r, err := d.Open(ctx)
	if err != nil {
		b.failed(ctx, in, err)
		return nil
	}
	defer func() { _ = r.Close() }()
	dec := rd.decoder
	dec.ResetWith(&countingReader{r: r, n: &b.Progress.Bytes}, d.Offset, flowlog.Options{
		MaxRecordBytes: b.cfg.MaxRecordBytes,
		OnReject: func(r flowlog.Reject) {
			if b.cfg.OnReject != nil {
				b.tell(ctx, in, func() { b.cfg.OnReject(d.Blob, r) })
			}
		},
	})
	mac, _ := flowlog.ParseMAC(d.Path.MAC)
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.summary.Blobs++
		b.summary.Read.Add(dec.Stats())
	}()
	for {
		bt, err := rd.take(ctx)
		if err != nil {
			return err
		}
		bt.mac, bt.shifts = mac, bt.shifts[:0]
		decodeErr := error(nil)
		for decodeErr == nil && bt.Len() < batchFlows && len(bt.Records) < batchRecords {
			if decodeErr = dec.Next(&bt.Batch); decodeErr != nil {
				break
			}
			shift, err := b.clock.wait(ctx, &bt.Batch, &bt.Records[len(bt.Records)-1])
			if err != nil {
				return err
			}
			if b.cfg.ShiftToNow {
				bt.shifts = append(bt.shifts, shift)
			}
			// Records leave when their time has come, and when the next one may
			// be long in coming; otherwise when there are enough of them.
			if b.cfg.Speed > 0 || dec.Buffered() < len(`{"records":`) {
				break
			}
		}
		if bt.Len() == 0 {
			bt.goHome()
		} else {
			rd.lend(bt, bt.Len())
			in.decoded <- bt // never full: there are no more batches than it holds
		}
		switch {
		case decodeErr == nil:
		case errors.Is(decodeErr, io.EOF):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			b.failed(ctx, in, decodeErr)
			return nil
		}
	}
}

// take returns a batch that can be filled, when there are few enough flows with the
// lanes.
func (rd *blobReader) take(ctx context.Context) (*batch, error) {
	for len(rd.idle) == 0 || rd.away > min(max(3*rd.most, someFlows), manyFlows) {
		select {
		case bt := <-rd.free:
			rd.away -= bt.weight
			bt.weight = 0
			rd.idle = append(rd.idle, bt)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	last := len(rd.idle) - 1
	bt := rd.idle[last]
	rd.idle = rd.idle[:last]
	return bt, nil
}

// lend notes that a batch of so many flows goes to the lanes.
func (rd *blobReader) lend(bt *batch, flows int) {
	bt.weight = flows
	rd.away += flows
	rd.most = max(rd.most, flows)
}

func (b *Bridge) failed(ctx context.Context, in *reading, err error) {
	b.mu.Lock()
	b.summary.FailedBlobs++
	b.mu.Unlock()
	if b.cfg.OnBlobError != nil {
		b.tell(ctx, in, func() { b.cfg.OnBlobError(in.delta.Blob, err) })
	}
}

// tell says something of a blob when it is its turn. When the run is ended none
// comes any more: then one at a time has to do.
func (b *Bridge) tell(ctx context.Context, in *reading, say func()) {
	select {
	case <-in.turn:
	case <-ctx.Done():
	}
	b.telling.Lock()
	defer b.telling.Unlock()
	say()
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
