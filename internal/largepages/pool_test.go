package largepages

import (
	"slices"
	"testing"
)

type value [1 << 10]int64

func TestPool(t *testing.T) {
	const keep = 3
	p := Pool[value]{Keep: keep}
	seen := map[*value]bool{}
	take := func(want bool) *value {
		t.Helper()
		v, fresh := p.Take()
		if fresh != want || fresh && *v != (value{}) {
			t.Errorf("a value is fresh: %v, want %v; it begins with %d", fresh, want, v[0])
		}
		if fresh && seen[v] {
			t.Error("a value is fresh for the second time")
		}
		seen[v] = true
		v[0] = int64(len(seen))
		return v
	}
	var all []*value
	for range 2*keep + 1 { // more than are kept in large pages
		all = append(all, take(true))
	}
	for i, v := range all {
		if v[0] != int64(i+1) {
			t.Errorf("value %d is %d: what was written to it is gone", i, v[0])
		}
	}
	p.Put(all[1], all[0])
	if first := take(false); first != all[0] || first[0] != int64(len(seen)) {
		t.Error("the value that was put back last does not come first")
	}
	if take(false) != all[1] {
		t.Error("the value that was put back before does not come then")
	}
	take(true)
	p.Put(all...)
	if n := len(p.spare); n < keep || n > 2*keep {
		t.Errorf("%d values are kept, want %d to twice as many", n, keep)
	}
	if !slices.Contains(p.spare, all[0]) {
		t.Error("a value of the large pages is gone")
	}
}

// TestPoolNeverLosesLargePages: those come back whatever else is kept.
func TestPoolNeverLosesLargePages(t *testing.T) {
	p := Pool[value]{Keep: 2}
	var all []*value
	for range 4 {
		v, _ := p.Take()
		all = append(all, v)
	}
	p.Put(all[3], all[2], all[1], all[0]) // the garbage collector's first
	for i, v := range all {
		if owned := i < 2 && largeHere; p.owns(v) != owned {
			t.Errorf("value %d is in large pages: %v, want %v", i, !owned, owned)
		}
		if p.owns(v) && !slices.Contains(p.spare, v) {
			t.Errorf("value %d of the large pages is gone", i)
		}
	}
}
