// Command compare answers how many times as fast as the yardstick flow2ipfix is.
// It builds both, lets flow2ipfix make a flow log, and has both send it to the
// same loopback socket, by turns, each as a process of its own. It prints the
// medians and their ratio, and refuses to compare when the two did not read the
// same tuples or send the same number of records.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"flow2ipfix/test/bench"
)

type options struct {
	root     string
	product  string
	file     string
	load     bench.Load
	rounds   int
	minRatio float64
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", "..", "the `folder` of the repository")
	flag.StringVar(&o.product, "flow2ipfix", "", "a built flow2ipfix to use instead of building one")
	flag.StringVar(&o.file, "file", "", "a flow log to send instead of making one")
	flag.StringVar(&o.load.Kind, "kind", "vnet", "kind of flow log to make, vnet or nsg")
	flag.IntVar(&o.load.Minutes, "minutes", 60, "minutes of the flow log to make")
	flag.IntVar(&o.load.TuplesPerMinute, "tuples", 16667, "tuples a minute of the flow log to make")
	flag.IntVar(&o.rounds, "runs", 5, "how often each of the two runs")
	flag.Float64Var(&o.minRatio, "min-ratio", 0, "fail when flow2ipfix is less than this many times as fast")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "compare: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "flow2ipfix-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	yardstick := filepath.Join(dir, "yardstick")
	if err := bench.Build(ctx, filepath.Join(o.root, "test"), "./bench/cmd/yardstick", yardstick); err != nil {
		return err
	}
	if o.product == "" {
		o.product = filepath.Join(dir, "flow2ipfix")
		if err := bench.Build(ctx, o.root, "./cmd/flow2ipfix", o.product); err != nil {
			return err
		}
	}
	files, title := []string{o.file}, o.file
	if o.file == "" {
		title = o.load.Kind
		if files, err = o.load.Generate(ctx, o.product, filepath.Join(dir, "logs")); err != nil {
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

	contenders := [2]bench.Contender{bench.YardstickProgram(yardstick), bench.ProductProgram(o.product)}
	var results [2][]bench.Result
	for round := range o.rounds {
		// Who begins changes with the round.
		for turn := range contenders {
			i := (round + turn) % 2
			r, err := contenders[i].Run(ctx, addr, files)
			if err != nil {
				return err
			}
			results[i] = append(results[i], r)
		}
	}
	if err := sameWork(results); err != nil {
		return err
	}

	first := results[0][0]
	fmt.Fprintf(out, "\n%s: %.1f MB in %d file(s), %d tuples, %d records; %d runs each, by turns, medians\n\n",
		title, float64(size)/1e6, len(files), first.Tuples, first.Records, o.rounds)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\ttuples/s\tMB/s\tpeak RSS\ttime\tfastest\tslowest\t")
	var medians [2]time.Duration
	for i, c := range contenders {
		walls := column(results[i], func(r bench.Result) time.Duration { return r.Wall })
		medians[i] = median(walls)
		rss := median(column(results[i], func(r bench.Result) int64 { return r.PeakRSSBytes }))
		seconds := medians[i].Seconds()
		fmt.Fprintf(table, "%s\t%.0f\t%.1f\t%.1f MiB\t%.3f s\t%.3f s\t%.3f s\t\n", c.Name,
			float64(first.Tuples)/seconds, float64(size)/1e6/seconds, float64(rss)/(1<<20),
			seconds, walls[0].Seconds(), walls[len(walls)-1].Seconds())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	ratio := medians[0].Seconds() / medians[1].Seconds()
	fmt.Fprintf(out, "\n%s: flow2ipfix is %.1f times as fast as the yardstick\n", title, ratio)
	if ratio < o.minRatio {
		return fmt.Errorf("want at least %.1f times as fast", o.minRatio)
	}
	return nil
}

// sameWork says whether all runs read the same tuples and sent as many records.
func sameWork(results [2][]bench.Result) error {
	want := results[0][0]
	for i := range results {
		for _, got := range results[i] {
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

// column returns one value of all results, sorted.
func column[T int64 | time.Duration](results []bench.Result, value func(bench.Result) T) []T {
	values := make([]T, len(results))
	for i, r := range results {
		values[i] = value(r)
	}
	slices.Sort(values)
	return values
}

// median returns the middle one of sorted values, of an even number the mean of
// the middle two.
func median[T int64 | time.Duration](sorted []T) T {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
