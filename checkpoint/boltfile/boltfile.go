// Package boltfile reads bbolt's file format, and trusts no byte of it.
//
// bbolt maps its file and follows what stands there: on a damaged one it may
// panic, fault, take all memory, or write over what is in use. So a file is read
// here first, as a whole, and opened with bbolt only if every page is where it
// belongs. This also reads what another process is writing at the moment.
//
// It knows buckets and records, not what is in them.
package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// ErrDamaged says that a file is not what bbolt wrote.
var ErrDamaged = errors.New("damaged")

// PageSize is the size of pages that this package reads, in bytes: what
// bbolt.Options must say. By itself bbolt takes that of the machine.
const PageSize = 4096

// The format, version 2: pages of PageSize bytes, of which the first two hold
// the headers, written by turns. Numbers are in the machine's order.
const (
	pageHeaderBytes  = 16 // number 8, kind 2, count 2, further pages 4
	elementBytes     = 16 // branch: position 4, key size 4, page 8; leaf: flags 4, position 4, key size 4, value size 4
	bucketBytes      = 16 // root page 8, sequence 8
	headerBytes      = 64
	headerMagic      = 0xED0CDAED
	headerVersion    = 2
	kindBranch       = 1
	kindLeaf         = 2
	kindFree         = 16
	flagBucket       = 1
	noFreelist       = 1<<64 - 1
	freelistOverflow = 0xFFFF // then the first element is the count
	maxPages         = 1 << 20
)

var order = binary.NativeEndian

// header is one of the two that say where everything is.
type header struct {
	root, freelist, pages, transaction uint64
}

func parseHeader(b []byte) (h header, err error) {
	b = b[pageHeaderBytes : pageHeaderBytes+headerBytes]
	sum := fnv.New64a()
	sum.Write(b[:56])
	switch {
	case order.Uint32(b) != headerMagic:
		return h, errors.New("it does not begin like a file of checkpoints")
	case order.Uint64(b[56:]) != sum.Sum64():
		return h, errors.New("its checksum is wrong")
	case order.Uint32(b[4:]) != headerVersion, order.Uint32(b[8:]) != PageSize:
		return h, fmt.Errorf("it has version %d and pages of %d bytes", order.Uint32(b[4:]), order.Uint32(b[8:]))
	}
	return header{order.Uint64(b[16:]), order.Uint64(b[32:]), order.Uint64(b[40:]), order.Uint64(b[48:])}, nil
}

// Record is a key of a bucket and its value.
type Record struct{ Key, Value []byte }

// Image is what stands in a file.
type Image struct {
	// Buckets are the records of each bucket, in order of their keys.
	Buckets map[string][]Record
	// Header says what is wrong with one of the two headers, if the other is
	// sound: what was written last may be missing.
	Header error
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...)
}

// Read reads a file. The error is ErrDamaged if there is something, but not what
// bbolt wrote, or if it holds buckets in buckets or records outside of them.
func Read(path string) (*Image, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, damaged("%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// While it was being opened it may have grown.
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	return parse(f, info.Size())
}

func parse(r io.ReaderAt, size int64) (*Image, error) {
	if size < 2*PageSize {
		return nil, damaged("it has only %d bytes", size)
	}
	p := &pageReader{r: r}
	img := &Image{Buckets: make(map[string][]Record)}
	var head header
	found := false
	for n := range uint64(2) {
		b, err := p.read(n, 1)
		if err != nil {
			return nil, err
		}
		h, err := parseHeader(b)
		switch {
		case err != nil:
			img.Header = fmt.Errorf("header %d: %w", n, err)
			if n == 1 && !found {
				return nil, damaged("%w", img.Header)
			}
		case !found || h.transaction > head.transaction:
			head, found = h, true
		}
		// bbolt does not look at this, and so it must not decide here either. But
		// it is how one header in the place of the other shows.
		if is := order.Uint64(b); is != n && img.Header == nil {
			img.Header = fmt.Errorf("header %d says that it is page %d", n, is)
		}
	}
	switch {
	case head.pages > maxPages || head.pages < 2:
		return nil, damaged("its header speaks of %d pages", head.pages)
	case size < int64(head.pages)*PageSize:
		return nil, damaged("it ends after %d of %d bytes", size, head.pages*PageSize)
	}
	p.used = make([]bool, head.pages)
	p.used[0], p.used[1] = true, true
	err := p.walk(head.root, nil, nil, func(flags uint32, name, value []byte) error {
		if flags != flagBucket {
			return damaged("a record stands outside of all buckets")
		}
		name = bytes.Clone(name)
		img.Buckets[string(name)] = nil
		return p.bucket(value, func(flags uint32, key, value []byte) error {
			if flags != 0 {
				return damaged("bucket %q holds a bucket", name)
			}
			img.Buckets[string(name)] = append(img.Buckets[string(name)], Record{bytes.Clone(key), bytes.Clone(value)})
			return nil
		})
	})
	if err == nil {
		err = p.freelist(head.freelist)
	}
	if err != nil {
		return nil, err
	}
	return img, nil
}

// pageReader goes through pages, each of which it uses once.
type pageReader struct {
	r    io.ReaderAt
	used []bool
}

func (p *pageReader) read(number, count uint64) ([]byte, error) {
	b := make([]byte, count*PageSize)
	if _, err := p.r.ReadAt(b, int64(number*PageSize)); err != nil {
		return nil, damaged("page %d cannot be read: %w", number, err)
	}
	return b, nil
}

// use reads a page and those that belong to it.
func (p *pageReader) use(number uint64) ([]byte, error) {
	if number >= uint64(len(p.used)) {
		return nil, damaged("page %d is behind the last one", number)
	}
	b, err := p.read(number, 1)
	if err != nil {
		return nil, err
	}
	if is := order.Uint64(b); is != number {
		return nil, damaged("page %d says that it is page %d", number, is)
	}
	more := uint64(order.Uint32(b[12:]))
	if number+more >= uint64(len(p.used)) {
		return nil, damaged("page %d ends behind the last one", number)
	}
	for n := number; n <= number+more; n++ {
		if p.used[n] {
			return nil, damaged("page %d is used twice", n)
		}
		p.used[n] = true
	}
	if more == 0 {
		return b, nil
	}
	return p.read(number, more+1)
}

type visit func(flags uint32, key, value []byte) error

// walk visits the leaves of a tree. Its first key is to be first, unless that is
// nil, and all keys less than high, unless that is. bbolt finds pages by their
// first key when it writes them anew: if it were another one in the page above,
// the page would be in the tree twice from then on.
func (p *pageReader) walk(number uint64, first, high []byte, fn visit) error {
	b, err := p.use(number)
	if err != nil {
		return err
	}
	if order.Uint16(b[8:]) != kindBranch {
		return leaf(b, first, high, fn)
	}
	all, err := elements(b, 0, 4, 0)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return damaged("page %d leads nowhere", number)
	}
	keys := make([][]byte, len(all)+1)
	keys[len(all)] = high
	for i, e := range all {
		keys[i] = b[e.from:e.middle]
		if i == 0 && first != nil && !bytes.Equal(keys[i], first) || i > 0 && !ascend(keys[i-1], keys[i], high) {
			return damaged("the keys of page %d are not in order", number)
		}
	}
	for i := range all {
		child := order.Uint64(b[pageHeaderBytes+i*elementBytes+8:])
		if err := p.walk(child, keys[i], keys[i+1], fn); err != nil {
			return err
		}
	}
	return nil
}

// leaf visits the elements of a leaf page, be it a page of the file's or one
// that stands in a value.
func leaf(b, first, high []byte, fn visit) error {
	if kind := order.Uint16(b[8:]); kind != kindLeaf {
		return damaged("a page of kind %d stands where records belong", kind)
	}
	all, err := elements(b, 4, 8, 12)
	if err != nil {
		return err
	}
	if first != nil && len(all) == 0 {
		return damaged("a page is empty")
	}
	last := first
	for i, e := range all {
		key, value := b[e.from:e.middle], b[e.middle:e.to]
		if i == 0 && first != nil && !bytes.Equal(key, first) || i > 0 && !ascend(last, key, high) {
			return damaged("the keys of a page are not in order")
		}
		last = key
		if err := fn(order.Uint32(b[pageHeaderBytes+i*elementBytes:]), key, value); err != nil {
			return err
		}
	}
	return nil
}

func ascend(a, b, high []byte) bool {
	return bytes.Compare(a, b) < 0 && (high == nil || bytes.Compare(b, high) < 0)
}

// element is where a key, and a value behind it, stand in a page.
type element struct{ from, middle, to int }

// elements returns where the elements of a page are. They stand one behind the
// other, so that all of them together are no longer than the page.
func elements(b []byte, position, keySize, valueSize int) ([]element, error) {
	count := int(order.Uint16(b[10:]))
	last := uint64(pageHeaderBytes + count*elementBytes)
	if last > uint64(len(b)) {
		return nil, damaged("a page has more elements than room")
	}
	all := make([]element, count)
	for i := range all {
		at := pageHeaderBytes + i*elementBytes
		from := uint64(at) + uint64(order.Uint32(b[at+position:]))
		middle := from + uint64(order.Uint32(b[at+keySize:]))
		to := middle
		if valueSize != 0 {
			to += uint64(order.Uint32(b[at+valueSize:]))
		}
		if from < last || to > uint64(len(b)) {
			return nil, damaged("an element is not in its place")
		}
		all[i], last = element{int(from), int(middle), int(to)}, to
	}
	return all, nil
}

// bucket visits the records of a bucket, which may stand in the value itself.
func (p *pageReader) bucket(value []byte, fn visit) error {
	if len(value) < bucketBytes {
		return damaged("a bucket has only %d bytes", len(value))
	}
	if root := order.Uint64(value); root != 0 {
		return p.walk(root, nil, nil, fn)
	}
	page := value[bucketBytes:]
	if len(page) < pageHeaderBytes {
		return damaged("a bucket's page has only %d bytes", len(page))
	}
	if order.Uint64(page) != 0 || order.Uint32(page[12:]) != 0 {
		return damaged("a bucket's page says that it is page %d", order.Uint64(page))
	}
	return leaf(page, nil, nil, fn)
}

// freelist checks that each page is either in use or free. A page that is both
// would be written over.
func (p *pageReader) freelist(number uint64) error {
	if number == noFreelist {
		return nil // bbolt makes one of the pages that are not in use
	}
	b, err := p.use(number)
	if err != nil {
		return err
	}
	if kind := order.Uint16(b[8:]); kind != kindFree {
		return damaged("a page of kind %d stands in the place of the free list", kind)
	}
	count := uint64(order.Uint16(b[10:]))
	ids := b[pageHeaderBytes:]
	if count == freelistOverflow {
		count, ids = order.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return damaged("the free list has %d pages and no room for them", count)
	}
	for i := range count {
		n := order.Uint64(ids[8*i:])
		if n >= uint64(len(p.used)) || p.used[n] {
			return damaged("page %d is in use and free", n)
		}
		p.used[n] = true
	}
	for n, used := range p.used {
		if !used {
			return damaged("page %d is neither in use nor free", n)
		}
	}
	return nil
}
