package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"flow2ipfix/convert"
	"flow2ipfix/flowlog"
	"flow2ipfix/internal/collect"
	"flow2ipfix/source"
)

// numbered is a flow log of so many records of a tuple each, whose ports begin at
// first.
func numbered(first, count int) string {
	var all []string
	for i := range count {
		all = append(all, fmt.Sprintf(`{"macAddress":"00224871C205","flowRecords":{"flows":[{"flowGroups":[{"rule":"r","flowTuples":["1663146003606,10.0.0.6,192.0.2.180,%d,443,6,O,E,NX,3,767,0,0"]}]}]}}`, first+i))
	}
	return `{"records":[` + strings.Join(all, ",") + `]}`
}

// TestBlobsAreReadBesideEachOther: the next blob is read while the first one is
// waited for, and what they hold leaves in their order all the same: more of it
// than the readers have batches for.
func TestBlobsAreReadBesideEachOther(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	const blobs, each = 7, (batchCount + 1) * batchRecords
	second := make(chan struct{})
	var deltas []*source.Delta
	for i := range blobs {
		deltas = append(deltas, delta(fmt.Sprint(i), func() io.Reader {
			content := strings.NewReader(numbered(i*each, each))
			switch i {
			case 0:
				return io.MultiReader(io.LimitReader(content, 100), waiting(second), content)
			case 1:
				close(second)
			}
			return content
		}))
	}
	dir := t.TempDir()
	s, err := run(t.Context(), t, Config{Lanes: []Lane{fileLane(t, dir, "x", convert.Policy{})}}, deltas)
	if err != nil {
		t.Fatal(err)
	}
	if s.Blobs != blobs || s.Decoded() != blobs*each {
		t.Errorf("%d tuples of %d blobs, want %d of %d", s.Decoded(), s.Blobs, blobs*each, blobs)
	}
	next := 0
	readFile(t, filepath.Join(dir, "x"), func(r *collect.Record) {
		if port := int(r.SourcePort()); port != next {
			t.Fatalf("record %d has port %d", next, port)
		}
		next++
	})
	if next != blobs*each {
		t.Errorf("%d records, want %d", next, blobs*each)
	}
}

// TestFlowsAtOnce: a reader waits while more flows of it are with the lanes than it may
// have there, also if all of them are in one batch, and not before.
func TestFlowsAtOnce(t *testing.T) {
	const some, many = someFlows, manyFlows
	for _, sizes := range [][]int{{many + 1}, {many, 1}, {10 * many}, {some / 4, some / 4, some / 4, some / 4, 1}, {some / 2, some / 2, some / 2, 1}} {
		soon, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		rd := &blobReader{free: make(chan *batch, batchCount)}
		for range batchCount {
			rd.idle = append(rd.idle, &batch{home: rd.free})
		}
		var away []*batch
		for _, n := range sizes {
			bt, err := rd.take(soon)
			if err != nil {
				t.Fatal(err)
			}
			rd.lend(bt, n)
			away = append(away, bt)
		}
		away[len(away)-1].weight-- // as if it had one flow less
		rd.away--
		ended, end := context.WithCancel(t.Context())
		end()
		if sum(sizes) <= manyFlows+1 {
			bt, err := rd.take(ended)
			if err != nil {
				t.Fatalf("%v flows but one are away, and there is no batch: %v", sizes, err)
			}
			rd.idle = append(rd.idle, bt)
		}
		away[len(away)-1].weight++
		rd.away++
		if bt, err := rd.take(ended); bt != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%v flows are away, and yet there is a batch, or error %v", sizes, err)
		}
		away[0].goHome()
		if bt, err := rd.take(soon); bt == nil || err != nil {
			t.Errorf("the first %d flows are back of %v, and yet there is no batch: %v", sizes[0], sizes, err)
		}
	}
}

func sum(all []int) (n int) {
	for _, k := range all {
		n += k
	}
	return n
}

// waiting is a Reader of nothing that ends when c is closed.
func waiting(c <-chan struct{}) io.Reader { return waiter(c) }

type waiter <-chan struct{}

func (w waiter) Read([]byte) (int, error) {
	<-w
	return 0, io.EOF
}

// TestInterruptedRejects: when the run is ended, rejects of blobs that waited for
// their turn come one at a time, too (the race detector tells).
func TestInterruptedRejects(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(maxReaders))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opened := make(chan struct{}, maxReaders)
	var deltas []*source.Delta
	for i := range maxReaders {
		deltas = append(deltas, delta(fmt.Sprint(i), func() io.Reader {
			opened <- struct{}{}
			if i == 0 { // the others wait for this one
				return io.MultiReader(waiting(ctx.Done()), strings.NewReader(records(bad)))
			}
			return strings.NewReader(records(strings.Split(strings.Repeat(bad+"|", 200), "|")...))
		}))
	}
	go func() {
		for range maxReaders {
			<-opened
		}
		cancel()
	}()
	rejects := 0
	_, err := run(ctx, t, Config{
		Lanes:    []Lane{fileLane(t, t.TempDir(), "x", convert.Policy{})},
		OnReject: func(string, flowlog.Reject) { rejects++ },
	}, deltas)
	if !errors.Is(err, context.Canceled) || rejects == 0 {
		t.Errorf("%d rejects, error %v", rejects, err)
	}
}
