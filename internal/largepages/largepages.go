//go:build !race

// Package largepages holds memory that is needed as long as the process lives, in large
// pages where the kernel gives them.
//
// A page that is touched for the first time costs the kernel a microsecond or two, beside
// the time for clearing it: 2 MiB in one page cost a sixth of what they cost in 512. The Go
// runtime asks for no such pages.
package largepages

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// size is that of a large page, on amd64 and, mostly, on arm64.
const size = 2 << 20

// Make returns n zero values. T must not contain a pointer: the garbage collector does not
// look into them, and never takes them back. Memory that is not touched is none; what is
// touched is up to a large page more than that.
func Make[T any](n int) []T {
	bytes := n * int(unsafe.Sizeof(*new(T)))
	if bytes == 0 {
		return nil
	}
	all, err := unix.Mmap(-1, 0, bytes+size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]T, n) // a limit of virtual memory, perhaps
	}
	all = all[-uintptr(unsafe.Pointer(&all[0]))&(size-1):][:bytes]
	_ = unix.Madvise(all, unix.MADV_HUGEPAGE) // or else it is in small pages
	return unsafe.Slice((*T)(unsafe.Pointer(&all[0])), n)
}

// owns reports whether a value is in the pool's large pages.
func (p *Pool[T]) owns(value *T) bool {
	first := uintptr(unsafe.Pointer(unsafe.SliceData(p.all)))
	return uintptr(unsafe.Pointer(value))-first < uintptr(len(p.all))*unsafe.Sizeof(*value)
}
