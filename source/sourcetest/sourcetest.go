// Package sourcetest says what a source.Backend must do, as a suite of tests
// that each of them runs, and has one in memory for tests of what stands above.
package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flow2ipfix/source"
)

// Writer writes blobs where a Backend reads them, as Azure does: in blocks.
// Names are whole, as the Backend's are.
type Writer interface {
	// Containers returns what names begin with: two folders (containers, if the
	// Backend has any) that the Backend reads and that are empty at first. The
	// second need not be there before something is put into it.
	Containers() [2]string
	// Put writes a blob of these blocks, in place of what was there. Without a
	// block the blob has 0 bytes.
	Put(ctx context.Context, name string, blocks ...string) error
	// Append inserts a block before the last one, which has the two bytes Foot.
	Append(ctx context.Context, name, block string) error
	Delete(ctx context.Context, name string) error
}

// A blob of Azure's begins with Head and ends with Foot, each a block.
const (
	Head = `{"records":[`
	Foot = `]}`
)

// Name returns the name of the blob of one hour and MAC below a flow log. With no
// MAC it has the form from before 2018.
func Name(flowLog string, hour time.Time, mac string) string {
	if mac != "" {
		mac = "macAddress=" + mac + "/"
	}
	return flowLog + hour.UTC().Format("/y=2006/m=01/d=02/h=15/m=00/") + mac + "PT1H.json"
}

// Run tests a Backend. Each test makes one of its own, with nothing in it; open
// cleans up with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) (source.Backend, Writer)) {
	t.Helper()
	for _, tc := range []struct {
		name string
		test func(*testing.T, suite)
	}{
		{"Empty", testEmpty},
		{"FlowLogs", testFlowLogs},
		{"Hours", testHours},
		{"List", testList},
		{"Open", testOpen},
		{"SmallBlobs", testSmall},
		{"Growth", testGrowth},
		{"Rewrite", testRewrite},
		{"Delete", testDelete},
		{"OldVersion", testOldVersion},
		{"SameTime", testSameTime},
		{"Cancel", testCancel},
	} {
		t.Run(tc.name, func(t *testing.T) {
			backend, writer := open(t)
			tc.test(t, suite{t, backend, writer, writer.Containers()})
		})
	}
}

type suite struct {
	t          *testing.T
	backend    source.Backend
	writer     Writer
	containers [2]string
}

var (
	two = time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	ctx = context.Background // of tests that do not cancel theirs
)

const (
	macA = "000D3A123456"
	macB = "00224871C205"
)

// vnet and nsg are flow logs as Azure names them, one in each container.
func (s suite) vnet() string {
	return s.containers[0] + "/flowLogResourceID=/5A1D7B0C-0000-4000-8000-000000000001_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_HUB-NET-FLOWLOG"
}

func (s suite) nsg() string {
	return s.containers[1] + "/resourceId=/SUBSCRIPTIONS/5A1D7B0C-0000-4000-8000-000000000001/RESOURCEGROUPS/WEB (PROD)/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/WEB_100%-NSG"
}

func (s suite) put(name string, blocks ...string) {
	s.t.Helper()
	if err := s.writer.Put(ctx(), name, blocks...); err != nil {
		s.t.Fatalf("put %s: %v", name, err)
	}
}

func (s suite) append(name, block string) {
	s.t.Helper()
	if err := s.writer.Append(ctx(), name, block); err != nil {
		s.t.Fatalf("append to %s: %v", name, err)
	}
}

func (s suite) flowLogs() []string {
	s.t.Helper()
	got, err := s.backend.FlowLogs(ctx())
	if err != nil {
		s.t.Fatalf("FlowLogs: %v", err)
	}
	slices.Sort(got)
	return got
}

func (s suite) hours(flowLog string, from time.Time) []time.Time {
	s.t.Helper()
	got, err := s.backend.Hours(ctx(), flowLog, from)
	if err != nil {
		s.t.Fatalf("Hours(%s, %v): %v", flowLog, from, err)
	}
	return got
}

// list returns an hour's blobs by name.
func (s suite) list(flowLog string, hour time.Time) map[string]source.Info {
	s.t.Helper()
	got, err := s.backend.List(ctx(), flowLog, hour)
	if err != nil {
		s.t.Fatalf("List(%s, %v): %v", flowLog, hour, err)
	}
	m := map[string]source.Info{}
	for _, info := range got {
		if _, twice := m[info.Name]; twice {
			s.t.Errorf("List(%s, %v) has %s twice", flowLog, hour, info.Name)
		}
		if info.ETag == "" {
			s.t.Errorf("List(%s, %v): %s has no ETag", flowLog, hour, info.Name)
		}
		m[info.Name] = info
	}
	return m
}

// none says that nothing is there of a flow log that is not there itself.
func (s suite) none(flowLog string) {
	s.t.Helper()
	hours, err := s.backend.Hours(ctx(), flowLog, time.Time{})
	if err != nil && !errors.Is(err, source.ErrNotFound) {
		s.t.Errorf("Hours(%s): %v, want none or %v", flowLog, err, source.ErrNotFound)
	}
	s.equal("hours", 0, len(hours))
	infos, err := s.backend.List(ctx(), flowLog, two)
	if err != nil && !errors.Is(err, source.ErrNotFound) {
		s.t.Errorf("List(%s): %v, want nothing or %v", flowLog, err, source.ErrNotFound)
	}
	s.equal("blobs", 0, len(infos))
}

// listed returns one blob as its hour's list has it.
func (s suite) listed(name string) source.Info {
	s.t.Helper()
	path, ok := source.ParsePath(name)
	if !ok {
		s.t.Fatalf("the test's own %s has no hour", name)
	}
	info, ok := s.list(path.Target, path.Hour)[name]
	if !ok {
		s.t.Fatalf("%s is not listed", name)
	}
	return info
}

// read returns what a blob has from an offset on.
func (s suite) read(name string, offset int64) (string, source.Info) {
	s.t.Helper()
	r, info, err := s.backend.Open(ctx(), name, offset)
	if err != nil {
		s.t.Fatalf("Open(%s, %d): %v", name, offset, err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		s.t.Fatalf("read %s from %d: %v", name, offset, err)
	}
	return string(b), info
}

// whole says that a blob is listed and read as this content from each offset.
func (s suite) whole(name, content string) {
	s.t.Helper()
	listed := s.listed(name)
	if want := (source.Info{Name: name, Size: int64(len(content)), ETag: listed.ETag, Modified: listed.Modified}); listed != want {
		s.t.Errorf("listed %+v, want %+v", listed, want)
	}
	for _, offset := range []int{0, 1, len(content) / 2, len(content) - 2, len(content) - 1} {
		if offset < 0 || offset >= len(content) {
			continue
		}
		got, info := s.read(name, int64(offset))
		if got != content[offset:] {
			s.t.Errorf("%s from %d is %q, want %q", name, offset, got, content[offset:])
		}
		if info != listed {
			s.t.Errorf("Open(%s, %d) says %+v, but the list %+v", name, offset, info, listed)
		}
	}
	for _, offset := range []int{len(content), len(content) + 1, len(content) + 1<<20} {
		s.fails(name, int64(offset), source.ErrNothing)
	}
}

func (s suite) fails(name string, offset int64, want error) {
	s.t.Helper()
	r, _, err := s.backend.Open(ctx(), name, offset)
	if r != nil && err != nil {
		s.t.Errorf("Open(%s, %d) returns a reader beside %v", name, offset, err)
	}
	if err == nil {
		_ = r.Close()
	}
	if !errors.Is(err, want) {
		s.t.Errorf("Open(%s, %d): %v, want %v", name, offset, err, want)
	}
}

func (s suite) equal(what string, want, got any) {
	s.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		s.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// record is one of about as many bytes as asked for.
func record(i, size int) string {
	return fmt.Sprintf(`{"time":"2026-11-21T02:%02d:00Z","fill":"%s"}`, i%60, strings.Repeat("x", size))
}

// testSameTime uses all methods at once, while a blob grows.
func testSameTime(t *testing.T, s suite) {
	name := Name(s.vnet(), two, macA)
	want := Head + record(0, 300)
	s.put(name, Head, record(0, 300), Foot)
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := 0; ; i++ {
				r, info, err := s.backend.Open(ctx(), name, int64(i%len(want)))
				if err != nil {
					t.Errorf("Open: %v", err)
					return
				}
				// A version that goes while it is read may break the read, but
				// what was read before is from where it belongs.
				b, err := io.ReadAll(r)
				_ = r.Close()
				got := string(b)
				if i%len(want)+len(got) > int(info.Size) || !strings.HasPrefix(got, want[i%len(want):min(len(want), i%len(want)+len(got))]) {
					t.Errorf("read %q from %d of %d bytes (%v)", got, i%len(want), info.Size, err)
					return
				}
				if list, err := s.backend.List(ctx(), s.vnet(), two); err != nil || len(list) != 1 || list[0].Size < info.Size {
					t.Errorf("List: %+v, %v, after a read of %d bytes", list, err, info.Size)
					return
				}
				if found, err := s.backend.FlowLogs(ctx()); err != nil || len(found) != 1 {
					t.Errorf("FlowLogs: %q, %v", found, err)
					return
				}
				if hours, err := s.backend.Hours(ctx(), s.vnet(), two); err != nil || len(hours) != 1 {
					t.Errorf("Hours: %v, %v", hours, err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range 20 {
		s.append(name, ","+record(i+1, 300))
	}
	close(done)
	group.Wait()
}

func testCancel(t *testing.T, s suite) {
	name := Name(s.vnet(), two, macA)
	s.put(name, Head, record(0, 10), Foot)
	ended, cancel := context.WithCancel(ctx())
	cancel()
	_, flowLogs := s.backend.FlowLogs(ended)
	_, hours := s.backend.Hours(ended, s.vnet(), time.Time{})
	_, list := s.backend.List(ended, s.vnet(), two)
	r, _, open := s.backend.Open(ended, name, 0)
	if open == nil { // the context may also end the reading
		_, open = io.ReadAll(r)
		_ = r.Close()
	}
	for what, err := range map[string]error{"FlowLogs": flowLogs, "Hours": hours, "List": list, "Open": open} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a context that has ended: %v", what, err)
		}
	}
}
