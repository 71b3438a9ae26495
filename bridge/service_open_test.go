package bridge

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"flow2ipfix/source"
)

// TestServiceOpensBeforeItDecodes: as many blobs are being opened at once as the
// sources want, however few are decoded at once.
func TestServiceOpensBeforeItDecodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs := []*source.Delta{recordsOf("a", 10), recordsOf("b", 10)}
		both := make(chan struct{})
		var opening atomic.Int32
		for _, d := range blobs {
			open := d.Open
			d.Open = func(ctx context.Context) (io.ReadCloser, error) {
				if opening.Add(1) == 2 {
					close(both)
				}
				select {
				case <-both:
					return open(ctx)
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
			}
		}
		f, c := newFeed(blobs...), newAway()
		if err := service(t, ServiceConfig{Sources: []Follower{f}, Store: &memory{}, Lanes: []ServiceLane{{Name: "one", Stream: c}}, Readers: 1}, func(*Service) {
			synctest.Wait()
			if opening.Load() != 2 {
				t.Error("one waits to be opened until the other is decoded")
			}
		}); err != nil {
			t.Fatal(err)
		}
		if c.records != 80 {
			t.Errorf("%d records, want 80", c.records)
		}
	})
}
