package flowlog

import (
	"fmt"
	"strings"
	"testing"
)

// TestBatchesOfManyFlows decodes rules with more flows than a chunk has room for, into
// two batches by turns: what one holds stays until it is reset, and nothing of it is
// the other's.
func TestBatchesOfManyFlows(t *testing.T) {
	const records, each = 4, 2*chunkFlows + 77
	var in strings.Builder
	port := func(record, i int) int { return (record*each + i) % 50_000 }
	for r := range records {
		var tuples []string
		for i := range each {
			tuples = append(tuples, fmt.Sprintf(`"1663146003606,10.0.0.6,192.0.2.180,%d,443,6,O,E,NX,3,767,0,0"`, port(r, i)))
		}
		fmt.Fprintf(&in, `{"macAddress":"00224871C205","flowRecords":{"flows":[{"aclID":"a","flowGroups":[{"rule":"r%d","flowTuples":[%s]}]}]}}`, r, strings.Join(tuples, ","))
	}
	check := func(b *Batch, first int) {
		t.Helper()
		if b.Len() != len(b.Records)*each {
			t.Errorf("%d records have %d flows, want %d each", len(b.Records), b.Len(), each)
		}
		for k := range b.Records {
			next := 0
			groups := b.Groups(&b.Records[k])
			for i := range groups {
				if g := &groups[i]; g.Rule != fmt.Sprintf("r%d", first+k) || g.ACL != "a" || g.MAC == (MAC{}) || g.Kind != VNet {
					t.Errorf("group %d of record %d is %+v", i, first+k, *g)
				}
				for _, f := range b.Flows(&groups[i]) {
					if int(f.SourcePort) != port(first+k, next) {
						t.Fatalf("flow %d of record %d has port %d, want %d", next, first+k, f.SourcePort, port(first+k, next))
					}
					next++
				}
			}
			if next != each {
				t.Errorf("the groups of record %d have %d flows, want %d", first+k, next, each)
			}
		}
	}
	d := NewDecoder(strings.NewReader(in.String()), 0, Options{})
	var batches [2]Batch
	for r := range records {
		b := &batches[r%2]
		b.Reset()
		if err := d.Next(b); err != nil {
			t.Fatal(err)
		}
		check(b, r)
		if r > 0 {
			check(&batches[1-r%2], r-1)
		}
	}
	b := &batches[(records-1)%2]
	if got := b.DropLast(); got != each || b.Len() != 0 {
		t.Errorf("%d flows were dropped and %d are left, want %d and none", got, b.Len(), each)
	}
	d.Reset(strings.NewReader(in.String()), 0)
	for range records {
		if err := d.Next(b); err != nil {
			t.Fatal(err)
		}
	}
	check(b, 0)
}

// TestRejectedFlowsHoldNothing: a record that is rejected at its end leaves none of its
// memory with the batch.
func TestRejectedFlowsHoldNothing(t *testing.T) {
	tuples := strings.Repeat(`"`+vnetTuple+`",`, 9*chunkFlows)
	bad := `{"flowRecords":{"flows":[{"flowGroups":[{"flowTuples":[` + tuples + `!]}]}]}}`
	d := NewDecoder(strings.NewReader(`{"records":[`+vnetRecord(vnetTuple)+`,`+bad+`,`+vnetRecord(vnetTuple)+`]}`), 0, Options{})
	var b Batch
	for range 2 {
		if err := d.Next(&b); err != nil {
			t.Fatal(err)
		}
	}
	if b.Len() != 2 || len(b.chunks) != 1 || d.Stats().Rejected[PieceRecord] != 1 {
		t.Errorf("%d flows in %d chunks, %d records rejected; want 2 in one, and 1", b.Len(), len(b.chunks), d.Stats().Rejected[PieceRecord])
	}
}

// TestGiantBatchesAreGivenBack: memory beyond what is kept for the next batches is not.
func TestGiantBatchesAreGivenBack(t *testing.T) {
	var batches [3]Batch
	for i := range batches {
		for range keepChunks {
			batches[i].room()
			batches[i].flows += chunkFlows
		}
	}
	for i := range batches {
		batches[i].Reset()
		if batches[i].Len() != 0 || len(batches[i].chunks) != 0 {
			t.Errorf("batch %d has %d flows in %d chunks after a reset", i, batches[i].Len(), len(batches[i].chunks))
		}
	}
	var kept []*chunk
	for c, fresh := chunks.Take(); !fresh; c, fresh = chunks.Take() {
		kept = append(kept, c)
	}
	if n := len(kept); n < keepChunks || n > 2*keepChunks {
		t.Errorf("%d chunks are kept, want %d to twice as many", n, keepChunks)
	}
	chunks.Put(kept...)
}

// TestLargeWindows: decoders of large records do not share a window, and who outgrows it
// gives it back.
func TestLargeWindows(t *testing.T) {
	record := func(bytes int) string {
		return vnetRecord(strings.Split(strings.Repeat(vnetTuple+"|", bytes/len(vnetTuple))+vnetTuple, "|")...)
	}
	window := func(d *Decoder, text string) *byte {
		t.Helper()
		d.Reset(strings.NewReader(text), 0)
		var b Batch
		if err := d.Next(&b); err != nil {
			t.Fatal(err)
		}
		b.Reset()
		return &d.w.buf[0]
	}
	var d [3]*Decoder
	for i := range d {
		d[i] = NewDecoder(nil, 0, Options{})
	}
	large, giant := record(3<<19), record(2*largeBytes)
	first, second := window(d[0], large), window(d[1], large)
	if first == second {
		t.Error("two decoders have one window")
	}
	if now := window(d[0], giant); now == first {
		t.Error("the window did not grow for a giant record")
	}
	if third := window(d[2], large); third != first {
		t.Error("the window that was outgrown is not used again")
	}
}
