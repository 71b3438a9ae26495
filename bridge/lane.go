package bridge

import (
	"context"
	"time"

	"flow2ipfix/exporter"
)

// lane converts and sends to one collector. Its goroutine owns the session.
type lane struct {
	outlet
	session *exporter.Session
	in      chan *batch

	err error // why the session is dead
}

// linger is how long a lane waits for more before it sends a message that is not
// full.
const linger = 100 * time.Millisecond

// farewell is how long what was begun may take to leave when the run is ended.
const farewell = 2 * time.Second

// run sends what comes in until in is closed and all of it has left. Batches go
// home when the last lane is done with them. A lane whose session failed
// only does that: the others go on without it.
func (l *lane) run(ctx context.Context, failed func(error)) error {
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
				fail(l.export(ctx, l.session, bt))
			}
			if l.err == nil {
				fail(l.session.Pause(ctx))
			}
			if bt.lanes.Add(-1) == 0 {
				bt.goHome()
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
