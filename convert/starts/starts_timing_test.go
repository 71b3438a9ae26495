package starts

import (
	"testing"

	"flow2ipfix/flowlog"
)

// BenchmarkMark looks up flows that live in a table of the given number.
func BenchmarkMark(b *testing.B) {
	for name, n := range map[string]int{"1000": 1000, "300000": 300_000} {
		b.Run(name, func(b *testing.B) {
			flows := manyFlows(n, flowlog.Continue, 100)
			s := New(DefaultMaxFlows)
			s.Mark(0, flowlog.MAC{1}, flows)
			b.ReportAllocs()
			for b.Loop() {
				s.Mark(0, flowlog.MAC{1}, flows)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/flow")
		})
	}
}
