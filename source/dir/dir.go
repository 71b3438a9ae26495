// Package dir reads flow logs from a directory that has the folders of a storage
// account: a mount, the target of azcopy, an archive. Files may grow, and may be
// replaced by others of their name.
//
// It never writes, and follows no link that leads out of the directory. A read of
// a network file system that hangs cannot be ended.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"flow2ipfix/source"
)

// maxDepth is how many folders deep a flow log may lie.
const maxDepth = 32

// Backend is a directory. What lies above "y=…" is a flow log, named by its path
// in the directory; it is "." if that is the directory itself.
type Backend struct{ path string }

// New returns the Backend of a directory. Nothing is read yet: the directory may
// be mounted later, or anew.
func New(path string) *Backend { return &Backend{path} }

var _ source.Backend = (*Backend)(nil)

// root opens the directory. It is not kept open, since that would hold on to
// what lies below a mount.
func (b *Backend) root(ctx context.Context) (*os.Root, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	root, err := os.OpenRoot(b.path)
	return root, classed(err)
}

// classed makes errors of the file system those of source.
func classed(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w: %w", source.ErrNotFound, err)
	}
	return err
}

// FlowLogs implements source.Backend.
func (b *Backend) FlowLogs(ctx context.Context) ([]string, error) {
	root, err := b.root(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for flow logs: %w", err)
	}
	defer root.Close()
	var found []string
	var failed []error
	folders := root.FS()
	err = fs.WalkDir(folders, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && errors.Is(err, fs.ErrNotExist) && name != ".": // went meanwhile
		case err != nil:
			failed = append(failed, fmt.Errorf("look for flow logs: %w", err))
		case !entry.IsDir():
		case isPart(entry.Name(), "y=", 4):
			if dir := path.Dir(name); !slices.Contains(found[max(0, len(found)-1):], dir) {
				found = append(found, dir)
			}
			return fs.SkipDir
		case strings.Count(name, "/") >= maxDepth:
			return fs.SkipDir
		}
		return nil
	})
	slices.Sort(found)
	return slices.Compact(found), errors.Join(append(failed, err)...)
}

// isPart reports whether a folder's name is a key and so many digits.
func isPart(name, key string, digits int) bool {
	_, ok := part(name, key, digits)
	return ok
}

func part(name, key string, digits int) (int, bool) {
	text, ok := strings.CutPrefix(name, key)
	if !ok || len(text) != digits {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), err == nil
}

// Hours implements source.Backend.
func (b *Backend) Hours(ctx context.Context, flowLog string, from time.Time) ([]time.Time, error) {
	root, err := b.root(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for hours of %s: %w", flowLog, err)
	}
	defer root.Close()
	var hours []time.Time
	var descend func(folder string, date []int) error
	descend = func(folder string, date []int) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		entries, err := readDir(root, folder)
		if err != nil {
			return err
		}
		level := levels[len(date)]
		for _, entry := range entries {
			n, ok := part(entry.Name(), level.key, level.digits)
			if !ok {
				continue
			}
			date := append(date, n)
			begin, end, ok := period(date)
			switch {
			case !ok || len(date) < len(levels) && !end.After(from):
			case len(date) < len(levels):
				if err := descend(folder+"/"+entry.Name(), date); err != nil {
					return err
				}
			case !begin.Before(from):
				hours = append(hours, begin)
			}
		}
		return nil
	}
	err = descend(flowLog, nil)
	if err == nil && len(hours) == 0 {
		err = present(root, flowLog)
	}
	if err != nil {
		return nil, fmt.Errorf("look for hours of %s: %w", flowLog, err)
	}
	slices.SortFunc(hours, time.Time.Compare)
	return hours, nil
}

// levels are the folders that a date is made of.
var levels = []struct {
	key    string
	digits int
}{{"y=", 4}, {"m=", 2}, {"d=", 2}, {"h=", 2}}

// period returns the year, month, day or hour of a date; false if there is none.
func period(date []int) (begin, end time.Time, ok bool) {
	all := [4]int{1, 1, 1, 0}
	copy(all[:], date)
	begin = time.Date(all[0], time.Month(all[1]), all[2], all[3], 0, 0, 0, time.UTC)
	if begin.Year() != all[0] || int(begin.Month()) != all[1] || begin.Day() != all[2] {
		return begin, end, false // the 31st of February
	}
	switch len(date) {
	case 1:
		end = begin.AddDate(1, 0, 0)
	case 2:
		end = begin.AddDate(0, 1, 0)
	case 3:
		end = begin.AddDate(0, 0, 1)
	default:
		end = begin.Add(time.Hour)
	}
	return begin, end, true
}

// readDir returns what is in a folder, sorted; nothing if there is no such folder.
func readDir(root *os.Root, name string) ([]fs.DirEntry, error) {
	f, err := root.Open(name)
	if err != nil {
		if errors.Is(classed(err), source.ErrNotFound) {
			return nil, nil
		}
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

const blobName = "PT1H.json"

// List implements source.Backend.
func (b *Backend) List(ctx context.Context, flowLog string, hour time.Time) ([]source.Info, error) {
	folder := flowLog + hour.UTC().Format("/y=2006/m=01/d=02/h=15")
	root, err := b.root(ctx)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", folder, err)
	}
	defer root.Close()
	// Paths are walked part by part: from the hour on it is not far.
	below, err := root.OpenRoot(folder)
	if err != nil {
		if errors.Is(classed(err), source.ErrNotFound) {
			err = present(root, flowLog)
		}
		if err != nil {
			err = fmt.Errorf("list %s: %w", folder, err)
		}
		return nil, err
	}
	defer below.Close()
	infos, err := list(ctx, below, folder+"/")
	if err != nil {
		return infos, fmt.Errorf("list %s: %w", folder, err)
	}
	return infos, nil
}

// present returns an error if a flow log has no years: then it is not empty, but
// away. A mount point is an empty folder while nothing is mounted.
func present(root *os.Root, flowLog string) error {
	entries, err := readDir(root, flowLog)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return isPart(e.Name(), "y=", 4) }) {
		return nil
	}
	return fmt.Errorf("%w: no folder y=… in %s; is the directory mounted?", source.ErrNotFound, flowLog)
}

// list returns what can be listed beside the errors of what cannot.
func list(ctx context.Context, below *os.Root, prefix string) ([]source.Info, error) {
	var infos []source.Info
	var failed []error
	minutes, err := readDir(below, ".")
	if err != nil {
		return nil, err
	}
	for _, minute := range minutes {
		if !isPart(minute.Name(), "m=", 2) {
			continue
		}
		entries, err := readDir(below, minute.Name())
		if err != nil {
			failed = append(failed, err)
		}
		for _, entry := range entries {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			name := minute.Name() + "/" + entry.Name()
			if strings.HasPrefix(entry.Name(), "macAddress=") {
				name += "/" + blobName
			} else if entry.Name() != blobName {
				continue
			}
			stat, err := below.Stat(name)
			switch {
			case err == nil && stat.Mode().IsRegular():
				infos = append(infos, info(prefix+name, stat))
			case err == nil, errors.Is(classed(err), source.ErrNotFound), escapes(below, name):
			default:
				failed = append(failed, err)
			}
		}
	}
	return infos, errors.Join(failed...)
}

// escapes reports whether a name is that of a link, or is behind one; if it cannot
// be read, that is because it leads out of the directory.
func escapes(root *os.Root, name string) bool {
	for name != "." {
		if stat, err := root.Lstat(name); err == nil && stat.Mode()&fs.ModeSymlink != 0 {
			return true
		}
		name = path.Dir(name)
	}
	return false
}

// info describes a file. The time of the last change of the inode is part of the
// ETag because copying programs set that of the content back.
func info(name string, stat fs.FileInfo) source.Info {
	etag := fmt.Sprintf("%x-%x", stat.Size(), stat.ModTime().UnixNano())
	if sys, ok := stat.Sys().(*syscall.Stat_t); ok {
		etag += fmt.Sprintf("-%x-%x", sys.Ino, sys.Ctim.Nano())
	}
	return source.Info{Name: name, Size: stat.Size(), ETag: etag, Modified: stat.ModTime().UTC()}
}

// Open implements source.Backend.
func (b *Backend) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, source.Info, error) {
	f, stat, err := b.open(ctx, name)
	if err != nil {
		return nil, source.Info{}, fmt.Errorf("open %s: %w", name, err)
	}
	if offset >= stat.Size() {
		_ = f.Close()
		return nil, source.Info{}, fmt.Errorf("open %s at byte %d of %d: %w", name, offset, stat.Size(), source.ErrNothing)
	}
	return &file{ctx, f, offset, stat.Size()}, info(name, stat), nil
}

func (b *Backend) open(ctx context.Context, name string) (*os.File, fs.FileInfo, error) {
	root, err := b.root(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would keep us waiting
	if err != nil {
		return nil, nil, classed(err)
	}
	stat, err := f.Stat()
	if err == nil && !stat.Mode().IsRegular() {
		err = fmt.Errorf("%w: not a regular file", source.ErrNotFound)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, err
	}
	return f, stat, nil
}

// file reads a file up to the size that it had when it was opened.
type file struct {
	ctx      context.Context
	f        *os.File
	at, size int64
}

func (r *file) Read(b []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	if r.at >= r.size {
		return 0, io.EOF
	}
	n, err := r.f.ReadAt(b[:min(int64(len(b)), r.size-r.at)], r.at)
	r.at += int64(n)
	if n > 0 {
		return n, nil
	}
	if errors.Is(err, io.EOF) { // it was cut off meanwhile
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

func (r *file) Close() error { return r.f.Close() }
