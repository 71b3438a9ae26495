package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestCollectLater(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	percent := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	t.Setenv("GOGC", "100")
	collectLater(smallestGoal)
	if got := percent(); got != 100 {
		t.Errorf("GOGC is %d, although the user has set it to 100", got)
	}
	t.Setenv("GOGC", "")
	collectLater(smallestGoal + 1)
	if got := percent(); got != 100 {
		t.Errorf("GOGC is %d, although the heap is large already", got)
	}
	runtime.GC()
	collectLater(smallestGoal)
	if got := percent(); got != 400 {
		t.Errorf("GOGC is %d before the first collection, want 400", got)
	}
	deadline := time.Now().Add(time.Minute)
	for percent() != 100 {
		if time.Now().After(deadline) {
			t.Fatalf("GOGC is still %d after a collection, want 100", percent())
		}
		runtime.GC()
	}
}
