package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"flow2ipfix/checkpoint"
)

// examineState looks whether a state directory can be used, and who uses it.
func examineState(dir string, report func(finding)) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		examineNoState(dir, report)
		return
	case err == nil && !info.IsDir():
		err = &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
		fallthrough
	case err != nil:
		report(finding{Check: "writable", Status: statusFailed, Hint: stateAdvice(err, nil), err: err})
		return
	}
	err = tryWrite(dir)
	f := finding{Check: "writable", Status: statusOK, Detail: dir + " can be written to" + asWhom(info)}
	if err != nil {
		f = finding{Check: "writable", Status: statusFailed, Hint: stateAdvice(err, info), err: withoutName(dir, err)}
	}
	report(f)
	report(freeSpace(dir))
	if errors.Is(err, syscall.EACCES) { // to the rest, too
		for _, check := range []string{"in use", "contents"} {
			report(finding{Check: check, Status: statusSkipped, Detail: "not tried, for writable failed"})
		}
		return
	}
	report(stateHolder(dir))
	report(stateContents(dir))
}

// examineNoState looks whether a state directory can be made where there is none.
func examineNoState(dir string, report func(finding)) {
	above := filepath.Dir(filepath.Clean(dir))
	info, err := os.Stat(above)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(above) != above {
		above = filepath.Dir(above)
		info, err = os.Stat(above)
	}
	if err == nil {
		if err = unix.Faccessat(unix.AT_FDCWD, above, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
			err = &fs.PathError{Op: "make a folder in", Path: above, Err: err}
		}
	}
	if err != nil {
		hint := stateAdvice(err, info)
		if errors.Is(err, syscall.EACCES) {
			hint = "make " + dir + " and give it to the user that flow2ipfix runs as; in a systemd unit, StateDirectory does that"
		}
		report(finding{Check: "writable", Status: statusFailed, Detail: dir + " does not exist", Hint: hint, err: err})
		return
	}
	report(finding{Check: "writable", Status: statusOK, Detail: dir + " does not exist yet; flow2ipfix run can make it"})
	report(freeSpace(above))
}

// tryWrite writes a small file and removes it: a disk may be full, and a folder
// read-only, whatever its rights say.
func tryWrite(dir string) (err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(make([]byte, 4096))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// withoutName leaves out the name of a file that was only made to try.
func withoutName(dir string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &fs.PathError{Op: "write to", Path: dir, Err: p.Err}
	}
	return err
}

func owner(info fs.FileInfo) (uid uint32, name string) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, ""
	}
	id := strconv.FormatUint(uint64(st.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return st.Uid, u.Username
	}
	return st.Uid, "user " + id
}

// asWhom says that root asked, who may do what the service may not.
func asWhom(info fs.FileInfo) string {
	if uid, name := owner(info); os.Geteuid() == 0 && uid != 0 {
		return fmt.Sprintf(" (asked as root; it belongs to %s)", name)
	}
	return ""
}

// stateAdvice says what to do about an error of a folder; info is the folder's,
// if that is known.
func stateAdvice(err error, info fs.FileInfo) string {
	switch {
	case errors.Is(err, syscall.EROFS):
		return "put state_dir on a file system that can be written to; in a systemd unit name it in StateDirectory or ReadWritePaths"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free some space on the file system of state_dir, or of its owner's quota"
	case errors.Is(err, syscall.ENOTDIR):
		return "name a folder as state_dir: what it names, or a part of its path, is a file"
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		hint := "let the user that flow2ipfix runs as own state_dir"
		if info != nil {
			if uid, name := owner(info); int(uid) != os.Geteuid() && uid != 0 {
				hint = fmt.Sprintf("it belongs to %s: if the service runs as that user, so should doctor, like sudo -u %s flow2ipfix doctor", name, name)
			}
		}
		return hint
	}
	return "see whether the file system of state_dir works: look at the kernel's log"
}

// What is kept is small: some hundred bytes for each network interface.
const (
	littleSpace = 100e6
	noSpace     = 8e6
)

func freeSpace(dir string) finding {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return finding{Check: "space", Status: statusFailed, Hint: stateAdvice(err, nil), err: fmt.Errorf("see how much is free: %w", err)}
	}
	free := st.Bavail * uint64(st.Bsize)
	f := finding{Check: "space", Status: statusOK, Detail: size(free) + " free"}
	switch {
	case free < noSpace:
		f.Status = statusFailed
	case free < littleSpace:
		f.Status = statusWarning
	default:
		return f
	}
	f.Hint = "free some space on the file system of state_dir: when it is full, nothing is lost, but nothing goes on"
	return f
}

func stateHolder(dir string) finding {
	pid, held, err := checkpoint.Holder(dir)
	f := finding{Check: "in use", Status: statusOK, Detail: "no: the service does not run"}
	switch {
	case err != nil:
		f = finding{Check: "in use", Status: statusWarning, Hint: hintOf(err), err: stateReason(err)}
	case held && pid > 0:
		f.Detail = fmt.Sprintf("by process %d: the service runs", pid)
	case held:
		f.Detail = "the service runs"
	}
	return f
}

// stateReason leaves out which directory it is, which the line says already.
func stateReason(err error) error {
	var e *checkpoint.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func stateContents(dir string) finding {
	c, err := checkpoint.List(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return finding{Check: "contents", Status: statusOK, Detail: "nothing is kept yet: reading begins at start"}
	case errors.Is(err, checkpoint.ErrDamaged):
		return finding{
			Check: "contents", Status: statusFailed, err: stateReason(err),
			Hint: "flow2ipfix run sets the file aside when it starts, and reads from start of the configuration again; if it is worth it, put a copy back first",
		}
	case err != nil:
		return finding{Check: "contents", Status: statusFailed, Hint: hintOf(err), err: stateReason(err)}
	}
	var flowLogs, blobs int
	for _, s := range c.Sources {
		flowLogs += len(s.FlowLogs)
		for _, l := range s.FlowLogs {
			blobs += len(l.Blobs)
		}
	}
	detail := fmt.Sprintf("%s, %s, %s", count(uint64(flowLogs), "flow log"), count(uint64(blobs), "open blob"), count(uint64(len(c.Interfaces)), "interface"))
	if !c.Opened.IsZero() {
		detail += "; opened " + time.Since(c.Opened).Round(time.Second).String() + " ago"
	}
	return finding{Check: "contents", Status: statusOK, Detail: detail}
}
