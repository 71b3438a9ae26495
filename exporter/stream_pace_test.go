package exporter

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStreamBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		s := fakeStream(t, Config{}, func(context.Context) (link, error) {
			at = append(at, time.Now())
			return nil, errors.New("not there")
		})
		for len(at) < 12 {
			wantDelivered(t, s, 0)
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		want := 500 * time.Millisecond
		varied := false
		for i := range at[1:] {
			waited := at[i+1].Sub(at[i])
			if waited < want*8/10 || waited > want*12/10+2*time.Millisecond {
				t.Errorf("wait %d was %v, want %v and a fifth more or less", i, waited, want)
			}
			varied = varied || waited < want*97/100 || waited > want*103/100
			want = min(2*want, 30*time.Second)
		}
		if !varied {
			t.Error("the waits do not vary")
		}
		wantDelivered(t, s, 0)
		if st := s.Stats(); st.Failures < 11 || st.LastError == nil || st.RetryAt.Before(time.Now()) {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestStreamBackoffForgets: a collector that accepts and closes at once is not
// stormed; one that took something is connected to soon.
func TestStreamBackoffForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		var f *fakeLink
		s := fakeStream(t, Config{}, func(context.Context) (link, error) {
			at = append(at, time.Now())
			f = &fakeLink{}
			return f, nil
		})
		for len(at) < 6 {
			if f != nil {
				f.err = errors.New("closed")
			}
			wantDelivered(t, s, 0)
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		if last := at[5].Sub(at[4]); last < 6*time.Second {
			t.Errorf("the fifth wait was only %v", last)
		}
		sendSome(t, s, 1, 1)
		settleDown(t, s)
		f.done = 1
		wantDelivered(t, s, 1)
		f.err = errors.New("closed")
		lost := time.Now()
		for len(at) < 7 {
			wantDelivered(t, s, 1)
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		if wait := at[6].Sub(lost); wait > 610*time.Millisecond {
			t.Errorf("after a delivery the wait is %v", wait)
		}
	})
}

// TestStreamProbes: over UDP a collector that refused gets templates first, and
// the rest when it has not refused them.
func TestStreamProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var links []*fakeLink
		s := fakeStream(t, Config{}, func(context.Context) (link, error) {
			links = append(links, &fakeLink{wait: time.Second, repeat: true})
			return links[len(links)-1], nil
		})
		sendSome(t, s, 1, 1)
		settleDown(t, s)
		if len(links) != 1 || len(links[0].messages) != 2 || !s.Stats().Connected {
			t.Fatalf("the first link is not used at once: %d links", len(links))
		}
		links[0].err = ErrRefused
		wantDelivered(t, s, 0)
		time.Sleep(650 * time.Millisecond)
		settleDown(t, s)
		if diff := cmp.Diff([]string{"domain 7 seq 0: templates 256 257"}, outlines(t, links[1].messages)); diff != "" {
			t.Fatalf("probe (-want +got):\n%s", diff)
		}
		if s.Stats().Connected {
			t.Error("connected while it probes")
		}
		links[1].err = ErrRefused
		wantDelivered(t, s, 0)
		time.Sleep(1250 * time.Millisecond)
		settleDown(t, s)
		time.Sleep(999 * time.Millisecond)
		settleDown(t, s)
		if n := len(links[2].messages); n != 1 {
			t.Fatalf("%d messages while the probe is out", n)
		}
		time.Sleep(2 * time.Millisecond)
		settleDown(t, s)
		want := []string{"domain 7 seq 0: templates 256 257", "domain 7 seq 0: 256x1"}
		if diff := cmp.Diff(want, outlines(t, links[2].messages)); diff != "" {
			t.Errorf("after the probe (-want +got):\n%s", diff)
		}
	})
}

func TestStreamBestEffort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeLink
		opening := make(chan struct{})
		s := fakeStream(t, Config{BestEffort: true, MaxKeptBytes: 1 << 16}, func(ctx context.Context) (link, error) {
			select {
			case <-opening:
				return f, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		})
		export := func() (time.Duration, error) {
			begin := time.Now()
			err := s.Export(t.Context(), 1, &v4)
			return time.Since(begin), err
		}
		// The first connection is waited for, a second at most.
		if took, err := export(); !errors.Is(err, ErrAway) || took > firstPatience+10*time.Millisecond {
			t.Errorf("Export = %v after %v, want %v after a second", err, took, ErrAway)
		}
		for range 3 {
			if took, err := export(); !errors.Is(err, ErrAway) || took != 0 || hintOf(err) == "" {
				t.Errorf("Export = %v after %v, want %v at once", err, took, ErrAway)
			}
		}
		if _, err := s.Drain(t.Context()); err != nil {
			t.Errorf("Drain of nothing = %v", err)
		}
		f = &fakeLink{all: true}
		close(opening)
		synctest.Wait()
		if took, err := export(); err != nil || took != 0 {
			t.Errorf("Export = %v after %v, want none at once", err, took)
		}
		// A collector that takes nothing is away, too, when that lasts.
		f.busy = true
		var err error
		begin := time.Now()
		for err == nil {
			_, err = export()
		}
		if took := time.Since(begin); !errors.Is(err, ErrAway) || took < time.Second || took > 5*time.Second {
			t.Errorf("Export = %v after %v, want %v in a while", err, took, ErrAway)
		}
		if took, err := export(); !errors.Is(err, ErrAway) || took != 0 {
			t.Errorf("Export = %v after %v, want %v at once", err, took, ErrAway)
		}
		f.busy = false
		if _, err := export(); err != nil {
			t.Errorf("Export = %v, want none", err)
		}
		f.err = errors.New("gone")
		sendUntil := func() (err error) {
			for err == nil {
				_, err = export()
			}
			return err
		}
		if err := sendUntil(); !errors.Is(err, ErrAway) {
			t.Errorf("Export = %v, want %v", err, ErrAway)
		}
		if _, err := s.Drain(t.Context()); !errors.Is(err, ErrAway) {
			t.Errorf("Drain = %v, want %v", err, ErrAway)
		}
	})
}

// TestStreamRate: the rate holds for what is sent again as well.
func TestStreamRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, total = 10_000, 30_000
		var f *fakeLink
		s := fakeStream(t, Config{Rate: rate}, func(context.Context) (link, error) {
			f = &fakeLink{repeat: true}
			return f, nil
		})
		begin := time.Now()
		sendSome(t, s, 1, total)
		settleDown(t, s)
		if took, want := time.Since(begin), total*time.Second/rate; took < want*97/100 || took > want*103/100 {
			t.Errorf("%d records took %v, want %v", total, took, want)
		}
		if waited, took := s.Stats().PacingWait, time.Since(begin); waited > took || waited < took*9/10 {
			t.Errorf("%v of %v were waited for the rate limit", waited, took)
		}
		f.err = errors.New("gone")
		wantDelivered(t, s, 0)
		time.Sleep(time.Second)
		begin = time.Now()
		for s.unsent < s.backlog.end() || s.link == nil { // as a lane that has nothing new
			wantDelivered(t, s, 0)
			time.Sleep(50 * time.Millisecond)
		}
		if took, want := time.Since(begin), total*time.Second/rate; took < want || took > 4*want {
			t.Errorf("%d records took %v again, want more than %v, but not for ever", total, took, want)
		}
		first := 0
		for i := range f.times {
			for f.times[i].Sub(f.times[first]) >= 10*time.Millisecond {
				first++
			}
			if n := (i - first + 1) * 23; n > 3*rate/100 {
				t.Fatalf("%d records within 10 ms", n)
			}
		}
	})
}

// TestStreamRenews: a link with a term is replaced without a record sent twice.
func TestStreamRenews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var links []*fakeLink
		var refuse error
		s := fakeStream(t, Config{}, func(context.Context) (link, error) {
			if refuse != nil {
				return nil, refuse
			}
			links = append(links, &fakeLink{life: time.Minute, repeat: true})
			return links[len(links)-1], nil
		})
		sendSome(t, s, 1, 1)
		settleDown(t, s)
		refuse = errors.New("cannot look the name up")
		time.Sleep(time.Minute)
		settleDown(t, s)
		if s.link == nil || s.Stats().LastError == nil {
			t.Fatal("a name that cannot be looked up ends a session that works")
		}
		refuse = nil
		time.Sleep(time.Minute)
		settleDown(t, s)
		sendSome(t, s, 2, 2)
		settleDown(t, s)
		if len(links) != 2 || links[0].closed || len(links[1].messages) != 0 {
			t.Fatal("the new link is used before all is delivered on the old one")
		}
		links[0].done = 1
		wantDelivered(t, s, 1)
		settleDown(t, s)
		if !links[0].closed {
			t.Error("the old link stays open")
		}
		want := []string{"domain 7 seq 0: templates 256 257", "domain 7 seq 0: 256x1"}
		if diff := cmp.Diff(want, outlines(t, links[1].messages)); diff != "" {
			t.Errorf("second session (-want +got):\n%s", diff)
		}
		if st := s.Stats(); st.ResentRecords != 0 || st.Reconnects != 0 || st.Connections != 2 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestStreamRepeatsTemplates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLink{repeat: true, all: true}
		s := fakeStream(t, Config{}, func(context.Context) (link, error) { return f, nil })
		for n := range 3 {
			sendSome(t, s, n+1, n+1)
			settleDown(t, s)
			time.Sleep(40 * time.Second)
		}
		want := []string{
			"domain 7 seq 0: templates 256 257", "domain 7 seq 0: 256x1", "domain 7 seq 1: 256x1",
			"domain 7 seq 2: templates 256 257", "domain 7 seq 2: 256x1",
		}
		if diff := cmp.Diff(want, outlines(t, f.messages)); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
}
