package flowgen

import (
	"testing"
	"time"
)

// BenchmarkAppendRecord makes records of 16 667 tuples, so that 60 are a
// million. One op is a record.
func BenchmarkAppendRecord(b *testing.B) {
	for _, kind := range []Kind{VNet, NSG, NSGv1} {
		for _, ipv6 := range []bool{false, true} {
			name := kind.String()
			if ipv6 {
				name += "+ipv6"
			}
			b.Run(name, func(b *testing.B) {
				cfg := Config{
					Kind: kind, NICs: 1, Start: time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC),
					Minutes: MaxMinutes, Tuples: 16667, Seed: 1, IPv6: ipv6,
				}
				g, err := New(cfg)
				if err != nil {
					b.Fatal(err)
				}
				var record []byte
				for minute := range 10 { // the buffers grow to their size
					record = g.AppendRecord(record[:0], 0, minute)
				}
				before, bytes := g.Totals(), 0
				b.ReportAllocs()
				minute := 10
				for b.Loop() {
					record = g.AppendRecord(record[:0], 0, minute)
					bytes += len(record)
					minute++
				}
				tuples := float64(g.Totals().Tuples - before.Tuples)
				b.SetBytes(int64(bytes / b.N))
				b.ReportMetric(tuples/b.Elapsed().Seconds(), "tuples/s")
				b.ReportMetric(float64(bytes)/tuples, "B/tuple")
				b.ReportMetric(tuples/float64(b.N), "tuples/op")
			})
		}
	}
}
