package exporter

import "testing"

func TestStreamExportDoesNotAllocate(t *testing.T) {
	for _, way := range []way{{"file:/dev/null", 0}, {"udp", 0}, {"udp", 1_000_000}, {"tcp", 0}} {
		t.Run(way.String(), func(t *testing.T) {
			s := timedStream(t, way)
			record4, record6 := v4, v6
			id := uint64(0)
			batch := func() {
				for range 500 {
					if err := s.Export(t.Context(), 1, &record4); err != nil {
						t.Fatal(err)
					}
					if err := s.Export(t.Context(), 1, &record6); err != nil {
						t.Fatal(err)
					}
				}
				id++
				s.Mark(id)
				if _, err := s.Delivered(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for range 300 {
				batch()
			}
			// Queues grow when a collector on a busy machine falls behind. What a record
			// allocates, it allocates each time.
			n := testing.AllocsPerRun(20, batch)
			for range 4 {
				n = min(n, testing.AllocsPerRun(20, batch))
			}
			if n != 0 {
				t.Errorf("1000 records take %v allocations, want none", n)
			}
		})
	}
}

func BenchmarkStreamExport(b *testing.B) {
	for _, way := range []way{{"file:/dev/null", 0}, {"udp", 0}, {"udp", 100_000_000}, {"tcp", 0}} {
		b.Run(way.String(), func(b *testing.B) {
			s := timedStream(b, way)
			b.SetBytes(60)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Export(b.Context(), 1, &v4); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
