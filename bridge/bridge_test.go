package bridge

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
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

func TestInterfaceFromTheBlobsName(t *testing.T) {
	const name = "c/flowLogResourceID=/x/y=2022/m=09/d=14/h=09/m=00/macAddress=000D3A123456/PT1H.json"
	content := strings.ReplaceAll(records(good), `"macAddress":"00224871C205",`, "")
	interfaces := &convert.MemoryInterfaces{}
	if _, err := interfaces.Index(flowlog.MAC{}); err != nil { // 1 is taken
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := run(t.Context(), t, Config{Interfaces: interfaces, Lanes: []Lane{fileLane(t, dir, "x", convert.Policy{})}}, []*source.Delta{blob(name, content)}); err != nil {
		t.Fatal(err)
	}
	readFile(t, filepath.Join(dir, "x"), func(r *collect.Record) {
		if got := r.IngressInterface() + r.EgressInterface(); got != 2 {
			t.Errorf("interface %d, want 2", got)
		}
	})
	mac, _ := flowlog.ParseMAC("000D3A123456")
	if index, _ := interfaces.Index(mac); index != 2 {
		t.Errorf("the name's MAC has index %d, want 2", index)
	}
}

func TestFailingLaneEndsTheRun(t *testing.T) {
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "udp://" + closed.LocalAddr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	deltas, _ := generated(t, flowgen.Config{Kind: flowgen.VNet, NICs: 4, Minutes: 10, Tuples: 3000, Seed: 1})
	dir := t.TempDir()
	refused := fileLane(t, dir, "refused", convert.Policy{})
	refused.Exporter.URL = url
	if _, err := run(t.Context(), t, Config{Lanes: []Lane{refused}}, deltas); !errors.Is(err, exporter.ErrRefused) {
		t.Errorf("Run = %v, want %v", err, exporter.ErrRefused)
	}
	// With a source that would keep it waiting for ever, too.
	silent, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	endlessly := &source.Delta{Blob: "silent", Open: func(ctx context.Context) (io.ReadCloser, error) {
		context.AfterFunc(ctx, func() { _ = silent.CloseWithError(context.Cause(ctx)) })
		return silent, nil
	}}
	if _, err := run(t.Context(), t, Config{Lanes: []Lane{refused}}, append(deltas, endlessly)); !errors.Is(err, exporter.ErrRefused) {
		t.Errorf("Run = %v, want %v", err, exporter.ErrRefused)
	}
	// The others do not suffer.
	var failed []string
	deltas, totals := generated(t, flowgen.Config{Kind: flowgen.VNet, NICs: 4, Minutes: 10, Tuples: 3000, Seed: 1})
	s, err := run(t.Context(), t, Config{
		Lanes:       []Lane{fileLane(t, dir, "x", convert.Policy{}), refused},
		OnLaneError: func(lane string, _ error) { failed = append(failed, lane) },
	}, deltas)
	if !errors.Is(err, exporter.ErrRefused) || len(failed) != 1 || failed[0] != "refused" {
		t.Errorf("Run = %v, failed lanes %q", err, failed)
	}
	if got := readFile(t, filepath.Join(dir, "x"), nil); got.octets != totals.BytesSent+totals.BytesReceived || s.Lanes[0].Err != nil || s.Lanes[1].Err == nil {
		t.Errorf("the other lane got %+v of %+v", got, totals)
	}
}

// TestWhatWasCountedHasLeft: a run that is ended sends what its lanes have
// exported.
func TestWhatWasCountedHasLeft(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	dir := t.TempDir()
	lines := delta("endless", endless)
	open := lines.Open
	lines.Open = func(ctx context.Context) (io.ReadCloser, error) {
		time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
		return open(ctx)
	}
	s, err := run(ctx, t, Config{Lanes: []Lane{fileLane(t, dir, "x", convert.Policy{})}}, []*source.Delta{lines})
	if !errors.Is(err, cause) {
		t.Fatalf("Run = %v, want %v", err, cause)
	}
	if got := readFile(t, filepath.Join(dir, "x"), nil); got.records != s.Lanes[0].Sent.Records || got.records < 2*s.Lanes[0].Exported {
		t.Errorf("%d records arrived, %d were counted for %d tuples", got.records, s.Lanes[0].Sent.Records, s.Lanes[0].Exported)
	}
}

// TestLoneRecordLeaves: what comes alone does not wait for more.
func TestLoneRecordLeaves(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		live, writer := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := run(t.Context(), t, Config{Lanes: []Lane{fileLane(t, dir, "x", convert.Policy{})}}, []*source.Delta{delta("live", func() io.Reader { return live })})
			done <- err
		}()
		if _, err := writer.Write([]byte(strings.TrimSuffix(records(good), "]}"))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(linger + time.Millisecond)
		if got := readFile(t, filepath.Join(dir, "x"), nil); got.records != 2 {
			t.Errorf("%d records have left, want 2", got.records)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

type failingInterfaces struct{}

func (failingInterfaces) Index(flowlog.MAC) (uint32, error) { return 0, errors.New("disk full") }

func TestInterfaceThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	_, err := run(t.Context(), t, Config{Interfaces: failingInterfaces{}, Lanes: []Lane{fileLane(t, dir, "x", convert.Policy{})}}, []*source.Delta{blob("a", records(good))})
	if err == nil || err.Error() != "number interface 00224871C205: disk full" {
		t.Errorf("Run = %v", err)
	}
	if got := readFile(t, filepath.Join(dir, "x"), nil); got.records != 0 {
		t.Errorf("%d records were exported", got.records)
	}
}

// endless is a blob that never ends.
func endless() io.Reader {
	piece := []byte(strings.TrimSuffix(strings.TrimPrefix(records(good), `{"records":[`), `]}`) + ",")
	return &repeat{piece: piece}
}

type repeat struct {
	piece []byte
	rest  []byte
}

func (r *repeat) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		r.rest = r.piece
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func TestRunEndsWithTheContext(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	dir := t.TempDir()
	lane := fileLane(t, dir, "x", convert.Policy{})
	lane.Exporter.Rate = 10_000
	seen := 0
	d := delta("endless", func() io.Reader {
		return io.TeeReader(endless(), writerFunc(func(p []byte) (int, error) {
			if seen += len(p); seen > 1<<20 {
				cancel(cause)
			}
			return len(p), nil
		}))
	})
	if _, err := run(ctx, t, Config{Lanes: []Lane{lane}}, []*source.Delta{d}); !errors.Is(err, cause) {
		t.Errorf("Run = %v, want %v", err, cause)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// minutes is a blob of one record a minute, whose tuple is 10 s older.
func minutes(n int) string {
	var all []string
	for m := range n {
		at := start.Add(time.Duration(m) * time.Minute)
		tuple := strings.Replace(good, "1663146003606", itoa(at.Add(-10*time.Second).UnixMilli()), 1)
		r := strings.Replace(record, "%s", `"`+tuple+`"`, 1)
		r = strings.Replace(r, ",O,E,", ",O,C,", 1) // goes on: it starts a minute before
		all = append(all, strings.Replace(r, "2022-09-14T09:00:52Z", at.Format(time.RFC3339), 1))
	}
	return `{"records":[` + strings.Join(all, ",") + `]}`
}

func itoa(n int64) string {
	var b [20]byte
	i := len(b)
	for ; n > 0; n /= 10 {
		i--
		b[i] = byte('0' + n%10)
	}
	return string(b[i:])
}

func TestSpeedAndShift(t *testing.T) {
	for _, tc := range []struct {
		name  string
		speed float64
		shift bool
		took  time.Duration
		ends  func(begin time.Time, i int) time.Time
	}{
		{"neither", 0, false, 0, func(_ time.Time, i int) time.Time {
			return start.Add(time.Duration(i)*time.Minute - 10*time.Second)
		}},
		{"log time", 1, false, 4 * time.Minute, func(_ time.Time, i int) time.Time {
			return start.Add(time.Duration(i)*time.Minute - 10*time.Second)
		}},
		{"sixty times faster, now", 60, true, 4 * time.Second, func(begin time.Time, i int) time.Time {
			return begin.Add(time.Duration(i)*time.Second - 10*time.Second)
		}},
		{"at once, now", 0, true, 0, func(begin time.Time, _ int) time.Time { return begin.Add(-10 * time.Second) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			var begin time.Time
			synctest.Test(t, func(t *testing.T) {
				begin = time.Now()
				if _, err := run(t.Context(), t, Config{
					Speed: tc.speed, ShiftToNow: tc.shift,
					Lanes: []Lane{fileLane(t, dir, "x", convert.Policy{})},
				}, []*source.Delta{blob("a", minutes(5))}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
			})
			i := 0
			readFile(t, filepath.Join(dir, "x"), func(r *collect.Record) {
				if want := tc.ends(begin, i/2); !r.End().Equal(want) {
					t.Errorf("record %d ends at %v, want %v", i, r.End().UTC(), want.UTC())
				}
				if want := time.Minute; i >= 2 && r.End().Sub(r.Start()) != want {
					t.Errorf("record %d lasts %v, want %v", i, r.End().Sub(r.Start()), want)
				}
				i++
			})
			if i != 10 {
				t.Errorf("%d records, want 10", i)
			}
		})
	}
}

// TestMemoryDoesNotGrow: what is allocated for a long blob does not depend on its
// length.
func TestMemoryDoesNotGrow(t *testing.T) {
	flows := append([]byte(records(good, good, good)), '\n')
	empty := []byte(strings.Replace(record, "%s", "", 1) + "\n")
	for name, piece := range map[string][]byte{"flows": flows, "empty records": empty} {
		long := delta("long", func() io.Reader { return io.LimitReader(&repeat{piece: piece}, 48<<20) })
		lane := fileLane(t, t.TempDir(), "x", convert.Policy{})
		lane.Exporter.URL = "file:/dev/null"
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := run(t.Context(), t, Config{Lanes: []Lane{lane}}, []*source.Delta{long}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 8 {
			t.Errorf("%s: %d MiB were allocated for 48 MiB", name, got)
		}
	}
}
