// Package pulse is how the stages of the daemon show that they are alive: each
// leaves a sign when it goes round its loop, and whoever feeds a watchdog asks who
// has left none. What a sign is taken for is decided elsewhere.
package pulse

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Forever is for a stage that waits for another one, which is watched itself.
const Forever = time.Duration(math.MaxInt64)

// Board holds the signs of all stages. Any goroutine may use it. A nil Board
// watches nobody.
type Board struct {
	base  time.Time
	mu    sync.Mutex
	signs map[*Sign]struct{}
}

// NewBoard returns a Board without stages.
func NewBoard() *Board {
	return &Board{base: time.Now(), signs: map[*Sign]struct{}{}}
}

// Add begins to watch a stage, which has to show its sign from now on, and to say
// when it is done.
func (b *Board) Add(stage string) *Sign {
	if b == nil {
		return nil
	}
	s := &Sign{board: b, stage: stage}
	s.Show()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.signs[s] = struct{}{}
	return s
}

// Silent returns the stages that have shown no sign since then, sorted.
func (b *Board) Silent(since time.Time) []string {
	if b == nil {
		return nil
	}
	at := int64(since.Sub(b.base))
	b.mu.Lock()
	defer b.mu.Unlock()
	var silent []string
	for s := range b.signs {
		if s.until.Load() < at {
			silent = append(silent, s.stage)
		}
	}
	slices.Sort(silent)
	return slices.Compact(silent)
}

// Sign is that of one stage. Showing it costs a look at the clock and a store. A
// nil Sign shows nothing.
type Sign struct {
	board *Board
	stage string
	until atomic.Int64 // since base; it has been shown up to then
}

// Show says that the stage goes on.
func (s *Sign) Show() {
	if s != nil {
		s.until.Store(int64(time.Since(s.board.base)))
	}
}

// ShowFor says that the stage goes on, and will show itself again when d is over
// at the latest: it waits for something that takes no longer.
func (s *Sign) ShowFor(d time.Duration) {
	if s == nil {
		return
	}
	now := time.Since(s.board.base)
	if d > Forever-now {
		d = Forever - now
	}
	s.until.Store(int64(now + d))
}

// Done says that the stage has ended.
func (s *Sign) Done() {
	if s == nil {
		return
	}
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	delete(s.board.signs, s)
}

// every is how often a stage that waits for another one shows itself.
const every = time.Second

// Take receives from a channel of another stage, and shows s meanwhile. It reports
// false if the channel was closed, or stop is, which it then says as well.
func Take[T any](s *Sign, from <-chan T, stop <-chan struct{}) (v T, ok, stopped bool) {
	select {
	case <-stop:
		return v, false, true
	default:
	}
	select { // mostly there is something, and no timer is needed
	case v, ok = <-from:
		return v, ok, false
	default:
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		s.Show()
		select {
		case v, ok = <-from:
			return v, ok, false
		case <-stop:
			return v, false, true
		case <-t.C:
		}
	}
}

// Put sends to a channel of another stage, and shows s meanwhile. It reports false
// if stop is closed.
func Put[T any](s *Sign, to chan<- T, v T, stop <-chan struct{}) bool {
	select {
	case <-stop:
		return false
	default:
	}
	select {
	case to <- v:
		return true
	default:
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		s.Show()
		select {
		case to <- v:
			return true
		case <-stop:
			return false
		case <-t.C:
		}
	}
}
