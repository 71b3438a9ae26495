// Command growth shows that what a tuple costs stays the same: from 10 000 to 10
// million tuples in one stream (100 million with -full), from one network interface
// to 10 000, and for each collector that is added. Cost is the processor time of
// flow2ipfix replay alone, in the kernel too, as the kernel counts it when the
// process has ended, and without that of a replay of nothing just before. Streams are
// made by a process of their own.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"flow2ipfix/internal/flowgen"
	"flow2ipfix/test/bench"
)

type options struct {
	program bench.Program
	full    bool
	runs    int
	stream  stream
}

func main() {
	var o options
	o.program.Flags()
	flag.BoolVar(&o.full, "full", false, "up to 100 million tuples, 8 GB of temporary files")
	flag.IntVar(&o.runs, "runs", 5, "how often a million tuples are sent; fewer more often, more only once")
	flag.IntVar(&o.stream.NICs, "stream-nics", 0, "write a stream to standard output; for this program itself")
	flag.IntVar(&o.stream.Minutes, "stream-minutes", 0, "of the stream")
	flag.IntVar(&o.stream.PerMinute, "stream-tuples", 0, "of the stream, a minute and interface")
	flag.Parse()
	do := run
	if o.stream.NICs > 0 {
		do = write
	}
	bench.Main("growth", flag.NArg() == 0 && o.runs >= 1, func(ctx context.Context, out io.Writer) error { return do(ctx, o, out) })
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	dir, remove, err := o.program.Prepare(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	addr, sink, err := bench.Sink()
	if err != nil {
		return err
	}
	defer sink.Close()
	r := replay{product: o.program.Binary, collectors: []string{addr}, nothing: filepath.Join(dir, "nothing.json")}
	if err := os.WriteFile(r.nothing, []byte(flowgen.Head+flowgen.Tail), 0o600); err != nil {
		return err
	}
	fmt.Fprint(out, "\ngrowth: flow2ipfix replay to UDP, unpaced; medians of processor time, without that of a replay of no tuples\n")
	for _, table := range []func(context.Context, options, replay, string, io.Writer) error{tuples, interfaces, blobs, collectors} {
		if err := table(ctx, o, r, dir, out); err != nil {
			return err
		}
	}
	return nil
}

// replay is flow2ipfix replay to collectors.
type replay struct {
	product    string
	collectors []string
	nothing    string // a file without tuples
}

// cost is what a replay takes.
type cost struct {
	tuples          int
	wall, processor float64 // seconds; processor is without that of a replay of nothing
	peak            int64
}

// each is the processor time for a tuple in nanoseconds.
func (c cost) each() float64 { return 1e9 * c.processor / float64(c.tuples) }

// run replays files.
func (r replay) run(ctx context.Context, files ...string) (bench.Result, error) {
	var more []string
	for _, addr := range r.collectors[1:] {
		more = append(more, "--collector", "udp://"+addr)
	}
	return bench.ProductProgram(r.product, more...).Run(ctx, r.collectors[0], files)
}

// repeat replays files so many times, by turns with nothing, and returns the medians.
func (r replay) repeat(ctx context.Context, times int, files ...string) (cost, error) {
	var all []cost
	for range times {
		start, err := r.run(ctx, r.nothing)
		if err != nil {
			return cost{}, err
		}
		result, err := r.run(ctx, files...)
		if err != nil {
			return cost{}, err
		}
		all = append(all, cost{result.Tuples, result.Wall.Seconds(), (result.Processor - start.Processor).Seconds(), result.PeakRSSBytes})
	}
	return medians(all), nil
}

// stream replays a stream so many times, which lies in a file meanwhile.
func (r replay) stream(ctx context.Context, times int, s *stream, dir string) (c cost, err error) {
	name := filepath.Join(dir, "stream.json")
	defer func() { err = errors.Join(err, os.Remove(name)) }()
	if err := s.save(ctx, name); err != nil {
		return cost{}, err
	}
	if c, err = r.repeat(ctx, times, name); err == nil && c.tuples != s.made.Tuples {
		err = fmt.Errorf("%d of %d tuples were read", c.tuples, s.made.Tuples)
	}
	return c, err
}

// medians returns those of what replays of the same tuples took.
func medians(all []cost) cost {
	var walls, processors []float64
	var peaks []int64
	for _, c := range all {
		walls, processors, peaks = append(walls, c.wall), append(processors, c.processor), append(peaks, c.peak)
	}
	return cost{all[0].tuples, bench.Median(walls), bench.Median(processors), bench.Median(peaks)}
}

// hour is when all flow logs begin.
var hour = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// perMinute is how many tuples an interface logs each minute in the first table:
// the same whatever the sum, so that there are always as many live flows.
const perMinute = 5000

// tuples lets one stream grow. What its first minute takes, in which memory is touched and
// code run for the first time, has a line of its own; those below it are without it.
func tuples(ctx context.Context, o options, r replay, dir string, out io.Writer) error {
	fmt.Fprintf(out, "\none interface, %d tuples a minute, from a file\n\n", perMinute)
	table := bench.NewTable(1, "", "tuples", "JSON", "processor time", "for a tuple", "time", "peak memory")
	row := func(what string, tuples int, bytes int64, c cost) {
		table.Row(what, strconv.Itoa(tuples), fmt.Sprintf("%.1f MB", float64(bytes)/1e6), fmt.Sprintf("%.4f s", c.processor),
			fmt.Sprintf("%.0f ns", 1e9*c.processor/float64(tuples)), fmt.Sprintf("%.2f s", c.wall), bench.MiB(c.peak))
	}
	first := stream{NICs: 1, Minutes: 1, PerMinute: perMinute}
	name := filepath.Join(dir, "first.json")
	if err := first.save(ctx, name); err != nil {
		return err
	}
	c, err := r.repeat(ctx, 50, name)
	if err != nil {
		return err
	}
	row("the first minute", first.made.Tuples, first.made.Bytes, c)
	r.nothing = name
	sizes := []int{10_000, 100_000, 1_000_000, 10_000_000}
	if o.full {
		sizes = append(sizes, 100_000_000)
	}
	for _, size := range sizes {
		s := stream{NICs: 1, Minutes: 1 + size/perMinute, PerMinute: perMinute}
		c, err := r.stream(ctx, min(100, max(1, 2*o.runs*1_000_000/size)), &s, dir)
		if err != nil {
			return err
		}
		row("and then", s.made.Tuples-first.made.Tuples, s.made.Bytes-first.made.Bytes, c)
	}
	table.Write(out)
	return nil
}

// perRecord is how many tuples a record has in the tables of interfaces and files.
const perRecord = 100

// interfaces shares records out among more and more interfaces, each of which has
// ten at least: what is new of an interface costs only once.
func interfaces(ctx context.Context, o options, r replay, dir string, out io.Writer) error {
	fmt.Fprintf(out, "\nrecords of %d tuples, of more and more interfaces, from a file\n\n", perRecord)
	table := bench.NewTable(0, "interfaces", "records", "tuples", "processor time", "for a tuple", "time", "peak memory")
	for _, nics := range []int{1, 10, 100, 1000, 10_000} {
		minutes := max(10, 10_000/nics)
		s := stream{NICs: nics, Minutes: minutes, PerMinute: perRecord}
		c, err := r.stream(ctx, max(1, 2*o.runs*10_000/(nics*minutes)), &s, dir)
		if err != nil {
			return err
		}
		table.Row(strconv.Itoa(nics), strconv.Itoa(nics*minutes), strconv.Itoa(c.tuples), fmt.Sprintf("%.3f s", c.processor),
			fmt.Sprintf("%.0f ns", c.each()), fmt.Sprintf("%.2f s", c.wall), bench.MiB(c.peak))
	}
	table.Write(out)
	return nil
}

// blobs shares the same number of records out among more and more files.
func blobs(ctx context.Context, o options, r replay, dir string, out io.Writer) error {
	const records = 10_000
	fmt.Fprintf(out, "\n%d records of %d tuples, in a file for each interface and hour\n\n", records, perRecord)
	table := bench.NewTable(0, "interfaces", "files", "tuples", "processor time", "for a tuple", "for each more file", "time", "peak memory")
	var first cost
	firstFiles := 0
	for _, nics := range []int{1, 1000, 10_000} {
		logs := filepath.Join(dir, "blobs")
		if _, _, err := bench.Process(ctx, r.product, "generate", "--out", logs, "--nics", strconv.Itoa(nics),
			"--minutes", strconv.Itoa(records/nics), "--tuples", strconv.Itoa(perRecord), "--start", hour.Format(time.RFC3339)); err != nil {
			return fmt.Errorf("generate flow logs: %w", err)
		}
		c, err := r.repeat(ctx, o.runs, logs)
		if err != nil {
			return err
		}
		if err := os.RemoveAll(logs); err != nil {
			return err
		}
		files, more := nics*((records/nics+59)/60), "-"
		if firstFiles == 0 {
			first, firstFiles = c, files
		} else {
			more = fmt.Sprintf("%.0f µs", 1e6*(c.processor-first.processor)/float64(files-firstFiles))
		}
		table.Row(strconv.Itoa(nics), strconv.Itoa(files), strconv.Itoa(c.tuples), fmt.Sprintf("%.3f s", c.processor),
			fmt.Sprintf("%.0f ns", c.each()), more, fmt.Sprintf("%.2f s", c.wall), bench.MiB(c.peak))
	}
	table.Write(out)
	return nil
}

// collectors sends the same hour to more and more collectors. How many those are takes
// turns: what each adds is a small difference of large numbers, which are to have the
// same noise in them.
func collectors(ctx context.Context, o options, r replay, dir string, out io.Writer) error {
	load := bench.Load{Kind: "vnet", Minutes: 60, TuplesPerMinute: 16667}
	files, err := load.Generate(ctx, r.product, filepath.Join(dir, "collectors"))
	if err != nil {
		return err
	}
	if _, err := bench.Warm(files); err != nil {
		return err
	}
	fmt.Fprint(out, "\none interface's hour, to more and more collectors\n\n")
	table := bench.NewTable(0, "collectors", "tuples", "processor time", "for a tuple", "more than with one less", "time", "peak memory")
	const most = 4
	addrs := r.collectors
	for len(addrs) < most {
		addr, sink, err := bench.Sink()
		if err != nil {
			return err
		}
		defer sink.Close()
		addrs = append(addrs, addr)
	}
	var costs [most][]cost
	for range 4 * o.runs {
		for i := range costs {
			r.collectors = addrs[:i+1]
			c, err := r.repeat(ctx, 1, files...)
			if err != nil {
				return err
			}
			costs[i] = append(costs[i], c)
		}
	}
	before := 0.0
	for i := range costs {
		c, added := medians(costs[i]), "-"
		if i > 0 {
			added = fmt.Sprintf("%.0f ns", c.each()-before)
		}
		before = c.each()
		table.Row(strconv.Itoa(i+1), strconv.Itoa(c.tuples), fmt.Sprintf("%.3f s", c.processor),
			fmt.Sprintf("%.0f ns", before), added, fmt.Sprintf("%.2f s", c.wall), bench.MiB(c.peak))
	}
	table.Write(out)
	return nil
}
