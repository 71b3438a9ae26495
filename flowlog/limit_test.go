package flowlog

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// repeated gives a text again and again, size bytes in all or somewhat less,
// without holding them.
func repeated(text string, size int) io.Reader {
	return io.LimitReader(&repeater{text: text}, int64(size-size%len(text)))
}

type repeater struct {
	text string
	at   int
}

func (r *repeater) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		c := copy(p[n:], r.text[r.at:])
		n += c
		r.at = (r.at + c) % len(r.text)
	}
	return len(p), nil
}

// tuplesFront and tuplesEnd are what stands around the tuples of a record.
var tuplesFront, tuplesEnd, _ = strings.Cut(vnetRecord("TUPLES"), `"TUPLES"`)

// TestTooLarge puts giant records of many forms in front of a good one.
func TestTooLarge(t *testing.T) {
	const limit = 1 << 20
	good := vnetRecord(vnetTuple)
	for _, tc := range []struct{ name, front, text, end string }{
		{"tuples", tuplesFront, `"` + vnetTuple + `",`, `"` + vnetTuple + `"` + tuplesEnd},
		{"bad tuples", tuplesFront, `"garbage",`, `"garbage"` + tuplesEnd},
		{"one tuple", tuplesFront + `"`, `1663146003606,`, `"` + tuplesEnd},
		{"escapes", tuplesFront + `"`, `\u0031\"\\`, `"` + tuplesEnd},
		{"string", `{"time":"x","rule":"`, `}]{\"time\":→`, `","flowRecords":{}}`},
		{"key", `{"time":"x","`, `records`, `":[],"flowRecords":{}}`},
		{"string instead of a list", `{"flowRecords":{"flows":"`, `abc`, `"}}`},
		{"unknown members", `{"x":0`, `,"y":[{"z":-1.5e+3},null,true,"\n"]`, `,"properties":{}}`},
		{"members it knows", `{"x":0`, `,"time":"2025-04-30T09:07:40Z","flowLogVersion":4`, `,"properties":{}}`},
		{"number", `{"flowLogVersion":`, `1234567890`, `,"flowRecords":{}}`},
		{"white space", `{"time" `, " \r\n\t", `: null,"flowRecords":{}}`},
		{"no record", `{"a":[0`, `,{}`, `]}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			size := 3 << 20
			if tc.name == "tuples" {
				size = 40 << 20
			}
			blob := func(end string) (io.Reader, int64) {
				length := len(tc.front) + size - size%len(tc.text) + len(tc.end)
				return io.MultiReader(strings.NewReader(`{"records":[`+tc.front), repeated(tc.text, size), strings.NewReader(tc.end+end)), int64(length)
			}
			var rejects []Reject
			opts := Options{MaxRecordBytes: limit, OnReject: func(r Reject) { rejects = append(rejects, r) }}
			r, length := blob(`,` + good + `]}`)
			d := NewDecoder(r, 0, opts)
			var b Batch
			if err := d.Next(&b); err != nil {
				t.Fatal(err)
			}
			if len(b.Records) != 1 || b.Len() != 1 || b.Records[0].Offset != 12+length+1 || d.Offset() != b.Records[0].Offset+int64(len(good)) {
				t.Errorf("behind %d bytes came %+v with %d flows", length, b.Records, b.Len())
			}
			quote := (tc.front + strings.Repeat(tc.text, MaxQuoteBytes))[:MaxQuoteBytes]
			if want := (Reject{PieceRecord, TooLarge, 12, length, quote}); !slices.Equal(rejects, []Reject{want}) {
				t.Errorf("rejected %+v, want %+v", rejects, want)
			}
			// What was held while the giant passed: the window, and flows or
			// rejected tuples of as many bytes as the limit.
			if held, most := len(d.w.buf), limit+minReadBytes+padBytes; held > most {
				t.Errorf("the window grew to %d bytes, want at most %d", held, most)
			}
			if held, most := len(b.chunks)*chunkFlows, max(2*limit/len(vnetTuple), chunkFlows); held > most {
				t.Errorf("the batch grew to %d flows, want at most %d", held, most)
			}
			if held, most := cap(d.pending), 2*limit/len(`"garbage",`); held > most {
				t.Errorf("%d rejections were held, want at most %d", held, most)
			}
			if err := d.Next(&b); !errors.Is(err, io.EOF) {
				t.Errorf("at the end: %v", err)
			}

			// The same, not finished.
			for _, growing := range []bool{false, true} {
				opts.Growing, rejects = growing, nil
				r := io.MultiReader(strings.NewReader(`{"records":[`+good+`,`+tc.front), repeated(tc.text, 2*limit))
				d := NewDecoder(r, 0, opts)
				b.Reset()
				if err := d.Next(&b); err != nil {
					t.Fatal(err)
				}
				err := d.Next(&b)
				switch {
				case growing && (!errors.Is(err, ErrUnfinished) || len(rejects) > 0 || d.Offset() != int64(12+len(good))):
					t.Errorf("unfinished and growing: %v at %d, rejected %+v", err, d.Offset(), rejects)
				case !growing && (!errors.Is(err, io.EOF) || len(rejects) != 1 || rejects[0].Reason != Truncated || rejects[0].Quote != quote):
					t.Errorf("unfinished: %v, rejected %+v", err, rejects)
				}
			}
		})
	}
}

// TestLimit reads records of the very size of the limit, and of a byte more,
// however they lie in the window.
func TestLimit(t *testing.T) {
	for _, limit := range []int{600, 100 << 10, windowBytes - minReadBytes, windowBytes, windowBytes + 1, 300 << 10, 1 << 20} {
		for _, front := range []int{0, 100, 230 << 10, 255 << 10} {
			for _, size := range []int{4093, 1 << 30} {
				record := func(length int) string {
					r := vnetRecord(vnetTuple)
					return r[:1] + strings.Repeat(" ", length-len(r)) + r[1:]
				}
				in := `{"records":[` + strings.Repeat(" ", front) + record(limit) + `,` + record(limit+1) + `,` + record(limit) + `]}`
				res := decode(t, chunkReader{strings.NewReader(in), size}, 0, Options{MaxRecordBytes: limit})
				checkResult(t, in, 0, res)
				begin := int64(12 + front + limit + 1)
				if len(res.records) != 2 || len(res.rejects) != 1 || res.rejects[0].Reason != TooLarge || res.rejects[0].Offset != begin ||
					res.rejects[0].Length != int64(limit+1) {
					t.Errorf("limit %d, %d bytes in front, %d at a time: %d records, rejected %+v", limit, front, size, len(res.records), res.rejects)
				}
			}
		}
	}
}

// prime makes a decoder begin in the middle of its window, as if so much had come and
// gone, with the first of what comes already there. What it holds moves to the front
// when it reads on.
func (d *Decoder) prime(consumed int, held string) {
	w := &d.w
	w.base -= int64(consumed)
	w.pos, w.keep = consumed, consumed
	w.end = consumed + copy(w.buf[consumed:windowBytes], held)
	w.buf[w.end] = 0
}

// TestWindowEdges lets the window slide at every byte of a blob, while a byte
// at a time comes in.
func TestWindowEdges(t *testing.T) {
	in := smallBlob()
	want := decode(t, strings.NewReader(in), 0, Options{})
	d := NewDecoder(nil, 0, Options{})
	for at := range len(in) + 1 {
		d.Reset(chunkReader{strings.NewReader(in[at:]), 1}, 0)
		d.prime(windowBytes-minReadBytes-at, in[:at])
		if got := drain(t, d); got.text != want.text || got.offset != want.offset || got.stats != want.stats {
			t.Fatalf("the window slid %d bytes behind the beginning: %s", at, cmp.Diff(want.text, got.text))
		}
	}
	// By less than it holds, so that bytes come to lie where others were.
	record := vnetRecord(vnetTuple)
	for at := range len(record) {
		front := `,,,,,{`
		front += strings.Repeat(" ", windowBytes-minReadBytes-len(front)-at)
		d.Reset(io.MultiReader(strings.NewReader(front), chunkReader{strings.NewReader(record[1:]), 1}), 0)
		if got := drain(t, d); len(got.records) != 1 || got.text != vnetText {
			t.Fatalf("the window slid %d bytes behind the beginning:\n%s", at, got.text)
		}
	}
}

// TestDroppingEdges lets a record become too large at every byte of what may
// stand in one, while a byte at a time comes in.
func TestDroppingEdges(t *testing.T) {
	const limit = windowBytes
	text := `a\u0041\n\"\\→","Records":[1.5e+10,true , null,{"k\u0041\"":"","":[]}],"flowRecords":{"flows":[{"aclID":"a","flowGroups":[{"flowTuples":["` +
		vnetTuple + `","\u0031","x",7]}]}]}}`
	for at := range len(text) {
		front := `{"time":"`
		front += strings.Repeat("x", limit-len(front)-at)
		for _, fault := range []string{"", "!"} {
			text := strings.Replace(text, `]}]}]}}`, `]}]}]`+fault+`}}`, 1)
			want := Reject{PieceRecord, TooLarge, 0, int64(len(front) + len(text)), front[:MaxQuoteBytes]}
			if fault != "" {
				want.Reason, want.Length = BadSyntax, want.Length-int64(len(`}}`))
			}
			var rejects []Reject
			d := NewDecoder(io.MultiReader(strings.NewReader(front), chunkReader{strings.NewReader(text + `,` + vnetRecord(vnetTuple)), 1}), 0,
				Options{MaxRecordBytes: limit, OnReject: func(r Reject) { rejects = append(rejects, r) }})
			var b Batch
			if err := d.Next(&b); err != nil || b.Len() != 1 || !slices.Equal(rejects, []Reject{want}) {
				t.Errorf("full %d bytes behind %s: %v, %d flows, rejected %+v", at, front[:9], err, b.Len(), rejects)
			}
		}
	}
}

// TestLargerThanWindow reads a record of some 3 MiB, for which the window has to
// grow, and small ones around it; then one of some 6 MiB, for which it has to grow
// more than it is kept for.
func TestLargerThanWindow(t *testing.T) {
	for _, size := range []int{3 << 20, 6 << 20} {
		testLargerThanWindow(t, size)
	}
}

func testLargerThanWindow(t *testing.T, recordBytes int) {
	t.Helper()
	tuples := make([]string, recordBytes/len(vnetTuple))
	for i := range tuples {
		tuples[i] = strings.Replace(vnetTuple, "23956", fmt.Sprint(1000+i%60000), 1)
	}
	large, small := vnetRecord(tuples...), vnetRecord(vnetTuple)
	in := `{"records":[` + small + `,` + large + `,` + small + `,` + large + `]}`
	for _, size := range []int{4093, 1 << 30} {
		d := NewDecoder(chunkReader{strings.NewReader(in), size}, 0, Options{})
		res := drain(t, d)
		checkResult(t, in, 0, res)
		if want := uint64(2 + 2*len(tuples)); res.flows != want || len(res.records) != 4 || len(res.rejects) > 0 {
			t.Errorf("%d bytes at a time: %d flows, want %d; rejected %+v", size, res.flows, want, res.rejects)
		}
		if held := len(d.w.buf); held > 4*len(large) {
			t.Errorf("the window grew to %d bytes for a record of %d", held, len(large))
		}
		want := len(d.w.buf)
		if recordBytes > largeBytes {
			want = windowBytes + padBytes
		}
		if d.Reset(strings.NewReader(""), 0); len(d.w.buf) != want || want > largeBytes+padBytes {
			t.Errorf("after a Reset the window has %d bytes, want %d", len(d.w.buf), want)
		}
	}
}

// TestGarbage reads much of what is no flow log at all: in bounded memory, and in
// a time that does not grow with the square of its length.
func TestGarbage(t *testing.T) {
	for _, text := range []string{
		"x", "{", `{"`, "[", `{"a`, `"{`, `{"time":`, `{"time":[`, `{"records":[`, `{"time":1,"x":[{"y":2},`, " ", ",", "0", `\`, "\x00", "\xEF\xBB\xBF",
		`{"time":"2025-04-30T09:07:40Z","properties":{"flows":[`, `{"flowRecords":{"flows":[{"flowGroups":[{"flowTuples":["a",`,
	} {
		d := NewDecoder(repeated(text, 400<<10), 0, Options{MaxRecordBytes: 300 << 10})
		res := drain(t, d)
		if res.flows > 0 || res.err != nil || len(d.w.buf) > 300<<10+minReadBytes+padBytes {
			t.Errorf("%q again and again: %d flows, %v, a window of %d bytes", text, res.flows, res.err, len(d.w.buf))
		}
	}
}

// TestAllocations decodes with a reused decoder and batch: what is allocated must
// not depend on the number of tuples, and be little for each record.
func TestAllocations(t *testing.T) {
	const records = 20
	const v6Tuple = "1663146003606,fd00::6,2001:db8::1,23956,443,6,O,E,NX,3,767,2,1580"
	for _, tc := range []struct {
		name   string
		tuples []string
		record func(...string) string
	}{
		{"vnet", []string{vnetTuple, v6Tuple, vnetTuple[:len(vnetTuple)-9], "1663146003606,10.0.0.6,192.0.2.180,0,0,1,O,B,,,,,"}, vnetRecord},
		{"nsg v2", []string{nsgTuple, "1724090383,10.1.0.4,203.0.113.9,33338,443,T,O,A,B,,,,"}, func(s ...string) string { return nsgRecord(2, s...) }},
		{"nsg v1", []string{"1724090383,10.1.0.4,203.0.113.9,33338,443,T,O,A"}, func(s ...string) string { return nsgRecord(1, s...) }},
		{"rejected", []string{"garbage", "1663146003606,10.0.0.6,192.0.2.180,70000,443,6,O,E,NX,3,767,2,1580"}, vnetRecord},
	} {
		t.Run(tc.name, func(t *testing.T) {
			allocations := func(n int) float64 {
				record := tc.record(slices.Repeat(tc.tuples, n)...)
				in := `{"records":[` + strings.Repeat(record+",", records) + `]}`
				r := strings.NewReader(in)
				d := NewDecoder(r, 0, Options{})
				var b Batch
				return testing.AllocsPerRun(5, func() {
					r.Reset(in)
					d.Reset(r, 0)
					for b.Reset(); d.Next(&b) == nil; b.Reset() {
					}
					if s := d.Stats(); s.Records != records || s.Tuples != uint64(records*n*len(tc.tuples)) {
						t.Errorf("decoded %+v", s)
					}
				})
			}
			few, many := allocations(1), allocations(700)
			if few != many || few > 2*records {
				t.Errorf("%g allocations for %d records with %d tuples, %g with %d", few, records, len(tc.tuples), many, 700*len(tc.tuples))
			}
		})
	}
}
