package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"flow2ipfix/flowlog"
	"flow2ipfix/source"
)

func TestMain(m *testing.M) {
	if task := os.Getenv(childTask); task != "" {
		child(task, os.Getenv(childDir))
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	vnet = "insights-logs-flowlogflowevent/flowLogResourceID=/SUB_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_X-FLOWLOG"
	nsg  = "insights-logs-networksecuritygroupflowevent/resourceId=/SUBSCRIPTIONS/S/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/N"
)

var hour = time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)

func mac(n int) flowlog.MAC { return flowlog.MAC{0, 0x0d, 0x3a, byte(n >> 16), byte(n >> 8), byte(n)} }

func blob(flowLog string, at time.Time, nic int) string {
	return flowLog + usualRest(at, mac(nic))
}

func cursor(n int) source.Cursor {
	return source.Cursor{
		Offset: int64(n), ETag: fmt.Sprintf("0x8DE%011X", n), Last: hour.Add(time.Duration(n) * time.Millisecond),
		Tail: []byte(fmt.Sprintf("%064d", n)),
	}
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, report, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if report.SetAside != "" || report.Header != nil || report.Moved != nil {
		t.Fatalf("opening a sound directory reports %+v", report)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get1[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func equal(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func list(t testing.TB, dir string) *Contents {
	t.Helper()
	c := get1[*Contents](t)(List(dir))
	c.Opened = time.Time{}
	return c
}

// TestState holds the store to what source.State promises, before and after it
// is opened again.
func TestState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "state")
	s := open(t, dir)
	times, cursors := get1[time.Time](t), get1[map[string]source.Cursor](t)

	start := time.Date(2026, 11, 20, 1, 2, 3, 456789, time.FixedZone("", 3600))
	equal(t, "first Begin", times(s.Begin("prod", start)), start)
	equal(t, "second Begin", times(s.Begin("prod", start.Add(time.Hour))), start)
	equal(t, "Begin of another source", times(s.Begin("archive", time.Time{})), time.Time{})
	equal(t, "its second Begin", times(s.Begin("archive", start)), time.Time{})
	equal(t, "unknown low-water mark", times(s.LowWater("prod", vnet)), time.Time{})
	equal(t, "no cursors", cursors(s.Cursors("prod", vnet)), map[string]source.Cursor{})

	odd := vnet + "/y=2026/m=11/d=21/h=02/m=30/macAddress=000d3a000001/PT1H.json" // neither m=00 nor upper case
	old := nsg + "/y=1969/m=11/d=21/h=02/m=00/PT1H.json"                          // no MAC, and an hour before 1970
	later := blob(vnet, hour.Add(time.Hour), 1)
	must(t, s.Commit([]source.Entry{
		entry("prod", blob(vnet, hour, 1), cursor(1)),
		entry("prod", blob(vnet, hour, 1), cursor(10)),
		entry("prod", blob(vnet, hour, 2), cursor(2)),
		entry("prod", odd, cursor(3)),
		entry("prod", later, source.Cursor{Offset: 1<<62 - 1}),
		entry("prod", old, cursor(5)),
		entry("archive", blob(vnet, hour, 1), cursor(6)),
		entry("archive", "y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A000001/PT1H.json", cursor(7)),
	}))
	must(t, s.Commit([]source.Entry{entry("prod", blob(vnet, hour, 2), cursor(20))}))
	must(t, s.Commit(nil))
	check := func(s *Store, vnetCursors map[string]source.Cursor) {
		t.Helper()
		equal(t, "Begin", times(s.Begin("prod", time.Now())), start)
		equal(t, "cursors", cursors(s.Cursors("prod", vnet)), vnetCursors)
		equal(t, "cursors of an old log", cursors(s.Cursors("prod", nsg)), map[string]source.Cursor{old: cursor(5)})
		equal(t, "cursors of another source", cursors(s.Cursors("archive", vnet)), map[string]source.Cursor{blob(vnet, hour, 1): cursor(6)})
		equal(t, "cursors of a flow log without a name", cursors(s.Cursors("archive", "")), map[string]source.Cursor{"y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A000001/PT1H.json": cursor(7)})
	}
	all := map[string]source.Cursor{
		blob(vnet, hour, 1): cursor(10), blob(vnet, hour, 2): cursor(20), odd: cursor(3), later: {Offset: 1<<62 - 1},
	}
	check(s, all)
	must(t, s.Close())
	must(t, s.Close())
	s = open(t, dir)
	check(s, all)

	must(t, s.Forget("prod", blob(vnet, hour, 2)))
	must(t, s.Forget("prod", blob(vnet, hour, 2)))
	must(t, s.Forget("prod", blob(vnet, hour, 3)))
	must(t, s.Forget("other", blob(vnet, hour, 1)))
	must(t, s.Forget("prod", "data/registry.dat"))
	delete(all, blob(vnet, hour, 2))
	check(s, all)

	must(t, s.Finish("prod", vnet, hour))
	equal(t, "low-water mark", times(s.LowWater("prod", vnet)), hour)
	check(s, all)
	must(t, s.Finish("prod", vnet, hour.Add(time.Hour)))
	check(s, map[string]source.Cursor{later: all[later]})
	must(t, s.Finish("prod", vnet, hour)) // what is finished stays so
	equal(t, "low-water mark", times(s.LowWater("prod", vnet)), hour.Add(time.Hour))
	equal(t, "low-water mark of another source", times(s.LowWater("archive", vnet)), time.Time{})
	must(t, s.Finish("prod", "never/seen", hour))
	equal(t, "low-water mark of a flow log without blobs", times(s.LowWater("prod", "never/seen")), hour)

	want := &Contents{Sources: []Source{
		{Name: "archive", FlowLogs: []FlowLog{
			{Name: "", Blobs: []Blob{{"y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A000001/PT1H.json", cursor(7)}}},
			{Name: vnet, Blobs: []Blob{{blob(vnet, hour, 1), cursor(6)}}},
		}},
		{Name: "prod", Began: start, FlowLogs: []FlowLog{
			{Name: vnet, LowWater: hour.Add(time.Hour), Blobs: []Blob{{later, source.Cursor{Offset: 1<<62 - 1}}}},
			{Name: nsg, Blobs: []Blob{{old, cursor(5)}}},
			{Name: "never/seen", LowWater: hour},
		}},
	}}
	equal(t, "list, while the directory is in use", list(t, dir), want)

	if err := s.Commit([]source.Entry{entry("prod", blob(vnet, hour, 9), cursor(9)), entry("prod", "x.json", cursor(1))}); err == nil {
		t.Error("a blob without an hour is committed")
	}
	if err := s.Commit([]source.Entry{entry("", blob(vnet, hour, 9), cursor(9))}); err == nil {
		t.Error("a source without a name is committed")
	}
	equal(t, "list after errors", list(t, dir), want)
}

func TestReset(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	fill := func() {
		for _, name := range []string{"a", "b", "ab"} {
			_, err := s.Begin(name, hour)
			must(t, err)
			must(t, s.Commit([]source.Entry{entry(name, blob("f", hour, 1), cursor(1)), entry(name, blob("ff", hour, 2), cursor(2))}))
			must(t, s.Finish(name, "f", hour))
		}
	}
	fill()
	index := get1[uint32](t)(s.Interfaces().Index(mac(1)))
	whole := list(t, dir)
	must(t, s.Reset("a", "nothing"))
	must(t, s.Reset("nothing", ""))
	must(t, s.Reset("nothing", "f"))
	equal(t, "after a reset of nothing", list(t, dir), whole)

	must(t, s.Reset("a", "f"))
	one := list(t, dir)
	equal(t, "one flow log is left", one.Sources[0], Source{Name: "a", Began: hour, FlowLogs: whole.Sources[0].FlowLogs[1:]})
	equal(t, "other sources", one.Sources[1:], whole.Sources[1:])

	must(t, s.Reset("a", ""))
	equal(t, "sources that are left", list(t, dir).Sources, whole.Sources[1:])
	equal(t, "Begin anew", get1[time.Time](t)(s.Begin("a", hour.Add(time.Minute))), hour.Add(time.Minute))

	must(t, s.Reset(ResetAll, ""))
	equal(t, "nothing is left but interfaces", list(t, dir), &Contents{Interfaces: []Interface{{Index: index, MAC: mac(1)}}})
	fill() // numbers of flow logs are not used again
	equal(t, "all anew", list(t, dir), whole)
}

func TestFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	open(t, dir)
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, fileName): 0o600, filepath.Join(dir, lockName): 0o600} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode() != want {
			t.Errorf("%s has mode %s, want %s", path, info.Mode(), want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, newName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left behind", newName)
	}
}

func TestClosed(t *testing.T) {
	s := open(t, t.TempDir())
	must(t, s.Close())
	_, err := s.Cursors("prod", vnet)
	_, err2 := s.Interfaces().Index(mac(1))
	for _, err := range []error{err, err2, s.Commit([]source.Entry{entry("prod", blob(vnet, hour, 1), cursor(1))}), s.Forget("prod", blob(vnet, hour, 1))} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("a closed store says %v", err)
		}
	}
}

// TestConcurrent uses a store from many sides; the race detector looks on.
func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var wg sync.WaitGroup
	for n := range 4 {
		flowLog := fmt.Sprintf("%s-%d", vnet, n)
		wg.Go(func() {
			for i := range 20 {
				if err := s.Commit([]source.Entry{entry("prod", blob(flowLog, hour.Add(time.Duration(i)*time.Hour), n), cursor(i))}); err != nil {
					t.Error(err)
				}
				if index, err := s.Interfaces().Index(mac(i)); err != nil || index == 0 {
					t.Error(index, err)
				}
			}
		})
		wg.Go(func() {
			for i := range 10 {
				if err := s.Finish("prod", flowLog, hour.Add(time.Duration(i)*time.Hour)); err != nil {
					t.Error(err)
				}
				if _, err := s.Cursors("prod", flowLog); err != nil {
					t.Error(err)
				}
				if _, err := List(dir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	c := list(t, dir)
	if len(c.Interfaces) != 20 || c.Interfaces[19].Index != 20 {
		t.Errorf("interfaces: %v", c.Interfaces)
	}
}

func TestBlobNames(t *testing.T) {
	for _, name := range []string{
		blob(vnet, hour, 1),
		blob(nsg, hour, 1<<24-1),
		"y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A123456/PT1H.json",
		"/y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A123456/PT1H.json",
		"x/y=2026/m=11/d=21/h=02/m=00/PT1H.json",
		"x/y=0000/m=01/d=01/h=00/m=00/PT1H.json",
		"x/y=9999/m=12/d=31/h=23/m=59/macAddress=abcdefABCDEF/PT1H.json",
	} {
		flowLog, key, ok := splitBlob(name)
		if !ok {
			t.Errorf("%s has no hour", name)
			continue
		}
		path, _ := source.ParsePath(name)
		equal(t, "hour of "+name, decodeHour(key), path.Hour)
		equal(t, "name", get1[string](t)(joinBlob(flowLog, key)), name)
	}
}

func entry(from, blob string, c source.Cursor) source.Entry {
	return source.Entry{Source: from, Blob: blob, Cursor: c}
}
