package sandbox

import (
	"fmt"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// What seccomp(2) gives a filter to look at: struct seccomp_data.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16 // each of 8 bytes, of which the low four are looked at
)

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func argument(i uint32) unix.SockFilter { return load(offArgs + 8*i) }

// ifEqual goes on with the next instruction if the loaded value is k, else it
// skips some.
func ifEqual(k uint32, skip uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: skip}
}

// unlessEqual goes on with the next instruction if the loaded value is not k, else
// it skips some.
func unlessEqual(k uint32, skip uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: skip}
}

// ifAny goes on if the loaded value has any of these bits.
func ifAny(bits uint32, skip uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: bits, Jf: skip}
}

func and(bits uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: bits}
}

func answer(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

func refuse(errno syscall.Errno) unix.SockFilter {
	return answer(unix.SECCOMP_RET_ERRNO | uint32(errno))
}

var pass = answer(unix.SECCOMP_RET_ALLOW)

var audit = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// when is what a filter does with one system call. The value loaded before is the
// call's number; it is not used again.
func when(number uint32, then ...unix.SockFilter) []unix.SockFilter {
	return append([]unix.SockFilter{ifEqual(number, uint8(len(then)))}, then...)
}

// filters are the seccomp filters that systemd makes of the unit's settings. Of
// several, the strictest answer holds.
func (r *Rules) filters() ([][]unix.SockFilter, error) {
	arch, ok := audit[runtime.GOARCH]
	if !ok {
		return nil, fmt.Errorf("no filters for %s", runtime.GOARCH)
	}
	other := refuse(unix.EPERM)
	if r.Kill {
		other = answer(unix.SECCOMP_RET_KILL_PROCESS)
	}
	// SystemCallArchitectures=native and SystemCallFilter=
	calls := []unix.SockFilter{load(offArch), unlessEqual(arch, 1), answer(unix.SECCOMP_RET_KILL_PROCESS), load(offNumber)}
	for _, n := range r.Calls {
		calls = append(calls, ifEqual(n, 1), pass)
	}
	calls = append(calls, other)

	const writeExec = unix.PROT_WRITE | unix.PROT_EXEC
	const suid = unix.S_ISUID | unix.S_ISGID
	const spaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET
	no := refuse(unix.EPERM)
	rest := []unix.SockFilter{load(offNumber)}
	for _, w := range [][]unix.SockFilter{
		// MemoryDenyWriteExecute=
		when(unix.SYS_MMAP, argument(2), and(writeExec), ifEqual(writeExec, 1), no, pass),
		when(unix.SYS_MPROTECT, argument(2), ifAny(unix.PROT_EXEC, 1), no, pass),
		when(unix.SYS_PKEY_MPROTECT, argument(2), ifAny(unix.PROT_EXEC, 1), no, pass),
		when(unix.SYS_SHMAT, argument(2), ifAny(0o100000, 1), no, pass), // SHM_EXEC
		// RestrictNamespaces=
		when(unix.SYS_CLONE, argument(0), ifAny(spaces, 1), no, pass),
		when(unix.SYS_UNSHARE, argument(0), ifAny(spaces, 1), no, pass),
		when(unix.SYS_SETNS, no),
		when(unix.SYS_CLONE3, refuse(unix.ENOSYS)),
		// RestrictSUIDSGID=
		when(unix.SYS_FCHMOD, argument(1), ifAny(suid, 1), no, pass),
		when(unix.SYS_FCHMODAT, argument(2), ifAny(suid, 1), no, pass),
		when(unix.SYS_MKDIRAT, argument(2), ifAny(suid, 1), no, pass),
		when(unix.SYS_OPENAT, argument(2), ifAny(unix.O_CREAT, 3), argument(3), ifAny(suid, 1), no, pass),
		when(unix.SYS_OPENAT2, refuse(unix.ENOSYS)),
		// LockPersonality=
		when(unix.SYS_PERSONALITY, argument(0), ifEqual(0, 1), pass, no),
	} {
		rest = append(rest, w...)
	}
	// RestrictAddressFamilies=
	rest = append(rest, ifEqual(unix.SYS_SOCKET, uint8(2+2*len(r.Families))), argument(0))
	for _, family := range r.Families {
		rest = append(rest, ifEqual(family, 1), pass)
	}
	rest = append(rest, refuse(unix.EAFNOSUPPORT), pass)
	return [][]unix.SockFilter{calls, rest}, nil
}
