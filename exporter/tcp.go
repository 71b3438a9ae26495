package exporter

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// streamBytes is how much is written at once to a stream.
const streamBytes = 64 << 10

// tcp writes messages to a connection, one behind the other (RFC 7011 §10.4),
// with or without TLS.
type tcp struct {
	url     string
	conn    streamConn   // what is written to
	cork    *cork        // of TLS, below conn
	socket  *net.TCPConn // what carries it
	w       *bufio.Writer
	timeout time.Duration
}

// streamConn is a TCP or a TLS connection.
type streamConn interface {
	net.Conn
	CloseWrite() error
}

func dialTCP(ctx context.Context, cfg *Config, target string) (transport, error) {
	conn, err := connectTCP(ctx, cfg, target)
	if err != nil {
		return nil, err
	}
	return newTCP(cfg, conn, conn), nil
}

func dialTLS(ctx context.Context, cfg *Config, target string) (transport, error) {
	conf, err := cfg.tlsConfig(target)
	if err != nil {
		return nil, err
	}
	socket, err := connectTCP(ctx, cfg, target)
	if err != nil {
		return nil, err
	}
	below := &cork{streamConn: socket}
	conn, err := handshakeTLS(ctx, cfg, below, conf)
	if err != nil {
		_ = socket.Close()
		return nil, err
	}
	t := newTCP(cfg, conn, socket)
	t.cork = below
	return t, nil
}

// cork puts together what TLS writes, which is a record of 16 KiB at a time.
type cork struct {
	streamConn
	in  bool
	buf []byte
}

func (c *cork) Write(b []byte) (int, error) {
	if !c.in {
		return c.streamConn.Write(b)
	}
	c.buf = append(c.buf, b...)
	return len(b), nil
}

// pull takes the cork out, and writes what it held back.
func (c *cork) pull() error {
	_, err := c.streamConn.Write(c.buf)
	c.in, c.buf = false, c.buf[:0]
	return err
}

func newTCP(cfg *Config, conn streamConn, socket *net.TCPConn) *tcp {
	return &tcp{url: cfg.URL, conn: conn, socket: socket, w: bufio.NewWriterSize(conn, streamBytes), timeout: cfg.Timeout}
}

// connectTCP looks the name up and connects. A peer that vanishes without a word
// is noticed after a minute, whether something was sent to it or not.
func connectTCP(ctx context.Context, cfg *Config, target string) (*net.TCPConn, error) {
	d := net.Dialer{
		Timeout:         cfg.Timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 3},
	}
	if cfg.LocalAddress != "" {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(cfg.LocalAddress, "0"))
		if err != nil {
			return nil, &Error{URL: cfg.URL, Err: err, Hint: hintLocalAddress}
		}
		d.LocalAddr = local
	}
	conn, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return nil, dialError(cfg.URL, err)
	}
	return conn.(*net.TCPConn), nil
}

// handshakeTLS speaks TLS over conn; what it returns is closed with conn.
func handshakeTLS(ctx context.Context, cfg *Config, conn net.Conn, conf *tls.Config) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	c := tls.Client(conn, conf)
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, dialError(cfg.URL, fmt.Errorf("tls handshake: %w", err))
	}
	return c, nil
}

func (t *tcp) repeatTemplates() bool { return false }

func (t *tcp) send(ctx context.Context, b []byte) (held bool, err error) {
	if t.w.Available() < len(b) {
		if err := t.flush(ctx); err != nil {
			return false, err
		}
	}
	_, err = t.w.Write(b)
	return false, t.fault(ctx, err)
}

// sync waits until the collector's kernel has acknowledged everything. Whether
// the collector has read it, no transport can tell.
func (t *tcp) sync(ctx context.Context) error {
	if err := t.flush(ctx); err != nil {
		return err
	}
	raw, err := t.socket.SyscallConn()
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
				Hint: hintNotReading,
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
	if t.cork == nil {
		return t.fault(ctx, t.w.Flush())
	}
	t.cork.in = true
	err := t.w.Flush()
	return t.fault(ctx, cmp.Or(err, t.cork.pull()))
}

func (t *tcp) fault(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return sendError(t.url, err)
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
