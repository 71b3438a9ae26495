package collect

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// maxConnections is how many TCP connections may be open at once. One more is
// closed as soon as it is accepted.
const maxConnections = 64

// acceptPause is the wait before accepting again after the system was out of
// file descriptors or memory.
const acceptPause = 100 * time.Millisecond

// errFrame marks a stream whose framing is lost: nothing more can be read
// from it.
var errFrame = errors.New("broken framing")

// tcpSource accepts connections; each is one transport session.
type tcpSource struct {
	listener *net.TCPListener
	refused  *atomic.Uint64
}

func (t *tcpSource) Close() error { return t.listener.Close() }

func (t *tcpSource) read(ctx context.Context, in *intake) error {
	stop := context.AfterFunc(ctx, func() { _ = t.listener.Close() })
	defer stop()
	var conns errgroup.Group
	defer conns.Wait() //nolint:errcheck // connections report their errors through the intake
	conns.SetLimit(maxConnections)
	for {
		conn, err := t.listener.AcceptTCP()
		switch {
		case err == nil:
			accepted := conns.TryGo(func() error {
				readConn(ctx, conn, in)
				return nil
			})
			if !accepted {
				t.refused.Add(1)
				conn.Close()
			}
		case isShortage(err):
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
				return nil
			}
		default:
			return readEnd(ctx, "accept connections", err)
		}
	}
}

// isShortage reports whether accepting failed for a reason that passes.
func isShortage(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// readConn reads one connection to its end. What goes wrong ends the
// connection, never the collector.
func readConn(ctx context.Context, conn *net.TCPConn, in *intake) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	from := unmap(conn.RemoteAddr().(*net.TCPAddr).AddrPort())
	s := newSession(from, from.String())
	err := readEnd(ctx, "read connection", readFrames(conn, func(message []byte) error {
		return in.message(ctx, s, from, message)
	}))
	// The decoder frees the session's templates. If ctx ended, it ends too.
	_ = in.end(ctx, s, err)
}

// readFrames cuts a stream into IPFIX messages by the length in their headers
// (RFC 7011 §3.1, §10.4) and gives each to emit; the bytes are valid only
// during the call. It returns nil when the stream ends after a whole message,
// an error wrapping errFrame where the stream is not a series of IPFIX
// messages, and the errors of r and emit as they are.
func readFrames(r io.Reader, emit func(message []byte) error) error {
	br := bufio.NewReaderSize(r, MaxMessageBytes+1)
	for offset := int64(0); ; {
		header, err := br.Peek(4)
		switch {
		case err == io.EOF && len(header) == 0:
			return nil
		case err == io.EOF:
			return fmt.Errorf("%w: stream ends inside a message header at byte %d", errFrame, offset)
		case err != nil:
			return err
		}
		version, length := binary.BigEndian.Uint16(header), int(binary.BigEndian.Uint16(header[2:]))
		if version != versionIPFIX {
			return fmt.Errorf("%w: message at byte %d has version %d, want 10 (IPFIX)", errFrame, offset, version)
		}
		if length < ipfixHeaderBytes {
			return fmt.Errorf("%w: message at byte %d says it is %d bytes long, its header alone is %d",
				errFrame, offset, length, ipfixHeaderBytes)
		}
		message, err := br.Peek(length)
		switch {
		case err == io.EOF:
			return fmt.Errorf("%w: stream ends after %d of the %d bytes of the message at byte %d",
				errFrame, len(message), length, offset)
		case err != nil:
			return err
		}
		if err := emit(message); err != nil {
			return err
		}
		offset += int64(length)
		_, _ = br.Discard(length) // Peek has buffered it
	}
}
