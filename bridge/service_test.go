package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/convert"
	"flow2ipfix/flowlog"
	"flow2ipfix/source"
	"flow2ipfix/templates"
)

// feed is a follower that hands out what it has, for several blobs at once.
type feed struct {
	name   string
	deltas []*source.Delta

	mu        sync.Mutex
	read      map[string]source.Cursor
	errs      map[string]error
	delivered map[string]int64
	done      chan struct{} // closed when all was read
}

func newFeed(deltas ...*source.Delta) *feed {
	return &feed{name: "feed", deltas: deltas, read: map[string]source.Cursor{}, errs: map[string]error{}, delivered: map[string]int64{}, done: make(chan struct{})}
}

func (f *feed) Name() string { return f.name }

func (f *feed) Delivered(blob string, offset int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if offset < f.delivered[blob] {
		panic(fmt.Sprintf("%s: delivered to %d after %d", blob, offset, f.delivered[blob]))
	}
	f.delivered[blob] = offset
}

func (f *feed) Run(ctx context.Context, read func(context.Context, *source.Delta) (source.Cursor, error)) error {
	var wg sync.WaitGroup
	for _, d := range f.deltas {
		wg.Go(func() {
			c, err := read(ctx, d)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.read[d.Blob], f.errs[d.Blob] = c, err
		})
	}
	wg.Wait()
	close(f.done)
	<-ctx.Done()
	return context.Cause(ctx)
}

// isDelivered reports whether all was delivered to where it was read.
func (f *feed) isDelivered() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for blob, c := range f.read {
		if f.delivered[blob] != c.Offset {
			return false
		}
	}
	return len(f.read) == len(f.deltas)
}

// away is a collector in memory that can be slow and late.
type away struct {
	mu        sync.Mutex
	open      *sync.Cond
	records   int
	flows     map[string]int
	stuck     bool   // takes nothing
	late      bool   // delivers nothing
	gone      error  // what Export says
	marked    uint64 // last id
	closed    bool
	delivered uint64
}

func newAway() *away {
	a := &away{flows: map[string]int{}}
	a.open = sync.NewCond(&a.mu)
	return a
}

func (a *away) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
	a.open.Broadcast()
}

func (a *away) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.records
}

func (a *away) Export(ctx context.Context, domain uint32, r *templates.Record) error {
	stop := context.AfterFunc(ctx, a.open.Broadcast)
	defer stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.stuck && ctx.Err() == nil {
		a.open.Wait()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if a.gone != nil {
		return a.gone
	}
	a.records++
	a.flows[fmt.Sprintf("%d %v:%d %v:%d", domain, r.Source, r.SourcePort, r.Destination, r.DestinationPort)]++
	return nil
}

func (a *away) Mark(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if id <= a.marked {
		panic(fmt.Sprintf("mark %d after %d", id, a.marked))
	}
	a.marked = id
}

func (a *away) Flush(context.Context) error { return nil }

func (a *away) Delivered(context.Context) (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.late {
		a.delivered = a.marked
	}
	return a.delivered, nil
}

func (a *away) Drain(ctx context.Context) (uint64, error) {
	stop := context.AfterFunc(ctx, a.open.Broadcast)
	defer stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.late && ctx.Err() == nil {
		a.open.Wait()
	}
	if !a.late {
		a.delivered = a.marked
	}
	return a.delivered, context.Cause(ctx)
}

func (a *away) Close() error {
	a.closed = true
	return nil
}

// memory is a store that can fail.
type memory struct {
	mu      sync.Mutex
	cursors map[string]source.Cursor
	err     error
}

func (m *memory) Commit(entries []source.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	if m.cursors == nil {
		m.cursors = map[string]source.Cursor{}
	}
	for _, e := range entries {
		if before := m.cursors[e.Blob]; before.Offset > e.Cursor.Offset {
			panic(fmt.Sprintf("%s: %d after %d", e.Blob, e.Cursor.Offset, before.Offset))
		}
		m.cursors[e.Blob] = e.Cursor
	}
	return nil
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *memory) offsets() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	got := map[string]int64{}
	for blob, c := range m.cursors {
		got[blob] = c.Offset
	}
	return got
}

// recordsOf returns a blob of so many records of two tuples each, which become
// four flow records; its closing brackets do not belong to it.
func recordsOf(name string, n int) *source.Delta {
	var b strings.Builder
	b.WriteString(`{"records":[`)
	for i := range n {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, record, quoted(
			fmt.Sprintf("%d,10.0.0.6,192.0.2.180,%d,443,6,O,E,NX,3,767,2,1580", start.UnixMilli()+int64(i), 1024+i),
			fmt.Sprintf("%d,10.0.0.6,192.0.2.181,%d,443,6,O,E,NX,3,767,2,1580", start.UnixMilli()+int64(i), 1024+i)))
	}
	d := blob(name, b.String())
	d.Growing, d.Info.ETag = true, "v1 of "+name
	return d
}

func quoted(tuples ...string) string { return `"` + strings.Join(tuples, `","`) + `"` }

// service runs a Service until the test's conditions have come true, and stops it.
func service(t *testing.T, cfg ServiceConfig, during func(s *Service)) error {
	t.Helper()
	if cfg.Interfaces == nil {
		cfg.Interfaces = &convert.MemoryInterfaces{}
	}
	if cfg.OnError == nil {
		cfg.OnError = func(err error) { t.Errorf("OnError(%v)", err) }
	}
	s, err := NewService(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	abort, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, abort) }()
	during(s)
	stop()
	time.AfterFunc(20*time.Second, cancel) // in the test's own time
	err = <-ended
	st := s.Stats()
	dispatched := st.Read.Tuples - st.Read.Rejected[flowlog.PieceTuple]
	for _, n := range st.Left {
		dispatched -= n
	}
	for _, l := range st.Lanes {
		sum := l.Exported + l.NotSent
		for _, n := range l.Skipped {
			sum += n
		}
		if err == nil && sum != dispatched {
			t.Errorf("lane %s: %d exported, %d not sent, %v skipped; want %d", l.Name, l.Exported, l.NotSent, l.Skipped, dispatched)
		}
	}
	return err
}

func TestServiceDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const records = 3000
		f := newFeed(recordsOf("a", records), recordsOf("b", records), recordsOf("c", 1))
		one, two, store := newAway(), newAway(), &memory{}
		if err := service(t, ServiceConfig{
			Sources: []Follower{f}, Store: store,
			Lanes: []ServiceLane{{Name: "one", Stream: one}, {Name: "two", Stream: two, BestEffort: true}},
		}, func(*Service) {
			time.Sleep(5 * time.Second)
			if !f.isDelivered() {
				t.Error("not all is delivered")
			}
		}); err != nil {
			t.Fatal(err)
		}
		if want := (2*records + 1) * 4; one.records != want {
			t.Errorf("%d records were exported, want %d", one.records, want)
		}
		for flow, n := range one.flows {
			want := 2 // in a and in b
			if strings.Contains(flow, ":1024") {
				want = 3
			}
			if n != want {
				t.Fatalf("flow %s came %d times, want %d", flow, n, want)
			}
		}
		want := map[string]int64{}
		for blob, c := range f.read {
			want[blob] = c.Offset
		}
		if diff := cmp.Diff(want, store.offsets()); diff != "" {
			t.Errorf("kept (-read +kept):\n%s", diff)
		}
		for blob, c := range store.cursors {
			if c.ETag != "v1 of "+blob {
				t.Errorf("%s: the kept cursor has ETag %q", blob, c.ETag)
			}
		}
		if c := store.cursors["a"]; len(c.Tail) != source.TailBytes || !strings.HasSuffix(record, string(c.Tail[len(c.Tail)-7:])) {
			t.Errorf("cursor %+v", c)
		}
		if !one.closed || !two.closed {
			t.Error("streams are not closed")
		}
	})
}

// TestServiceKeepsOnlyWhatIsDelivered: nothing is kept while the collector has
// not got it, and all is when it has.
func TestServiceKeepsOnlyWhatIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(recordsOf("a", 10))
		c, store := newAway(), &memory{}
		c.late = true
		if err := service(t, ServiceConfig{Sources: []Follower{f}, Store: store, Lanes: []ServiceLane{{Name: "one", Stream: c}}}, func(*Service) {
			time.Sleep(time.Minute)
			if got := c.count(); got != 40 {
				t.Errorf("%d records were sent, want 40", got)
			}
			if got := store.offsets(); len(got) != 0 || len(f.delivered) != 0 {
				t.Errorf("kept before it was delivered: %v", got)
			}
			c.set(func() { c.late = false })
			time.Sleep(2 * commitEvery)
			if !f.isDelivered() {
				t.Error("not delivered")
			}
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestServiceHoldsOn: a collector that takes nothing stops the reading, and a
// best-effort one does not.
func TestServiceHoldsOn(t *testing.T) {
	const records = 20_000 // 40 000 tuples, many batches
	for _, tc := range []struct {
		name     string
		required bool // is stuck
	}{{"required", true}, {"best-effort", false}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFeed(recordsOf("a", records))
				must, may, store := newAway(), newAway(), &memory{}
				must.stuck, may.stuck = tc.required, !tc.required
				if err := service(t, ServiceConfig{
					Sources: []Follower{f}, Store: store,
					Lanes: []ServiceLane{{Name: "must", Stream: must}, {Name: "may", Stream: may, BestEffort: true}},
				}, func(s *Service) {
					time.Sleep(time.Minute)
					if tc.required {
						if st := s.Stats(); st.Read.Tuples >= 2*records || must.count() > 0 || may.count() == 0 {
							t.Errorf("%d tuples were read, %d records sent to the one that is stuck, %d to the other", st.Read.Tuples, must.count(), may.count())
						}
						must.set(func() { must.stuck = false })
						time.Sleep(time.Minute)
					}
					if !f.isDelivered() || must.count() != 4*records {
						t.Errorf("%d records came, want %d", must.count(), 4*records)
					}
					may.set(func() { may.stuck = false })
				}); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// TestServiceBestEffortIsAway: what a best-effort collector misses is counted.
func TestServiceBestEffortIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFeed(recordsOf("a", 100))
		must, may := newAway(), newAway()
		may.gone = errors.New("away")
		var st ServiceStats
		if err := service(t, ServiceConfig{
			Sources: []Follower{f}, Store: &memory{},
			Lanes: []ServiceLane{{Name: "must", Stream: must}, {Name: "may", Stream: may, BestEffort: true}},
		}, func(s *Service) {
			time.Sleep(5 * time.Second)
			st = s.Stats()
		}); err != nil {
			t.Fatal(err)
		}
		if st.Lanes[0].Exported != 200 || st.Lanes[1].NotSent != 200 || st.Lanes[1].Exported != 0 {
			t.Errorf("%+v", st.Lanes)
		}
	})
}

// TestServiceBestEffortKeepsUp: a best-effort collector that takes all it gets
// misses nothing of a burst.
func TestServiceBestEffortKeepsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deltas []*source.Delta
		for i := range 300 {
			deltas = append(deltas, recordsOf(fmt.Sprint("blob", i), 1))
		}
		f := newFeed(deltas...)
		must, may := newAway(), newAway()
		if err := service(t, ServiceConfig{
			Sources: []Follower{f}, Store: &memory{},
			Lanes: []ServiceLane{{Name: "must", Stream: must}, {Name: "may", Stream: may, BestEffort: true}},
		}, func(*Service) {
			// It is busy for less than it is waited for, again and again.
			for range 20 {
				may.set(func() { may.stuck = true })
				time.Sleep(patience / 2)
				may.set(func() { may.stuck = false })
				time.Sleep(time.Millisecond)
			}
			<-f.done
			time.Sleep(time.Second)
		}); err != nil {
			t.Fatal(err)
		}
		if may.records != 1200 || must.records != 1200 {
			t.Errorf("%d records came to the best-effort collector and %d to the other, want 1200", may.records, must.records)
		}
	})
}

// TestServiceBestEffortIsSlow: a best-effort collector that is always slow holds
// the others up only for a moment now and then.
func TestServiceBestEffortIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deltas []*source.Delta
		for i := range 300 {
			deltas = append(deltas, recordsOf(fmt.Sprint("blob", i), 1))
		}
		f := newFeed(deltas...)
		must, may := newAway(), &slow{away: newAway(), each: 900 * time.Millisecond / 4}
		begin := time.Now()
		if err := service(t, ServiceConfig{
			Sources: []Follower{f}, Store: &memory{},
			Lanes: []ServiceLane{{Name: "must", Stream: must}, {Name: "may", Stream: may, BestEffort: true}},
		}, func(*Service) {
			<-f.done
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("the required collector was held up for %v", took)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if must.records != 1200 {
			t.Errorf("%d records came, want 1200", must.records)
		}
	})
}

// slow takes its time for each record.
type slow struct {
	*away
	each time.Duration
}

func (s *slow) Export(ctx context.Context, domain uint32, r *templates.Record) error {
	time.Sleep(s.each)
	return s.away.Export(ctx, domain, r)
}

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
		}, func(*Service) {
			time.Sleep(time.Minute)
			mu.Lock()
			if said < 5 || said > 15 || len(f.delivered) != 0 {
				t.Errorf("said %d times, delivered %v", said, f.delivered)
			}
			mu.Unlock()
			store.fail(nil)
			time.Sleep(2 * retryAfter)
			if !f.isDelivered() {
				t.Error("not delivered")
			}
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// refusing numbers no interface for a while.
type refusing struct {
	convert.MemoryInterfaces
	left int
}

func (r *refusing) Index(mac flowlog.MAC) (uint32, error) {
	if r.left > 0 {
		r.left--
		return 0, errors.New("disk full")
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
		}, func(*Service) {
			time.Sleep(retryAfter)
			if c.count() != 0 {
				t.Errorf("%d records left", c.count())
			}
			time.Sleep(4 * retryAfter)
		}); err != nil {
			t.Fatal(err)
		}
		if said != 3 || c.records != 40 {
			t.Errorf("said %d times, %d records; want 3 and 40", said, c.records)
		}
	})
}

// TestServiceLeavesOut: records up to a time are left out and counted.
func TestServiceLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		for i := range 10 {
			fmt.Fprintf(&b, `,{"time":%q,"macAddress":"000D3A123456","flowRecords":{"flows":[{"flowGroups":[{"flowTuples":["1663146003606,10.0.0.6,192.0.2.180,1,443,6,O,E,NX,3,767,2,1580"]}]}]}}`,
				start.Add(time.Duration(i)*time.Minute).Format(time.RFC3339))
		}
		d := blob("a", b.String())
		d.Since, d.Left = start.Add(3*time.Minute), source.LeftDelivered
		f := newFeed(d)
		c := newAway()
		var st ServiceStats
		if err := service(t, ServiceConfig{Sources: []Follower{f}, Store: &memory{}, Lanes: []ServiceLane{{Name: "one", Stream: c}}}, func(s *Service) {
			time.Sleep(3 * time.Second)
			st = s.Stats()
		}); err != nil {
			t.Fatal(err)
		}
		if c.records != 12 || st.Left[source.LeftDelivered] != 4 || st.Left[source.LeftBeforeStart] != 0 {
			t.Errorf("%d records, left out %v; want 12 and 4", c.records, st.Left)
		}
		if got := f.read["a"]; !got.Last.Equal(start.Add(9*time.Minute)) || got.Offset != int64(b.Len()) {
			t.Errorf("read to %d, %v", got.Offset, got.Last)
		}
	})
}

// TestServiceStops: what was read is delivered before the end; and when that
// takes too long, it is not kept.
func TestServiceStops(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprint("late ", late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFeed(recordsOf("a", 5000))
				c, store := newAway(), &memory{}
				c.late = late
				err := service(t, ServiceConfig{Sources: []Follower{f}, Store: store, Lanes: []ServiceLane{{Name: "one", Stream: c}}}, func(*Service) {
					<-f.done
				})
				switch {
				case late && (!errors.Is(err, ErrNotInTime) || errors.Is(err, context.Canceled) || len(store.offsets()) != 0):
					t.Errorf("%v, kept %v", err, store.offsets())
				case !late && (err != nil || store.offsets()["a"] != f.read["a"].Offset || c.records != 20_000):
					t.Errorf("%v, kept %v, %d records", err, store.offsets(), c.records)
				}
				if !c.closed {
					t.Error("the stream is not closed")
				}
			})
		})
	}
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
