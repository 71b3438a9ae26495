package largepages

import "sync"

// Pool is memory for some large values that many need for a short time, and that have no
// pointer in them. The value that was put back last is taken first: it may still be in a
// cache. (A sync.Pool forgets values now and then, and what is new is touched for the first
// time.)
type Pool[T any] struct {
	// Keep is how many values are in large pages, and how many others are kept at most.
	// Those of large pages are never given back to the system.
	Keep int

	mu     sync.Mutex
	spare  []*T
	all    []T // in large pages
	unused []T // the rest of them
}

// Take returns a value, with whatever is in it. fresh says that it was never used: its
// pages are touched for the first time.
func (p *Pool[T]) Take() (value *T, fresh bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.spare) - 1; last >= 0 {
		value = p.spare[last]
		p.spare[last] = nil
		p.spare = p.spare[:last]
		return value, false
	}
	if p.all == nil {
		p.all = Make[T](p.Keep)
		p.unused = p.all
	}
	if len(p.unused) == 0 {
		return new(T), true
	}
	value, p.unused = &p.unused[0], p.unused[1:]
	return value, true
}

// Put gives values back that Take returned and nobody uses any more. Those that are not
// in large pages are the garbage collector's when there are enough.
func (p *Pool[T]) Put(values ...*T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, value := range values {
		if len(p.spare) < p.Keep || p.owns(value) {
			p.spare = append(p.spare, value)
		}
	}
}
