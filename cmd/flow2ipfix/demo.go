package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"flow2ipfix/bridge"
	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/flowlog"
	"flow2ipfix/internal/collect"
	"flow2ipfix/internal/flowgen"
	"flow2ipfix/source/files"
	"flow2ipfix/templates"
)

// patience is how long the demo waits for records that should have come.
const patience = 5 * time.Second

func newDemo(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "see it work: synthetic flow logs, exported to a built-in collector",
		Long:  demoLong,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return demo(cmd.Context(), u) },
	}
}

// sums is what the two sides of the demo are compared by.
type sums struct {
	records, denied uint64
	packets, bytes  uint64
}

func demo(ctx context.Context, u *ui) error {
	dir, err := os.MkdirTemp("", "flow2ipfix-demo-")
	if err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	interfaces := &convert.MemoryInterfaces{}
	names := map[uint32]string{}
	logged, err := demoLogs(ctx, dir, interfaces, names)
	if err != nil {
		return err
	}
	deltas, err := files.Find([]string{dir}, nil)
	if err != nil {
		return err
	}
	set, err := templates.New(templates.Config{})
	if err != nil {
		return err
	}
	collector, err := collect.Listen(ctx, "udp://127.0.0.1:0", collect.Options{OnError: func(err error) { u.warn(err, "") }})
	if err != nil {
		return err
	}
	u.notef("made flow logs of %d interfaces: %s in %s", len(names), count(uint64(len(deltas)), "blob"), dir)
	u.notef("sending them as IPFIX to a collector at %s", collector.URL())

	b, err := bridge.New(ctx, bridge.Config{
		Interfaces: interfaces,
		Lanes: []bridge.Lane{{Name: "demo", Exporter: exporter.Config{
			URL: collector.URL(), Templates: set, Rate: set.Preset.Rate,
		}}},
	})
	if err != nil {
		return errors.Join(err, collector.Close())
	}
	table := &demoSink{Table: collect.NewTable(u.out, collect.TableOptions{NICName: func(_, index uint32) string {
		return cmp.Or(names[index], fmt.Sprint(index))
	}})}
	collecting, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	group.Go(func() error { return collector.Run(collecting, table) })

	summary, runErr := b.Run(ctx, deltas)
	if runErr == nil {
		awaitRecords(ctx, collector, summary.Lanes[0].Sent.Records)
	}
	stop()
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		runErr = err // a collector that ends is why nothing could be sent to it
	}
	if runErr != nil {
		return runErr
	}
	return compare(u, logged, summary, table.sums, collector.Stats())
}

// demoLogs writes a few minutes of both kinds of flow logs, numbers their
// interfaces, and returns what must arrive.
func demoLogs(ctx context.Context, dir string, interfaces convert.Interfaces, names map[uint32]string) (sums, error) {
	var want sums
	start := time.Now().UTC().Truncate(time.Minute).Add(-10 * time.Minute)
	for _, cfg := range []flowgen.Config{
		{Kind: flowgen.VNet, NICs: 3, Start: start, Minutes: 4, Tuples: 8, Seed: 1},
		{Kind: flowgen.NSG, NICs: 2, Start: start, Minutes: 4, Tuples: 8, Seed: 2},
	} {
		g, err := flowgen.New(cfg)
		if err != nil {
			return want, err
		}
		if err := g.WriteDir(ctx, dir); err != nil {
			return want, err
		}
		for nic := range cfg.NICs {
			_, text, _ := strings.Cut(filepath.Dir(g.BlobPath(nic, 0)), "macAddress=")
			mac, _ := flowlog.ParseMAC(text)
			index, err := interfaces.Index(mac)
			if err != nil {
				return want, err
			}
			names[index] = text
		}
		t := g.Totals()
		want.denied += t.Denied
		want.packets += t.PacketsSent + t.PacketsReceived
		want.bytes += t.BytesSent + t.BytesReceived
	}
	return want, nil
}

// awaitRecords returns when n records have arrived, or will not.
func awaitRecords(ctx context.Context, c *collect.Collector, n uint64) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for c.Stats().DataRecords < n {
		select {
		case <-tick.C:
		case <-timeout.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// demoSink prints flow records and adds them up.
type demoSink struct {
	*collect.Table
	sums sums
}

func (d *demoSink) Write(r *collect.Record) error {
	if r.Options {
		return nil
	}
	d.sums.packets += r.Packets()
	d.sums.bytes += r.Octets()
	if r.Decision() == collect.Denied {
		d.sums.denied++
	}
	d.sums.records++
	return d.Table.Write(r)
}

// compare prints what was in the logs, what was sent and what arrived, and fails
// if they differ.
func compare(u *ui, logged sums, s *bridge.Summary, got sums, stats collect.Stats) error {
	lane := &s.Lanes[0]
	fmt.Fprintf(u.out, "\n%s in the logs: %s only began and are left out, %s were exported as %s in %s\n\n",
		count(s.Read.Tuples, "tuple"), thousands(lane.SkippedTuples()), thousands(lane.Exported),
		count(lane.Sent.Records, "flow record"), count(lane.Sent.Messages, "message"))
	w := tabwriter.NewWriter(u.out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tsent\treceived\t")
	agree := true
	for _, row := range []struct {
		name           string
		sent, received uint64
	}{
		{"flow records, as exported", lane.Sent.Records, got.records},
		{"denied, as logged", logged.denied, got.denied},
		{"packets, as logged", logged.packets, got.packets},
		{"bytes, as logged", logged.bytes, got.bytes},
	} {
		agree = agree && row.sent == row.received
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", row.name, thousands(row.sent), thousands(row.received))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !agree || stats.SequenceGaps > 0 {
		return withHint(errors.New("the sums differ"), "the kernel may have dropped datagrams: run it again on a quiet machine")
	}
	_, err := fmt.Fprintln(u.out, "\nboth sides agree")
	return err
}
