package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// Holder says whether a process has a state directory open to write, and which
// one; the number is 0 if it does not show. It makes and writes nothing. For the
// moment of the question, and only if nobody has it, the directory is locked
// against Open.
func Holder(dir string) (pid int, held bool, err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, stateError(dir, "see who has it", err)
	}
	defer f.Close()
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return holder(f), true, nil
	case err != nil && !errors.Is(err, syscall.EINTR):
		return 0, false, stateError(dir, "see who has it", err)
	}
	return 0, false, nil
}
