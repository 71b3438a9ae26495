package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// socketBufferBytes is what a UDP socket is asked to buffer in the kernel. The
// kernel grants no more than net.core.rmem_max, and says nothing about it.
const socketBufferBytes = 4 << 20

// schemes names the URLs that Listen knows, for its errors.
const schemes = "udp://HOST:PORT, tcp://HOST:PORT, file:PATH or file:- (standard input)"

// source is a transport: it reads messages until ctx ends or there are no more.
type source interface {
	// read puts what arrives into the intake. It returns nil when ctx ends and
	// leaves no goroutine behind.
	read(ctx context.Context, in *intake) error
	Close() error
}

// ErrURL says that a URL cannot be listened on, whatever the machine.
var ErrURL = errors.New("wrong URL")

// Listen opens a collector on a URL:
//
//	udp://HOST:PORT  IPFIX, NetFlow v9 and v5; a message a datagram
//	tcp://HOST:PORT  IPFIX; a connection is a transport session (RFC 7011 §10.4)
//	file:PATH        a file of IPFIX messages (RFC 5655), read to its end
//	file:-           the same from standard input
//
// An empty HOST means all addresses, port 0 a free port. Over UDP an exporter
// is told by its address and port. Listen only opens; Run reads. Use ctx for
// the time that looking up HOST may take.
//
// When Run is cancelled while standard input is silent, one goroutine stays
// behind in read(2) until input or the end of the process: that read cannot be
// interrupted.
//
// The first Listen reads go-ipfix's registry, a package global without a lock,
// and loads it if nobody has. Nothing else may load it at the same time.
func Listen(ctx context.Context, url string, opts Options) (*Collector, error) {
	elements()
	c := &Collector{url: url, opts: opts}
	scheme, rest, _ := strings.Cut(url, ":")
	var err error
	switch scheme {
	case "udp":
		err = c.listenUDP(ctx, rest)
	case "tcp":
		err = c.listenTCP(ctx, rest)
	case "file":
		err = c.openFile(rest)
	case "tls", "dtls":
		err = fmt.Errorf("%w: %s is not supported yet: want %s", ErrURL, scheme, schemes)
	default:
		err = fmt.Errorf("%w: unknown scheme: want %s", ErrURL, schemes)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", url, err)
	}
	return c, nil
}

// hostPort checks what follows "udp:" or "tcp:".
func hostPort(rest string) (string, error) {
	address, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return "", fmt.Errorf("%w: want %s", ErrURL, schemes)
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return "", fmt.Errorf("%w: want a host and a port, like udp://127.0.0.1:4739: %w", ErrURL, err)
	}
	return address, nil
}

func (c *Collector) listenUDP(ctx context.Context, rest string) error {
	address, err := hostPort(rest)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return err
	}
	udp := conn.(*net.UDPConn)
	// A refusal is no reason to stop: a small buffer only drops sooner.
	_ = udp.SetReadBuffer(socketBufferBytes)
	c.source = &udpSource{conn: udp}
	c.url = "udp://" + unmap(udp.LocalAddr().(*net.UDPAddr).AddrPort()).String()
	return nil
}

func (c *Collector) listenTCP(ctx context.Context, rest string) error {
	address, err := hostPort(rest)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	c.source = &tcpSource{listener: listener.(*net.TCPListener), refused: &c.refused}
	c.url = "tcp://" + unmap(listener.Addr().(*net.TCPAddr).AddrPort()).String()
	return nil
}

func (c *Collector) openFile(path string) error {
	path = strings.TrimPrefix(path, "//")
	if path == "" {
		return fmt.Errorf("%w: want %s", ErrURL, schemes)
	}
	if path == "-" {
		c.source = &fileSource{name: "standard input", file: os.Stdin, shared: true}
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return errors.Join(errors.New("it is a directory: want a file of IPFIX messages"), f.Close())
	}
	c.source = &fileSource{name: path, file: f}
	return nil
}

// udpSource reads datagrams.
type udpSource struct{ conn *net.UDPConn }

func (u *udpSource) Close() error { return u.conn.Close() }

func (u *udpSource) read(ctx context.Context, in *intake) error {
	stop := context.AfterFunc(ctx, func() { _ = u.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, MaxMessageBytes+1)
	for {
		n, from, err := u.conn.ReadFromUDPAddrPort(buf)
		if err == nil {
			err = in.message(ctx, nil, unmap(from), buf[:n])
		}
		if err != nil {
			return readEnd(ctx, "receive datagrams", err)
		}
	}
}

// fileSource reads messages end to end.
type fileSource struct {
	name   string
	file   io.ReadCloser
	shared bool // standard input: not ours to close, and its reads cannot be interrupted
}

func (f *fileSource) Close() error {
	if f.shared {
		return nil
	}
	return f.file.Close()
}

func (f *fileSource) read(ctx context.Context, in *intake) error {
	r, interrupt := io.Reader(f.file), f.file.Close
	if f.shared {
		// The pump may stay in a read that nothing can interrupt; whoever
		// reads the pipe is free to go.
		pr, pw := io.Pipe()
		go func() {
			_, err := io.Copy(pw, f.file)
			pw.CloseWithError(err)
		}()
		defer pr.Close()
		r, interrupt = pr, func() error { return pr.CloseWithError(fs.ErrClosed) }
	}
	stop := context.AfterFunc(ctx, func() { _ = interrupt() })
	defer stop()
	s := newSession(netip.AddrPort{}, "file:"+f.name)
	err := readEnd(ctx, "read "+f.name, readFrames(r, func(message []byte) error {
		return in.message(ctx, s, netip.AddrPort{}, message)
	}))
	if errors.Is(err, errFrame) {
		_ = in.end(ctx, s, err)
	}
	return err
}

// readEnd says what the end of a source's reading means: nil when it was asked
// to end, else err with its stage.
func readEnd(ctx context.Context, stage string, err error) error {
	if err == nil || ctx.Err() != nil || isClosed(err) {
		return nil
	}
	return fmt.Errorf("%s: %w", stage, err)
}

// isClosed reports whether err only says that we closed the file or socket.
func isClosed(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, fs.ErrClosed)
}

// unmap turns ::ffff:192.0.2.1, as sockets for both families name it, into
// 192.0.2.1.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
