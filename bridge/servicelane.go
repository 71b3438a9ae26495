package bridge

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"flow2ipfix/internal/pulse"
)

// serviceLane converts and sends to one collector of a service. Its goroutine
// owns the stream.
type serviceLane struct {
	outlet
	stream     Stream
	bestEffort bool
	sign       *pulse.Sign
	in         chan *batch

	// refused counts tuples of batches that the dispatcher did not get rid of.
	// patience, which is the dispatcher's, is how long it still waits for this
	// lane, and caughtUp says that it may do so anew.
	refused  atomic.Uint64
	patience time.Duration
	caughtUp atomic.Bool
	notSent  uint64   // tuples that the stream refused
	lost     *NotSent // records of both kinds
	// delivered is the last batch that is delivered with all before it.
	delivered atomic.Uint64

	shown ServiceLaneStats // under Service.mu
}

// watch is how often a lane asks its stream how far it is.
const watch = 50 * time.Millisecond

// run sends what comes in until in is closed and all of it is delivered, or ctx
// ends.
func (l *serviceLane) run(ctx context.Context, s *Service) error {
	defer l.sign.Done()
	tick := time.NewTicker(watch)
	defer tick.Stop()
	var last time.Time // when a batch came in
	flushed := true
	for {
		l.sign.Show()
		select {
		case bt, ok := <-l.in:
			if !ok {
				return l.drain(ctx)
			}
			err := l.send(ctx, bt)
			if len(l.in) == 0 {
				l.caughtUp.Store(true)
			}
			s.show(l)
			s.release(bt)
			if err != nil {
				return err
			}
			last, flushed = time.Now(), false
		case now := <-tick.C:
			if !flushed && now.Sub(last) >= linger {
				if err := l.stream.Flush(ctx); err != nil && ctx.Err() != nil {
					return context.Cause(ctx)
				}
				flushed = true
			}
			if err := l.see(l.stream.Delivered(ctx)); err != nil && ctx.Err() != nil {
				return context.Cause(ctx)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// send exports a batch. What a best-effort lane cannot send is not sent later.
func (l *serviceLane) send(ctx context.Context, bt *batch) error {
	done := l.done()
	err := l.export(ctx, l.stream, bt)
	if err != nil {
		done = l.done() - done
		l.notSent += uint64(bt.Len()) - done
		l.lost.add(&l.policy, bt, int(done), l.half)
	}
	switch {
	case err == nil:
		l.stream.Mark(bt.id)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !l.bestEffort:
		return fmt.Errorf("collector %s: %w", l.name, err) // a stream that is not best-effort only ends with ctx
	}
	return nil
}

// done returns how many tuples have been dealt with.
func (l *serviceLane) done() uint64 {
	n := l.exported
	for _, k := range l.skipped {
		n += k
	}
	return n
}

// drain delivers what was taken.
func (l *serviceLane) drain(ctx context.Context) error {
	if err := l.see(l.stream.Drain(ctx)); err != nil && !l.bestEffort {
		return err
	}
	return nil
}

func (l *serviceLane) see(id uint64, err error) error {
	l.delivered.Store(max(id, l.delivered.Load()))
	return err
}
