package bridge

import (
	"context"
	"time"
)

// retryAfter is how long to wait before what cannot be kept is tried again.
const retryAfter = 5 * time.Second

// dispatch completes decoded batches and hands them to the lanes.
func (s *Service) dispatch(ctx context.Context) error {
	id := uint64(0)
	for {
		var bt *batch
		select {
		case next, ok := <-s.decoded:
			if !ok {
				return nil
			}
			bt = next
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := s.complete(ctx, bt); err != nil {
			return err
		}
		id++
		bt.id = id
		if err := s.commits.expect(ctx, id, bt.progress); err != nil {
			return err
		}
		bt.lanes.Store(int32(len(s.lanes)))
		for _, l := range s.lanes {
			if !l.bestEffort {
				l.in <- bt // never full: there are no more batches than it holds
				continue
			}
			if !l.offer(ctx, bt) {
				l.refused.Add(uint64(bt.Len()))
				s.release(bt)
			}
		}
	}
}

const (
	// bestEffortBatches is how many batches wait for a best-effort lane.
	bestEffortBatches = 4
	// patience is how long a best-effort lane that took all before is waited for.
	patience = time.Second
)

// offer hands a batch to a best-effort lane. One that has let a batch go by gets
// no more until it has taken one: it is waited for once, not each time.
func (l *serviceLane) offer(ctx context.Context, bt *batch) bool {
	select {
	case l.in <- bt:
		return true
	default:
	}
	if l.behind.Load() {
		return false
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case l.in <- bt:
		return true
	case <-t.C:
		l.behind.Store(true)
	case <-ctx.Done():
	}
	return false
}

// complete numbers the interfaces of a batch. If new numbers cannot be kept,
// nothing of the interface may leave, so that it waits until they can.
func (s *Service) complete(ctx context.Context, bt *batch) error {
	for {
		err := s.numbers.complete(bt)
		if err == nil {
			return nil
		}
		s.cfg.OnError(err)
		select {
		case <-time.After(retryAfter):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// release says that a lane is done with a batch.
func (s *Service) release(bt *batch) {
	if bt.lanes.Add(-1) > 0 {
		return
	}
	if gone := bt.gone; gone != nil {
		bt.gone = nil
		bt.Reset() // which gives back what a giant took
		close(gone)
	}
	s.free <- bt
}
