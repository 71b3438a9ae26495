package bridge

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/convert"
	"flow2ipfix/flowlog"
	"flow2ipfix/internal/pulse"
	"flow2ipfix/source"
	"flow2ipfix/templates"
)

// block is what does not come back before it is closed.
type block chan struct{}

type blockedStore struct {
	memory
	block
}

func (s *blockedStore) Commit(entries []source.Entry) error {
	<-s.block
	return s.memory.Commit(entries)
}

type blockedInterfaces struct {
	convert.MemoryInterfaces
	block
}

func (i *blockedInterfaces) Index(mac flowlog.MAC) (uint32, error) {
	<-i.block
	return i.MemoryInterfaces.Index(mac)
}

type blockedStream struct {
	*away
	block
}

func (s *blockedStream) Export(ctx context.Context, domain uint32, r *templates.Record) error {
	<-s.block
	return s.away.Export(ctx, domain, r)
}

// TestServicePulse: each stage shows that it lives, at work, with nothing to do,
// and while it waits for another one; one that hangs does not, and is the only one.
func TestServicePulse(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(cfg *ServiceConfig, b block)
		silent  []string
	}{
		"nothing hangs":        {func(*ServiceConfig, block) {}, nil},
		"the disk hangs":       {func(cfg *ServiceConfig, b block) { cfg.Store = &blockedStore{block: b} }, []string{"committer"}},
		"the interfaces hang":  {func(cfg *ServiceConfig, b block) { cfg.Interfaces = &blockedInterfaces{block: b} }, []string{"dispatcher"}},
		"the collector hangs":  {func(cfg *ServiceConfig, b block) { cfg.Lanes[0].Stream = &blockedStream{newAway(), b} }, []string{"collector one"}},
		"the second one hangs": {func(cfg *ServiceConfig, b block) { cfg.Lanes[1].Stream = &blockedStream{newAway(), b} }, []string{"collector two"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				board := pulse.NewBoard()
				f := newFeed(recordsOf("a", 8_000)) // more than all batches hold
				f.deltas[0].Sign = board.Add("blob a")
				cfg := ServiceConfig{
					Sources: []Follower{f}, Store: &memory{}, Pulse: board, Interfaces: &convert.MemoryInterfaces{},
					Lanes: []ServiceLane{
						{Name: "one", Stream: newAway(), Pulse: board.Add("collector one")},
						{Name: "two", Stream: newAway(), Pulse: board.Add("collector two")},
					},
				}
				b := make(block)
				tc.prepare(&cfg, b)
				if err := service(t, cfg, func(*Service) {
					time.Sleep(5 * time.Second)
					select {
					case <-f.done:
						f.deltas[0].Sign.Done()
					default: // it waits for a batch
					}
					for range 30 {
						since := time.Now()
						time.Sleep(2 * time.Second)
						if got := board.Silent(since); !slices.Equal(got, tc.silent) {
							t.Fatalf("silent are %q, want %q", got, tc.silent)
						}
					}
					close(b)
					<-f.done
					f.deltas[0].Sign.Done()
					time.Sleep(5 * time.Second)
					since := time.Now()
					time.Sleep(2 * time.Second)
					if got := board.Silent(since); len(got) > 0 {
						t.Errorf("silent are %q, though nothing hangs any more", got)
					}
				}); err != nil {
					t.Fatal(err)
				}
				if got := board.Silent(time.Now().Add(time.Hour)); len(got) > 0 {
					t.Errorf("%q are watched after the end", got)
				}
			})
		})
	}
}
