// Command summary prints what the other commands have measured and kept in a file:
// all parts beside their yardsticks, and how near to what the machine allows they
// come. It can draw a chart of that.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"flow2ipfix/test/bench"
)

func main() {
	results := flag.String("results", "bin/bench.json", "`file` with what was measured")
	svg := flag.String("svg", "", "`file` to draw a chart into, in place of the table")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*results, *svg); err != nil {
		fmt.Fprintln(os.Stderr, "summary: error:", err)
		os.Exit(1)
	}
}

func run(file, svg string) error {
	r, err := bench.ReadResults(file)
	if err != nil {
		return err
	}
	if svg != "" {
		text, err := draw(&r)
		if err != nil {
			return err
		}
		return os.WriteFile(svg, text, 0o644)
	}
	fmt.Print("\nsummary: flow2ipfix beside its yardsticks\n\n")
	table := bench.NewTable(2, "part", "yardstick", "its cost", "our cost", "times as fast", "our allocations", "its peak memory", "our peak memory")
	for _, ratio := range r.Ratios {
		allocs := ratio.Allocs
		if kind, ok := strings.CutPrefix(ratio.Section, "whole "); ok {
			if n, known := r.Allocs[kind]; known {
				allocs = n
			}
		}
		cost := func(ns float64) string { return bench.Digits(ns) + " ns a " + ratio.Unit }
		table.Row(ratio.Part, ratio.Yardstick, cost(ratio.Theirs), cost(ratio.Ours), fmt.Sprintf("%.1f", ratio.Faster()),
			few(allocs), bench.MiB(ratio.TheirRSS), bench.MiB(ratio.OurRSS))
	}
	table.Write(os.Stdout)

	l := r.Limits
	if l.BytesPerTuple == 0 || l.ReadBytesPerSecond == 0 || len(r.Shares["vnet"]) == 0 {
		return nil // only some of it was measured
	}
	ours := 0.0
	for _, share := range r.Shares["vnet"] {
		ours += share.Ns
	}
	fmt.Print("\nsummary: what the machine allows, and what a tuple of the VNet flow log takes\n\n")
	table = bench.NewTable(1, "", "processor time for a tuple")
	table.Row(fmt.Sprintf("reading its %.0f bytes from memory, at %.1f GB/s", l.BytesPerTuple, l.ReadBytesPerSecond/1e9), bench.Digits(l.Reading())+" ns")
	table.Row(fmt.Sprintf("sending its %.2f records, %d in a message of %.0f ns", l.RecordsPerTuple, bench.RecordsPerMessage, l.SegmentNs), bench.Digits(l.Sending())+" ns")
	table.Row("both: what it cannot take less than", bench.Digits(l.Reading()+l.Sending())+" ns")
	table.Row("flow2ipfix, all", bench.Digits(ours)+" ns")
	table.Write(os.Stdout)
	return nil
}

// few writes how many allocations there are for a unit; less than 0 is not known.
func few(n float64) string {
	switch {
	case n < 0:
		return "-"
	case n == 0 || n > 0.01:
		return bench.Digits(n)
	}
	return fmt.Sprintf("%.5f", n)
}
