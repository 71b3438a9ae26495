package checkpoint

import (
	"fmt"
	"testing"

	"flow2ipfix/convert"
	"flow2ipfix/flowlog"
)

var _ convert.Interfaces = (*Interfaces)(nil)

func TestInterfaces(t *testing.T) {
	dir := t.TempDir()
	index := get1[uint32](t)
	var fixed map[flowlog.MAC]uint32
	var s *Store
	var report Report
	reopen := func() {
		t.Helper()
		if s != nil {
			must(t, s.Close())
		}
		var err error
		s, report, err = Open(dir, Options{Interfaces: fixed})
		must(t, err)
	}
	want := func(indexes ...uint32) {
		t.Helper()
		for n, want := range indexes {
			if got := index(s.Interfaces().Index(mac(n))); got != want {
				t.Errorf("interface %d has index %d, want %d", n, got, want)
			}
		}
	}
	moved := func(want ...Moved) {
		t.Helper()
		equal(t, "moved", report.Moved, want)
	}
	reopen()
	want(1, 2)
	must(t, s.Interfaces().Add(mac(3), mac(2), mac(3), mac(1)))
	want(1, 2, 4, 3)
	count := func(want int) {
		t.Helper()
		if got := s.Interfaces().Len(); got != want {
			t.Errorf("%d interfaces have an index, want %d", got, want)
		}
	}
	count(4)
	reopen()
	count(4)
	want(1, 2, 4, 3, 5)

	fixed = map[flowlog.MAC]uint32{mac(6): 7, mac(7): 1000}
	reopen()
	moved()
	want(1, 2, 4, 3, 5, 6, 7, 1000, 8)

	// 0 goes from 1 to 9, 8 loses 8 to 9, and nobody gets 1.
	fixed = map[flowlog.MAC]uint32{mac(0): 9, mac(9): 8}
	reopen()
	moved(Moved{mac(8), 8, 10})
	want(9, 2, 4, 3, 5, 6, 7, 1000, 10, 8, 11)
	reopen() // nothing changes
	moved()
	want(9, 2, 4, 3, 5, 6, 7, 1000, 10, 8, 11)

	// Without the configuration all stay what they were last.
	fixed = nil
	reopen()
	want(9, 2, 4, 3, 5, 6, 7, 1000, 10, 8, 11, 12)

	// What was 0's before is the first that it gets when it loses 9.
	fixed = map[flowlog.MAC]uint32{mac(12): 9}
	reopen()
	moved(Moved{mac(0), 9, 1})
	want(1, 2, 4, 3, 5, 6, 7, 1000, 10, 8, 11, 12, 9, 13)

	// Two change places.
	fixed = map[flowlog.MAC]uint32{mac(1): 4, mac(2): 2}
	reopen()
	moved()
	want(1, 4, 2, 3)
	c := list(t, dir)
	equal(t, "first of the list", c.Interfaces[0], Interface{Index: 1, MAC: mac(0)})
	seen := make(map[uint32]bool)
	for _, i := range c.Interfaces {
		if seen[i.Index] {
			t.Errorf("index %d is there twice", i.Index)
		}
		seen[i.Index] = true
	}
	must(t, s.Close())

	_, _, err := Open(dir, Options{Interfaces: map[flowlog.MAC]uint32{mac(1): 0, mac(2): 5, mac(3): 5}})
	equal(t, "error", fmt.Sprint(err), fmt.Sprintf("state directory %s: interface 000D3A000001: want an index of 1 or more, got 0\n"+
		"interface 000D3A000003: index 5 is that of 000D3A000002", dir))
}

func TestInterfaceIndexDoesNotAllocate(t *testing.T) {
	s := open(t, t.TempDir())
	must(t, s.Interfaces().Add(mac(1)))
	if n := testing.AllocsPerRun(100, func() {
		if _, err := s.Interfaces().Index(mac(1)); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a known index costs %v allocations", n)
	}
}
