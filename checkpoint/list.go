package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"flow2ipfix/checkpoint/boltfile"
	"flow2ipfix/flowlog"
	"flow2ipfix/source"
)

// Contents are what a state directory remembers, in order.
type Contents struct {
	// Opened is when the directory was last opened to write.
	Opened     time.Time
	Sources    []Source
	Interfaces []Interface
}

// Source is what is known of a source.
type Source struct {
	Name string
	// Began is the time from which it is read; zero if it has not begun.
	Began    time.Time
	FlowLogs []FlowLog
}

// FlowLog is what is known of a flow log.
type FlowLog struct {
	Name string
	// LowWater is the first hour that is not finished; zero if none is.
	LowWater time.Time
	Blobs    []Blob
}

// Blob is how far a blob of an hour that is not finished was delivered.
type Blob struct {
	Name   string
	Cursor source.Cursor
}

// Interface is a network interface's index.
type Interface struct {
	Index uint32
	MAC   flowlog.MAC
	// Retired says that the interface has another index now; nobody else gets
	// this one.
	Retired bool
}

// listTries is how often List reads a file that seems to be damaged. Another
// process may be writing: pages that it no longer needs it uses anew, at the
// earliest with its next commit but one.
const listTries = 8

// List reads what a state directory remembers. It writes nothing and takes no
// lock, so that it also works while another process has the directory. The error
// is os.ErrNotExist if nothing has been kept there.
func List(dir string) (*Contents, error) {
	path := filepath.Join(dir, fileName)
	var err error
	for range listTries {
		var img image
		if img, err = readImage(path); err == nil {
			c, err := img.contents()
			if err != nil {
				return nil, stateError(dir, "read "+fileName, err)
			}
			return c, nil
		}
		if !errors.Is(err, ErrDamaged) {
			break
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, &Error{
			Dir: dir, Err: err,
			Hint: "name the state_dir of the configuration; the file is made when flow2ipfix run starts first",
		}
	}
	return nil, stateError(dir, "read "+fileName, err)
}

// image is a file as it was read, without the help of bbolt.
type image struct{ *boltfile.Image }

// readImage reads a file and checks it. The error is ErrDamaged if there is
// something, but not what was written.
func readImage(path string) (image, error) {
	img, err := boltfile.Read(path)
	if err != nil {
		return image{}, err
	}
	return image{img}, image{img}.check()
}

// check says whether all records are there and as they were written.
func (img image) check() error {
	var sum total
	var version []byte
	var err error
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	var written total
	for name, records := range img.Buckets {
		for _, r := range records {
			payload, seal, e := unseal([]byte(name), r.Key, r.Value)
			if e != nil {
				keep(e)
				continue
			}
			if name == string(bucketMeta) {
				if bytes.Equal(r.Key, keySum) {
					written, e = decodeTotal(payload)
					keep(e)
					continue
				}
				if bytes.Equal(r.Key, keyFormat) {
					version = payload
				}
			}
			sum.records++
			sum.xor ^= seal
		}
	}
	// What another version wrote may be sealed in another way, too.
	if len(version) == 4 && binary.BigEndian.Uint32(version) != format {
		return damaged("it was written by another version of flow2ipfix: format %d, this one knows %d",
			binary.BigEndian.Uint32(version), format)
	}
	if err != nil {
		return err
	}
	if len(version) != 4 {
		return damaged("it is not a file of checkpoints")
	}
	for _, name := range buckets {
		if _, ok := img.Buckets[string(name)]; !ok {
			return damaged("bucket %s is missing", name)
		}
	}
	if sum.records != written.records || sum.xor != written.xor {
		return damaged("it has %d records that are not all of the %d that were written last", sum.records, written.records)
	}
	return nil
}

// contents reads the records of a checked image.
func (img image) contents() (*Contents, error) {
	c := &Contents{}
	sources := make(map[string]*Source)
	of := func(name string) *Source {
		if sources[name] == nil {
			sources[name] = &Source{Name: name}
		}
		return sources[name]
	}
	blobs, err := img.cursors()
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		img.each(bucketMeta, func(key, payload []byte) (err error) {
			if bytes.Equal(key, keyOpened) {
				c.Opened, err = decodeTime(payload)
			}
			return err
		}),
		img.each(bucketSources, func(key, payload []byte) (err error) {
			of(string(key)).Began, err = decodeTime(payload)
			return err
		}),
		img.each(bucketFlowLogs, func(key, payload []byte) error {
			name, flowLog, ok := strings.Cut(string(key), "\x00")
			l, err := decodeFlowLog(payload)
			if err != nil || !ok {
				return errRecord
			}
			found := FlowLog{Name: flowLog, LowWater: l.lowWater, Blobs: blobs[l.number]}
			for i := range found.Blobs {
				b := &found.Blobs[i]
				if b.Name, err = joinBlob(flowLog, []byte(b.Name)); err != nil {
					return err
				}
			}
			s := of(name)
			s.FlowLogs = append(s.FlowLogs, found)
			return nil
		}),
		img.each(bucketInterfaces, func(key, payload []byte) error {
			o, err := decodeOwner(payload)
			if err != nil || len(key) != 4 {
				return errRecord
			}
			c.Interfaces = append(c.Interfaces, Interface{binary.BigEndian.Uint32(key), o.mac, o.retired})
			return nil
		}),
	)
	for _, s := range slices.SortedFunc(maps.Values(sources), func(a, b *Source) int { return cmp.Compare(a.Name, b.Name) }) {
		c.Sources = append(c.Sources, *s)
	}
	return c, err
}

// cursors returns the cursors by the number of their flow log, each named with
// what the key says.
func (img image) cursors() (map[uint32][]Blob, error) {
	blobs := make(map[uint32][]Blob)
	return blobs, img.each(bucketCursors, func(key, payload []byte) error {
		if len(key) < 4+hourBytes+macBytes {
			return errRecord
		}
		cursor, err := decodeCursor(payload)
		number := binary.BigEndian.Uint32(key)
		blobs[number] = append(blobs[number], Blob{string(key[4:]), cursor})
		return err
	})
}

func (img image) each(bucket []byte, fn func(key, payload []byte) error) error {
	for _, r := range img.Buckets[string(bucket)] {
		payload, _, err := unseal(bucket, r.Key, r.Value)
		if err != nil {
			return err
		}
		if err := fn(r.Key, payload); err != nil {
			return err
		}
	}
	return nil
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
}
