// Package checkpoint keeps what has to outlive the process: how far each blob
// has been delivered, from which hour on a flow log is not finished, and which
// index a network interface has. It lies in one bbolt file of the state
// directory, and one process at a time may write it.
//
// Everything in the file is sealed: each record has a checksum of its own, and
// one more stands for all of them together, so that a byte that changed, a page
// that is missing and a page of long ago are all found when the file is opened.
// A file that is damaged is set aside and reported, and a new one is begun.
//
// What a cursor means and when it may be written is not decided here.
package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"flow2ipfix/checkpoint/boltfile"
	"flow2ipfix/flowlog"
	"flow2ipfix/source"
)

// The files of a state directory.
const (
	fileName = "checkpoints.db"
	lockName = "checkpoints.lock"
	newName  = "checkpoints.db.new" // until it is whole
)

// format is the version of what stands in the file.
const format = 1

const (
	// The file is mapped with room to grow. To map it anew is the one thing that
	// can fail for good in bbolt; this takes address space, not memory.
	mapBytes   = 64 << 20
	allocBytes = 1 << 20
)

var (
	// ErrInUse says that another process has the state directory.
	ErrInUse = errors.New("in use")
	// ErrDamaged says that the file is not what was written. Open sets such a
	// file aside; List returns this, and so does everything from the moment on
	// when an open file is found to be damaged.
	ErrDamaged = boltfile.ErrDamaged
)

// Options are what a Store is opened with.
type Options struct {
	// Interfaces are the indexes that the configuration fixes.
	Interfaces map[flowlog.MAC]uint32
}

// Report is what an operator should know of an Open that did not fail.
type Report struct {
	// SetAside is where the old file went, if there was one that cannot be used,
	// and Reason says why it cannot. What it knew is forgotten.
	SetAside string
	Reason   error
	// Header says that one of the file's two headers was damaged and the other
	// was used: what was written last may be forgotten. Nil if both are sound.
	Header error
	// Moved are the interfaces whose index the configuration has taken away.
	Moved []Moved
}

// Moved is an interface whose index the configuration gives to another one.
type Moved struct {
	MAC      flowlog.MAC
	From, To uint32
}

// Store is an open state directory. It implements source.State. Its methods may
// be called at the same time. What a method has written is on the disk when it
// returns; when it returns an error, all is as it was before, or as it would be
// without the error, but never between the two.
type Store struct {
	dir  string
	lock *lock
	db   *bbolt.DB
	file *os.File // the one that db has open

	mu     sync.Mutex
	broken error // the open file was found to be damaged, or is closed

	interfaces *Interfaces
}

var _ source.State = (*Store)(nil)

// Open opens a state directory, which is made if it does not exist. It fails at
// once if another process has it, and if nothing can be written. It never
// sends: what the report says is the caller's to log.
func Open(dir string, opts Options) (*Store, Report, error) {
	if err := checkFixed(opts.Interfaces); err != nil {
		return nil, Report{}, &Error{Dir: dir, Err: err, Hint: "correct interfaces in the configuration"}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, Report{}, stateError(dir, "make", err)
	}
	l, err := acquire(dir)
	if err != nil {
		return nil, Report{}, err
	}
	s := &Store{dir: dir, lock: l}
	report, err := s.open(opts)
	if err != nil {
		_ = s.Close() // nothing was written that could be lost
		return nil, Report{}, err
	}
	return s, report, nil
}

func (s *Store) open(opts Options) (Report, error) {
	var report Report
	// A second file can only be damaged if the disk, or someone, damages it now.
	for try := range 2 {
		reason, err := s.openFile(&report)
		if err != nil {
			return report, err
		}
		if reason == nil {
			break
		}
		if try > 0 {
			return report, stateError(s.dir, "open", fmt.Errorf("a file that was just made is damaged: %w", reason))
		}
		if report.SetAside, err = setAside(s.dir); err != nil {
			return report, stateError(s.dir, "set aside a damaged file", err)
		}
		report.Reason, report.Header = reason, nil
	}
	s.interfaces = &Interfaces{store: s}
	// This also shows that the directory can be written to.
	err := s.update("open", func(w *writer) error {
		if err := w.put(bucketMeta, keyOpened, appendTime(nil, time.Now())); err != nil {
			return err
		}
		var err error
		report.Moved, err = w.fixInterfaces(opts.Interfaces)
		return err
	})
	if err != nil {
		return report, err
	}
	return report, s.interfaces.load()
}

// openFile opens the file, or makes it. The reason is why it cannot be used
// and has to be set aside; the error why nothing can be done at all.
func (s *Store) openFile(report *Report) (reason, err error) {
	path := filepath.Join(s.dir, fileName)
	img, err := readImage(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := s.create(path); err != nil {
			return nil, stateError(s.dir, "make "+fileName, err)
		}
	case errors.Is(err, ErrDamaged):
		return err, nil
	case err != nil:
		return nil, stateError(s.dir, "read "+fileName, err)
	default:
		report.Header = img.Header
	}
	err = guard(func() (err error) {
		s.db, err = bbolt.Open(path, 0o600, s.boltOptions())
		return err
	})
	switch {
	case err == nil:
		s.db.AllocSize = allocBytes
		return nil, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, inUse(s.dir, 0)
	}
	s.db = nil
	if s.file != nil {
		_ = s.file.Close() // bbolt has closed it, unless it panicked
	}
	if isDamage(err) {
		return fmt.Errorf("%w: %w", ErrDamaged, err), nil
	}
	return nil, stateError(s.dir, "open "+fileName, err)
}

func (s *Store) boltOptions() *bbolt.Options {
	return &bbolt.Options{
		Timeout:         time.Nanosecond, // do not wait for the lock
		PageSize:        boltfile.PageSize,
		InitialMmapSize: mapBytes,
		FreelistType:    bbolt.FreelistMapType,
		NoStatistics:    true,
		OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			s.file, err = os.OpenFile(name, flag, mode)
			return s.file, err
		},
	}
}

// create makes an empty file under another name first: whatever ends the
// process meanwhile, a file under its own name is whole.
func (s *Store) create(path string) error {
	temporary := filepath.Join(s.dir, newName)
	if err := os.RemoveAll(temporary); err != nil {
		return err
	}
	err := guard(func() error {
		db, err := bbolt.Open(temporary, 0o600, &bbolt.Options{Timeout: time.Nanosecond, PageSize: boltfile.PageSize})
		if err != nil {
			return err
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			for _, name := range buckets {
				if _, err := tx.CreateBucket(name); err != nil {
					return err
				}
			}
			w, err := newWriter(tx)
			if err != nil {
				return err
			}
			if err := w.put(bucketMeta, keyFormat, []byte{0, 0, 0, format}); err != nil {
				return err
			}
			return w.end()
		})
		return errors.Join(err, db.Close())
	})
	if err != nil {
		_ = os.Remove(temporary)
		return err
	}
	ownLikeFolder(s.dir, temporary)
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return syncFolder(s.dir)
}

// setAside renames the file, and says to what.
func setAside(dir string) (string, error) {
	path := filepath.Join(dir, fileName)
	base := path + ".damaged-" + time.Now().UTC().Format("20060102T150405Z")
	to := base
	for n := 2; ; n++ {
		if _, err := os.Lstat(to); errors.Is(err, os.ErrNotExist) {
			break
		} else if err != nil {
			return "", err
		}
		to = fmt.Sprintf("%s-%d", base, n)
	}
	if err := os.Rename(path, to); err != nil {
		return "", err
	}
	return to, syncFolder(dir)
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Interfaces returns the indexes of the network interfaces.
func (s *Store) Interfaces() *Interfaces { return s.interfaces }

// Close waits for what is being written, and lets others have the directory.
// Further calls do nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return nil
	}
	var err error
	switch {
	case s.db == nil:
	case s.broken != nil:
		// bbolt may have been left in the middle of something, and would wait for
		// its own locks. What is mapped stays so; the file's lock does not.
		_ = s.file.Close()
	default:
		err = guard(s.db.Close)
	}
	err = errors.Join(err, s.lock.release())
	s.lock, s.broken = nil, &Error{Dir: s.dir, Err: os.ErrClosed}
	return err
}

// view reads within a transaction.
func (s *Store) view(what string, fn func(tx *bbolt.Tx) error) error {
	return s.run(what, func() error { return s.db.View(fn) })
}

// update writes all that fn writes, or nothing.
func (s *Store) update(what string, fn func(w *writer) error) error {
	return s.run(what, func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			w, err := newWriter(tx)
			if err != nil {
				return err
			}
			if err := fn(w); err != nil {
				return err
			}
			return w.end()
		})
	})
}

func (s *Store) run(what string, fn func() error) error {
	s.mu.Lock()
	err := s.broken
	s.mu.Unlock()
	if err != nil {
		return err
	}
	err = guard(fn)
	if err == nil {
		return nil
	}
	err = stateError(s.dir, what, err)
	if errors.Is(err, ErrDamaged) {
		s.mu.Lock()
		s.broken = err
		s.mu.Unlock()
	}
	return err
}

// guard makes an error of a panic, and of a fault in what is mapped: the file
// may be cut short, or its disk fail, while it is in use.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return fn()
}

func isDamage(err error) bool {
	for _, damage := range []error{
		ErrDamaged, bolterrors.ErrInvalid, bolterrors.ErrVersionMismatch, bolterrors.ErrChecksum,
	} {
		if errors.Is(err, damage) {
			return true
		}
	}
	return false
}
