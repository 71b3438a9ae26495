package flowgen

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// WriteDir writes every blob whole, as the file dir/BlobPath, NIC by NIC and
// hour by hour. One file is open at a time and one record in memory. A file
// appears under its name when it is complete and replaces an older one. The
// Generator must be new: no record may have been made. When ctx ends, WriteDir
// leaves out the blob in work and returns ctx.Err().
func (g *Generator) WriteDir(ctx context.Context, dir string) error {
	if err := g.checkNew(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(nil, 1<<20)
	var record []byte
	for nic := range g.nics {
		for minute := 0; minute < g.cfg.Minutes; {
			path := g.BlobPath(nic, minute)
			err := replace(dir, path, func(f *os.File) error {
				w.Reset(f)
				w.WriteString(Head) // bufio keeps the first error for Flush
				for first := true; minute < g.cfg.Minutes && g.BlobPath(nic, minute) == path; first = false {
					if err := ctx.Err(); err != nil {
						return err
					}
					if !first {
						w.WriteByte(',')
					}
					record = g.AppendRecord(record[:0], nic, minute)
					if _, err := w.Write(record); err != nil {
						return err
					}
					minute++
				}
				w.WriteString(Tail)
				return w.Flush()
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Grow writes the files of WriteDir as Azure does: minute by minute of log
// time, the record of each NIC at its RecordTime, before the Tail. The clock
// starts at Config.Start when Grow is called and runs at speed minutes of log
// time per minute; +Inf does not wait at all. A Grow that is late catches up.
// The files end up equal to those of WriteDir.
//
// Every commit makes a new file, a copy of the old one without its Tail and
// then the new record, and renames it over the old one. A reader that opens the
// file sees one committed state and keeps seeing it, as with a blob whose block
// list is replaced; writing in place could not promise that, since Linux does
// not keep a read and a write of several pages apart. The copy stays in the
// kernel. Temporary files lie directly in dir, named ".flowgen-*".
//
// The Generator must be new. Grow returns nil after the last minute, and
// ctx.Err() when ctx ends, with all files in a committed state.
func (g *Generator) Grow(ctx context.Context, dir string, speed float64) error {
	if !(speed > 0) {
		return fmt.Errorf("speed: want more than 0 minutes of log time per minute (got %v)", speed)
	}
	if err := g.checkNew(); err != nil {
		return err
	}
	begin := time.Now()
	order := make([]due, len(g.nics))
	blobs := make([]grown, len(g.nics))
	var block []byte
	for minute := range g.cfg.Minutes {
		for nic := range order {
			order[nic] = due{nic, g.RecordTime(nic, minute).Sub(g.cfg.Start)}
		}
		slices.SortFunc(order, func(a, b due) int { return cmp.Or(cmp.Compare(a.after, b.after), a.nic-b.nic) })
		for _, d := range order {
			if err := waitUntil(ctx, begin.Add(time.Duration(float64(d.after)/speed))); err != nil {
				return err
			}
			var err error
			if block, err = g.commit(dir, d.nic, minute, &blobs[d.nic], block[:0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// due is when, after the start of the log, a NIC's record is to be written.
type due struct {
	nic   int
	after time.Duration
}

// grown is what is in the file of a NIC's running hour.
type grown struct {
	path string // relative; empty before the first record
	size int64  // with Tail
}

// commit writes the record of nic and minute to its blob. block is scratch.
func (g *Generator) commit(dir string, nic, minute int, b *grown, block []byte) ([]byte, error) {
	old := *b
	if path := g.BlobPath(nic, minute); path != old.path {
		*b = grown{path: path}
		block = append(block, Head...)
	} else {
		b.size -= int64(len(Tail))
		block = append(block, ',')
	}
	block = g.AppendRecord(block, nic, minute)
	block = append(block, Tail...)
	keep := b.size
	b.size += int64(len(block))
	return block, replace(dir, b.path, func(f *os.File) error {
		if keep > 0 {
			if err := copyHead(f, filepath.Join(dir, b.path), keep); err != nil {
				return err
			}
		}
		_, err := f.Write(block)
		return err
	})
}

// copyHead writes the first size bytes of the file at path to f.
func copyHead(f *os.File, path string, size int64) error {
	old, err := os.Open(path)
	if err != nil {
		return err
	}
	defer old.Close()
	_, err = io.CopyN(f, old, size)
	return err
}

// replace puts what write writes under dir/path, in one step: other processes
// see the old file, or none, until it is complete. After an error the old file
// is still there.
func replace(dir, path string, write func(*os.File) error) (err error) {
	defer func() {
		if err != nil && !isContextError(err) {
			err = fmt.Errorf("write blob %s: %w", path, err)
		}
	}()
	full := filepath.Join(dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".flowgen-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if err = write(f); err == nil {
		err = f.Chmod(0o644)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), full)
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func (g *Generator) checkNew() error {
	for i := range g.nics {
		if m := g.nics[i].minute; m != 0 {
			return fmt.Errorf("generator: want a new one (got one with %d minutes of NIC %d made)", m, i)
		}
	}
	return nil
}

// waitUntil returns nil at t, at once if t is past, or ctx.Err() if ctx ends first.
func waitUntil(ctx context.Context, t time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	left := time.Until(t)
	if left <= 0 {
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
