package flowlog

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestTail: after each record, Tail is what stands before Offset, whatever the
// reader does; at the beginning of a read, nothing is known.
func TestTail(t *testing.T) {
	var in strings.Builder
	in.WriteString(`{"records":[`)
	for i := range 2000 {
		if i > 0 {
			in.WriteString(",")
		}
		switch i % 5 {
		case 3:
			fmt.Fprintf(&in, `{"time":"%d"}`, i) // shorter than the tail
		case 4:
			fmt.Fprintf(&in, `{"time":!%d}`, i) // rejected
		default:
			in.WriteString(vnetRecord(vnetTuple, vnetTuple))
		}
	}
	in.WriteString(`]}`)
	text := in.String()
	for name, r := range map[string]io.Reader{
		"whole":  strings.NewReader(text),
		"pieces": chunkReader{strings.NewReader(text), 777},
	} {
		t.Run(name, func(t *testing.T) {
			d := NewDecoder(r, 1000, Options{OnReject: func(Reject) {}})
			if got := d.Tail(); len(got) != 0 {
				t.Fatalf("before the first record the tail is %q", got)
			}
			var b Batch
			whole := 0
			for {
				err := d.Next(&b)
				end := int(d.Offset()) - 1000
				if got := string(d.Tail()); !strings.HasSuffix(text[:end], got) {
					t.Fatalf("at %d the tail is %q, want %q", end, got, text[max(0, end-TailBytes):end])
				} else if len(got) == TailBytes {
					whole++
				}
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if whole < len(b.Records)*9/10 {
				t.Errorf("the whole tail is known for %d of %d records", whole, len(b.Records))
			}
		})
	}
}

func TestDropLast(t *testing.T) {
	in := vnetRecord(vnetTuple) + vnetRecord() + vnetRecord(vnetTuple, vnetTuple)
	d := NewDecoder(strings.NewReader(in), 0, Options{})
	var b Batch
	for _, want := range []int{1, 0, 2} {
		if err := d.Next(&b); err != nil {
			t.Fatal(err)
		}
		records, flows := len(b.Records), b.Len()
		if got := b.DropLast(); got != want || b.Len() != flows-want || len(b.Records) != records-1 {
			t.Errorf("%d flows were dropped, want %d; %d are left in %d records", got, want, b.Len(), len(b.Records))
		}
	}
	d.Reset(strings.NewReader(in), 0)
	for range 2 {
		if err := d.Next(&b); err != nil {
			t.Fatal(err)
		}
	}
	b.DropLast()
	if err := d.Next(&b); err != nil {
		t.Fatal(err)
	}
	if got := len(b.Flows(&b.Groups(&b.Records[1])[0])); got != 2 || b.Len() != 3 {
		t.Errorf("the record behind a dropped one has %d flows, want 2; all %d, want 3", got, b.Len())
	}
}
