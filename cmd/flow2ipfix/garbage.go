package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// smallestGoal is how large the heap may become before garbage is collected for the
// first time, if GOGC is 100.
const smallestGoal = 4 << 20

// collectLater puts off the first collection of garbage until the heap has 16 MiB
// instead of 4. A short replay has ended by then; a long one goes on as programs do,
// so that its memory is bounded as theirs. goal is how large the heap may become now:
// if it is larger than at the start of a program, nothing is put off.
func collectLater(goal uint64) {
	if os.Getenv("GOGC") != "" || goal > smallestGoal {
		return
	}
	debug.SetGCPercent(400)
	type first struct{ _ *int } // something tiny without a pointer might outlive the first collection
	runtime.AddCleanup(new(first), func(int) { debug.SetGCPercent(100) }, 0)
}

func heapGoal() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
