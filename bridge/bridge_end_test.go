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
	"testing/synctest"
	"time"

	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/internal/flowgen"
	"flow2ipfix/source"
)

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
