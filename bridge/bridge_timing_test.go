package bridge

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/internal/flowgen"
	"flow2ipfix/source"
	"flow2ipfix/templates"
)

// benchBlob is an hour of one busy network interface.
func benchBlob(b *testing.B, kind flowgen.Kind) ([]byte, uint64) {
	b.Helper()
	g, err := flowgen.New(flowgen.Config{Kind: kind, NICs: 1, Start: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC), Minutes: 60, Tuples: 5000, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	blob := []byte(flowgen.Head)
	for m := range 60 {
		if m > 0 {
			blob = append(blob, ',')
		}
		blob = g.AppendRecord(blob, 0, m)
	}
	return append(blob, flowgen.Tail...), g.Totals().Tuples
}

// BenchmarkRun carries an hour's blob from memory to a collector, unpaced: all
// of replay but the disk. The UDP sink is a bound socket that nobody reads.
func BenchmarkRun(b *testing.B) {
	sink, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	set, err := templates.New(templates.Config{})
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []flowgen.Kind{flowgen.VNet, flowgen.NSG} {
		blob, tuples := benchBlob(b, kind)
		for name, url := range map[string]string{"udp": "udp://" + sink.LocalAddr().String(), "file": "file:/dev/null"} {
			b.Run(kind.String()+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(blob)))
				b.ReportAllocs()
				for b.Loop() {
					br, err := New(b.Context(), Config{
						Interfaces: &convert.MemoryInterfaces{},
						Lanes:      []Lane{{Name: name, Exporter: exporter.Config{URL: url, Templates: set}}},
					})
					if err != nil {
						b.Fatal(err)
					}
					delta := &source.Delta{Blob: "blob", Size: int64(len(blob)), Open: func(context.Context) (io.ReadCloser, error) {
						return io.NopCloser(bytes.NewReader(blob)), nil
					}}
					s, err := br.Run(b.Context(), []*source.Delta{delta})
					if err != nil || s.Decoded() != tuples {
						b.Fatalf("decoded %d of %d tuples: %v", s.Decoded(), tuples, err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(tuples), "ns/tuple")
			})
		}
	}
}
