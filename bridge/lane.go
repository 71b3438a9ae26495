package bridge

import (
	"context"
	"time"

	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/templates"
)

// lane converts and sends to one collector. Its goroutine owns the session.
type lane struct {
	name    string
	policy  convert.Policy
	session *exporter.Session
	in      chan *batch

	err      error  // why the session is dead
	exported uint64 // tuples
	skipped  [convert.SkipCount]uint64
}

// linger is how long a lane waits for more before it sends a message that is not
// full.
const linger = 100 * time.Millisecond

// farewell is how long what was begun may take to leave when the run is ended.
const farewell = 2 * time.Second

// run sends what comes in until in is closed and all of it has left. Batches go
// back to free when the last lane is done with them. A lane whose session failed
// only does that: the others go on without it.
func (l *lane) run(ctx context.Context, free chan<- *batch, failed func(error)) error {
	idle := time.NewTimer(linger)
	defer idle.Stop()
	fail := func(err error) {
		if err != nil && l.err == nil && ctx.Err() == nil {
			l.err = err
			failed(err)
		}
	}
	for {
		select {
		case bt, ok := <-l.in:
			if !ok {
				if l.err == nil {
					fail(l.session.Sync(ctx))
				}
				return nil
			}
			if l.err == nil {
				fail(l.export(ctx, bt))
			}
			if bt.lanes.Add(-1) == 0 {
				free <- bt
			}
			idle.Reset(linger)
		case <-idle.C:
			if l.err == nil {
				fail(l.session.Flush(ctx))
			}
		case <-ctx.Done():
			return l.leave(ctx)
		}
	}
}

// leave sends what was counted as exported before the run was ended, and
// returns why it was.
func (l *lane) leave(ctx context.Context) error {
	if l.err == nil {
		short, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		l.err = l.session.Sync(short)
	}
	return context.Cause(ctx)
}

func (l *lane) export(ctx context.Context, bt *batch) error {
	var out [convert.MaxRecords]templates.Record
	oldest := l.policy.Filter.Oldest()
	next := 0
	for i := range bt.Records {
		r := &bt.Records[i]
		groups := bt.Groups(r)
		for k := range groups {
			origin := bt.origins[next]
			origin.Oldest = oldest
			next++
			shift := int64(0)
			if len(bt.shifts) > 0 {
				shift = bt.shifts[i]
			}
			flows := bt.Flows(&groups[k])
			if !l.policy.Filter.Group(r, &groups[k]) {
				l.skipped[convert.SkippedFilter] += uint64(len(flows))
				continue
			}
			for j := range flows {
				n, skip := l.policy.Records(origin, &flows[j], &out)
				if n == 0 {
					l.skipped[skip]++
					continue
				}
				for m := range n {
					out[m].Start += shift
					out[m].End += shift
					if err := l.session.Export(ctx, origin.Domain, &out[m]); err != nil {
						return err
					}
				}
				l.exported++
			}
		}
	}
	return nil
}
