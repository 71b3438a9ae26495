package flowlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

const benchTuples = 60_000

// benchBlob writes an hour of benchTuples in records of so many.
func benchBlob(perRecord int, tuple func(i int) string, record func(...string) string) []byte {
	var b bytes.Buffer
	b.WriteString(`{"records":[`)
	for first := 0; first < benchTuples; first += perRecord {
		if first > 0 {
			b.WriteByte(',')
		}
		tuples := make([]string, perRecord)
		for i := range tuples {
			tuples[i] = tuple(first + i)
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
	if flows != benchTuples {
		b.Fatalf("decoded %d flows, want %d", flows, benchTuples)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchTuples, "ns/tuple")
}

// BenchmarkDecoder decodes an hour of 60 000 tuples from memory: framing, JSON
// and tuples together.
func BenchmarkDecoder(b *testing.B) {
	vnetTuple := func(i int) string {
		return fmt.Sprintf("%d,10.%d.0.4,%d.%d.61.7,%d,443,6,O,%c,NX,%d,%d,%d,%d", 1663146003606+i*37, i%7, 20+i%180, i%256, 1024+i%60000,
			"BE"[i%2], i%2*(1+i%50), i%2*(74+i%50*977), i%2*(1+i%70), i%2*(66+i%70*1311))
	}
	b.Run("vnet", func(b *testing.B) { benchmarkDecoder(b, benchBlob(1000, vnetTuple, vnetRecord)) })
	// A very busy interface: window and batch do not stay in the cache.
	b.Run("vnet-large", func(b *testing.B) { benchmarkDecoder(b, benchBlob(20_000, vnetTuple, vnetRecord)) })
	nsgTuple := func(i int) string {
		if i%2 == 0 {
			return fmt.Sprintf("%d,10.%d.0.4,%d.%d.61.7,%d,443,T,O,A,B,,,,", 1663146003+i/20, i%7, 20+i%180, i%256, 1024+i%60000)
		}
		return fmt.Sprintf("%d,10.%d.0.4,%d.%d.61.7,%d,443,T,O,A,E,%d,%d,%d,%d", 1663146003+i/20, i%7, 20+i%180, i%256, 1024+i%60000,
			1+i%50, 74+i%50*977, 1+i%70, 66+i%70*1311)
	}
	nsg := func(version int) func(...string) string {
		return func(t ...string) string { return nsgRecord(version, t...) }
	}
	b.Run("nsg", func(b *testing.B) { benchmarkDecoder(b, benchBlob(1000, nsgTuple, nsg(2))) })
	v1Tuple := func(i int) string {
		return fmt.Sprintf("%d,10.%d.0.4,%d.%d.61.7,%d,443,%c,I,%c", 1663146003+i/20, i%7, 20+i%180, i%256, 1024+i%60000, "TTU"[i%3], "AD"[i%2])
	}
	b.Run("nsg-v1", func(b *testing.B) { benchmarkDecoder(b, benchBlob(1000, v1Tuple, nsg(1))) })
	v6Tuple := func(i int) string {
		return fmt.Sprintf("%d,fd00::%x,2001:db8::%x,%d,443,6,O,E,NX,3,767,2,1580", 1663146003606+i*37, 4+i%7, i, 1024+i%60000)
	}
	b.Run("vnet-ipv6", func(b *testing.B) { benchmarkDecoder(b, benchBlob(1000, v6Tuple, vnetRecord)) })

	// What a branch cannot be predicted by: addresses, states, and counters of any
	// size; one in ten is of IPv6, one in thirty has nine digits or more.
	m := maker{rand.New(rand.NewPCG(7, 8))}
	mixed := func(i int) string {
		source, destination := m.ip4(), m.ip4()
		if m.IntN(10) == 0 {
			source, destination = fmt.Sprintf("2603:1030:20e:%x::%x", m.IntN(8), m.IntN(1<<16)), fmt.Sprintf("2a01:111:f100:%x:%x:%x:%x:%x", m.IntN(1<<16), m.IntN(1<<16), m.IntN(1<<16), m.IntN(1<<16), m.IntN(1<<16))
		}
		size := func() int { return m.IntN(1 << m.IntN(31)) }
		return fmt.Sprintf("%d,%s,%s,%d,%d,%s,%s,%s,NX,%d,%d,%d,%d", 1663146003606+i*m.IntN(60), source, destination, m.IntN(65536), pick(m, 443, 53, 3389, m.IntN(65536)),
			pick(m, "6", "6", "17"), pick(m, "I", "O"), pick(m, "B", "C", "E", "D"), size(), size(), size(), size())
	}
	b.Run("mix", func(b *testing.B) { benchmarkDecoder(b, benchBlob(1000, mixed, vnetRecord)) })

	// As most interfaces write: three groups a record, with long identifiers.
	id := "/subscriptions/00000000-0000-4000-8000-00000000000a/resourceGroups/azure-labs-001/providers/Microsoft.Network/"
	small := func(tuples ...string) string {
		quoted := func(tuples []string) string { return `"` + strings.Join(tuples, `","`) + `"` }
		n := len(tuples) / 3
		return `{"time":"2022-09-14T09:00:52.5625085Z","flowLogVersion":4,"flowLogGUID":"66aa66aa-7a9a-4a4a-8888-a1a1a1a1a1a1","macAddress":"112233445566","category":"FlowLogFlowEvent",` +
			`"flowLogResourceID":"` + strings.ToUpper(id) + `NETWORKWATCHERS/NETWORKWATCHER_WESTUS/FLOWLOGS/LAB-FLOWLOG","targetResourceID":"` + id + `virtualNetworks/lab",` +
			`"operationName":"FlowLogFlowEvent","flowRecords":{"flows":[{"aclID":"` + id + `networkSecurityGroups/lab-nsg","flowGroups":[` +
			`{"rule":"DefaultRule_AllowInternetOutBound","flowTuples":[` + quoted(tuples[:n]) + `]},` +
			`{"rule":"DefaultRule_AllowVnetInBound","flowTuples":[` + quoted(tuples[n:2*n]) + `]}]},` +
			`{"aclID":"00000000-1234-abcd-ef00-c1c2c3c4c5c6","flowGroups":[{"rule":"PlatformRule","flowTuples":[` + quoted(tuples[2*n:]) + `]}]}]}}`
	}
	for _, n := range []int{1, 10} {
		b.Run(fmt.Sprintf("vnet-groups-of-%d", n), func(b *testing.B) { benchmarkDecoder(b, benchBlob(3*n, vnetTuple, small)) })
	}
}

// BenchmarkTuple reads single tuples, without JSON around them, as far as it goes
// fast; the last one is for the plain parsers alone.
func BenchmarkTuple(b *testing.B) {
	for _, bc := range []struct {
		name, tuple string
		kind        Kind
		slow        bool
	}{
		{"vnet", "1663146003606,10.0.0.6,192.0.2.180,23956,443,6,O,E,NX,3,767,2,1580", VNet, false},
		{"nsg-v2", "1663146003,10.0.0.6,192.0.2.180,23956,443,T,O,A,E,3,767,2,1580", NSG, false},
		{"nsg-v1", "1663146003,10.0.0.6,192.0.2.180,23956,443,T,O,A", NSG, false},
		{"vnet-ipv6", "1663146003606,fd00::6,2001:db8::1,23956,443,6,O,E,NX,3,767,2,1580", VNet, false},
		{"vnet-slow", "1663146003606,10.0.0.6,192.0.2.180,23956,443,6,O,E,,3,767,2,1580", VNet, true},
	} {
		b.Run(bc.name, func(b *testing.B) {
			in := append([]byte(bc.tuple+`"`), make([]byte, padBytes)...)
			var m marks
			m.mark(in, 0)
			var f Flow
			b.SetBytes(int64(len(bc.tuple)))
			b.ReportAllocs()
			for b.Loop() {
				_, fast := fastTuple(bc.kind, textAt(in, 0), 0, &m, &f)
				if fast == bc.slow {
					b.Fatal("not read as it should be")
				}
				if !fast {
					if _, r := parseTuple(bc.kind, in, 0, &f); r != reasonNone {
						b.Fatal(r)
					}
				}
			}
		})
	}
}
