package bridge

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/internal/flowgen"
	"flow2ipfix/source"
	"flow2ipfix/templates"
)

// TestNoAllocationPerTuple holds that of the whole path, from the bytes of a blob to
// datagrams: ten times as many tuples take next to no more allocations. What is
// left is for records and for tables that grow.
func TestNoAllocationPerTuple(t *testing.T) {
	sink, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	for _, ipv6 := range []bool{false, true} {
		few, fewTuples := allocations(t, sink.LocalAddr().String(), ipv6, 6)
		many, manyTuples := allocations(t, sink.LocalAddr().String(), ipv6, 60)
		if more, tuples := int64(many)-int64(few), int64(manyTuples-fewTuples); more > tuples/100 {
			t.Errorf("IPv6 %v: %d more tuples take %d more allocations", ipv6, tuples, more)
		}
	}
}

// allocations replays so many minutes of 2000 tuples, and returns what that took.
func allocations(t *testing.T, addr string, ipv6 bool, minutes int) (allocs, tuples uint64) {
	t.Helper()
	g, err := flowgen.New(flowgen.Config{NICs: 1, Start: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC), Minutes: minutes, Tuples: 2000, Seed: 1, IPv6: ipv6})
	if err != nil {
		t.Fatal(err)
	}
	blob := []byte(flowgen.Head)
	for m := range minutes {
		if m > 0 {
			blob = append(blob, ',')
		}
		blob = g.AppendRecord(blob, 0, m)
	}
	blob = append(blob, flowgen.Tail...)
	b, err := New(t.Context(), Config{
		Interfaces: &convert.MemoryInterfaces{},
		Lanes:      []Lane{{Name: "sink", Exporter: exporter.Config{URL: "udp://" + addr, Templates: templates.Generic()}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	delta := &source.Delta{Blob: "blob", Size: int64(len(blob)), Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(blob)), nil
	}}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sum, err := b.Run(t.Context(), []*source.Delta{delta})
	runtime.ReadMemStats(&after)
	if err != nil || sum.Decoded() != g.Totals().Tuples {
		t.Fatalf("decoded %d of %d tuples: %v", sum.Decoded(), g.Totals().Tuples, err)
	}
	return after.Mallocs - before.Mallocs, sum.Decoded()
}
