package bridge

import (
	"context"
	"time"

	"flow2ipfix/internal/pulse"
)

// retryAfter is how long to wait before what cannot be kept is tried again.
const retryAfter = 5 * time.Second

// dispatch completes decoded batches and hands them to the lanes.
func (s *Service) dispatch(ctx context.Context) error {
	sign := s.cfg.Pulse.Add("dispatcher")
	defer sign.Done()
	id := uint64(0)
	var waiting []*batch
	for {
		var err error
		if waiting, err = s.take(ctx, waiting[:0], sign); err != nil || len(waiting) == 0 {
			return err
		}
		sign.Show()
		if err := s.number(ctx, waiting, sign); err != nil {
			return err
		}
		for _, bt := range waiting {
			id++
			bt.id = id
			if err := s.hand(ctx, bt, sign); err != nil {
				return err
			}
		}
	}
}

// take returns all batches that are decoded, at least one if there is any still to
// come.
func (s *Service) take(ctx context.Context, all []*batch, sign *pulse.Sign) ([]*batch, error) {
	bt, ok, stopped := pulse.Take(sign, s.decoded, ctx.Done())
	switch {
	case stopped:
		return nil, context.Cause(ctx)
	case !ok:
		return nil, nil
	}
	all = append(all, bt)
	for {
		select {
		case bt, ok := <-s.decoded:
			if !ok {
				return all, nil // and none the next time
			}
			all = append(all, bt)
		default:
			return all, nil
		}
	}
}

// hand hands a batch to the lanes.
func (s *Service) hand(ctx context.Context, bt *batch, sign *pulse.Sign) error {
	s.numbers.complete(bt)
	s.showStates()
	if err := s.commits.expect(ctx, bt.id, bt.progress, sign); err != nil {
		return err
	}
	bt.lanes.Store(int32(len(s.lanes)))
	for _, l := range s.lanes {
		if !l.bestEffort {
			l.in <- bt // never full: there are no more batches than it holds
			continue
		}
		sign.Show()
		if !l.offer(ctx, bt) {
			l.refused.Add(uint64(bt.Len()))
			l.lost.add(&l.policy, bt, 0, 0)
			s.release(bt)
		}
	}
	return nil
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

// number numbers the interfaces of batches: together, since keeping a number is
// slow. If new ones cannot be kept, nothing of the interface may leave, so that it
// waits until they can.
func (s *Service) number(ctx context.Context, batches []*batch, sign *pulse.Sign) error {
	for {
		err := s.numbers.number(batches...)
		if err == nil {
			s.numbersFail.over()
			return nil
		}
		s.numbersFail.failed(err)
		s.cfg.OnError(err)
		sign.ShowFor(retryAfter)
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
		defer close(gone)
	}
	bt.goHome()
}
