package source_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/source"
	"flow2ipfix/source/dir"
	"flow2ipfix/source/sourcetest"
)

// TestRestartLate: an hour that was written to just before the program came back
// is watched as long as if it had never ended.
func TestRestartLate(t *testing.T) {
	for name, tc := range map[string]struct {
		modified time.Time // when the blob says, at the restart; zero: as it was
		want     []string
		low      time.Time
	}{
		"as it was":           {time.Time{}, []string{"a", "b", "c"}, at(3, 0, 0)},
		"a clock that is off": {at(23, 0, 0), []string{"a", "b", "c"}, at(3, 0, 0)},
		"long ago":            {at(2, 59, 0), []string{"a", "b"}, at(3, 0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.log(nameA, "a")
				r.start()
				r.until(at(3, 14, 0))
				r.log(nameA, "b")
				r.pass(time.Minute)
				r.end()
				r.until(at(3, 20, 0))
				if !tc.modified.IsZero() {
					r.backend.SetModified(nameA, tc.modified)
				}
				r.start()
				r.until(at(3, 21, 0))
				r.log(nameA, "c")
				r.until(at(3, 50, 0))
				r.want("records", &r.got, tc.want...)
				r.wantLow(vnet, tc.low)
				r.end()
			})
		})
	}
}

// TestHourFails: an hour that cannot be listed costs no other.
func TestHourFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.cfg.Start = at(1, 0, 0)
		r.log(sourcetest.Name(vnet, at(1, 0, 0), macA), "old")
		r.log(nameA, "0")
		var tries atomic.Int32
		r.backend.Before(func(_ context.Context, method, of string) error {
			if method == "List" && strings.HasSuffix(of, "T01") {
				tries.Add(1)
				return errAway
			}
			return nil
		})
		r.start()
		want := []string{"0"}
		for i := range 30 {
			id := fmt.Sprint(i + 1)
			want = append(want, id)
			r.log(nameA, id)
			r.pass(34 * time.Second) // a poll
		}
		r.want("records", &r.got, want...)
		asked := int(tries.Load())
		if asked < 5 || asked > 9 {
			t.Errorf("asked %d times in 17 minutes", asked)
		}
		if events := take(r, &r.events); len(events) != asked+1 || events[1] != "list failed: list blobs of 2026-11-21T01: away" {
			t.Errorf("asked %d times, events %q", asked, events)
		}
		r.until(at(3, 50, 0))
		r.wantLow(vnet, time.Time{})
		r.backend.Before(nil)
		r.pass(6 * time.Minute)
		r.want("records", &r.got, "old")
		r.pass(20 * time.Minute)
		r.wantLow(vnet, at(4, 0, 0))
		if events := take(r, &r.events); events[len(events)-1] != "list recovered" {
			t.Errorf("events %q", events)
		}
		r.end()
	})
}

// partly lists all but one blob while it is told to.
type partly struct {
	source.Backend
	without string
	broken  atomic.Bool
}

func (p *partly) List(ctx context.Context, flowLog string, hour time.Time) ([]source.Info, error) {
	infos, err := p.Backend.List(ctx, flowLog, hour)
	for i, info := range infos {
		if info.Name == p.without && p.broken.Load() {
			return append(infos[:i], infos[i+1:]...), errAway
		}
	}
	return infos, err
}

// TestPartOfHourFails: what is listed beside an error is read, and what is not is
// not taken for gone.
func TestPartOfHourFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		backend := &partly{Backend: r.backend, without: nameA}
		r.cfg.Backend = backend
		r.log(nameA, "a")
		r.log(nameB, "b")
		r.start()
		r.wantSet("records", &r.got, "a", "b")
		backend.broken.Store(true)
		r.end()
		r.start()
		r.log(nameB, "b2")
		r.log(nameA, "a2")
		r.until(at(3, 50, 0))
		r.want("records", &r.got, "b2")
		r.want("forgotten", &r.state.forgot)
		r.wantLow(vnet, time.Time{})
		backend.broken.Store(false)
		r.pass(6 * time.Minute)
		r.want("records", &r.got, "a2")
		r.pass(20 * time.Minute)
		r.wantLow(vnet, at(4, 0, 0))
		r.end()
	})
}

// TestBacklogDelivered: hours that are delivered are not kept until all are read.
func TestBacklogDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for h := range 24 {
			hour := at(1, 0, 0).Add(time.Duration(h-24) * time.Hour)
			for _, mac := range []string{macA, macB} {
				name := sourcetest.Name(vnet, hour, mac)
				r.put(name, head, rec(fmt.Sprint(h), hour.Add(time.Minute)), foot)
				r.backend.SetModified(name, hour.Add(time.Hour))
			}
		}
		most, reads := 0, 0
		r.Read = func(context.Context, *source.Delta) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			for len(r.held) > 4 { // late, as collectors are
				r.held[0]()
				r.held = r.held[1:]
			}
			reads++
			most = max(most, r.follow.Stats().Blobs)
			if low := r.state.lowWater(vnet); reads == 40 && low.Before(at(0, 0, 0).Add(-8*time.Hour)) {
				t.Errorf("the low-water mark is %v when 40 of 48 blobs are read", low)
			}
			return nil
		}
		r.holding(true)
		r.start()
		r.deliver()
		r.pass(time.Minute)
		if most > 12 || reads != 48 {
			t.Errorf("%d blobs at once, %d reads", most, reads)
		}
		r.wantLow(vnet, at(2, 0, 0))
		r.end()
	})
}

// TestUnmounted: a directory that is away for hours, and an empty mount point
// meanwhile, is not one whose blobs are gone.
func TestUnmounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		mount := filepath.Join(t.TempDir(), "mount")
		write := func(path string, hour int, records ...string) {
			path = filepath.Join(path, sourcetest.Name("flow", at(hour, 0, 0), macA))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(head+strings.Join(records, ",")+foot), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		move := func(from, to string) {
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
		a := rec("a", at(2, 20, 0))
		write(mount, 2, a)
		r.cfg.Backend = dir.New(mount)
		r.start()
		r.until(at(2, 30, 0))
		r.want("records", &r.got, "a")
		move(mount, mount+".away")
		if err := os.Mkdir(mount, 0o755); err != nil {
			t.Fatal(err)
		}
		write(mount+".away", 2, a, rec("b", at(2, 55, 0)))
		write(mount+".away", 3, rec("c", at(3, 5, 0)))
		r.until(at(4, 30, 0))
		r.want("forgotten", &r.state.forgot)
		r.wantLow("flow", time.Time{})
		if err := os.Remove(mount); err != nil {
			t.Fatal(err)
		}
		move(mount+".away", mount)
		r.until(at(4, 40, 0))
		r.want("records", &r.got, "b", "c")
		r.want("left out", &r.left)
		r.end()
	})
}

// TestNotFoundIsNotGone: a blob that cannot be found but is in the list is kept.
func TestNotFoundIsNotGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(nameA, "a")
		r.start()
		r.log(nameA, "b")
		r.backend.Before(onMethod("Open", func() error { return source.ErrNotFound }))
		r.pass(5 * time.Minute)
		r.want("forgotten", &r.state.forgot)
		r.backend.Before(nil)
		r.pass(6 * time.Minute)
		r.want("records", &r.got, "a", "b")
		r.want("left out", &r.left)
		r.end()
	})
}
