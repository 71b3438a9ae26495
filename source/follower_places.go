package source

import (
	"context"
	"slices"
	"sync"
	"time"
)

// kind is what a blob is read for.
type kind uint8

const (
	fresh   kind = iota // what comes now
	backlog             // what came while nobody read
	kinds
)

// turn is how long a blob is read, at most, before another one may be: short, so
// that what is fresh does not wait for an old hour, and long enough that to open a
// blob again costs nothing.
const turn = 5 * time.Second

// places are the readers that a Follower has. What is fresh goes first, and while
// any of it is read, the backlog has one place; otherwise it has all but one. What
// is of a kind gets its turn in the order in which it came.
type places struct {
	count int
	every time.Duration // how often the backlog has the only place, however much is fresh

	mu      sync.Mutex
	reading [kinds]int
	waiting [kinds][]chan struct{}
	last    time.Time // when the backlog last got a place
}

// acquire waits for a place; it reports false if ctx ended first.
func (p *places) acquire(ctx context.Context, k kind) bool {
	granted := make(chan struct{})
	p.mu.Lock()
	p.waiting[k] = append(p.waiting[k], granted)
	p.grant()
	p.mu.Unlock()
	select {
	case <-granted:
		return true
	case <-ctx.Done():
	}
	p.mu.Lock()
	i := slices.Index(p.waiting[k], granted)
	if i >= 0 {
		p.waiting[k] = slices.Delete(p.waiting[k], i, i+1)
	}
	p.mu.Unlock()
	if i < 0 { // it came at the same time
		p.release(k)
	}
	return false
}

func (p *places) release(k kind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reading[k]--
	p.grant()
}

// grant gives away the places that are free. The caller holds the lock.
func (p *places) grant() {
	for {
		k, ok := p.next()
		if !ok {
			return
		}
		if k == backlog {
			p.last = time.Now()
		}
		p.reading[k]++
		close(p.waiting[k][0])
		p.waiting[k] = slices.Delete(p.waiting[k], 0, 1)
	}
}

// next returns who is to have the next place.
func (p *places) next() (kind, bool) {
	free := p.count - p.reading[fresh] - p.reading[backlog]
	wantFresh, wantOld := len(p.waiting[fresh]) > 0, len(p.waiting[backlog]) > 0
	switch {
	case free == 0:
		return 0, false
	case wantOld && p.reading[backlog] == 0 && (p.count > 1 || !wantFresh || time.Since(p.last) >= p.every):
		return backlog, true
	case wantFresh:
		return fresh, true
	}
	return backlog, wantOld && p.reading[fresh] == 0 && free > 1
}
