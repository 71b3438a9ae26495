package exporter

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"flow2ipfix/exporter/message"
)

// fileLink appends messages to a file (RFC 5655). What is written is delivered.
type fileLink struct {
	url, path string
	f         *os.File
	w         *bufio.Writer
	regular   bool
	end       int64 // of the last whole message, if regular

	last, delivered uint64
	looked          time.Time // when the path was last seen to lead to f
}

// lookAgain is how often a link looks whether its file is still where it was.
const lookAgain = time.Second

func openFileLink(ctx context.Context, cfg *Config, path string) (link, error) {
	l := &fileLink{url: cfg.URL, path: path, f: os.Stdout}
	if path != "-" {
		if err := l.open(ctx); err != nil {
			return nil, err
		}
	}
	l.w = bufio.NewWriterSize(writerFunc(l.write), streamBytes)
	return l, nil
}

func (l *fileLink) open(ctx context.Context) error {
	info, err := os.Stat(l.path)
	if err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		return &Error{URL: l.url, Err: errors.New("is a named pipe"), Hint: "want a file: a pipe would keep nothing while nobody reads it"}
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o666)
	if err != nil {
		return &Error{URL: l.url, Err: err, Hint: hintPath}
	}
	info, err = f.Stat()
	if err == nil && info.Mode().IsRegular() {
		l.regular = true
		if l.end, err = wholeMessages(ctx, f); err == nil && l.end < info.Size() {
			err = f.Truncate(l.end) // what a crash left of a message
		}
	}
	if err != nil {
		_ = f.Close()
		e := &Error{URL: l.url, Err: err, Hint: hintPath}
		if errors.Is(err, errNotIPFIX) {
			e.Hint = "flows are appended to IPFIX files only: name another file, or move this one away"
		}
		return e
	}
	l.f = f
	return nil
}

var errNotIPFIX = errors.New("holds something else than IPFIX messages")

// wholeMessages returns where the last whole message of a file ends.
func wholeMessages(ctx context.Context, f io.Reader) (int64, error) {
	r := bufio.NewReaderSize(f, 1<<20)
	var header [message.HeaderBytes]byte
	for end := int64(0); ; {
		switch n, err := io.ReadFull(r, header[:]); {
		case n >= 2 && binary.BigEndian.Uint16(header[:]) != message.Version:
			return 0, fmt.Errorf("at byte %d: %w", end, errNotIPFIX)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return end, nil
		case err != nil:
			return 0, err
		case ctx.Err() != nil:
			return 0, context.Cause(ctx)
		}
		n := int(binary.BigEndian.Uint16(header[2:]))
		if n < message.HeaderBytes {
			return 0, fmt.Errorf("at byte %d: %w", end, errNotIPFIX)
		}
		if _, err := r.Discard(n - message.HeaderBytes); err != nil {
			return end, nil
		}
		end += int64(n)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// write is given whole messages; what it cannot write whole it takes back.
func (l *fileLink) write(b []byte) (int, error) {
	n, err := l.f.Write(b)
	switch {
	case err == nil:
		l.end += int64(n)
	case l.regular:
		_ = l.f.Truncate(l.end)
	}
	return n, err
}

func (l *fileLink) send(b []byte, upTo uint64) error {
	if l.w.Available() < len(b) {
		if err := l.flush(); err != nil {
			return err
		}
	}
	if _, err := l.w.Write(b); err != nil {
		return fileFault(l.url, err)
	}
	l.last = upTo
	return nil
}

func (l *fileLink) flush() error {
	if err := l.w.Flush(); err != nil {
		return fileFault(l.url, err)
	}
	l.delivered = l.last
	return nil
}

// poll also looks whether the file was moved away, as when logs are rotated: what
// comes then belongs to a new one.
func (l *fileLink) poll(now time.Time) (uint64, error) {
	if l.regular && now.Sub(l.looked) >= lookAgain {
		l.looked = now
		there, err := os.Stat(l.path)
		if err == nil {
			var own os.FileInfo
			if own, err = l.f.Stat(); err == nil && !os.SameFile(there, own) {
				err = os.ErrNotExist
			}
		}
		if err != nil {
			return l.delivered, &Error{URL: l.url, Err: fmt.Errorf("the file was moved away: %w", err), Hint: "nothing to do: a new file is begun"}
		}
	}
	return l.delivered, nil
}

func (l *fileLink) repeatTemplates() bool { return false }

func (l *fileLink) probe() time.Duration { return 0 }

func (l *fileLink) settleTime() time.Duration { return 0 }

func (l *fileLink) renew() time.Duration { return 0 }

func (l *fileLink) close(farewell bool) {
	if farewell {
		_ = l.flush()
	}
	if l.f != os.Stdout {
		_ = l.f.Close()
	}
}
