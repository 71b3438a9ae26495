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

	exported uint64 // tuples
	skipped  [convert.SkipCount]uint64
}

// linger is how long a lane waits for more before it sends a message that is not
// full.
const linger = 100 * time.Millisecond

// run sends what comes in until in is closed and all of it has left. Batches go
// back to free when the last lane is done with them.
func (l *lane) run(ctx context.Context, free chan<- *batch) error {
	idle := time.NewTimer(linger)
	defer idle.Stop()
	for {
		select {
		case bt, ok := <-l.in:
			if !ok {
				return l.session.Sync(ctx)
			}
			if err := l.export(ctx, bt); err != nil {
				return err
			}
			if bt.lanes.Add(-1) == 0 {
				free <- bt
			}
			idle.Reset(linger)
		case <-idle.C:
			if err := l.session.Flush(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
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
