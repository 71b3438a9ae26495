package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// wantError expects an error that says what to do.
func wantError(err error, want error, hint string) error {
	var stateErr *Error
	switch {
	case !errors.Is(err, want) && !strings.Contains(fmt.Sprint(err), want.Error()):
		return fmt.Errorf("want %q, got %w", want.Error(), err)
	case !errors.As(err, &stateErr) || !strings.Contains(stateErr.Hint, hint):
		return fmt.Errorf("want a hint with %q from: %w", hint, err)
	}
	return nil
}

// TestCannotWrite: paths at which not even root can write.
func TestCannotWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for dir, want := range map[string]syscall.Errno{
		file:           syscall.ENOTDIR,
		file + "/dir":  syscall.ENOTDIR,
		"/proc/nodir":  syscall.ENOENT,
		"/proc/self":   syscall.ENOENT,
		"/sys/kernel/": syscall.EACCES,
	} {
		_, _, err := Open(dir, Options{})
		var stateErr *Error
		if !errors.Is(err, want) && !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EROFS) || !errors.As(err, &stateErr) {
			t.Errorf("%s: want %v, got %v", dir, want, err)
		}
	}
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, lockName), 0o700))
	_, _, err := Open(dir, Options{})
	must(t, wantError(err, syscall.EISDIR, "remove the folder"))

	_, err = List(filepath.Join(dir, "none"))
	must(t, wantError(err, os.ErrNotExist, "state_dir"))
	_, err = List(dir)
	must(t, wantError(err, os.ErrNotExist, "state_dir"))
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make a process without rights, or a small file system")
	}
}

// TestWithoutRights opens directories as a user that may not write there.
func TestWithoutRights(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	sample(t, dir)
	// The way to it and to this binary is to be open to all.
	for d := dir; d != "/" && strings.Contains(d, "TestWithoutRights"); d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	binary := filepath.Join(t.TempDir(), "test")
	data, err := os.ReadFile(os.Args[0])
	must(t, err)
	must(t, os.WriteFile(binary, data, 0o755))
	must(t, os.Chmod(filepath.Dir(binary), 0o755))
	for _, step := range []func() error{
		func() error { return nil },                                                // neither file can be opened
		func() error { return os.Remove(filepath.Join(dir, lockName)) },            // none can be made
		func() error { return os.WriteFile(filepath.Join(dir, lockName), nil, 0) }, // the lock can, but…
		func() error { return os.Chmod(filepath.Join(dir, lockName), 0o666) },
		func() error { return os.Chmod(filepath.Join(dir, fileName), 0o644) }, // …the file can only be read
	} {
		must(t, step())
		cmd := command(t, "norights", dir)
		cmd.Path = binary
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}

	// What root makes belongs to the owner of the directory.
	must(t, os.Chown(dir, nobody, nobody))
	must(t, os.RemoveAll(filepath.Join(dir, lockName)))
	must(t, os.WriteFile(filepath.Join(dir, fileName), nil, 0o600))
	if !openDamaged(t, dir) {
		t.Error("an empty file is not set aside")
	}
	for _, name := range []string{fileName, lockName} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != nobody {
			t.Errorf("%s belongs to user %d", name, uid)
		}
	}
}

func withoutRights(dir string) error {
	_, _, err := Open(dir, Options{})
	return wantError(err, syscall.EACCES, "own the state directory")
}

// TestFullDisk fills a file system of its own.
func TestFullDisk(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	runChild(t, "full", dir, func(attr *syscall.SysProcAttr) { attr.Unshareflags = syscall.CLONE_NEWNS })
}

func fullDisk(dir string) error {
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("mount a small file system: %w", err)
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	filler := filepath.Join(dir, "filler")
	fill := func() error {
		f, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		for {
			if _, err := f.Write(make([]byte, 4096)); errors.Is(err, syscall.ENOSPC) {
				return nil
			} else if err != nil {
				return err
			}
		}
	}
	// There is no room to begin with.
	if err := fill(); err != nil {
		return err
	}
	if _, _, err := Open(dir, Options{}); err != nil {
		if err := wantError(err, syscall.ENOSPC, "free some space"); err != nil {
			return fmt.Errorf("open: %w", err)
		}
	} else {
		return errors.New("a new file fits onto a full disk")
	}
	if err := os.Remove(filler); err != nil {
		return err
	}
	if err := failAndRecover(dir, syscall.ENOSPC, "free some space", fill, func() error { return os.Remove(filler) }); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, fileName)); err != nil {
		return err
	}
	// A file system that can only be read.
	s, _, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if err := syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		return err
	}
	_, _, err = Open(dir, Options{})
	if err := wantError(err, syscall.EROFS, "can be written to"); err != nil {
		return err
	}
	_, err = List(dir) // to read is enough
	return err
}

// TestSizeLimit is TestFullDisk for those that are not root.
func TestSizeLimit(t *testing.T) { runChild(t, "limit", t.TempDir(), nil) }

func sizeLimit(dir string) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	set := func(n uint64) error {
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: limit.Max})
	}
	if err := set(4096); err != nil {
		return err
	}
	_, _, err := Open(dir, Options{})
	if err := wantError(err, syscall.EFBIG, "limit on the size"); err != nil {
		return err
	}
	if err := set(limit.Cur); err != nil {
		return err
	}
	return failAndRecover(dir, syscall.EFBIG, "limit on the size", func() error { return set(40 * 4096) }, func() error { return set(limit.Cur) })
}

// failAndRecover commits until there is no room, sees that nothing is lost then,
// and that all goes on when there is room again.
func failAndRecover(dir string, want error, hint string, fill, free func() error) error {
	s, report, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	if report.SetAside != "" {
		return fmt.Errorf("reported: %+v", report)
	}
	if _, err := s.Interfaces().Index(mac(1)); err != nil {
		return err
	}
	if err := fill(); err != nil {
		return err
	}
	same := func(n int) error {
		cursors, err := s.Cursors("prod", vnet)
		if err != nil {
			return err
		}
		if len(cursors) != n+min(n, 1)*burst || n > 0 && cursors[blob(vnet, hour, 3)].Offset != int64(n) {
			return fmt.Errorf("%d cursors after %d commits, the last of them of %d", len(cursors), n, cursors[blob(vnet, hour, 3)].Offset)
		}
		return nil
	}
	n := 0
	for ; err == nil && n < 10000; n++ {
		err = s.Commit(burstEntries(n + 1))
	}
	n-- // the last one failed
	for range 20 {
		if err := wantError(err, want, hint); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		if err := same(n); err != nil {
			return err
		}
		err = s.Commit(append(burstEntries(n+1), burstEntries(n+2)...))
	}
	// Small writes may still find room among pages that became free; what they
	// say is true in any case.
	known := make(map[int]uint32)
	for nic := 2; nic < 50; nic++ {
		index, err := s.Interfaces().Index(mac(nic))
		if err != nil {
			if err := wantError(err, want, hint); err != nil {
				return fmt.Errorf("index: %w", err)
			}
			continue
		}
		known[nic] = index
	}
	if err := free(); err != nil {
		return err
	}
	for range 30 {
		n++
		if err := s.Commit(burstEntries(n)); err != nil {
			return fmt.Errorf("commit when there is room again: %w", err)
		}
	}
	for reopened := range 2 {
		if err := same(n); err != nil {
			return err
		}
		owners := make(map[uint32]int)
		for nic := 1; nic < 60; nic++ {
			index, err := s.Interfaces().Index(mac(nic))
			if err != nil {
				return err
			}
			if other, ok := owners[index]; ok || known[nic] != 0 && known[nic] != index {
				return fmt.Errorf("interface %d has index %d, had %d; interface %d has it too", nic, index, known[nic], other)
			}
			owners[index], known[nic] = nic, index
		}
		if err := s.Close(); err != nil || reopened > 0 {
			return err
		}
		if s, report, err = Open(dir, Options{}); err != nil {
			return err
		}
		if report.SetAside != "" || report.Header != nil {
			return fmt.Errorf("reported: %+v", report)
		}
	}
	return nil
}
