package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"flow2ipfix/source"
)

// TestModel does many things in random order and compares with maps. What is
// in the file after each of them has to be sound for our reader, too, in all
// the forms that bbolt's trees take.
func TestModel(t *testing.T) {
	steps := 250
	if testing.Short() {
		steps = 60
	}
	type key struct{ source, flowLog string }
	rng := rand.New(rand.NewPCG(5, 6))
	dir := t.TempDir()
	s := open(t, dir)
	began := make(map[string]time.Time)
	lowWater := make(map[key]time.Time)
	cursors := make(map[key]map[string]source.Cursor)
	indexes := make(map[int]uint32)
	names := []string{"", "f", "ff", vnet, nsg, strings.Repeat("long/", 180)}
	some := func() key { return key{string(rune('a' + rng.IntN(3))), names[rng.IntN(len(names))]} }
	someHour := func() time.Time { return hour.Add(time.Duration(rng.IntN(6)) * time.Hour) }
	someBlob := func(k key) string {
		name := blob(k.flowLog, someHour(), rng.IntN(60))
		if rng.IntN(10) == 0 {
			name = strings.Replace(name, "/m=00/", "/m=30/", 1)
		}
		if k.flowLog == "" {
			name = name[1:]
		}
		return name
	}
	for step := range steps {
		k := some()
		switch what := rng.IntN(100); {
		case what < 60:
			var entries []source.Entry
			for range 1 + rng.IntN(150) {
				if rng.IntN(20) == 0 {
					k = some()
				}
				c := cursor(rng.IntN(1 << 30))
				if rng.IntN(50) == 0 {
					c.Tail = make([]byte, rng.IntN(9000)+1)
				}
				e := entry(k.source, someBlob(k), c)
				entries = append(entries, e)
				if cursors[k] == nil {
					cursors[k] = make(map[string]source.Cursor)
				}
				cursors[k][e.Blob] = c
				if _, ok := lowWater[k]; !ok {
					lowWater[k] = time.Time{}
				}
			}
			must(t, s.Commit(entries))
		case what < 70:
			at := someHour()
			must(t, s.Finish(k.source, k.flowLog, at))
			if at.After(lowWater[k]) {
				lowWater[k] = at
			}
			maps.DeleteFunc(cursors[k], func(name string, _ source.Cursor) bool {
				p, _ := source.ParsePath(name)
				return p.Hour.Before(lowWater[k])
			})
		case what < 80:
			gone := someBlob(k)
			for name := range cursors[k] {
				gone = name
				break
			}
			must(t, s.Forget(k.source, gone))
			delete(cursors[k], gone)
		case what < 85:
			nic := rng.IntN(1000)
			index := get1[uint32](t)(s.Interfaces().Index(mac(nic)))
			if before, ok := indexes[nic]; ok && before != index {
				t.Fatalf("interface %d had index %d, has %d", nic, before, index)
			}
			indexes[nic] = index
		case what < 90:
			at := someHour()
			if _, ok := began[k.source]; !ok {
				began[k.source] = at
			}
			equal(t, "begin", get1[time.Time](t)(s.Begin(k.source, at)), began[k.source])
		case what < 95:
			must(t, s.Close())
			s = open(t, dir)
		case what < 99:
			if k.flowLog == "" {
				break
			}
			must(t, s.Reset(k.source, k.flowLog))
			delete(lowWater, k)
			delete(cursors, k)
		default:
			must(t, s.Reset(k.source, ""))
			delete(began, k.source)
			maps.DeleteFunc(lowWater, func(l key, _ time.Time) bool { return l.source == k.source })
			maps.DeleteFunc(cursors, func(l key, _ map[string]source.Cursor) bool { return l.source == k.source })
		}
		if step%10 != 0 && steps-step > 10 {
			continue
		}

		want := &Contents{}
		for nic, index := range indexes {
			want.Interfaces = append(want.Interfaces, Interface{Index: index, MAC: mac(nic)})
		}
		slices.SortFunc(want.Interfaces, func(a, b Interface) int { return cmp.Compare(a.Index, b.Index) })
		for _, name := range []string{"a", "b", "c"} {
			src := Source{Name: name, Began: began[name]}
			for k, at := range lowWater {
				if k.source == name {
					src.FlowLogs = append(src.FlowLogs, FlowLog{Name: k.flowLog, LowWater: at})
				}
			}
			slices.SortFunc(src.FlowLogs, func(a, b FlowLog) int { return cmp.Compare(a.Name, b.Name) })
			for i := range src.FlowLogs {
				l := &src.FlowLogs[i]
				for name, c := range cursors[key{name, l.Name}] {
					l.Blobs = append(l.Blobs, Blob{name, c})
				}
				sortBlobs(l.Blobs)
			}
			if src.FlowLogs != nil || !src.Began.IsZero() {
				want.Sources = append(want.Sources, src)
			}
		}
		got := list(t, dir)
		for _, src := range got.Sources {
			for _, l := range src.FlowLogs {
				sortBlobs(l.Blobs)
			}
		}
		if !same(got, want) {
			equal(t, fmt.Sprint("step ", step), got, want)
			return
		}
		if step%50 == 0 {
			must(t, s.db.View(func(tx *bbolt.Tx) error {
				var errs []error
				for err := range tx.Check() {
					errs = append(errs, err)
				}
				return errors.Join(errs...)
			}))
		}
	}
}

func sortBlobs(blobs []Blob) {
	slices.SortFunc(blobs, func(a, b Blob) int { return cmp.Compare(a.Name, b.Name) })
}
