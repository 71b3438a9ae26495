package exporter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// streamBytes is how much is written at once to a stream.
const streamBytes = 64 << 10

// tcp writes messages to a connection, one behind the other (RFC 7011 §10.4).
type tcp struct {
	url     string
	conn    *net.TCPConn
	w       *bufio.Writer
	timeout time.Duration
}

func dialTCP(ctx context.Context, cfg *Config, target string) (transport, error) {
	d := net.Dialer{Timeout: cfg.Timeout}
	if cfg.LocalAddress != "" {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(cfg.LocalAddress, "0"))
		if err != nil {
			return nil, &Error{URL: cfg.URL, Err: err, Hint: "the local address must be an IP address of this machine"}
		}
		d.LocalAddr = local
	}
	conn, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return nil, dialError(cfg.URL, err)
	}
	return &tcp{url: cfg.URL, conn: conn.(*net.TCPConn), w: bufio.NewWriterSize(conn, streamBytes), timeout: cfg.Timeout}, nil
}

func (t *tcp) repeatTemplates() bool { return false }

func (t *tcp) send(ctx context.Context, b []byte) error {
	if t.w.Available() < len(b) {
		if err := t.flush(ctx); err != nil {
			return err
		}
	}
	_, err := t.w.Write(b)
	return t.fault(ctx, err)
}

// sync waits until the collector's kernel has acknowledged everything. Whether
// the collector has read it, no transport can tell.
func (t *tcp) sync(ctx context.Context) error {
	if err := t.flush(ctx); err != nil {
		return err
	}
	raw, err := t.conn.SyscallConn()
	if err != nil {
		return t.fault(ctx, err)
	}
	deadline := time.Now().Add(t.timeout)
	for {
		var queued int
		var ioctlErr error
		if err := raw.Control(func(fd uintptr) { queued, ioctlErr = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil {
			return t.fault(ctx, err)
		}
		switch {
		case ioctlErr != nil:
			return t.fault(ctx, ioctlErr)
		case queued == 0:
			return nil
		case time.Now().After(deadline):
			return &Error{
				URL: t.url, Err: fmt.Errorf("the last %d bytes are not acknowledged", queued),
				Hint: "the collector takes no more data: see why it does not read",
			}
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
}

func (t *tcp) flush(ctx context.Context) error {
	if t.w.Buffered() == 0 {
		return nil
	}
	if err := t.conn.SetWriteDeadline(time.Now().Add(t.timeout)); err != nil {
		return t.fault(ctx, err)
	}
	// A canceled context ends a write that the collector does not take.
	stop := context.AfterFunc(ctx, func() { _ = t.conn.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	return t.fault(ctx, t.w.Flush())
}

func (t *tcp) fault(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case os.IsTimeout(err):
		return &Error{URL: t.url, Err: err, Hint: "the collector takes no more data: see why it does not read"}
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
		return &Error{URL: t.url, Err: err, Hint: "the collector closed the connection: see its log"}
	default:
		return &Error{URL: t.url, Err: err}
	}
}

// close says that no more comes and gives the collector a moment to close first:
// with bytes of its own unread, a plain close would be a reset, which can take
// what it has not read yet with it.
func (t *tcp) close() error {
	if t.conn.CloseWrite() == nil && t.conn.SetReadDeadline(time.Now().Add(settle)) == nil {
		_, _ = io.Copy(io.Discard, t.conn)
	}
	return t.conn.Close()
}

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
			return nil, &Error{URL: url, Err: err, Hint: "the path must be a file that can be written, in a directory that exists"}
		}
	}
	return &file{url: url, f: f, w: bufio.NewWriterSize(f, streamBytes)}, nil
}

func (f *file) repeatTemplates() bool { return false }

func (f *file) send(_ context.Context, b []byte) error {
	_, err := f.w.Write(b)
	return f.fault(err)
}

func (f *file) flush(context.Context) error { return f.fault(f.w.Flush()) }

func (f *file) sync(ctx context.Context) error { return f.flush(ctx) }

func (f *file) fault(err error) error {
	if err == nil {
		return nil
	}
	e := &Error{URL: f.url, Err: err}
	if errors.Is(err, unix.ENOSPC) {
		e.Hint = "the disk is full"
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
