package bridge

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/source"
	"flow2ipfix/templates"
)

// drip hands out small blobs, one every now and then.
type drip struct {
	*feed
	blobs int
	every time.Duration
}

func (d *drip) Run(ctx context.Context, read func(context.Context, *source.Delta) (source.Cursor, error)) error {
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	for i := range d.blobs {
		if _, err := read(ctx, recordsOf(fmt.Sprint("blob", i), 1)); err != nil {
			return err
		}
		<-tick.C
	}
	close(d.done)
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestServiceNamesCostNoFlows: a best-effort collector that takes ten times the
// flows that come loses none of them because thousands of interfaces have names.
func TestServiceNamesCostNoFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, rate = 2000, 500
		set, err := templates.New(templates.Config{Options: []templates.OptionsKind{templates.OptionsInterfaces}})
		if err != nil {
			t.Fatal(err)
		}
		inventory := new(templates.Inventory)
		for i := range uint32(many) {
			inventory.Add(7, templates.Interface{Index: i + 10, Name: fmt.Sprint("nic", i)}, templates.VRF{ID: 1})
		}
		stream, err := exporter.NewStream(exporter.Config{
			URL: "file:" + filepath.Join(t.TempDir(), "flows.ipfix"), Templates: set, Inventory: inventory, Rate: rate, BestEffort: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		f := &drip{newFeed(), 600, 80 * time.Millisecond} // 50 tuples a second
		lost := new(NotSent)
		var st ServiceStats
		if err := service(t, ServiceConfig{
			Sources: []Follower{f}, Store: &memory{}, Domains: convert.Domains{Always: true, Fixed: 7}, Inventory: inventory,
			Lanes: []ServiceLane{{Name: "must", Stream: newAway()}, {Name: "may", Stream: stream, BestEffort: true, NotSent: lost}},
		}, func(s *Service) {
			<-f.done
			time.Sleep(time.Second)
			st = s.Stats()
		}); err != nil {
			t.Fatal(err)
		}
		if n := st.Lanes[1].NotSent; n > 0 || lost.Total().Flows > 0 {
			t.Errorf("%d of %d tuples were not sent (%d records)", n, st.Read.Tuples, lost.Total().Flows)
		}
		if got := stream.Stats(); got.Options < many || got.Records != 2*st.Lanes[1].Exported {
			t.Errorf("%d options data records, %d records of %d flows, want two of each", got.Options, got.Records, st.Lanes[1].Exported)
		}
	})
}
