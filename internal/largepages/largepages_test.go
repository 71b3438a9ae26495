//go:build !race

package largepages

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// largeHere says whether Make asks for large pages.
const largeHere = true

func TestMake(t *testing.T) {
	type value struct{ a, b uint64 }
	one, two := Make[value](300_000), Make[value](3)
	if len(one) != 300_000 || len(two) != 3 || Make[value](0) != nil {
		t.Fatalf("%d and %d values, want 300000 and 3", len(one), len(two))
	}
	for i := range one {
		if one[i] != (value{}) {
			t.Fatalf("value %d is %v, want zero", i, one[i])
		}
		one[i] = value{uint64(i), ^uint64(i)}
	}
	if slices.ContainsFunc(two, func(v value) bool { return v != value{} }) {
		t.Errorf("what was written to one stands in the other: %v", two)
	}
	for i := range one {
		if one[i] != (value{uint64(i), ^uint64(i)}) {
			t.Fatalf("value %d is %v", i, one[i])
		}
	}
}

// TestAdvice: the kernel knows that large pages are wanted, and could use one from the
// first byte on.
func TestAdvice(t *testing.T) {
	values := Make[byte](3 * size)
	at := uintptr(unsafe.Pointer(&values[0]))
	if at%size != 0 {
		t.Errorf("memory begins %d bytes behind where a large page can", at%size)
	}
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Logf("this kernel has no large pages: %v", err)
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uintptr
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &from, &to); n == 2 {
			inside = from <= at && at < to
		}
		if flags, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok && inside {
			if !slices.Contains(strings.Fields(flags), "hg") {
				t.Errorf("the kernel's flags are %s, want hg among them", flags)
			}
			return
		}
	}
	t.Error("the memory is not in /proc/self/smaps")
}
