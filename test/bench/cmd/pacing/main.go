// Command pacing shows how smoothly flow2ipfix sends at a rate: it has it send a flow
// log to a loopback socket and prints a histogram of how many records came within
// each 10 ms, by the kernel's own timestamps of the datagrams.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"flow2ipfix/test/bench"
)

type options struct {
	program bench.Program
	rates   string
	seconds int
	limit   float64
}

func main() {
	var o options
	o.program.Flags()
	flag.StringVar(&o.rates, "rates", "1000,20000,500000", "records a second")
	flag.IntVar(&o.seconds, "seconds", 5, "how long each rate is sent at")
	flag.Float64Var(&o.limit, "limit", 0, "fail when 10 ms have more than this many times their share, and than a message and their share")
	flag.Parse()
	bench.Main("pacing", flag.NArg() == 0 && o.seconds >= 1, func(ctx context.Context, out io.Writer) error { return run(ctx, o, out) })
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	dir, remove, err := o.program.Prepare(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	var rough []error
	for text := range strings.SplitSeq(o.rates, ",") {
		rate, err := strconv.Atoi(text)
		if err != nil || rate < 1 {
			return fmt.Errorf("-rates: want numbers, got %q", text)
		}
		// A minute has about this many tuples for so many records.
		load := bench.Load{Kind: "vnet", Minutes: 60, TuplesPerMinute: max(1, rate*o.seconds/60)}
		files, err := load.Generate(ctx, o.program.Binary, filepath.Join(dir, text))
		if err != nil {
			return err
		}
		p, err := bench.MeasurePacing(ctx, o.program.Binary, rate, files)
		if err != nil {
			return err
		}
		p.Print(out)
		if most := max(o.limit*p.Share(), 64+p.Share()); o.limit > 0 && float64(p.Worst) > most {
			rough = append(rough, fmt.Errorf("%d records/s: %d records within 10 ms, want at most %.0f", rate, p.Worst, most))
		}
	}
	return errors.Join(rough...)
}
