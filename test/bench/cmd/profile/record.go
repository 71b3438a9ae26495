package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"

	"golang.org/x/sys/unix"

	"flow2ipfix/bridge"
	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/source/files"
	"flow2ipfix/templates"
	"flow2ipfix/test/bench"
)

// done is what a child did.
type done struct {
	Tuples         int     // in all runs
	NsPerTuple     float64 // of processor time
	AllocsPerTuple float64
}

// record replays files, unpaced, into the void, and writes profiles.
func record(ctx context.Context, o options, out io.Writer) (err error) {
	addr, sink, err := bench.Sink()
	if err != nil {
		return err
	}
	defer sink.Close()
	replay := func() (int, error) {
		deltas, err := files.Find(o.args, nil)
		if err != nil {
			return 0, err
		}
		b, err := bridge.New(ctx, bridge.Config{
			Interfaces: &convert.MemoryInterfaces{},
			Inventory:  new(templates.Inventory),
			Lanes:      []bridge.Lane{{Name: "sink", Exporter: exporter.Config{URL: "udp://" + addr, Templates: templates.Generic()}}},
		})
		if err != nil {
			return 0, err
		}
		sum, err := b.Run(ctx, deltas)
		if err != nil {
			return 0, err
		}
		return int(sum.Decoded()), nil
	}
	if _, err := replay(); err != nil { // the first one reads the disk
		return err
	}

	cpu, err := os.Create(o.out + ".cpu.pprof")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cpu.Close()) }()
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	before, err := processor()
	if err != nil {
		return err
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	mallocs := memory.Mallocs
	var did done
	for range o.runs {
		n, err := replay()
		if err != nil {
			return err
		}
		did.Tuples += n
	}
	after, err := processor()
	if err != nil {
		return err
	}
	runtime.ReadMemStats(&memory)
	pprof.StopCPUProfile()
	if did.Tuples == 0 {
		return errors.New("there was no tuple to send")
	}
	did.NsPerTuple = float64(after-before) / float64(did.Tuples)
	did.AllocsPerTuple = float64(memory.Mallocs-mallocs) / float64(did.Tuples)

	heap, err := os.Create(o.out + ".heap.pprof")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, heap.Close()) }()
	runtime.GC() // the profile is as of the last collection
	if err := pprof.WriteHeapProfile(heap); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(did)
}

// processor is the processor time of this process until now, in nanoseconds.
func processor() (int64, error) {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("ask for processor time: %w", err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano(), nil
}
