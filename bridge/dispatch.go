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
	// patience is how long a best-effort lane is waited for, in all, until it has
	// taken everything again.
	patience = time.Second
)

// offer hands a batch to a best-effort lane, and reports whether that took it.
func (l *serviceLane) offer(ctx context.Context, bt *batch) bool {
	select {
	case l.in <- bt:
		return true
	default:
	}
	if l.caughtUp.Swap(false) {
		l.patience = patience
	}
	begin := time.Now()
	t := time.NewTimer(l.patience)
	defer t.Stop()
	select {
	case l.in <- bt:
		l.patience -= time.Since(begin)
		return true
	case <-t.C:
		l.patience = 0
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
