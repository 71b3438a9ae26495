package bridge

import (
	"context"
	"time"

	"flow2ipfix/flowlog"
)

// clock plays records back in their own time.
type clock struct {
	speed float64
	shift bool

	first int64 // log time of the first record, ms
	begun time.Time
}

// wait returns when it is time for a record, and how far its times are to be
// moved, in milliseconds.
func (c *clock) wait(ctx context.Context, b *flowlog.Batch, r *flowlog.Record) (int64, error) {
	if c.speed == 0 && !c.shift {
		return 0, nil
	}
	at := r.Time
	groups := b.Groups(r)
	for i := range groups {
		if flows := b.Flows(&groups[i]); at == 0 {
			at = flows[len(flows)-1].Time
		}
	}
	if at == 0 {
		return 0, nil // nothing in it
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
			return 0, context.Cause(ctx)
		}
	}
	return time.Now().UnixMilli() - at, nil
}
