package convert

import (
	"testing"

	"flow2ipfix/flowlog"
	"flow2ipfix/templates"
)

// BenchmarkRecords converts a flow with traffic both ways: two records.
func BenchmarkRecords(b *testing.B) {
	f := flow(nil)
	var p Policy
	var out [MaxRecords]templates.Record
	b.ReportAllocs()
	for b.Loop() {
		p.Records(Origin{Domain: 1, Interface: 7}, &f, &out)
	}
}

// BenchmarkStarts looks up flows that live in a table of the given number.
func BenchmarkStarts(b *testing.B) {
	for name, n := range map[string]int{"1000": 1000, "300000": 300_000} {
		b.Run(name, func(b *testing.B) {
			flows := manyFlows(n, flowlog.Continue, 100)
			s := NewStarts(DefaultMaxFlows)
			s.Mark(0, flowlog.MAC{1}, flows)
			b.ReportAllocs()
			for b.Loop() {
				s.Mark(0, flowlog.MAC{1}, flows)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/flow")
		})
	}
}
