// Command compare answers how many times as fast as the yardsticks flow2ipfix is:
// encoding/json with go-ipfix's buffered exporter, whose elements are made anew for
// each record or reused. It builds all, lets flow2ipfix make a flow log, and has
// them send it to the same loopback socket, by turns, each as a process of its own.
// It prints the medians and their ratios, and refuses to compare when they did not
// read the same tuples or send the same number of records.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"flow2ipfix/test/bench"
)

type options struct {
	program  bench.Program
	file     string
	results  string
	load     bench.Load
	rounds   int
	minRatio float64
}

func main() {
	var o options
	o.program.Flags()
	flag.StringVar(&o.file, "file", "", "a flow log to send instead of making one")
	flag.StringVar(&o.results, "results", "", "`file` to add the ratios to")
	flag.StringVar(&o.load.Kind, "kind", "vnet", "kind of flow log to make, vnet, nsg, or v6: vnet with nothing but IPv6")
	flag.IntVar(&o.load.Minutes, "minutes", 60, "minutes of the flow log to make")
	flag.IntVar(&o.load.TuplesPerMinute, "tuples", 16667, "tuples a minute of the flow log to make")
	flag.IntVar(&o.rounds, "runs", 5, "how many turns each of them has")
	flag.Float64Var(&o.minRatio, "min-ratio", 0, "fail when flow2ipfix is less than this many times as fast as the faster yardstick")
	flag.Parse()
	bench.Main("compare", flag.NArg() == 0 && o.rounds >= 1, func(ctx context.Context, out io.Writer) error { return run(ctx, o, out) })
}

// turnLasts is how long a contender has its turn: who needs little of it runs again, since
// what disturbs the machine for a moment makes more of a short run than of a long one.
const turnLasts = 500 * time.Millisecond

func run(ctx context.Context, o options, out io.Writer) (err error) {
	dir, remove, err := o.program.Prepare(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()

	yardstick := filepath.Join(dir, "yardstick")
	if err := bench.Build(ctx, filepath.Join(o.program.Root, "test"), "./bench/cmd/yardstick", yardstick); err != nil {
		return err
	}
	files, title := []string{o.file}, o.file
	if o.file == "" {
		title = o.load.Kind
		if files, err = o.load.Generate(ctx, o.program.Binary, filepath.Join(dir, "logs")); err != nil {
			return err
		}
	}
	size, err := bench.Warm(files)
	if err != nil {
		return err
	}
	addr, sink, err := bench.Sink()
	if err != nil {
		return err
	}
	defer sink.Close()

	contenders := []bench.Contender{
		bench.YardstickProgram(yardstick, true), bench.YardstickProgram(yardstick, false), bench.ProductProgram(o.program.Binary),
	}
	results := make([][]bench.Result, len(contenders))
	for round := range o.rounds {
		// Who begins changes with the round.
		for turn := range contenders {
			i := (round + turn) % len(contenders)
			for taken := time.Duration(0); taken < turnLasts; {
				r, err := contenders[i].Run(ctx, addr, files)
				if err != nil {
					return err
				}
				results[i] = append(results[i], r)
				taken += r.Wall
			}
		}
	}
	if err := sameWork(results); err != nil {
		return err
	}
	return report(out, o, title, size, contenders, results)
}

// medians are those of one contender.
type medians struct {
	wall, processor float64 // seconds
	fastest         float64
	peak            int64
}

func report(out io.Writer, o options, title string, size int64, contenders []bench.Contender, results [][]bench.Result) error {
	first := results[0][0]
	tuples := float64(first.Tuples)
	fmt.Fprintf(out, "\n%s: %.1f MB, %d tuples, %d records; %d turns each of %v or more, medians\n\n",
		title, float64(size)/1e6, first.Tuples, first.Records, o.rounds, turnLasts)
	table := bench.NewTable(1, "program", "tuples/s", "MB/s", "time", "fastest", "processor time", "for a tuple", "peak memory", "flow2ipfix is faster", "takes less processor")
	all := make([]medians, len(contenders))
	for i := range contenders {
		all[i] = summarize(results[i])
	}
	ours := all[len(all)-1]
	var ratios []bench.Ratio
	slowest := 0.0
	for i, m := range all {
		faster, less := "", ""
		if i < len(all)-1 {
			faster, less = fmt.Sprintf("%.1f times", m.wall/ours.wall), fmt.Sprintf("%.1f times", m.processor/ours.processor)
			slowest = m.wall / ours.wall
			ratios = append(ratios, bench.Ratio{
				Part: "whole replay, " + o.load.Name(), Yardstick: "encoding/json, go-ipfix's buffered exporter" + strings.TrimPrefix(contenders[i].Name, "yardstick"), Unit: "tuple",
				Theirs: 1e9 * m.wall / tuples, Ours: 1e9 * ours.wall / tuples,
				Allocs: -1, TheirRSS: m.peak, OurRSS: ours.peak,
			})
		}
		table.Row(contenders[i].Name, fmt.Sprintf("%.2f M", tuples/m.wall/1e6), fmt.Sprintf("%.0f", float64(size)/1e6/m.wall),
			fmt.Sprintf("%.3f s", m.wall), fmt.Sprintf("%.3f s", m.fastest), fmt.Sprintf("%.3f s", m.processor),
			fmt.Sprintf("%.0f ns", 1e9*m.processor/tuples), bench.MiB(m.peak), faster, less)
	}
	table.Write(out)
	if slowest < o.minRatio {
		return fmt.Errorf("%s: flow2ipfix is %.1f times as fast, want %.1f", title, slowest, o.minRatio)
	}
	return bench.Update(o.results, func(r *bench.Results) {
		r.Replace("whole "+title, ratios)
		if title == "vnet" {
			r.Limits.BytesPerTuple, r.Limits.RecordsPerTuple = float64(size)/tuples, float64(first.Records)/tuples
		}
	})
}

func summarize(results []bench.Result) medians {
	var walls, processors []float64
	var peaks []int64
	for _, r := range results {
		walls, processors, peaks = append(walls, r.Wall.Seconds()), append(processors, r.Processor.Seconds()), append(peaks, r.PeakRSSBytes)
	}
	return medians{bench.Median(walls), bench.Median(processors), slices.Min(walls), bench.Median(peaks)}
}

// sameWork says whether all runs read the same tuples and sent as many records.
func sameWork(results [][]bench.Result) error {
	want := results[0][0]
	for _, of := range results {
		for _, got := range of {
			if got.Tuples != want.Tuples || got.Records != want.Records {
				return fmt.Errorf("the work differs: %d tuples and %d records against %d and %d of the yardstick",
					got.Tuples, got.Records, want.Tuples, want.Records)
			}
		}
	}
	if want.Tuples == 0 {
		return errors.New("there was no tuple to send")
	}
	return nil
}
