// Command sending compares how fast flow2ipfix and nfreplay send NetFlow version 9.
// nfreplay reads flows that nfcapd has stored, in nfdump's binary form: they were
// sent to it by flow2ipfix. flow2ipfix reads the flow log that they are of, and
// parses JSON and tuples on the way.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"flow2ipfix/test/bench"
)

type options struct {
	program      bench.Program
	results      string
	load         bench.Load
	rounds, rate int
}

func main() {
	var o options
	o.program.Flags()
	flag.StringVar(&o.results, "results", "", "`file` to add the ratio to")
	flag.IntVar(&o.load.TuplesPerMinute, "tuples", 8000, "tuples a minute of the flow log, which has an hour")
	flag.IntVar(&o.rate, "rate", 100_000, "records a second that nfcapd is sent; it loses what it cannot take")
	flag.IntVar(&o.rounds, "runs", 5, "how often each of the two runs")
	flag.Parse()
	o.load.Kind, o.load.Minutes = "vnet", 60
	bench.Main("sending", flag.NArg() == 0 && o.rounds >= 1, func(ctx context.Context, out io.Writer) error { return run(ctx, o, out) })
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	dir, remove, err := o.program.Prepare(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	files, err := o.load.Generate(ctx, o.program.Binary, filepath.Join(dir, "logs"))
	if err != nil {
		return err
	}
	stored, flows, sent, err := store(ctx, o, dir, files)
	if err != nil {
		return err
	}
	if _, err := bench.Warm(append(files, stored)); err != nil {
		return err
	}
	addr, sink, err := bench.Sink()
	if err != nil {
		return err
	}
	defer sink.Close()
	_, port, _ := net.SplitHostPort(addr)

	programs := [2][]string{
		{"nfreplay", "-r", stored, "-H", "127.0.0.1", "-p", port, "-d", "0", "-v", "9"},
		replay(o, addr, "--rate", "0", files),
	}
	records := [2]int{flows, sent}
	var walls, processors [2][]float64
	var peaks [2][]int64
	for round := range o.rounds {
		for turn := range programs {
			i := (round + turn) % len(programs)
			r, _, err := bench.Process(ctx, programs[i]...)
			if err != nil {
				return fmt.Errorf("run %s: %w", programs[i][0], err)
			}
			walls[i], processors[i], peaks[i] = append(walls[i], r.Wall.Seconds()), append(processors[i], r.Processor.Seconds()), append(peaks[i], r.PeakRSSBytes)
		}
	}

	fmt.Fprintf(out, "\nsending: NetFlow version 9 over UDP, %d runs each, by turns, medians\n\n", o.rounds)
	table := bench.NewTable(1, "program", "records", "time", "records/s", "processor time for a record", "peak memory")
	var costs [2]float64
	for i, name := range []string{"nfreplay, from nfdump's binary file", "flow2ipfix replay, from JSON"} {
		wall := bench.Median(walls[i])
		costs[i] = 1e9 * wall / float64(records[i])
		table.Row(name, strconv.Itoa(records[i]), fmt.Sprintf("%.3f s", wall), fmt.Sprintf("%.2f M", float64(records[i])/wall/1e6),
			fmt.Sprintf("%.0f ns", 1e9*bench.Median(processors[i])/float64(records[i])), bench.MiB(bench.Median(peaks[i])))
	}
	table.Write(out)
	fmt.Fprintf(out, "\nsending: flow2ipfix is %.1f times as fast as nfreplay\n", costs[0]/costs[1])
	return bench.Update(o.results, func(r *bench.Results) {
		r.Replace("sending", []bench.Ratio{{
			Part: "sending stored flows, VNet", Yardstick: "nfreplay, NetFlow v9 from its binary file", Unit: "record",
			Theirs: costs[0], Ours: costs[1], Allocs: -1,
			TheirRSS: bench.Median(peaks[0]), OurRSS: bench.Median(peaks[1]),
		}})
	})
}

// replay is the command line that sends what nfdump stores.
func replay(o options, addr, flag, value string, files []string) []string {
	return append([]string{
		o.program.Binary, "replay", "--preset", "nfdump", "--protocol", "netflow9", "--options", "none",
		"--collector", "udp://" + addr, "--summary", "json", flag, value,
	}, files...)
}

// store lets nfcapd store flows, and returns the file, how many flows are in it
// and how many were sent.
func store(ctx context.Context, o options, dir string, files []string) (stored string, flows, sent int, err error) {
	addr, probe, err := bench.Sink()
	if err != nil {
		return "", 0, 0, err
	}
	if err := probe.Close(); err != nil {
		return "", 0, 0, err
	}
	_, port, _ := net.SplitHostPort(addr)
	kept := filepath.Join(dir, "stored")
	if err := os.Mkdir(kept, 0o755); err != nil {
		return "", 0, 0, err
	}
	// An interval that does not end meanwhile makes one file of all.
	capture := exec.CommandContext(ctx, "nfcapd", "-w", kept, "-b", "127.0.0.1", "-p", port, "-B", "16777216", "-t", "86400")
	var said bytes.Buffer
	capture.Stdout, capture.Stderr = &said, &said
	if err := capture.Start(); err != nil {
		return "", 0, 0, fmt.Errorf("start nfcapd: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- capture.Wait() }()
	end := func() error {
		_ = capture.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := <-ended; err != nil {
			return fmt.Errorf("nfcapd: %w: %s", err, bytes.TrimSpace(said.Bytes()))
		}
		return nil
	}
	if err := await(ctx, func() bool { return received(port) >= 0 }); err != nil {
		return "", 0, 0, errors.Join(err, end())
	}
	contender := bench.Contender{Name: "flow2ipfix", Command: func(addr string, files []string) []string {
		return replay(o, addr, "--rate", strconv.Itoa(o.rate), files)
	}}
	result, err := contender.Run(ctx, addr, files)
	if err == nil {
		err = await(ctx, func() bool { return received(port) == 0 }) // its socket's buffer is empty
	}
	if err := errors.Join(err, end()); err != nil {
		return "", 0, 0, err
	}
	found, err := filepath.Glob(filepath.Join(kept, "nfcapd.2*"))
	if err != nil || len(found) != 1 {
		return "", 0, 0, fmt.Errorf("nfcapd stored %d files, want 1: %s", len(found), bytes.TrimSpace(said.Bytes()))
	}
	text, err := exec.CommandContext(ctx, "nfdump", "-r", found[0], "-I").Output()
	if err != nil {
		return "", 0, 0, fmt.Errorf("ask nfdump: %w", err)
	}
	_, rest, _ := strings.Cut(string(text), "\nFlows: ")
	line, _, _ := strings.Cut(rest, "\n")
	if flows, err = strconv.Atoi(strings.TrimSpace(line)); err != nil || flows < result.Records/2 {
		return "", 0, 0, fmt.Errorf("nfcapd stored %q of %d flows", line, result.Records)
	}
	return found[0], flows, result.Records, nil
}

// await asks until the answer is yes.
func await(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("nfcapd is not ready after 30 s"))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// received is how many bytes wait in the buffer of the socket that is bound to a
// port, or -1 if there is none; see proc_net_udp(5).
func received(port string) int64 {
	n, err := strconv.Atoi(port)
	table, readErr := os.ReadFile("/proc/net/udp")
	if err != nil || readErr != nil {
		return -1
	}
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", n)) {
			_, waiting, _ := strings.Cut(fields[4], ":")
			bytes, err := strconv.ParseInt(waiting, 16, 64)
			if err != nil {
				return -1
			}
			return bytes
		}
	}
	return -1
}
