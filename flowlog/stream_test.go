package flowlog

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const (
	vnetTuple = "1663146003606,10.0.0.6,192.0.2.180,23956,443,6,O,E,NX,3,767,2,1580"
	nsgTuple  = "1724090383,10.1.0.4,203.0.113.9,33338,443,T,O,A,E,12,5434,11,6342"
)

// A chunkReader reads at most size bytes at a time.
type chunkReader struct {
	r    io.Reader
	size int
}

func (c chunkReader) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.size)]) }

// smallBlob is a blob of two records with all that may trip a reader which
// stops in the middle: escapes, multibyte characters, brackets in strings.
func smallBlob() string {
	first := `{"time":"2024-08-19T18:00:06Z","macAddress":"6045BDEC2532","resourceId":"/Düsseldorf/→","x":[{"y":"]}},{\"time\":\\"},-1.5e3,null],` +
		`"properties":{"Version":2,"flows":[{"rule":"r\u00e9\ud83d\ude00 {é","flows":[{"mac":"6045BDEC2532","flowTuples":["` + nsgTuple + `","` +
		strings.Replace(nsgTuple, "443", `\u0034\u00343`, 1) + `","garbage"]}]}]}}`
	return `{"records":[` + first + `,` + vnetRecord(vnetTuple, vnetTuple) + `]}`
}

// again decodes a stretch of a blob with a decoder that was used before.
func again(t *testing.T, d *Decoder, in string, offset int64, growing bool) *result {
	t.Helper()
	d.opts.Growing = growing
	d.Reset(strings.NewReader(in), offset)
	res := drain(t, d)
	checkResult(t, in, offset, res)
	return res
}

// isInside reports whether an offset lies within one of the records.
func isInside(records []Record, offset int64) bool {
	return slices.ContainsFunc(records, func(r Record) bool { return r.Offset < offset && offset < r.End })
}

// withoutError takes the last line of a dump away if it says how it ended.
func withoutError(res *result) string {
	if res.err == nil {
		return res.text
	}
	return res.text[:strings.LastIndex(strings.TrimSuffix(res.text, "\n"), "\n")+1]
}

// TestGrowingCuts reads a blob in two stretches, cut at every byte.
func TestGrowingCuts(t *testing.T) {
	blob := smallBlob()
	whole := decode(t, strings.NewReader(blob), 0, Options{})
	checkResult(t, blob, 0, whole)
	if len(whole.records) != 2 || whole.flows != 4 || len(whole.rejects) != 1 {
		t.Fatalf("the blob decodes to\n%s", whole.text)
	}
	d := NewDecoder(nil, 0, Options{})
	for cut := range len(blob) + 1 {
		first := again(t, d, blob[:cut], 0, true)
		if first.err != nil && !errors.Is(first.err, ErrUnfinished) {
			t.Fatalf("cut at %d: %v", cut, first.err)
		}
		if isInside(whole.records, first.offset) {
			t.Errorf("cut at %d: Offset %d lies within a record", cut, first.offset)
		}
		if wantErr := isInside(whole.records, int64(cut)) || cut > 0 && cut < len(`{"records":`); wantErr != (first.err != nil) {
			t.Errorf("cut at %d: error %v", cut, first.err)
		}
		rest := blob[first.offset:]
		second := again(t, d, rest, first.offset, false)
		if diff := cmp.Diff(whole.text, withoutError(first)+second.text); diff != "" {
			t.Fatalf("cut at %d (-whole +halves):\n%s", cut, diff)
		}
		if !slices.EqualFunc(whole.records, slices.Concat(first.records, second.records), func(a, b Record) bool {
			return a.Offset == b.Offset && a.End == b.End
		}) {
			t.Fatalf("cut at %d: records at other places", cut)
		}
	}
}

// TestGrowingFaults does the same with a record in the middle that is no JSON:
// the others come out once each, wherever the first stretch ends.
func TestGrowingFaults(t *testing.T) {
	d := NewDecoder(nil, 0, Options{})
	for _, fault := range []struct{ old, bad string }{
		{`"time"`, `time`}, {`"flowRecords"`, `,"flowRecords"`}, {`"]}]}]}}`, `"]}]]}}`}, {`"r"`, `"r`}, {`"r"`, "\"\x00\""}, {`"r"`, `{"time":"x"},"r"`},
	} {
		blob := `{"records":[` + nsgRecord(2, nsgTuple) + `,` + strings.Replace(vnetRecord(vnetTuple, vnetTuple), fault.old, fault.bad, 1) + `,` +
			nsgRecord(1, nsgTuple) + `,` + vnetRecord(vnetTuple)
		whole := decode(t, strings.NewReader(blob), 0, Options{})
		if len(whole.records) != 3 || whole.stats.Rejected[PieceRecord] == 0 {
			t.Fatalf("%s came out as\n%s", fault.bad, whole.text)
		}
		for cut := range len(blob) + 1 {
			first := again(t, d, blob[:cut], 0, true)
			second := again(t, d, blob[first.offset:], first.offset, true)
			got := slices.Concat(first.records, second.records)
			if len(got) != 3 || first.flows+second.flows != whole.flows || isInside(whole.records, first.offset) {
				t.Fatalf("%s, cut at %d: %d records, %d flows\n%s\n%s", fault.bad, cut, len(got), first.flows+second.flows, first.text, second.text)
			}
			if n := len(first.rejects); n > 0 && first.offset <= first.rejects[n-1].Offset {
				t.Fatalf("%s, cut at %d: what is rejected at %d will be rejected again from %d on", fault.bad, cut, first.rejects[n-1].Offset, first.offset)
			}
		}
	}
}

// TestGrowingBlocks reads a blob as Azure writes it: a head of 12 bytes, then
// blocks of one or more records, each but the first with a comma in front; the
// closing brackets are never read. After each block, and in the middle of each,
// everything that is new is read.
func TestGrowingBlocks(t *testing.T) {
	tuple := func(i int) string { return strings.Replace(vnetTuple, "23956", fmt.Sprint(1000+i), 1) }
	const head = `{"records":[`
	blocks := []string{
		vnetRecord(tuple(0)),
		`,` + vnetRecord(tuple(1), tuple(2)),
		`,` + vnetRecord(tuple(3)) + `,` + vnetRecord(tuple(4)),
		`, ` + "\n" + vnetRecord(),
		`,` + vnetRecord(tuple(5)),
	}
	whole := head + strings.Join(blocks, "") + `]}`
	want := decode(t, strings.NewReader(whole), 0, Options{})

	blob, got := "", ""
	offset := int64(0)
	read := func(wantEnd bool) {
		t.Helper()
		res := decode(t, strings.NewReader(blob[offset:]), offset, Options{Growing: true})
		checkResult(t, blob[offset:], offset, res)
		if unfinished := errors.Is(res.err, ErrUnfinished); unfinished == wantEnd {
			t.Errorf("at %d: %v", len(blob), res.err)
		}
		if wantEnd && blob != head && res.offset != int64(len(blob)) {
			t.Errorf("Offset is %d behind a block that ends at %d", res.offset, len(blob))
		}
		got += withoutError(res)
		offset = res.offset
	}
	blob = head
	read(true)
	for _, block := range blocks {
		blob += block[:len(block)*2/3]
		read(false)
		blob = strings.TrimSuffix(blob, block[:len(block)*2/3]) + block
		read(true)
		read(true) // nothing new
	}
	if diff := cmp.Diff(want.text, got); diff != "" {
		t.Errorf("read block by block (-whole +blocks):\n%s", diff)
	}
	if tail := decode(t, strings.NewReader(whole[offset:]), offset, Options{}); tail.text != "" || tail.stats != (Stats{}) {
		t.Errorf("the closing brackets were read as\n%s", tail.text)
	}
}

// TestMisalignedStart reads from every byte of a blob on. What begins behind
// that byte comes out whole, what began before it does not.
func TestMisalignedStart(t *testing.T) {
	blob := `{"records":[` + nsgRecord(2, nsgTuple, nsgTuple+`","`+nsgTuple) + `,` + vnetRecord(vnetTuple) + `,` + nsgRecord(1, nsgTuple) + `]}`
	whole := decode(t, strings.NewReader(blob), 0, Options{})
	d := NewDecoder(nil, 0, Options{})
	for start := range len(blob) + 1 {
		in := blob[start:]
		res := again(t, d, in, int64(start), false)
		var want []int64
		for _, r := range whole.records {
			if r.Offset >= int64(start) {
				want = append(want, r.Offset)
			}
		}
		var got []int64
		for _, r := range res.records {
			got = append(got, r.Offset)
		}
		if !slices.Equal(want, got) {
			t.Errorf("from byte %d on (%.60s): records at %d, want %d", start, in, got, want)
		}
	}
}

// TestOffsets reads what stands far into a blob, with all that may stand in
// front of a record.
func TestOffsets(t *testing.T) {
	record := vnetRecord("garbage", vnetTuple)
	garbage := int64(strings.Index(record, `"garbage"`))
	for _, front := range []string{
		"", ",", "\xEF\xBB\xBF", " \r\n\t", `{"records":[`, "\xEF\xBB\xBF {\r\n \"records\" : [\n ", `{"größe":"→😀","records":[`, "[", `[[[`, `{"records":[{"records":[`,
	} {
		for _, offset := range []int64{0, 12, 4711, 1 << 40} {
			for _, size := range []int{1, 7, 1 << 20} {
				in := front + record
				res := decode(t, chunkReader{strings.NewReader(in), size}, offset, Options{})
				checkResult(t, in, offset, res)
				begin := offset + int64(len(front))
				if len(res.records) != 1 || res.records[0].Offset != begin || res.records[0].End != offset+int64(len(in)) || res.offset != res.records[0].End {
					t.Errorf("%q at %d: records %+v, ended at %d", front, offset, res.records, res.offset)
				}
				if len(res.rejects) != 1 || res.rejects[0] != (Reject{PieceTuple, BadTime, begin + garbage, 9, `"garbage"`}) {
					t.Errorf("%q at %d: rejects %+v", front, offset, res.rejects)
				}
			}
		}
	}
}

// TestChunks reads a blob of many records, good and bad, small ones and one that
// is larger than the window, through readers of odd sizes.
func TestChunks(t *testing.T) {
	var blob strings.Builder
	blob.WriteString(`{"records":[`)
	for i := range 150 {
		tuples := make([]string, i*7%60)
		if i == 71 {
			tuples = make([]string, 12_000) // some 840 kB
		}
		for k := range tuples {
			tuples[k] = strings.Replace(vnetTuple, "23956", fmt.Sprint(1000+k*31%60000), 1)
			switch (i + k) % 97 {
			case 1:
				tuples[k] = strings.Replace(tuples[k], ",NX,", `,\u004EX,`, 1)
			case 2:
				tuples[k] = "nonsense→\\\""
			case 3:
				tuples[k] = strings.Replace(tuples[k], "10.0.0.6", "300.0.0.6", 1)
			}
		}
		record := vnetRecord(tuples...)
		switch i % 50 {
		case 7:
			record = strings.Replace(record, `"flowRecords"`, `bad`, 1)
		case 9:
			record = strings.ReplaceAll(record, `,"`, ",\r\n\t \"")
		}
		blob.WriteString(record + strings.Repeat(" ", i%3) + ",")
	}
	blob.WriteString(`]}`)
	in := blob.String()
	want := decode(t, strings.NewReader(in), 0, Options{})
	checkResult(t, in, 0, want)
	if len(want.records) != 147 || want.stats.Rejected[PieceRecord] != 3 || want.stats.Rejected[PieceTuple] < 100 {
		t.Fatalf("decoded %d records, %+v", len(want.records), want.stats)
	}
	for _, size := range []int{1, 7, 4093, 65536, 1 << 30} {
		got := decode(t, chunkReader{strings.NewReader(in), size}, 0, Options{})
		if got.text != want.text || got.offset != want.offset || got.stats != want.stats {
			t.Errorf("%d bytes at a time: ended at %d with %+v, want %d with %+v", size, got.offset, got.stats, want.offset, want.stats)
		}
	}
	got := decode(t, iotest.DataErrReader(strings.NewReader(in)), 0, Options{})
	if got.text != want.text || got.offset != want.offset {
		t.Error("io.EOF with the last bytes made a difference")
	}
}

// TestReaderFails reads from a reader that breaks at every byte of a blob.
func TestReaderFails(t *testing.T) {
	blob := smallBlob()
	whole := decode(t, strings.NewReader(blob), 0, Options{})
	broken := errors.New("connection reset")
	d := NewDecoder(nil, 0, Options{})
	for _, tc := range []struct{ cause, want error }{
		{broken, broken}, {fmt.Errorf("get blob: %w", io.EOF), io.ErrUnexpectedEOF}, {io.ErrUnexpectedEOF, io.ErrUnexpectedEOF},
	} {
		for at := range len(blob) + 1 {
			for _, growing := range []bool{false, true} {
				d.opts.Growing = growing
				d.Reset(io.MultiReader(strings.NewReader(blob[:at]), iotest.ErrReader(tc.cause)), 0)
				res := drain(t, d)
				checkResult(t, blob[:at], 0, res)
				if res.err == nil || !strings.Contains(res.err.Error(), fmt.Sprintf("read flow log at byte %d: ", at)) ||
					!strings.Contains(res.err.Error(), tc.cause.Error()) {
					t.Fatalf("broken at %d: %v", at, res.err)
				}
				if errors.Is(res.err, io.EOF) || !errors.Is(res.err, tc.want) {
					t.Fatalf("broken at %d: %v is the wrong kind of error", at, res.err)
				}
				if isInside(whole.records, res.offset) || !strings.HasPrefix(whole.text, withoutError(res)) {
					t.Fatalf("broken at %d: Offset %d, decoded\n%s", at, res.offset, res.text)
				}
			}
		}
	}
	// While a record is looked for.
	for _, in := range []string{`{"time":tru} `, `{"time":tru}{"`, `{"time":tru}{"ti`, `{"time":tru}{ `} {
		res := decode(t, io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)), 0, Options{})
		checkResult(t, in, 0, res)
		if !errors.Is(res.err, broken) || len(res.records) > 0 || len(res.rejects) != 1 {
			t.Errorf("broken behind %s: %v\n%s", in, res.err, res.text)
		}
	}
	res := decode(t, emptyReader{}, 5, Options{})
	if !errors.Is(res.err, io.ErrNoProgress) || res.offset != 5 {
		t.Errorf("a reader that gives nothing: %v at %d", res.err, res.offset)
	}
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

// TestReset reads several blobs with one decoder, after errors of all kinds.
func TestReset(t *testing.T) {
	blob := smallBlob()
	want := decode(t, strings.NewReader(blob), 0, Options{})
	d := NewDecoder(iotest.ErrReader(io.ErrClosedPipe), 99, Options{})
	var b Batch
	for _, before := range []io.Reader{
		iotest.ErrReader(io.ErrClosedPipe), strings.NewReader(blob[:200]), strings.NewReader(`{"time":tru}`), strings.NewReader(""),
		io.LimitReader(spaces{}, 600_000), strings.NewReader(vnet(slices.Repeat([]string{vnetTuple}, 9000)...)),
	} {
		d.Reset(before, 1000)
		for b.Reset(); d.Next(&b) == nil; {
		}
		d.Reset(strings.NewReader(blob), 0)
		got := drain(t, d)
		if diff := cmp.Diff(want.text, got.text); diff != "" {
			t.Errorf("decoded after a Reset (-want +got):\n%s", diff)
		}
		if got.offset != want.offset || got.stats != want.stats {
			t.Errorf("after a Reset: ended at %d with %+v, want %d with %+v", got.offset, got.stats, want.offset, want.stats)
		}
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
