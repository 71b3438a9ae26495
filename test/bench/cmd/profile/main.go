// Command profile shows where replay spends its time and memory. For each kind of
// flow log it runs the bridge, as replay does, over the same hour again and again in
// a process of its own, keeps the profiles of processor and heap, prints the
// functions at their top and sums up what each part of the program takes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"flow2ipfix/test/bench"
)

type options struct {
	program             bench.Program
	out, results, kinds string
	runs, top           int
	child               bool
	args                []string
}

func main() {
	var o options
	o.program.Flags()
	flag.StringVar(&o.out, "out", "bin/profiles", "the `folder` for the profiles, made if it does not exist")
	flag.StringVar(&o.results, "results", "", "`file` to add what each part takes to")
	flag.StringVar(&o.kinds, "kinds", "vnet nsg v6", "kinds of flow logs; v6 is vnet with nothing but IPv6")
	flag.IntVar(&o.runs, "runs", 20, "how often each hour of a million tuples is replayed")
	flag.IntVar(&o.top, "top", 20, "how many functions to print")
	flag.BoolVar(&o.child, "child", false, "profile the files that are named; for this program itself")
	flag.Parse()
	o.args = flag.Args()
	do := run
	if o.child {
		do = record
	}
	bench.Main("profile", o.runs >= 1 && (o.child || len(o.args) == 0), func(ctx context.Context, out io.Writer) error { return do(ctx, o, out) })
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	dir, remove, err := o.program.Prepare(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	kinds := strings.Fields(o.kinds)
	shares, allocs := map[string][]bench.Share{}, map[string]float64{}
	for _, kind := range kinds {
		load := bench.Load{Kind: kind, Minutes: 60, TuplesPerMinute: 16667}
		files, err := load.Generate(ctx, o.program.Binary, filepath.Join(dir, kind))
		if err != nil {
			return err
		}
		prefix := filepath.Join(o.out, kind)
		_, said, err := bench.Process(ctx, append([]string{self, "-child", "-runs", strconv.Itoa(o.runs), "-out", prefix}, files...)...)
		if err != nil {
			return fmt.Errorf("profile %s: %w", kind, err)
		}
		var did done
		if err := json.Unmarshal(said, &did); err != nil {
			return fmt.Errorf("profile %s: %w", kind, err)
		}
		allocs[kind] = did.AllocsPerTuple
		fmt.Fprintf(out, "\nprofile %s: %d times %d tuples, %.0f ns of processor time and %.5f allocations for each; %s.cpu.pprof and %s.heap.pprof\n\n",
			kind, o.runs, did.Tuples/o.runs, did.NsPerTuple, did.AllocsPerTuple, prefix, prefix)
		for _, view := range [][]string{
			{"-nodecount=" + strconv.Itoa(o.top), prefix + ".cpu.pprof"},
			{"-sample_index=alloc_space", "-nodecount=" + strconv.Itoa(o.top/2), prefix + ".heap.pprof"},
		} {
			text, err := ask(ctx, append([]string{"-top"}, view...)...)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%s\n", text)
		}
		traces, err := ask(ctx, "-traces", "-unit=ns", prefix+".cpu.pprof")
		if err != nil {
			return err
		}
		if shares[kind], err = split(traces, did.NsPerTuple); err != nil {
			return err
		}
	}

	fmt.Fprint(out, "\nprofile: where each nanosecond goes; processor time for a tuple, of both cores together\n\n")
	table := bench.NewTable(1, append([]string{"part"}, kinds...)...)
	for i, part := range parts {
		row := []string{part}
		for _, kind := range kinds {
			row = append(row, fmt.Sprintf("%.1f ns", shares[kind][i].Ns))
		}
		table.Row(row...)
	}
	row := []string{"all"}
	for _, kind := range kinds {
		sum := 0.0
		for _, share := range shares[kind] {
			sum += share.Ns
		}
		row = append(row, fmt.Sprintf("%.0f ns", sum))
	}
	table.Row(row...)
	table.Write(out)
	return bench.Update(o.results, func(r *bench.Results) { r.Shares, r.Allocs = shares, allocs })
}

// ask returns what go tool pprof says.
func ask(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof"}, args...)...)
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("read profile: %w", err)
	}
	return string(text), nil
}
