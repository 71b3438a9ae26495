package bridge

import (
	"context"
	"errors"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"flow2ipfix/convert"
	"flow2ipfix/flowlog"
	"flow2ipfix/source"
)

// TestServiceLaneFails: a required collector that cannot go on ends the service.
func TestServiceLaneFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newAway()
		c.gone = errors.New("broken")
		s, err := NewService(ServiceConfig{
			Sources: []Follower{newFeed(recordsOf("a", 10))}, Store: &memory{}, Interfaces: &convert.MemoryInterfaces{},
			Lanes: []ServiceLane{{Name: "one", Stream: c}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context(), t.Context()); !errors.Is(err, c.gone) {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestServiceStoreFails: what cannot be kept is kept later.
func TestServiceStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(recordsOf("a", 10), recordsOf("b", 10))
		store := &memory{err: errors.New("disk full")}
		var mu sync.Mutex
		said := 0
		if err := service(t, ServiceConfig{
			Sources: []Follower{f}, Store: store, Lanes: []ServiceLane{{Name: "one", Stream: newAway()}},
			OnError: func(err error) {
				mu.Lock()
				defer mu.Unlock()
				if said++; !errors.Is(err, store.err) {
					t.Error(err)
				}
			},
		}, func(s *Service) {
			time.Sleep(time.Minute)
			mu.Lock()
			if st := s.Stats(); st.CommitErrors != uint64(said) || st.Commits != 0 {
				t.Errorf("%d commits and %d errors, %d were said", st.Commits, st.CommitErrors, said)
			}
			if said < 5 || said > 15 || len(f.delivered) != 0 {
				t.Errorf("said %d times, delivered %v", said, f.delivered)
			}
			mu.Unlock()
			if st := s.Stats(); time.Since(st.StateFailing) < 50*time.Second || time.Since(st.StateFailing) > time.Minute || !errors.Is(st.StateError, store.err) || st.Stopped {
				t.Errorf("after a minute: failing since %v: %v, stopped %t", st.StateFailing, st.StateError, st.Stopped)
			}
			store.fail(nil)
			time.Sleep(2 * retryAfter)
			if !f.isDelivered() {
				t.Error("not delivered")
			}
			wantStateWell(t, s)
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func wantStateWell(t *testing.T, s *Service) {
	t.Helper()
	if st := s.Stats(); !st.StateFailing.IsZero() || st.StateError != nil || st.Stopped {
		t.Errorf("failing since %v: %v, stopped %t", st.StateFailing, st.StateError, st.Stopped)
	}
}

// TestServiceStopsWhenFull: when too much waits to be kept, it says that nothing
// leaves any more.
func TestServiceStopsWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &memory{err: errors.New("disk full")}
		if err := service(t, ServiceConfig{
			Sources: []Follower{newFeed(recordsOf("a", 10))}, Store: store, Lanes: []ServiceLane{{Name: "one", Stream: newAway()}},
			OnError: func(error) {},
		}, func(s *Service) {
			time.Sleep(3 * retryAfter)
			s.commits.mu.Lock()
			kept := s.commits.waiting
			s.commits.waiting = append(kept[:len(kept):len(kept)], make([]expected, maxWaiting)...)
			s.commits.mu.Unlock()
			if st := s.Stats(); !st.Stopped || !errors.Is(st.StateError, store.err) {
				t.Errorf("%v, stopped %t", st.StateError, st.Stopped)
			}
			s.commits.mu.Lock()
			s.commits.waiting = kept
			s.commits.mu.Unlock()
			store.fail(nil)
			time.Sleep(2 * retryAfter)
			wantStateWell(t, s)
		}); err != nil {
			t.Fatal(err)
		}
	})
}

var errDiskFull = errors.New("disk full")

// refusing numbers no interface for a while.
type refusing struct {
	convert.MemoryInterfaces
	left int
}

func (r *refusing) Index(mac flowlog.MAC) (uint32, error) {
	if r.left > 0 {
		r.left--
		return 0, errDiskFull
	}
	return r.MemoryInterfaces.Index(mac)
}

// TestServiceWaitsForIndexes: no flow leaves with an interface index that is not
// kept, and none is lost.
func TestServiceWaitsForIndexes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(recordsOf("a", 10))
		c := newAway()
		said := 0
		if err := service(t, ServiceConfig{
			Sources: []Follower{f}, Store: &memory{}, Lanes: []ServiceLane{{Name: "one", Stream: c}},
			Interfaces: &refusing{left: 3},
			OnError:    func(error) { said++ },
		}, func(s *Service) {
			begin := time.Now()
			time.Sleep(retryAfter)
			if c.count() != 0 {
				t.Errorf("%d records left", c.count())
			}
			if st := s.Stats(); st.StateFailing.Sub(begin).Abs() > time.Second || !errors.Is(st.StateError, errDiskFull) || !st.Stopped {
				t.Errorf("failing since %v: %v, stopped %t", st.StateFailing, st.StateError, st.Stopped)
			}
			time.Sleep(4 * retryAfter)
			wantStateWell(t, s)
		}); err != nil {
			t.Fatal(err)
		}
		if said != 3 || c.records != 40 {
			t.Errorf("said %d times, %d records; want 3 and 40", said, c.records)
		}
	})
}

// TestServiceBrokenReads: what was whole before a fault goes on, and the cursor
// says where.
func TestServiceBrokenReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := recordsOf("a", 10)
		r, _ := whole.Open(t.Context())
		text, _ := io.ReadAll(r)
		broken := errors.New("connection reset")
		torn := blob("torn", string(text[:len(text)-20]))
		torn.Growing = true
		cut := delta("cut", func() io.Reader {
			return io.MultiReader(strings.NewReader(string(text[:len(text)-20])), iotest.ErrReader(broken))
		})
		cut.Growing = true
		closed := &source.Delta{Blob: "closed", Open: func(context.Context) (io.ReadCloser, error) { return nil, source.ErrNotFound }}
		f := newFeed(torn, cut, closed)
		c, store := newAway(), &memory{}
		if err := service(t, ServiceConfig{Sources: []Follower{f}, Store: store, Lanes: []ServiceLane{{Name: "one", Stream: c}}}, func(*Service) {
			time.Sleep(3 * time.Second)
		}); err != nil {
			t.Fatal(err)
		}
		if c.records != 2*36 {
			t.Errorf("%d records, want 72", c.records)
		}
		if f.errs["torn"] != nil || !errors.Is(f.errs["cut"], broken) || !errors.Is(f.errs["closed"], source.ErrNotFound) {
			t.Errorf("read said %v", f.errs)
		}
		got := maps.Clone(f.read)
		if got["torn"].Offset != got["cut"].Offset || !strings.HasPrefix(string(text[got["torn"].Offset:]), ",{") || got["closed"].Offset != 0 {
			t.Errorf("read to %d, %d, %d", got["torn"].Offset, got["cut"].Offset, got["closed"].Offset)
		}
	})
}
