// Command simulate lets flow2ipfix follow a storage account of 10 000 network
// interfaces, all in this machine, and prints what that takes. It fails when a
// record is missing or came twice, when a minute's worth takes longer than a
// minute, when polls cost more than they may, or when the daemon takes too much
// memory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"flow2ipfix/test/bench"
	"flow2ipfix/test/bench/simulation"
)

func main() {
	var o simulation.Options
	root := flag.String("root", "..", "the `folder` of the repository")
	memory := flag.Int64("max-memory", 128, "fail when the daemon takes more `MiB`")
	flag.StringVar(&o.Product, "flow2ipfix", "", "a built flow2ipfix to use instead of building one")
	flag.IntVar(&o.FlowLogs, "flow-logs", 50, "flow logs")
	flag.IntVar(&o.NICs, "nics", 200, "network interfaces of each flow log")
	flag.IntVar(&o.Tuples, "tuples", 100, "tuples of each record")
	flag.IntVar(&o.Minutes, "minutes", 3, "how often all blobs grow")
	flag.DurationVar(&o.PollInterval, "poll", 10*time.Second, "the daemon's poll interval")
	flag.IntVar(&o.Readers, "readers", 8, "how many blobs the daemon reads at once")
	flag.DurationVar(&o.Latency, "latency", 5*time.Millisecond, "how long the account takes to answer")
	flag.StringVar(&o.Collector, "collector", "tcp", "how flow records are sent, tcp or udp")
	flag.DurationVar(&o.Timeout, "timeout", 10*time.Minute, "how long all may take")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	o.MaxMemory = *memory << 20
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, *root); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "simulate: error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o simulation.Options, root string) (err error) {
	if o.Product == "" {
		dir, err := os.MkdirTemp("", "flow2ipfix-bench-")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		o.Product = filepath.Join(dir, "flow2ipfix")
		if err := bench.Build(ctx, root, "./cmd/flow2ipfix", o.Product); err != nil {
			return err
		}
	}
	return simulation.Run(ctx, o, os.Stdout)
}
