package bridge

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

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
	stuck     bool  // takes nothing
	late      bool  // delivers nothing
	gone      error // what Export says
	leaves    int   // Export says it from this record on; 0: from the first
	seen      func(domain uint32, r *templates.Record)
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
	if a.gone != nil && a.records >= a.leaves {
		return a.gone
	}
	if a.seen != nil {
		a.seen(domain, r)
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
	byState := uint64(0)
	for _, n := range st.ByState {
		byState += n
	}
	if err == nil && byState != dispatched {
		t.Errorf("%d tuples by state, %d decoded", byState, dispatched)
	}
	if st.Decoders == 0 || st.Decoding != 0 {
		t.Errorf("%d of %d decoders are at work at the end", st.Decoding, st.Decoders)
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
