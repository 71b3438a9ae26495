package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childVariable makes a test program become another one: its value is the file
// with the Rules.
const childVariable = "FLOW2IPFIX_SANDBOX"

// probe as a program makes the child say what it may do.
const probe = "probe"

// Child does what the environment says: if this process is to become the program
// it does, and Child does not return. TestMain calls it before anything else.
func Child() {
	file := os.Getenv(childVariable)
	if file == "" {
		return
	}
	err := become(file)
	fmt.Fprintln(os.Stderr, "sandbox:", err)
	os.Exit(125)
}

// Command returns a command that becomes the program below the rules. The file for
// them is written to dir, which whoever it runs as can look into. The process id is
// the program's.
func (r *Rules) Command(dir string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "rules.json")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if r.Writable != nil {
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	}
	return cmd, nil
}

// CanMount reports whether this machine lets the test have mounts of its own.
func CanMount() error {
	cmd := exec.Command("/bin/true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return cmd.Run()
}

func become(file string) error {
	runtime.LockOSThread() // filters and privileges are a thread's
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var r Rules
	if err := json.Unmarshal(b, &r); err != nil {
		return err
	}
	if r.Writable != nil {
		if err := protect(r.Writable); err != nil {
			return fmt.Errorf("ProtectSystem=strict: %w", err)
		}
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("LimitNOFILE=: %w", err)
	}
	limit.Max = min(limit.Max, r.NoFiles) // whoever runs the test may have less
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("LimitNOFILE=: %w", err)
	}
	syscall.Umask(r.Umask)
	if r.UID != 0 {
		if err := drop(r.UID); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("NoNewPrivileges=: %w", err)
	}
	// Newer kernels know MemoryDenyWriteExecute= themselves, and newer versions of
	// systemd let them; older ones make do with the filter, which is there as well.
	if err := unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("MemoryDenyWriteExecute=: %w", err)
	}
	filters, err := r.filters()
	if err != nil {
		return err
	}
	env := append(clean(os.Environ()), r.Env...)
	env = append(env, fmt.Sprintf("WATCHDOG_PID=%d", os.Getpid()))
	argv0, err := syscall.BytePtrFromString(r.Args[0])
	if err != nil {
		return err
	}
	args, err := syscall.SlicePtrFromStrings(r.Args)
	if err != nil {
		return err
	}
	vars, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	for i := len(filters) - 1; i >= 0; i-- { // the list of calls last: it may forbid seccomp
		program := unix.SockFprog{Len: uint16(len(filters[i])), Filter: &filters[i][0]}
		if _, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program))); errno != 0 {
			return fmt.Errorf("SystemCallFilter=: %w", errno)
		}
	}
	if r.Args[0] == probe {
		attempts()
		os.Exit(0)
	}
	_, _, errno := syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(argv0)), uintptr(unsafe.Pointer(&args[0])), uintptr(unsafe.Pointer(&vars[0])))
	return fmt.Errorf("become %s: %w", r.Args[0], errno)
}

// clean leaves out what is not for the program.
func clean(env []string) []string {
	var kept []string
	for _, v := range env {
		if !strings.HasPrefix(v, childVariable+"=") && !strings.HasPrefix(v, "NOTIFY_SOCKET=") && !strings.HasPrefix(v, "WATCHDOG_") {
			kept = append(kept, v)
		}
	}
	return kept
}

// drop gives up being root, and the capabilities that could come back.
func drop(uid int) error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("CapabilityBoundingSet=: %w", err)
		}
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	if err := syscall.Setresgid(uid, uid, uid); err != nil {
		return fmt.Errorf("set Group=: %w", err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		return fmt.Errorf("set User=: %w", err)
	}
	return nil
}

// protect makes everything read-only but some folders.
func protect(writable []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, dir := range writable {
		if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	set := func(dir string, attr *unix.MountAttr, flags uint) error {
		if err := unix.MountSetattr(unix.AT_FDCWD, dir, flags, attr); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		return nil
	}
	if err := set("/", &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}, unix.AT_RECURSIVE); err != nil {
		return err
	}
	for _, dir := range writable {
		if err := set(dir, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}, 0); err != nil {
			return err
		}
	}
	return nil
}

// attempts tries what the unit forbids, and prints what came of it.
func attempts() {
	say := func(what string, err error) {
		word := "done"
		var errno syscall.Errno
		if errors.As(err, &errno) {
			word = unix.ErrnoName(errno)
		}
		fmt.Printf("%s: %s\n", what, word)
	}
	sock := func(family int) error {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM, 0)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}
	say("socket unix", sock(unix.AF_UNIX))
	say("socket inet", sock(unix.AF_INET))
	say("socket inet6", sock(unix.AF_INET6))
	say("socket netlink", sock(unix.AF_NETLINK))
	_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	say("mmap write and exec", err)
	b, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	say("mmap write", err)
	say("mprotect exec", unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC))
	say("unshare", unix.Unshare(unix.CLONE_NEWUSER))
	say("mount", unix.Mount("none", "/tmp", "tmpfs", 0, ""))
	say("chroot", unix.Chroot("/"))
	_, errno := unix.PtraceGetEventMsg(1)
	say("ptrace", errno)
	_, err = unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	say("keyctl", err)
	say("setuid", unix.Setresuid(0, 0, 0))
	_, err = os.Create("/etc/flow2ipfix-was-here")
	say("write /etc", err)
}
