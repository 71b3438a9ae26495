package source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"flow2ipfix/source"
	"flow2ipfix/source/sourcetest"
)

// onMethod makes a Memory's Before that only sees one method.
func onMethod(method string, do func() error) func(context.Context, string, string) error {
	return func(_ context.Context, called, _ string) error {
		if called != method {
			return nil
		}
		return do()
	}
}

var (
	nameA = sourcetest.Name(vnet, at(2, 0, 0), macA)
	nameB = sourcetest.Name(vnet, at(2, 0, 0), macB)

	errAway = errors.New("away")
)

// TestBrokenReads: a read goes on where it broke, soon at first, then less often.
func TestBrokenReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(nameA, "a")
		r.log(nameA, "b")
		r.log(nameA, "c")
		r.put(nameB, head, foot)
		var breaks atomic.Int32
		breaks.Store(2)
		r.backend.Body(func(name string, _ int64, body io.Reader) io.Reader {
			if name == nameA && breaks.Add(-1) >= 0 {
				return io.MultiReader(io.LimitReader(body, 170), iotest.ErrReader(errAway))
			}
			return body
		})
		r.start()
		r.want("records at once", &r.got, "a")
		r.pass(1500 * time.Millisecond)
		r.want("records after a second", &r.got, "b")
		r.pass(1500 * time.Millisecond)
		r.want("records after two", &r.got, "c") // soon again, since it came further
		r.want("events", &r.events, "flow log found", "read failed 02/"+macA+": away", "read failed 02/"+macA+": away")

		// A body that only ends too early is broken, too.
		r.log(nameA, "d")
		breaks.Store(1)
		r.backend.Body(func(_ string, _ int64, body io.Reader) io.Reader {
			if breaks.Add(-1) >= 0 {
				return io.LimitReader(body, 100)
			}
			return body
		})
		r.pass(time.Minute)
		r.want("records", &r.got, "d")
		r.want("events", &r.events, "read failed 02/"+macA+": unexpected EOF")

		// For long.
		r.backend.Before(onMethod("Open", func() error { return errAway }))
		r.log(nameA, "e")
		r.backend.Calls()
		r.pass(time.Hour)
		if calls := r.backend.Calls(); calls["Open"] < 15 || calls["Open"] > 25 {
			t.Errorf("requests in an hour of failures: %v", calls)
		}
		r.until(at(4, 0, 0)) // the hour waits for it
		r.wantLow(vnet, time.Time{})
		r.backend.Before(nil)
		r.pass(6 * time.Minute)
		r.want("records", &r.got, "e")
		r.wantLow(vnet, at(3, 0, 0))
		r.end()
	})
}

// TestBrokenFoot: a read that breaks behind the last record has missed nothing.
func TestBrokenFoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(nameA, "a")
		r.backend.Body(func(_ string, _ int64, body io.Reader) io.Reader {
			return io.LimitReader(body, int64(len(head+rec("a", time.Now()))))
		})
		r.start()
		r.pass(5 * time.Minute)
		r.want("records", &r.got, "a")
		if calls := r.backend.Calls(); calls["Open"] != 1 {
			t.Errorf("requests %v", calls)
		}
		r.end()
	})
}

// TestPartialReads: a reader that takes less than there is is asked again, at once
// if it came further.
func TestPartialReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for _, id := range []string{"a", "b", "c"} {
			r.log(nameA, id)
		}
		r.limit = 120
		r.start()
		r.want("records", &r.got, "a", "b", "c")
		r.mu.Lock()
		r.limit = 10
		r.mu.Unlock()
		r.log(nameA, "d")
		r.backend.Calls()
		r.pass(10 * time.Minute)
		if calls := r.backend.Calls(); calls["Open"] < 6 || calls["Open"] > 12 {
			t.Errorf("requests %v for a reader that comes no further", calls)
		}
		r.mu.Lock()
		r.limit = 0
		r.mu.Unlock()
		r.pass(6 * time.Minute)
		r.want("records", &r.got, "d")
		r.want("events", &r.events, "flow log found")
		r.end()
	})
}

// TestStalled: a blob that says nothing is given up for now.
func TestStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(nameA, "a")
		var stalls atomic.Int32
		r.backend.Before(func(ctx context.Context, method, _ string) error {
			if method == "Open" && stalls.Add(1) <= 2 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		})
		r.start()
		r.log(sourcetest.Name(nsg, at(2, 0, 0), macA), "n")
		r.pass(10 * time.Minute)
		r.wantSet("records", &r.got, "a", "n")
		for _, e := range take(r, &r.events) {
			if strings.Contains(e, "failed") && !strings.HasSuffix(e, "nothing came for 1m0s") {
				t.Error(e)
			}
		}
		r.end()
	})
}

// TestListFails: one flow log waits longer and longer, the others go on.
func TestListFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		n := sourcetest.Name(nsg, at(2, 0, 0), macA)
		r.log(nameA, "v0")
		r.log(n, "n0")
		var failing atomic.Bool
		var asked atomic.Int32
		r.backend.Before(func(_ context.Context, method, of string) error {
			if failing.Load() && (method == "List" || method == "Hours") && strings.HasPrefix(of, nsg) {
				asked.Add(1)
				return errAway
			}
			return nil
		})
		r.start()
		r.wantSet("records", &r.got, "n0", "v0")
		failing.Store(true)
		var want []string
		for i := range 30 {
			r.log(nameA, fmt.Sprint("v", i+1))
			r.log(n, fmt.Sprint("n", i+1))
			want = append(want, fmt.Sprint("v", i+1))
			r.pass(time.Minute)
		}
		r.want("records", &r.got, want...)
		if n := asked.Load(); n < 7 || n > 11 {
			t.Errorf("asked %d times in half an hour", n)
		}
		failing.Store(false)
		r.pass(6 * time.Minute)
		if got := take(r, &r.got); len(got) != 30 {
			t.Errorf("records when it is back: %q", got)
		}
		events := take(r, &r.events)
		if last := events[len(events)-1]; last != "list recovered" || len(events) != int(asked.Load())+3 || !strings.HasPrefix(events[2], "list failed: list blobs of 2026-11-21T02: away") {
			t.Errorf("events %q", events)
		}
		r.end()
	})
}

// TestDiscovery: flow logs that come, that go, and that cannot be listed.
func TestDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.backend.Before(onMethod("FlowLogs", func() error { return errAway }))
		r.log(nameA, "v")
		r.start()
		r.pass(25 * time.Minute)
		r.want("records", &r.got)
		if calls := r.backend.Calls(); calls["FlowLogs"] < 6 || calls["FlowLogs"] > 11 || len(calls) != 1 {
			t.Errorf("requests %v", calls)
		}
		if events := take(r, &r.events); events[0] != "discovery failed: away" {
			t.Errorf("events %q", events)
		}
		r.backend.Before(nil)
		r.pass(6 * time.Minute)
		r.want("records", &r.got, "v")
		n := sourcetest.Name(nsg, time.Now(), macA)
		r.log(n, "n")
		r.pass(6 * time.Minute)
		r.want("records", &r.got, "n")
		r.want("events", &r.events, "flow log found", "flow log found")
		for _, name := range []string{n, nameA} {
			if err := r.backend.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		r.until(at(3, 30, 0)) // their hour is over
		r.wantSet("events", &r.events, "blob deleted 02/"+macA, "blob deleted 02/"+macA, "flow log gone", "flow log gone")
		r.backend.Calls()
		r.pass(time.Hour)
		if calls := r.backend.Calls(); calls["List"] != 0 {
			t.Errorf("requests for flow logs that are gone: %v", calls)
		}
		r.log(sourcetest.Name(nsg, time.Now(), macA), "again")
		r.pass(6 * time.Minute)
		r.want("records", &r.got, "again")
		r.end()
	})
}

// TestStateFails: nothing is lost when the checkpoint cannot be used for a while.
func TestStateFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.state.fail(errAway)
		r.start()
		if err := <-r.ended; !errors.Is(err, errAway) {
			t.Errorf("Run without a beginning: %v", err)
		}
		r.state.fail(nil)
		r.log(nameA, "a")
		r.start()
		r.state.fail(errAway)
		r.log(sourcetest.Name(nsg, at(2, 0, 0), macA), "n")
		r.until(at(3, 30, 0))
		r.want("records", &r.got, "a")
		r.wantLow(vnet, time.Time{})
		for _, e := range take(r, &r.events)[2:] {
			if e != "state failed: read or write the checkpoint: away" {
				t.Error(e)
			}
		}
		r.state.fail(nil)
		r.pass(6 * time.Minute)
		r.want("records", &r.got, "n")
		r.wantLow(vnet, at(3, 0, 0))
		r.wantLow(nsg, at(3, 0, 0))
		r.end()
	})
}

// TestSlowReader: one that is slow gets no second read of a blob, and keeps the
// end waiting no longer than its context.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.Read = func(ctx context.Context, _ *source.Delta) error {
			select {
			case <-time.After(10 * time.Minute):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		r.log(nameA, "a")
		r.log(sourcetest.Name(nsg, at(2, 0, 0), macA), "n")
		r.start()
		r.pass(5 * time.Minute)
		r.log(nameA, "b")
		r.pass(6 * time.Minute)
		r.wantSet("records", &r.got, "a", "b", "n")
		r.log(nameA, "c")
		r.pass(5 * time.Minute)
		r.end() // in the midst of a read
		r.want("events", &r.events, "flow log found", "flow log found")
	})
}

// TestClock: a gap as long as a day is looked into, not counted through.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(nameA, "a")
		var asleep atomic.Bool
		r.backend.Before(func(context.Context, string, string) error {
			if asleep.CompareAndSwap(true, false) {
				time.Sleep(10 * 24 * time.Hour)
			}
			return nil
		})
		r.start()
		asleep.Store(true)
		r.pass(11 * 24 * time.Hour)
		r.log(sourcetest.Name(vnet, time.Now(), macA), "b")
		r.backend.Calls()
		r.pass(time.Minute)
		r.want("records", &r.got, "a", "b")
		r.end()
	})
}
