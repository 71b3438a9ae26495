package bridge

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"flow2ipfix/internal/pulse"
	"flow2ipfix/source"
)

// Store keeps how far blobs are delivered.
type Store interface {
	// Commit keeps all entries or, with an error, none.
	Commit(entries []source.Entry) error
}

// progress is how far a batch brings a blob.
type progress struct {
	source int
	blob   string
	cursor source.Cursor
}

// committer keeps cursors once the lanes have delivered what lies before them, in
// the order of the batches, which is that of each blob.
type committer struct {
	store   Store
	lanes   []*serviceLane
	onError func(error)

	mu      sync.Mutex
	room    *sync.Cond
	waiting []expected // in the order of id
	// How often cursors were kept, and could not be.
	commits, failures uint64

	failing trouble
}

// trouble is a write to the state that is tried until it works. One goroutine
// tells it how that goes, any may ask.
type trouble struct {
	now atomic.Pointer[failure]
}

// failure is nil while all is well.
type failure struct {
	since time.Time
	err   error // of the last try
}

func (t *trouble) failed(err error) {
	since := time.Now()
	if before := t.now.Load(); before != nil {
		since = before.since
	}
	t.now.Store(&failure{since, err})
}

func (t *trouble) over() {
	if t.now.Load() != nil {
		t.now.Store(nil)
	}
}

type expected struct {
	id uint64
	progress
}

// commitEvery is how often cursors are kept: more often wears out disks, more
// seldom means more to send again after a crash.
const commitEvery = time.Second

// maxWaiting bounds what waits to be kept, when the disk is full.
const maxWaiting = 1 << 16

func (c *committer) init(store Store, lanes []*serviceLane, onError func(error)) {
	c.store, c.onError = store, onError
	for _, l := range lanes {
		if !l.bestEffort {
			c.lanes = append(c.lanes, l)
		}
	}
	c.room = sync.NewCond(&c.mu)
}

// expect says what a batch that is about to be handed out will bring. It waits
// while too much waits.
func (c *committer) expect(ctx context.Context, id uint64, p progress, sign *pulse.Sign) error {
	stop := context.AfterFunc(ctx, c.room.Broadcast)
	defer stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) >= maxWaiting && ctx.Err() == nil {
		sign.ShowFor(pulse.Forever) // the committer has a sign of its own
		c.room.Wait()
		sign.Show()
	}
	c.waiting = append(c.waiting, expected{id, p})
	return context.Cause(ctx)
}

// run commits now and then, and once more when all has been sent; the error is
// that of the last time.
func (c *committer) run(sent <-chan struct{}, sources []Follower, sign *pulse.Sign) error {
	defer sign.Done()
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	var failedUntil time.Time
	for {
		sign.Show()
		select {
		case <-tick.C:
			if time.Now().Before(failedUntil) {
				continue
			}
			if err := c.commit(sources); err != nil {
				c.onError(err)
				failedUntil = time.Now().Add(retryAfter)
			}
		case <-sent:
			return c.commit(sources)
		}
	}
}

func (c *committer) commit(sources []Follower) error {
	delivered := c.lanes[0].delivered.Load()
	for _, l := range c.lanes[1:] {
		delivered = min(delivered, l.delivered.Load())
	}
	c.mu.Lock()
	n := 0
	for n < len(c.waiting) && c.waiting[n].id <= delivered {
		n++
	}
	done := c.waiting[:n:n]
	c.mu.Unlock()
	if n == 0 {
		return nil
	}
	// The last one of each blob, in any order: they are kept together.
	type key struct {
		source int
		blob   string
	}
	last := make(map[key]int, n)
	for i := range done {
		last[key{done[i].source, done[i].blob}] = i
	}
	entries := make([]source.Entry, 0, len(last))
	for k, i := range last {
		entries = append(entries, source.Entry{Source: sources[k.source].Name(), Blob: k.blob, Cursor: done[i].cursor})
	}
	if err := c.store.Commit(entries); err != nil {
		c.mu.Lock()
		c.failures++
		c.mu.Unlock()
		err = fmt.Errorf("keep what is delivered: %w", err)
		c.failing.failed(err)
		return err
	}
	c.failing.over()
	c.mu.Lock()
	c.waiting = append(c.waiting[:0:0], c.waiting[n:]...)
	c.commits++
	c.room.Broadcast()
	c.mu.Unlock()
	for k, i := range last {
		sources[k.source].Delivered(k.blob, done[i].cursor.Offset)
	}
	return nil
}
