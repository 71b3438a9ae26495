package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flow2ipfix/source"
	"flow2ipfix/source/sourcetest"
)

// same is a Backend whose blobs all have the same records, one more with each
// tick, so that it takes no memory itself.
type same struct {
	names   map[string][]string // of the blobs, by flow log
	hour    time.Time
	records []byte // some of them; all are alike
	size    int64  // of a record
	ticks   atomic.Int64
	lists   atomic.Int64
}

func (s *same) FlowLogs(context.Context) ([]string, error) {
	var found []string
	for flowLog := range s.names {
		found = append(found, flowLog)
	}
	return found, nil
}

func (s *same) Hours(context.Context, string, time.Time) ([]time.Time, error) {
	return []time.Time{s.hour}, nil
}

func (s *same) info(name string) source.Info {
	n := s.ticks.Load()
	return source.Info{Name: name, Size: n*s.size + 2, ETag: fmt.Sprintf("0x8DEB5D%010d", n)}
}

func (s *same) List(_ context.Context, flowLog string, hour time.Time) ([]source.Info, error) {
	s.lists.Add(1)
	if !hour.Equal(s.hour) {
		return nil, nil
	}
	infos := make([]source.Info, len(s.names[flowLog]))
	for i, name := range s.names[flowLog] {
		infos[i] = s.info(strings.Clone(name)) // each answer has its own
	}
	return infos, nil
}

func (s *same) Open(_ context.Context, name string, offset int64) (io.ReadCloser, source.Info, error) {
	info := s.info(name)
	from := offset % s.size
	return io.NopCloser(io.MultiReader(bytes.NewReader(s.records[from:from+info.Size-2-offset]), strings.NewReader(sourcetest.Foot))), info, nil
}

// BenchmarkFollower is a minute of 10 000 NICs, without a network: each blob has
// grown by 2.7 KB, is listed and read. What one blob takes in memory is in it too.
func BenchmarkFollower(b *testing.B) {
	const flowLogs, nics = 50, 200
	backend := &same{names: map[string][]string{}, hour: time.Now().UTC().Truncate(time.Hour), size: 2700}
	for i := range flowLogs {
		flowLog := fmt.Sprint(nsg, i)
		for j := range nics {
			backend.names[flowLog] = append(backend.names[flowLog], sourcetest.Name(flowLog, backend.hour, fmt.Sprintf("000D3A%06X", i*nics+j)))
		}
	}
	backend.records = bytes.Repeat([]byte(","+strings.Repeat("x", int(backend.size-1))), 4)
	backend.ticks.Store(1)

	tail := backend.records[backend.size-source.TailBytes : backend.size]

	before := heap()
	follow, err := source.NewFollower(source.FollowerConfig{Name: "x", Backend: backend, State: newMemory(), PollInterval: 100 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	var reads, octets atomic.Int64
	wanted := make(chan struct{})
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() {
		ended <- follow.Run(ctx, func(ctx context.Context, d *source.Delta) (source.Cursor, error) {
			r, err := d.Open(ctx)
			if err != nil {
				return source.Cursor{}, err
			}
			defer r.Close()
			n, err := io.Copy(io.Discard, r)
			cursor := source.Cursor{Offset: d.Offset + n, Last: backend.hour, Tail: bytes.Clone(tail)}
			follow.Delivered(d.Blob, cursor.Offset)
			octets.Add(n)
			if reads.Add(1)%(flowLogs*nics) == 0 {
				wanted <- struct{}{}
			}
			return cursor, err
		})
	}()
	<-wanted // the first minute
	took := float64(heap()-before) / (flowLogs * nics)
	if took > 2048 {
		b.Errorf("a blob takes %.0f bytes, 10 000 NICs in two hours %.0f MiB", took, 2*took*flowLogs*nics/(1<<20))
	}
	b.ReportAllocs()
	b.SetBytes(flowLogs * nics * backend.size)
	for b.Loop() {
		backend.ticks.Add(1)
		<-wanted
	}
	b.ReportMetric(took, "heap-B/blob")
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		b.Error(err)
	}
	s := follow.Stats()
	if s.Rewritten != 0 || s.ReadErrors != 0 || s.Undelivered != 0 || s.Blobs != flowLogs*nics || octets.Load() != reads.Load()*backend.size {
		b.Errorf("%d reads of %d bytes, %+v", reads.Load(), octets.Load(), s)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
