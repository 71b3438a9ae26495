package flowlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
)

func benchBlob(tuple func(i int) string, record func(...string) string) []byte {
	var b bytes.Buffer
	b.WriteString(`{"records":[`)
	for m := range 60 {
		if m > 0 {
			b.WriteByte(',')
		}
		tuples := make([]string, 1000)
		for i := range tuples {
			tuples[i] = tuple(m*1000 + i)
		}
		b.WriteString(record(tuples...))
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func benchmarkDecoder(b *testing.B, blob []byte) {
	r := bytes.NewReader(nil)
	d := NewDecoder(r, 0, Options{})
	var batch Batch
	flows := 0
	b.SetBytes(int64(len(blob)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(blob)
		d.Reset(r, 0)
		for flows = 0; ; flows += batch.Len() {
			batch.Reset()
			if err := d.Next(&batch); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
	if flows != 60_000 {
		b.Fatalf("decoded %d flows, want 60000", flows)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/60_000, "ns/tuple")
}

// BenchmarkDecoder decodes an hour of 60 000 tuples from memory: framing, JSON
// and tuples together.
func BenchmarkDecoder(b *testing.B) {
	vnetTuple := func(i int) string {
		return fmt.Sprintf("%d,10.%d.0.4,%d.%d.61.7,%d,443,6,O,%c,NX,%d,%d,%d,%d", 1663146003606+i*37, i%7, 20+i%180, i%256, 1024+i%60000,
			"BE"[i%2], i%2*(1+i%50), i%2*(74+i%50*977), i%2*(1+i%70), i%2*(66+i%70*1311))
	}
	b.Run("vnet", func(b *testing.B) { benchmarkDecoder(b, benchBlob(vnetTuple, vnetRecord)) })
	nsgTuple := func(i int) string {
		if i%2 == 0 {
			return fmt.Sprintf("%d,10.%d.0.4,%d.%d.61.7,%d,443,T,O,A,B,,,,", 1663146003+i/20, i%7, 20+i%180, i%256, 1024+i%60000)
		}
		return fmt.Sprintf("%d,10.%d.0.4,%d.%d.61.7,%d,443,T,O,A,E,%d,%d,%d,%d", 1663146003+i/20, i%7, 20+i%180, i%256, 1024+i%60000,
			1+i%50, 74+i%50*977, 1+i%70, 66+i%70*1311)
	}
	b.Run("nsg", func(b *testing.B) {
		benchmarkDecoder(b, benchBlob(nsgTuple, func(t ...string) string { return nsgRecord(2, t...) }))
	})
	v6Tuple := func(i int) string {
		return fmt.Sprintf("%d,fd00::%x,2001:db8::%x,%d,443,6,O,E,NX,3,767,2,1580", 1663146003606+i*37, 4+i%7, i, 1024+i%60000)
	}
	b.Run("vnet-ipv6", func(b *testing.B) { benchmarkDecoder(b, benchBlob(v6Tuple, vnetRecord)) })
}

// BenchmarkTuple parses single tuples, without JSON around them.
func BenchmarkTuple(b *testing.B) {
	for _, bc := range []struct {
		name, tuple string
		kind        Kind
	}{
		{"vnet", "1663146003606,10.0.0.6,192.0.2.180,23956,443,6,O,E,NX,3,767,2,1580", VNet},
		{"nsg-v2", "1663146003,10.0.0.6,192.0.2.180,23956,443,T,O,A,E,3,767,2,1580", NSG},
		{"nsg-v1", "1663146003,10.0.0.6,192.0.2.180,23956,443,T,O,A", NSG},
		{"vnet-ipv6", "1663146003606,fd00::6,2001:db8::1,23956,443,6,O,E,NX,3,767,2,1580", VNet},
	} {
		b.Run(bc.name, func(b *testing.B) {
			in := append([]byte(bc.tuple+`"`), make([]byte, padBytes)...)
			var f Flow
			b.SetBytes(int64(len(bc.tuple)))
			b.ReportAllocs()
			for b.Loop() {
				if _, r := parseTuple(bc.kind, in, 0, &f); r != reasonNone {
					b.Fatal(r)
				}
			}
		})
	}
}
