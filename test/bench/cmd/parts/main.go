// Command parts runs the benchmarks of the product's parts beside their
// yardsticks, all of them once and then all of them again, so that what else the
// machine does falls on both. It shows what benchstat makes of that, and a table of
// medians with their ratios.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"flow2ipfix/test/bench"
)

type options struct {
	root, results, pattern string
	rounds                 int
	benchtime              time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", "..", "the `folder` of the repository")
	flag.StringVar(&o.results, "results", "", "`file` to add the ratios to")
	flag.StringVar(&o.pattern, "bench", "Parts", "which benchmarks, a `pattern` of go test")
	flag.IntVar(&o.rounds, "runs", 6, "how often each benchmark runs")
	flag.DurationVar(&o.benchtime, "benchtime", 100*time.Millisecond, "how long each run takes")
	flag.Parse()
	bench.Main("parts", flag.NArg() == 0 && o.rounds >= 1, func(ctx context.Context, out io.Writer) error { return run(ctx, o, out) })
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "flow2ipfix-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	program := filepath.Join(dir, "bench.test")
	if err := command(ctx, filepath.Join(o.root, "test"), nil, "go", "test", "-c", "-o", program, "./bench"); err != nil {
		return err
	}
	var text bytes.Buffer
	for range o.rounds {
		if err := command(ctx, dir, &text, program, "-test.run=^$", "-test.bench="+o.pattern,
			"-test.benchtime="+o.benchtime.String()); err != nil {
			return err
		}
	}
	samples, err := parse(text.String())
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "parts.txt")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nparts: %d rounds of %v each; benchstat, ours first\n\n", o.rounds, o.benchtime)
	if err := command(ctx, dir, out, "benchstat", "-filter", ".unit:ns/unit", "-row", "/part,/log", "-col", "/by", file); err != nil {
		return err
	}
	ratios := compare(samples)
	fmt.Fprintf(out, "\nparts: medians of %d, one core\n\n", o.rounds)
	table := bench.NewTable(3, "part", "yardstick", "for each", "its ns", "its allocations", "our ns", "our allocations", "times as fast")
	for _, r := range ratios {
		table.Row(r.Part, r.Yardstick, r.Unit, bench.Digits(r.Theirs), bench.Digits(r.theirAllocs),
			bench.Digits(r.Ours), bench.Digits(r.Allocs), fmt.Sprintf("%.1f", r.Faster()))
	}
	table.Write(out)
	return bench.Update(o.results, func(results *bench.Results) {
		var plain []bench.Ratio
		for _, r := range ratios {
			plain = append(plain, r.Ratio)
		}
		results.Replace("parts", plain)
	})
}

// command runs a program; without out, what it says is only for its error.
func command(ctx context.Context, dir string, out io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &said
	if out == nil {
		cmd.Stdout = &said
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w: %s", filepath.Base(name), err, bytes.TrimSpace(said.Bytes()))
	}
	return nil
}

// key is one benchmark.
type key struct{ part, log, by string }

// sample is what the runs of a benchmark measured, for a unit.
type sample struct{ ns, allocs []float64 }

// parse reads what go test says.
func parse(text string) (map[key]*sample, error) {
	samples := map[key]*sample{}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		var k key
		for part := range strings.SplitSeq(fields[0], "/") {
			name, value, _ := strings.Cut(part, "=")
			switch name {
			case "part":
				k.part = value
			case "log":
				k.log = value
			case "by":
				k.by, _, _ = strings.Cut(value, "-") // behind it the number of processors
			}
		}
		metrics := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			n, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("read %q: %w", strings.TrimSpace(line), err)
			}
			metrics[fields[i+1]] = n
		}
		if metrics["units"] == 0 {
			return nil, fmt.Errorf("read %q: no units", strings.TrimSpace(line))
		}
		if samples[k] == nil {
			samples[k] = &sample{}
		}
		samples[k].ns = append(samples[k].ns, metrics["ns/unit"])
		samples[k].allocs = append(samples[k].allocs, metrics["allocs/op"]/metrics["units"])
	}
	if len(samples) == 0 {
		return nil, errors.New("no benchmark ran")
	}
	return samples, nil
}

// ratio is a bench.Ratio, and how often its yardstick allocates.
type ratio struct {
	bench.Ratio
	theirAllocs float64
}

// compare puts the samples beside each other.
func compare(samples map[key]*sample) []ratio {
	var ratios []ratio
	for _, part := range []struct {
		name, title, unit string
		theirs            [][2]string
	}{
		{"json", "JSON alone, tuples skipped", "tuple", [][2]string{{"theirs", "encoding/json"}}},
		{"tuple", "tuples alone", "tuple", [][2]string{{"theirs", "strings.Split, strconv, net.ParseIP"}}},
		{"decode", "JSON and tuples", "tuple", [][2]string{
			{"theirs", "encoding/json, strings.Split, strconv, net.ParseIP"},
			{"strings", "encoding/json, which leaves tuples as strings"},
		}},
		{"convert", "tuple to records", "tuple", [][2]string{{"anew", "go-ipfix elements made anew"}, {"reused", "go-ipfix elements reused"}}},
		{"encode", "record to message", "record", [][2]string{{"theirs", "go-ipfix"}}},
		{"send", "record to UDP", "record", [][2]string{{"theirs", "go-ipfix's buffered exporter"}}},
		{"export", "tuple to UDP", "tuple", [][2]string{
			{"anew", "go-ipfix's buffered exporter, elements made anew"},
			{"reused", "go-ipfix's buffered exporter, elements reused"},
		}},
	} {
		for _, log := range [][2]string{{"vnet", "VNet"}, {"nsg", "NSG"}, {"v6", "VNet, IPv6"}} {
			ours := samples[key{part.name, log[0], "ours"}]
			for _, yardstick := range part.theirs {
				theirs := samples[key{part.name, log[0], yardstick[0]}]
				if ours == nil || theirs == nil {
					continue
				}
				r := ratio{bench.Ratio{
					Part: part.title + ", " + log[1], Yardstick: yardstick[1], Unit: part.unit,
					Ours: bench.Median(ours.ns), Theirs: bench.Median(theirs.ns), Allocs: bench.Median(ours.allocs),
				}, bench.Median(theirs.allocs)}
				ratios = append(ratios, r)
			}
		}
	}
	return ratios
}
