package flowlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// result is everything that came out of a decoder.
type result struct {
	text    string // a line for each record, group, flow and rejected piece, and how it ended
	records []Record
	flows   uint64
	rejects []Reject
	stats   Stats
	offset  int64
	err     error // that ended the input; nil for io.EOF
}

// decode decodes r, which begins at the given offset, to its end.
func decode(t testing.TB, r io.Reader, offset int64, opts Options) *result {
	t.Helper()
	return drain(t, NewDecoder(r, offset, opts))
}

// drain calls Next until it ends, and holds what its comment promises.
func drain(t testing.TB, d *Decoder) *result {
	t.Helper()
	out := &strings.Builder{}
	res := &result{}
	d.opts.OnReject = func(r Reject) {
		res.rejects = append(res.rejects, r)
		fmt.Fprintf(out, "reject %s %s @%d+%d %s\n", r.Piece, r.Reason, r.Offset, r.Length, r.Quote)
	}
	var b Batch
	for {
		b.Reset()
		before := d.Offset()
		err := d.Next(&b)
		if d.Offset() < before {
			t.Fatalf("Offset went back from %d to %d", before, d.Offset())
		}
		if err != nil {
			if len(b.Records) > 0 || b.Len() > 0 {
				t.Fatalf("%d records and %d flows came with %v", len(b.Records), b.Len(), err)
			}
			if again := d.Next(&b); again != err { //nolint:errorlint // it has to be the very same
				t.Fatalf("Next said %v, and then %v", err, again)
			}
			if !errors.Is(err, io.EOF) {
				res.err = err
				fmt.Fprintf(out, "error %v @%d\n", err, d.Offset())
			}
			res.text, res.stats, res.offset = out.String(), d.Stats(), d.Offset()
			return res
		}
		if len(b.Records) != 1 || b.Records[0].End != d.Offset() {
			t.Fatalf("Next returned %d records %+v at offset %d", len(b.Records), b.Records, d.Offset())
		}
		dumpRecord(out, &b, &b.Records[0])
		res.records = append(res.records, b.Records[0])
		res.flows += uint64(b.Len())
	}
}

func dumpRecord(out io.Writer, b *Batch, r *Record) {
	at := "-"
	if r.Time != 0 {
		at = time.UnixMilli(r.Time).UTC().Format("2006-01-02T15:04:05.000")
	}
	fmt.Fprintf(out, "record v%d %s %s %s\n", r.Version, at, r.MAC, r.Target)
	groups := b.Groups(r)
	for i := range groups {
		g := &groups[i]
		fmt.Fprintf(out, " %s %s rule=%s acl=%s\n", g.Kind, g.MAC, g.Rule, g.ACL)
		for _, f := range b.Flows(g) {
			fmt.Fprintf(out, "  %s\n", flowText(f))
		}
	}
}

func flowText(f Flow) string {
	counter := func(bit Counters, n uint64) string {
		if f.Counters&bit == 0 {
			return "-"
		}
		return fmt.Sprint(n)
	}
	decision := "A"
	if f.Denied {
		decision = "D"
	}
	return fmt.Sprintf("%d %s>%s %d>%d p%d %c%c%s e%d %s/%s %s/%s", f.Time, f.Source.Netip(f.IPv6), f.Destination.Netip(f.IPv6), f.SourcePort, f.DestinationPort,
		f.Protocol, "IO"[f.Direction], "-BCE"[f.State], decision, f.Encryption,
		counter(HasPacketsSent, f.PacketsSent), counter(HasBytesSent, f.BytesSent),
		counter(HasPacketsReceived, f.PacketsReceived), counter(HasBytesReceived, f.BytesReceived))
}

// checkDump decodes in and compares with want, in which leading tabs do not
// count. It decodes a second time from a reader that gives a byte at a time,
// which must make no difference.
func checkDump(t *testing.T, in, want string, opts Options) {
	t.Helper()
	want = strings.TrimPrefix(strings.ReplaceAll(want, "\t", ""), "\n")
	got := decode(t, strings.NewReader(in), 0, opts)
	if diff := cmp.Diff(want, got.text); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	checkResult(t, in, 0, got)
	slow := decode(t, iotest.OneByteReader(strings.NewReader(in)), 0, opts)
	if diff := cmp.Diff(got.text, slow.text); diff != "" {
		t.Errorf("read a byte at a time (-whole +slow):\n%s", diff)
	}
	if got.offset != slow.offset || got.stats != slow.stats {
		t.Errorf("read a byte at a time: ended at %d with %+v, want %d with %+v", slow.offset, slow.stats, got.offset, got.stats)
	}
}

// checkResult holds what must be true of whatever was decoded from in, which
// stood at the given offset of a blob.
func checkResult(t testing.TB, in string, offset int64, res *result) {
	t.Helper()
	s := &res.stats
	if s.Tuples != res.flows+s.Rejected[PieceTuple] {
		t.Errorf("%d tuples, but %d flows and %d rejected tuples", s.Tuples, res.flows, s.Rejected[PieceTuple])
	}
	if s.Records != uint64(len(res.records)) {
		t.Errorf("%d records are counted, %d came out", s.Records, len(res.records))
	}
	reasons := uint64(0)
	for _, n := range s.RejectedReasons {
		reasons += n
	}
	if n := uint64(len(res.rejects)); s.RejectedPieces() != n || reasons != n {
		t.Errorf("%d pieces and %d reasons are counted, %d were reported", s.RejectedPieces(), reasons, n)
	}
	end := offset + int64(len(in))
	if res.offset < offset || res.offset > end || res.err == nil && len(res.records) > 0 && res.offset < res.records[len(res.records)-1].End {
		t.Errorf("Offset is %d for input from %d to %d", res.offset, offset, end)
	}
	last := offset
	for _, r := range res.records {
		if r.Offset < last || r.End > end {
			t.Fatalf("a record from %d to %d, behind one that ended at %d of %d", r.Offset, r.End, last, end)
		}
		last = r.End
		if text := in[r.Offset-offset : r.End-offset]; text[0] != '{' || !json.Valid([]byte(text)) {
			t.Errorf("a record that is no JSON object: %s", text)
		}
	}
	for _, r := range res.rejects {
		if r.Offset < offset || r.Length < 1 || r.Offset+r.Length > end {
			t.Fatalf("rejected %d bytes at %d, of input from %d to %d", r.Length, r.Offset, offset, end)
		}
		if want := in[r.Offset-offset:][:min(r.Length, MaxQuoteBytes)]; r.Quote != want {
			t.Errorf("at %d %q is quoted, there stands %q", r.Offset, r.Quote, want)
		}
	}
}

// vnet wraps tuples in a VNet blob of one record.
func vnet(tuples ...string) string {
	return `{"records":[` + vnetRecord(tuples...) + `]}`
}

func vnetRecord(tuples ...string) string {
	return `{"time":"2022-09-14T09:00:52.5625085Z","flowLogVersion":4,"flowLogGUID":"g","macAddress":"00224871C205",` +
		`"category":"FlowLogFlowEvent","flowLogResourceID":"/FL","targetResourceID":"/vnet","operationName":"FlowLogFlowEvent",` +
		`"flowRecords":{"flows":[{"aclID":"acl","flowGroups":[{"rule":"r","flowTuples":[` + quoted(tuples) + `]}]}]}}`
}

// nsg wraps tuples in an NSG blob of one record of the given version.
func nsg(version int, tuples ...string) string {
	return `{"records":[` + nsgRecord(version, tuples...) + `]}`
}

func nsgRecord(version int, tuples ...string) string {
	return fmt.Sprintf(`{"time":"2024-08-19T18:00:06.8944384Z","systemId":"s","macAddress":"6045BDEC2532",`+
		`"category":"NetworkSecurityGroupFlowEvent","resourceId":"/NSG","operationName":"NetworkSecurityGroupFlowEvents",`+
		`"properties":{"Version":%d,"flows":[{"rule":"r","flows":[{"mac":"6045BDEC2532","flowTuples":[%s]}]}]}}`, version, quoted(tuples))
}

func quoted(tuples []string) string {
	var b bytes.Buffer
	for i, t := range tuples {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"` + t + `"`)
	}
	return b.String()
}
