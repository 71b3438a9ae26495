package pulse

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard()
		one, two := b.Add("one"), b.Add("two")
		check := func(since time.Time, want ...string) {
			t.Helper()
			if got := b.Silent(since); !slices.Equal(got, want) {
				t.Errorf("silent are %q, want %q", got, want)
			}
		}
		began := time.Now()
		check(began)
		time.Sleep(time.Second)
		check(time.Now(), "one", "two")
		check(began)
		one.Show()
		check(time.Now(), "two")
		two.ShowFor(time.Minute)
		time.Sleep(30 * time.Second)
		check(time.Now(), "one")
		time.Sleep(31 * time.Second)
		check(time.Now(), "one", "two")
		two.ShowFor(Forever)
		time.Sleep(1000 * time.Hour)
		check(time.Now(), "one")
		one.Done()
		check(time.Now())
		two.Show() // back: it is to be seen again
		time.Sleep(time.Second)
		check(time.Now(), "two")
	})
}

// TestWaiting: who waits for another stage shows itself as long as that takes.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard()
		taker, putter := b.Add("taker"), b.Add("putter")
		from, to, stop := make(chan int), make(chan int), make(chan struct{})
		taken, put := make(chan int), make(chan bool)
		go func() {
			v, _, _ := Take(taker, from, stop)
			taken <- v
		}()
		go func() { put <- Put(putter, to, 3, stop) }()
		for range 100 {
			since := time.Now()
			time.Sleep(every + time.Millisecond)
			if got := b.Silent(since); len(got) > 0 {
				t.Fatalf("silent are %q", got)
			}
		}
		from <- 7
		if got := <-taken; got != 7 {
			t.Errorf("took %d", got)
		}
		if got := <-to; got != 3 || !<-put {
			t.Errorf("put %d", got)
		}
		close(stop)
		if _, ok, stopped := Take(taker, from, stop); ok || !stopped {
			t.Error("took something of a channel that has nothing")
		}
		if Put(putter, to, 3, stop) {
			t.Error("put something into a channel that nobody reads")
		}
		close(from)
		if _, ok, stopped := Take(taker, from, nil); ok || stopped {
			t.Error("a closed channel is not told")
		}
	})
}

// TestNobody: without a board nobody is watched.
func TestNobody(t *testing.T) {
	var b *Board
	s := b.Add("one")
	s.Show()
	s.ShowFor(time.Second)
	s.Done()
	if got := b.Silent(time.Now()); got != nil {
		t.Errorf("silent are %q", got)
	}
}

func BenchmarkShow(b *testing.B) {
	s := NewBoard().Add("one")
	b.ReportAllocs()
	for b.Loop() {
		s.Show()
	}
}
