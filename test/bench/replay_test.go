package bench

import (
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkReplay runs the yardstick and flow2ipfix as processes of their own on
// one and the same flow log of about 100 MB and 1 M tuples, for benchstat. The
// environment variable BENCH_KIND chooses its kind, vnet (default) or nsg. For
// the ratio of the two use cmd/compare, which lets them take turns.
func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	yardstick, product := filepath.Join(dir, "yardstick"), filepath.Join(dir, "flow2ipfix")
	if err := Build(b.Context(), ".", "./cmd/yardstick", yardstick); err != nil {
		b.Fatal(err)
	}
	if err := Build(b.Context(), "../..", "./cmd/flow2ipfix", product); err != nil {
		b.Fatal(err)
	}
	load := Load{Kind: "vnet", Minutes: 60, TuplesPerMinute: 16667}
	if kind := os.Getenv("BENCH_KIND"); kind != "" {
		load.Kind = kind
	}
	files, err := load.Generate(b.Context(), product, filepath.Join(dir, "logs"))
	if err != nil {
		b.Fatal(err)
	}
	size, err := Warm(files)
	if err != nil {
		b.Fatal(err)
	}
	addr, sink, err := Sink()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sink.Close() })

	for _, contender := range []Contender{YardstickProgram(yardstick), ProductProgram(product)} {
		b.Run(contender.Name, func(b *testing.B) {
			b.SetBytes(size)
			var tuples int
			var peak int64
			for b.Loop() {
				result, err := contender.Run(b.Context(), addr, files)
				if err != nil {
					b.Fatal(err)
				}
				tuples += result.Tuples
				peak = max(peak, result.PeakRSSBytes)
			}
			b.ReportMetric(float64(tuples)/b.Elapsed().Seconds(), "tuples/s")
			b.ReportMetric(float64(peak)/(1<<20), "peak-RSS-MiB")
		})
	}
}
