package source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/source"
	"flow2ipfix/source/sourcetest"
)

// TestFollowerSaysHowFar: what is read and what is delivered are two things, of each
// flow log, and the state says both at the next start.
func TestFollowerSaysHowFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		one, two := sourcetest.Name(vnet, at(2, 0, 0), macA), sourcetest.Name(nsg, at(2, 0, 0), macB)
		r.cfg.Start = at(2, 0, 0)
		r.start()
		if s := r.follow.Stats(); !s.Newest.IsZero() || !s.Delivered.IsZero() || s.LastError != nil || s.Answered.IsZero() {
			t.Errorf("at the start %+v", s)
		}
		r.log(one, "1.a")
		first := time.Now()
		r.pass(time.Minute)
		r.mu.Lock()
		r.hold = true
		r.mu.Unlock()
		r.log(one, "1.b")
		r.log(two, "2.a")
		second := time.Now()
		r.pass(10 * time.Minute)
		check := func(what string, undelivered int, newest, delivered time.Time) {
			t.Helper()
			if s := r.follow.Stats(); s.Undelivered != undelivered || !s.Newest.Equal(newest) || !s.Delivered.Equal(delivered) {
				t.Errorf("%s: %d undelivered, newest %v, delivered %v; want %d, %v, %v", what, s.Undelivered, s.Newest, s.Delivered, undelivered, newest, delivered)
			}
		}
		of := func(name string) source.FlowLogStats {
			all := r.follow.FlowLogs()
			i := slices.IndexFunc(all, func(s source.FlowLogStats) bool { return s.Name == name })
			if i < 0 {
				t.Fatalf("%s is not among %v", name, all)
			}
			return all[i]
		}
		check("held", 2, second, first)
		if s := of(vnet); !s.Newest.Equal(second) || !s.Delivered.Equal(first) || s.Interfaces != 1 || s.LastError != nil {
			t.Errorf("%+v", s)
		}
		if s := of(nsg); !s.Newest.Equal(second) || !s.Delivered.IsZero() {
			t.Errorf("%+v", s)
		}
		r.mu.Lock()
		for _, deliver := range r.held {
			deliver()
		}
		r.hold, r.held = false, nil
		r.mu.Unlock()
		check("delivered", 0, second, second)

		// What fails is said as long as it does.
		away := errors.New("away")
		r.mu.Lock()
		r.Read = func(_ context.Context, d *source.Delta) error {
			if d.Path.MAC == macB {
				return away
			}
			return nil
		}
		r.mu.Unlock()
		r.log(two, "2.b")
		third := time.Now()
		r.pass(2 * time.Minute)
		if s := r.follow.Stats(); !errors.Is(s.LastError, away) || time.Since(s.LastErrorTime) > time.Minute || time.Since(s.Answered) > time.Minute {
			t.Errorf("%+v", s)
		}
		if !errors.Is(of(nsg).LastError, away) || of(vnet).LastError != nil {
			t.Errorf("%v and %v", of(nsg).LastError, of(vnet).LastError)
		}
		r.mu.Lock()
		r.Read = nil
		r.mu.Unlock()
		r.pass(10 * time.Minute)
		check("well again", 0, third, third)
		if s := of(nsg); s.LastError != nil {
			t.Errorf("%v", s.LastError)
		}
		r.end()

		r.start()
		r.pass(time.Minute)
		check("at the next start", 0, third, third)
		r.end()
	})
}

// TestFollowerSaysHowFarWithoutTheBackend: after a restart it is said how far was
// delivered, of each flow log, before the backend says what there is. What was only
// read does not count, nor what is not wanted any more.
func TestFollowerSaysHowFarWithoutTheBackend(t *testing.T) {
	for _, away := range []string{"Hours", "List"} {
		t.Run(away, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				check := func(what string, want map[string]time.Time) {
					t.Helper()
					var newest time.Time
					for _, s := range r.follow.FlowLogs() {
						if !s.Newest.Equal(want[s.Name]) || !s.Delivered.Equal(want[s.Name]) {
							t.Errorf("%s: newest %v, delivered %v of %s; want %v", what, s.Newest, s.Delivered, s.Name, want[s.Name])
						}
						if s.Newest.After(newest) {
							newest = s.Newest
						}
					}
					s := r.follow.Stats()
					if s.FlowLogs != len(want) || s.Undelivered != 0 || !s.Newest.Equal(newest) || !s.Delivered.Equal(newest) {
						t.Errorf("%s: %+v; want %v", what, s, newest)
					}
				}
				one, two := sourcetest.Name(vnet, at(2, 0, 0), macA), sourcetest.Name(nsg, at(2, 0, 0), macA)
				r.log(one, "1.a")
				first := time.Now()
				r.start()
				r.pass(time.Minute)
				r.log(two, "2.a")
				second := time.Now()
				r.pass(10 * time.Minute)
				r.log(sourcetest.Name(vnet, at(2, 0, 0), macB), "not wanted later")
				r.pass(time.Minute)
				r.holding(true)
				r.log(one, "1.b")
				third := time.Now()
				r.pass(time.Minute)
				r.end()

				r.holding(false)
				r.backend.Before(func(_ context.Context, method, _ string) error {
					if method == away {
						return errors.New("away")
					}
					return nil
				})
				r.cfg.Exclude = []string{macB}
				r.start()
				check("at the start", map[string]time.Time{vnet: first, nsg: second})
				r.pass(30 * time.Minute)
				check("later", map[string]time.Time{vnet: first, nsg: second})
				r.backend.Before(nil)
				r.pass(10 * time.Minute)
				check("when it is back", map[string]time.Time{vnet: third, nsg: second})
				r.end()
			})
		})
	}
}

// TestStatsOfMany: to ask how 10 000 network interfaces stand takes next to no time,
// whether one flow log has them all or each has its own. (With the race detector
// there are fewer.)
func TestStatsOfMany(t *testing.T) {
	const nics = 10_000 / slowdown
	for _, flowLogs := range []int{1, nics} {
		backend := &same{names: map[string][]string{}, hour: time.Now().UTC().Truncate(time.Hour), size: 2700}
		for i := range nics {
			flowLog := fmt.Sprint(nsg, i%flowLogs)
			backend.names[flowLog] = append(backend.names[flowLog], sourcetest.Name(flowLog, backend.hour, fmt.Sprintf("000D3A%06X", i)))
		}
		backend.records = []byte(strings.Repeat(","+strings.Repeat("x", int(backend.size-1)), 4))
		backend.ticks.Store(1)
		f, err := source.NewFollower(source.FollowerConfig{Name: "many", Backend: backend, State: newMemory(), PollInterval: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		var read atomic.Int64
		all := make(chan struct{})
		go func() {
			ended <- f.Run(ctx, func(ctx context.Context, d *source.Delta) (source.Cursor, error) {
				body, err := d.Open(ctx)
				if err != nil {
					return source.Cursor{}, err
				}
				defer body.Close()
				n, err := io.Copy(io.Discard, body)
				if read.Add(1) == nics {
					close(all)
				}
				return source.Cursor{Offset: d.Offset + n, Last: backend.hour, Tail: backend.records[backend.size-source.TailBytes : backend.size]}, err
			})
		}()
		<-all
		for f.Stats().Undelivered < nics { // until the last ones are taken down
			runtime.Gosched()
		}
		took := time.Hour
		for range 10 { // the machine has other things to do
			begin := time.Now()
			if s, all := f.Stats(), f.FlowLogs(); s.Blobs != nics || len(all) != flowLogs {
				t.Fatalf("%d flow logs, %+v", len(all), s)
			}
			took = min(took, time.Since(begin))
		}
		t.Logf("%d flow logs: %v", flowLogs, took)
		if took > 50*time.Millisecond {
			t.Errorf("%d flow logs: it takes %v", flowLogs, took)
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
