package exporter

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const hintPath = "the path must be a file that can be written, in a directory that exists"

// file writes messages to a file, one behind the other (RFC 5655).
type file struct {
	url string
	f   io.WriteCloser
	w   *bufio.Writer
}

func openFile(url, path string) (transport, error) {
	var f io.WriteCloser = os.Stdout
	if path != "-" {
		var err error
		if f, err = os.Create(path); err != nil {
			return nil, &Error{URL: url, Err: err, Hint: hintPath}
		}
	}
	return &file{url: url, f: f, w: bufio.NewWriterSize(f, streamBytes)}, nil
}

func (f *file) repeatTemplates() bool { return false }

func (f *file) send(_ context.Context, b []byte) (held bool, err error) {
	_, err = f.w.Write(b)
	return false, f.fault(err)
}

func (f *file) flush(context.Context) error { return f.fault(f.w.Flush()) }

func (f *file) sync(ctx context.Context) error { return f.flush(ctx) }

func (f *file) fault(err error) error {
	if err == nil {
		return nil
	}
	return fileFault(f.url, err)
}

func fileFault(url string, err error) error {
	e := &Error{URL: url, Err: err, Hint: "see whether the file system is writable"}
	if errors.Is(err, unix.ENOSPC) {
		e.Hint = "the disk is full: free some space on it"
	}
	return e
}

func (f *file) close() error {
	if err := f.w.Flush(); err != nil {
		_ = f.f.Close()
		return f.fault(err)
	}
	return f.fault(f.f.Close())
}
