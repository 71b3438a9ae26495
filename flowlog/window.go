package flowlog

import (
	"errors"
	"fmt"
	"io"

	"flow2ipfix/internal/largepages"
)

// window is a stretch of the input in memory. It slides: what stands before
// keep is given up now and then, and it grows while a record is larger than it.
//
// buf[end] is always 0, which no valid token contains: scanning loops stop there
// and ask for more. padBytes can be read from there. base+pos is the offset in
// the blob.
type window struct {
	r    io.Reader
	err  error // of r; sticky
	buf  []byte
	base int64 // offset of buf[0]
	pos  int   // next byte to be read
	end  int   // behind the last byte that was read
	keep int   // first byte that must stay

	limit    int    // of what may be kept, in bytes
	dropping bool   // the record is too large: nothing before pos is kept
	head     []byte // how the record that was dropped last begins

	scratch [64]byte // for keys and short unescaped strings

	marks marks // of a stretch of buf
}

const (
	windowBytes  = 256 << 10
	largeBytes   = 4 << 20 // what it grows to first, and keeps; of fresh memory only what a record fills is touched
	minReadBytes = 32 << 10
	maxReadBytes = 128 << 10 // so that what was read is still in the cache when it is decoded
)

type largeBuffer [largeBytes + padBytes]byte

// largeBuffers are for the decoders that are the first ones to read a large record, as
// many as a replay has. They keep them, but for giant records.
var largeBuffers = largepages.Pool[largeBuffer]{Keep: 4}

func (w *window) reset(r io.Reader, base int64) {
	buf := w.buf
	if len(buf) == 0 || len(buf) > len(largeBuffer{}) {
		buf = make([]byte, windowBytes+padBytes)
	}
	buf[0] = 0
	*w = window{r: r, buf: buf, base: base, limit: w.limit}
}

func (w *window) offset() int64 { return w.base + int64(w.pos) }

// fill reads more input behind end. Indexes into buf change; pos and keep
// follow. It returns io.EOF or the reader's error when nothing more comes. When
// the window is full it only starts dropping: callers look again and call again.
func (w *window) fill() error {
	if w.err != nil {
		return w.err
	}
	w.marks.drop()
	if w.dropping {
		w.keep = w.pos
	}
	// What is kept moves to the front as soon as that costs little, not only when
	// there is no room behind it: the front is in the cache.
	if free := len(w.buf) - padBytes - w.end; w.keep > 0 && (free < minReadBytes || w.end-w.keep <= w.keep) {
		n := copy(w.buf, w.buf[w.keep:w.end])
		w.base += int64(w.keep)
		w.pos -= w.keep
		w.end = n
		w.keep = 0
		w.buf[n] = 0
	}
	if free := len(w.buf) - padBytes - w.end; free < minReadBytes {
		if w.end >= w.limit {
			w.dropping = true
			w.head = append(w.head[:0], w.buf[w.keep:min(w.keep+MaxQuoteBytes, w.end)]...)
			return nil
		}
		w.grow(min(max(2*len(w.buf), len(largeBuffer{})), w.limit+minReadBytes+padBytes))
	}
	for range 100 {
		n, err := w.r.Read(w.buf[w.end:min(w.end+maxReadBytes, len(w.buf)-padBytes)])
		w.end += n
		w.buf[w.end] = 0
		if err != nil {
			w.err = readError(err)
		}
		if n > 0 {
			return nil
		}
		if err != nil {
			return w.err
		}
	}
	w.err = io.ErrNoProgress
	return w.err
}

// grow makes room for size bytes, the last padBytes of which stay free.
func (w *window) grow(size int) {
	old := w.buf
	if size <= len(largeBuffer{}) {
		large, _ := largeBuffers.Take()
		w.buf = large[:size]
	} else {
		w.buf = make([]byte, size)
	}
	copy(w.buf, old[:w.end])
	if cap(old) == len(largeBuffer{}) {
		largeBuffers.Put((*largeBuffer)(old[:cap(old)]))
	}
}

// readError makes sure that only io.EOF itself passes for the end of the input.
// An error that wraps it, as of a connection that broke, is a failure.
func readError(err error) error {
	if err != io.EOF && errors.Is(err, io.EOF) { //nolint:errorlint // io.Reader: the end is io.EOF, not wrapped
		return fmt.Errorf("%w: %v", io.ErrUnexpectedEOF, err) //nolint:errorlint // io.EOF must not be found in it
	}
	return err
}
