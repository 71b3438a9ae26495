package bridge

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/flowlog"
	"flow2ipfix/internal/collect"
	"flow2ipfix/internal/flowgen"
	"flow2ipfix/source"
	"flow2ipfix/templates"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

func blob(name, content string) *source.Delta {
	return delta(name, func() io.Reader { return strings.NewReader(content) })
}

func delta(name string, open func() io.Reader) *source.Delta {
	d := &source.Delta{Blob: name, Size: -1, Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(open()), nil }}
	d.Path, _ = source.ParsePath(name)
	return d
}

// generated returns a blob for each interface, and what is in them.
func generated(t *testing.T, cfg flowgen.Config) ([]*source.Delta, flowgen.Totals) {
	t.Helper()
	cfg.Start = start
	g, err := flowgen.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var deltas []*source.Delta
	for nic := range cfg.NICs {
		b := []byte(flowgen.Head)
		for m := range cfg.Minutes {
			if m > 0 {
				b = append(b, ',')
			}
			b = g.AppendRecord(b, nic, m)
		}
		deltas = append(deltas, blob(g.BlobPath(nic, 0), string(b)+flowgen.Tail))
	}
	return deltas, g.Totals()
}

// lane returns a lane that writes to a file in dir.
func fileLane(t *testing.T, dir, name string, policy convert.Policy) Lane {
	t.Helper()
	set, err := templates.New(templates.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return Lane{Name: name, Policy: policy, Exporter: exporter.Config{URL: "file:" + filepath.Join(dir, name), Templates: set}}
}

func run(ctx context.Context, t *testing.T, cfg Config, deltas []*source.Delta) (*Summary, error) {
	t.Helper()
	if cfg.Interfaces == nil {
		cfg.Interfaces = &convert.MemoryInterfaces{}
	}
	b, err := New(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Run(ctx, deltas)
	checkSums(t, s, err == nil)
	return s, err
}

// checkSums holds that no tuple is unaccounted for.
func checkSums(t *testing.T, s *Summary, whole bool) {
	t.Helper()
	var states uint64
	for _, n := range s.ByState {
		states += n
	}
	for i := range s.Lanes {
		l := &s.Lanes[i]
		switch done := l.Exported + l.SkippedTuples(); {
		case whole && (done != s.Decoded() || states != s.Decoded()):
			t.Errorf("lane %s: %d exported + %d skipped, %d by state, want %d decoded", l.Name, l.Exported, l.SkippedTuples(), states, s.Decoded())
		case done > s.Decoded():
			t.Errorf("lane %s: %d tuples done, only %d decoded", l.Name, done, s.Decoded())
		}
	}
}

// received is what a collector makes of a lane's file.
type received struct{ records, denied, begun, packets, octets uint64 }

func readFile(t *testing.T, path string, each func(*collect.Record)) received {
	t.Helper()
	c, err := collect.Listen(t.Context(), "file:"+path, collect.Options{OnError: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	var got received
	if err := c.Run(t.Context(), collect.SinkFunc(func(r *collect.Record) error {
		got.records++
		got.packets += r.Packets()
		got.octets += r.Octets()
		switch r.Decision() {
		case collect.Denied:
			got.denied++
		case collect.Begin:
			got.begun++
		}
		if each != nil {
			each(r)
		}
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	if s := c.Stats(); s.SequenceGaps+s.DecodeErrors+s.MissingTemplate > 0 {
		t.Errorf("collector: %+v", s)
	}
	return got
}

func TestEverythingArrives(t *testing.T) {
	for _, cfg := range []flowgen.Config{
		{Kind: flowgen.VNet, NICs: 5, Minutes: 20, Tuples: 300, Seed: 1, IPv6: true},
		{Kind: flowgen.NSG, NICs: 3, Minutes: 20, Tuples: 300, Seed: 2},
	} {
		deltas, totals := generated(t, cfg)
		dir := t.TempDir()
		s, err := run(t.Context(), t, Config{Lanes: []Lane{
			fileLane(t, dir, "default", convert.Policy{}),
			fileLane(t, dir, "everything", convert.Policy{ExportBegin: true}),
			fileLane(t, dir, "allowed", convert.Policy{SkipDenied: true}),
		}}, deltas)
		if err != nil {
			t.Fatal(err)
		}
		if s.Blobs != uint64(cfg.NICs) || s.Read.Tuples != totals.Tuples || s.Read.RejectedPieces() != 0 {
			t.Errorf("%s: read %d tuples of %d blobs, %d rejected; want %d of %d", cfg.Kind, s.Read.Tuples, s.Blobs, s.Read.RejectedPieces(), totals.Tuples, cfg.NICs)
		}
		packets, octets := totals.PacketsSent+totals.PacketsReceived, totals.BytesSent+totals.BytesReceived
		for i, want := range []received{
			{denied: totals.Denied},
			{denied: totals.Denied, begun: totals.Begun},
			{},
		} {
			want.packets, want.octets, want.records = packets, octets, s.Lanes[i].Sent.Records
			if diff := cmp.Diff(want, readFile(t, filepath.Join(dir, s.Lanes[i].Name), nil), cmp.AllowUnexported(received{})); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", cfg.Kind, s.Lanes[i].Name, diff)
			}
		}
		if s.Lanes[0].Exported != totals.Continuing+totals.Ended+totals.Denied || s.Lanes[0].Skipped[convert.SkippedBegin] != totals.Begun {
			t.Errorf("%s: lane %+v, want %+v", cfg.Kind, s.Lanes[0], totals)
		}
	}
}

func TestVersion1IsExported(t *testing.T) {
	deltas, totals := generated(t, flowgen.Config{Kind: flowgen.NSGv1, NICs: 1, Minutes: 5, Tuples: 50, Seed: 3})
	dir := t.TempDir()
	s, err := run(t.Context(), t, Config{Lanes: []Lane{fileLane(t, dir, "x", convert.Policy{})}}, deltas)
	if err != nil {
		t.Fatal(err)
	}
	want := received{records: totals.Tuples, denied: totals.Denied, begun: totals.Tuples - totals.Denied}
	if diff := cmp.Diff(want, readFile(t, filepath.Join(dir, "x"), nil), cmp.AllowUnexported(received{})); diff != "" {
		t.Errorf("received (-want +got):\n%s", diff)
	}
	if s.ByState[CountStateless] != totals.Tuples-totals.Denied {
		t.Errorf("by state %v, want %d stateless", s.ByState, totals.Tuples-totals.Denied)
	}
}

const record = `{"time":"2022-09-14T09:00:52Z","macAddress":"00224871C205","targetResourceID":"/VNET",` +
	`"flowRecords":{"flows":[{"aclID":"a","flowGroups":[{"rule":"r","flowTuples":[%s]}]}]}}`

func records(tuples ...string) string {
	var all []string
	for _, tuple := range tuples {
		all = append(all, strings.Replace(record, "%s", `"`+tuple+`"`, 1))
	}
	return `{"records":[` + strings.Join(all, ",") + `]}`
}

const (
	good = "1663146003606,10.0.0.6,192.0.2.180,23956,443,6,O,E,NX,3,767,2,1580"
	bad  = "1663146003606,10.0.0.6,192.0.2.180,23956,443,6,X,E,NX,3,767,2,1580"
)

func TestBadInputCostsNothingElse(t *testing.T) {
	type reject struct {
		Blob   string
		Reason flowlog.Reason
	}
	var rejects []reject
	var failed []string
	broken := errors.New("broken pipe")
	dir := t.TempDir()
	s, err := run(t.Context(), t, Config{
		Lanes:       []Lane{fileLane(t, dir, "x", convert.Policy{})},
		OnReject:    func(blob string, r flowlog.Reject) { rejects = append(rejects, reject{blob, r.Reason}) },
		OnBlobError: func(blob string, err error) { failed = append(failed, blob+": "+err.Error()) },
	}, []*source.Delta{
		blob("a", records(good, bad, good)),
		blob("b", "not a flow log"),
		{Blob: "c", Open: func(context.Context) (io.ReadCloser, error) { return nil, broken }},
		delta("d", func() io.Reader {
			return io.MultiReader(strings.NewReader(records(good, good)[:len(records(good))+20]), iotest.ErrReader(broken))
		}),
		blob("e", records(good)[:100]),
		blob("f", records(good)),
		blob("g", ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]reject{{"a", flowlog.BadDirection}, {"b", flowlog.BadSyntax}, {"e", flowlog.Truncated}}, rejects); diff != "" {
		t.Errorf("rejects (-want +got):\n%s", diff)
	}
	if len(failed) != 2 || failed[0] != "c: broken pipe" || !strings.HasPrefix(failed[1], "d: read flow log at byte ") {
		t.Errorf("failed blobs %q, want c and d", failed)
	}
	if s.Blobs != 6 || s.FailedBlobs != 2 || s.Read.Tuples != 5 || s.Decoded() != 4 || s.Read.RejectedPieces() != 3 {
		t.Errorf("summary %+v", s)
	}
	if got := readFile(t, filepath.Join(dir, "x"), nil); got.records != 8 {
		t.Errorf("%d records arrived, want 8", got.records)
	}
}
