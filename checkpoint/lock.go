package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Error is what is wrong with a state directory.
type Error struct {
	Dir  string
	Err  error
	Hint string // what to do about it
}

func (e *Error) Error() string { return fmt.Sprintf("state directory %s: %v", e.Dir, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// hints say what to do about the system's own errors. bbolt does not wrap all
// of them, so that they are looked for in what an error says, too.
var hints = []struct {
	errno syscall.Errno
	hint  string
}{
	{syscall.ENOSPC, "free some space on the file system of the state directory"},
	{syscall.EDQUOT, "free some space: the disk quota of the state directory's owner is used up"},
	{syscall.EFBIG, "raise the limit on the size of files (LimitFSIZE, ulimit -f)"},
	{syscall.EROFS, "put the state directory on a file system that can be written to; in a systemd unit name it in StateDirectory or ReadWritePaths"},
	{syscall.EACCES, "let the user that flow2ipfix runs as own the state directory and its files"},
	{syscall.EPERM, "let the user that flow2ipfix runs as own the state directory and its files"},
	{syscall.ENOTDIR, "name a folder as state directory: part of its path is a file"},
	{syscall.EISDIR, "remove the folder that stands in the place of the file"},
	{syscall.EIO, "the disk fails: look at the kernel's log"},
}

func stateError(dir, what string, err error) error {
	var already *Error
	if errors.As(err, &already) {
		return err
	}
	e := &Error{Dir: dir, Err: fmt.Errorf("%s: %w", what, err)}
	if errors.Is(err, ErrDamaged) {
		e.Hint = "start flow2ipfix run anew: it sets the damaged file aside and goes on from start"
		return e
	}
	for _, h := range hints {
		if errors.Is(err, h.errno) || strings.Contains(err.Error(), h.errno.Error()) {
			e.Hint = h.hint
			break
		}
	}
	return e
}

func inUse(dir string, pid int) error {
	who := "another process"
	if pid > 0 {
		who = fmt.Sprintf("process %d", pid)
	}
	return &Error{
		Dir: dir, Err: fmt.Errorf("%w by %s", ErrInUse, who),
		Hint: "stop the other flow2ipfix first, or give this one a state directory of its own",
	}
}

// lock is the right to write a state directory. It is that of an open file, so
// that it ends with the process however that ends; the file stays, and says
// which process has the lock.
type lock struct{ file *os.File }

func acquire(dir string) (*lock, error) {
	path := filepath.Join(dir, lockName)
	_, statErr := os.Stat(path)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, stateError(dir, "lock", err)
	}
	if err := flock(f); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, inUse(dir, holder(f))
		}
		return nil, stateError(dir, "lock", err)
	}
	if errors.Is(statErr, os.ErrNotExist) {
		ownLikeFolder(dir, path)
	}
	// The number is a courtesy: on a full disk the lock holds without it.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	return &lock{f}, nil
}

func flock(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// holder returns the process that wrote its number, if it lives; it may not be
// visible from here.
func holder(f *os.File) int {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || pid <= 0 {
		return 0
	}
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return 0
	}
	return pid
}

func (l *lock) release() error {
	_ = l.file.Truncate(0)
	return l.file.Close()
}

// ownLikeFolder gives a file that root made to the owner of the folder: root
// may run `checkpoints reset` for a service that is not root.
func ownLikeFolder(dir, path string) {
	if os.Geteuid() != 0 {
		return
	}
	info, err := os.Stat(dir)
	if err != nil {
		return
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = os.Lchown(path, int(st.Uid), int(st.Gid)) // root can use it either way
	}
}
