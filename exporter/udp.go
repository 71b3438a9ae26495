package exporter

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// udp sends each message as a datagram from one connected socket: connected, so
// that the kernel reports the collector's ICMP refusals, and one, because
// collectors take another source port for another exporter.
//
// Messages of one size are gathered and handed to the kernel in one call that it
// splits into datagrams again (generic segmentation offload): calls are what
// sending costs. How many may wait for that is the caller's business, who flushes.
// Where the kernel or the interface does not do it, messages go one by one.
type udp struct {
	url    string
	conn   *net.UDPConn
	settle time.Duration
	// patience is how long to wait for room in the interface's queue; 0 is until
	// the context ends.
	patience time.Duration

	gather  bool
	held    []byte // whole messages of segment bytes, the last one may be shorter
	segment int
	control []byte // the ancillary data that says segment
}

// settle is how long an ICMP refusal may take to come back. What has not been
// refused by then counts as delivered, as far as UDP can tell. On the loopback
// interface a refusal comes before the send returns.
const settle = 200 * time.Millisecond

// maxGather is how many bytes go to the kernel in one call: what fits into an
// IPv4 datagram, since the kernel counts them as one. maxSegments is how many
// datagrams it makes of them; of late it takes twice as many.
const (
	maxGather   = 65507
	maxSegments = 64
)

func dialUDP(ctx context.Context, cfg *Config, target string) (transport, error) {
	c, err := connectUDP(ctx, cfg, target)
	if err != nil {
		return nil, err
	}
	u := &udp{url: cfg.URL, conn: c, settle: settle, gather: true}
	if onLoopback(c) {
		u.settle = 0
	}
	u.control = make([]byte, unix.CmsgSpace(2))
	h := unix.Cmsghdr{Level: unix.SOL_UDP, Type: unix.UDP_SEGMENT}
	h.SetLen(unix.CmsgLen(2))
	if _, err := binary.Encode(u.control, binary.NativeEndian, &h); err != nil {
		return nil, sendError(cfg.URL, err)
	}
	return u, nil
}

// connectUDP looks the name up and opens a socket to it.
func connectUDP(ctx context.Context, cfg *Config, target string) (*net.UDPConn, error) {
	d := net.Dialer{Timeout: cfg.Timeout}
	if cfg.LocalAddress != "" {
		local, err := net.ResolveUDPAddr("udp", net.JoinHostPort(cfg.LocalAddress, "0"))
		if err != nil {
			return nil, &Error{URL: cfg.URL, Err: err, Hint: hintLocalAddress}
		}
		d.LocalAddr = local
	}
	c, err := d.DialContext(ctx, "udp", target)
	if err != nil {
		return nil, dialError(cfg.URL, err)
	}
	return c.(*net.UDPConn), nil
}

func onLoopback(c net.Conn) bool {
	a, ok := c.RemoteAddr().(*net.UDPAddr)
	return ok && a.IP.IsLoopback()
}

func (u *udp) repeatTemplates() bool { return true }

func (u *udp) send(ctx context.Context, b []byte) (held bool, err error) {
	if !u.gather {
		return false, u.write(ctx, b, nil)
	}
	held = true
	// Only the last of the datagrams may be shorter than the others.
	whole := len(u.held)%max(u.segment, 1) == 0
	if len(u.held) > 0 && (!whole || len(b) > u.segment || len(u.held)+len(b) > maxGather || len(u.held) >= maxSegments*u.segment) {
		held = false
		if err := u.flush(ctx); err != nil {
			return false, err
		}
		if !u.gather { // from now on
			return false, u.write(ctx, b, nil)
		}
	}
	if len(u.held) == 0 {
		u.segment = len(b)
	}
	u.held = append(u.held, b...)
	return held, nil
}

// flush sends what is held.
func (u *udp) flush(ctx context.Context) error {
	held := u.held
	if len(held) == 0 {
		return nil
	}
	u.held = u.held[:0]
	if len(held) > u.segment {
		binary.NativeEndian.PutUint16(u.control[unix.CmsgLen(0):], uint16(u.segment))
		err := u.write(ctx, held, u.control)
		if !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EMSGSIZE) {
			return err
		}
		u.gather = false // not to be had here: nothing was sent
	}
	for len(held) > 0 {
		n := min(u.segment, len(held))
		if err := u.write(ctx, held[:n], nil); err != nil {
			return err
		}
		held = held[n:]
	}
	return nil
}

// write makes one call to the kernel, until it takes it.
func (u *udp) write(ctx context.Context, b, control []byte) error {
	waited := time.Duration(0)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		_, _, err := u.conn.WriteMsgUDP(b, control, nil)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.ENOBUFS) && (u.patience == 0 || waited < u.patience): // the interface's queue is full: no datagram was sent
			waited += wait
			if err := sleep(ctx, wait); err != nil {
				return err
			}
		default:
			// A refusal is of an earlier datagram; this one was not sent.
			return sendError(u.url, err)
		}
	}
}

// sync waits for a refusal of what was sent last.
func (u *udp) sync(ctx context.Context) error {
	if err := u.flush(ctx); err != nil {
		return err
	}
	deadline := time.Now().Add(u.settle)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := u.pendingError(); err != nil {
		return err
	}
	if u.settle == 0 {
		return nil
	}
	if err := u.conn.SetReadDeadline(deadline); err != nil {
		return sendError(u.url, err)
	}
	// A canceled context does not wait.
	stop := context.AfterFunc(ctx, func() { _ = u.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	// A collector does not answer; if it does, nobody cares what.
	var b [1]byte
	for {
		_, err := u.conn.Read(b[:])
		var timeout net.Error
		switch {
		case err == nil:
		case errors.As(err, &timeout) && timeout.Timeout():
			return context.Cause(ctx)
		default:
			return sendError(u.url, err)
		}
	}
}

// pendingError returns what the kernel already knows to have gone wrong.
func (u *udp) pendingError() error {
	raw, err := u.conn.SyscallConn()
	if err != nil {
		return sendError(u.url, err)
	}
	var pending int
	var sockErr error
	if err := raw.Control(func(fd uintptr) {
		pending, sockErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	}); err != nil {
		return sendError(u.url, err)
	}
	switch errno := unix.Errno(pending); {
	case sockErr != nil:
		return sendError(u.url, sockErr)
	case errno != 0:
		return sendError(u.url, errno)
	}
	return nil
}

func (u *udp) close() error { return u.conn.Close() }

func isRefused(err error) bool { return errors.Is(err, unix.ECONNREFUSED) }

// sleep waits, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
