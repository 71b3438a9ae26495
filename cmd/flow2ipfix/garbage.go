package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// collectLater puts off the first collection of garbage until the heap has 16 MiB
// instead of 4. A short replay has ended by then; a long one goes on as programs do,
// so that its memory is bounded as theirs.
func collectLater() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(400)
	type first struct{ _ *int } // something tiny without a pointer might outlive the first collection
	runtime.AddCleanup(new(first), func(int) { debug.SetGCPercent(100) }, 0)
}
