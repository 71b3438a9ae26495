package exporter

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outbox is a TCP connection on which writing does not wait: what the kernel does
// not take stays here until push. TLS stands on it as on any connection.
type outbox struct {
	*net.TCPConn
	raw     syscall.RawConn
	try     func(fd uintptr) bool // writes what it can of out, for raw.Write
	measure func(fd uintptr)      // asks the kernel's queues, for raw.Control

	mu     sync.Mutex
	direct bool // writes wait, as on any connection: during the handshake
	gather bool // writes are handed to the kernel by push alone: those of TLS are small
	out    []byte
	buf    []byte
	start  int   // what was taken of buf
	total  int64 // bytes that were ever written here
	err    error

	queued, unsent int // by measure
	measureErr     error
}

func newOutbox(c *net.TCPConn) (*outbox, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	o := &outbox{TCPConn: c, raw: raw}
	o.try = func(fd uintptr) bool {
		for len(o.out) > 0 {
			n, err := unix.Write(int(fd), o.out)
			switch {
			case n > 0:
				o.out = o.out[n:]
			case errors.Is(err, unix.EINTR):
			case errors.Is(err, unix.EAGAIN):
				return true
			default:
				o.err = err
				return true
			}
		}
		return true
	}
	o.measure = func(fd uintptr) {
		if o.queued, o.measureErr = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); o.measureErr == nil {
			o.unsent, o.measureErr = unix.IoctlGetInt(int(fd), unix.SIOCOUTQNSD)
		}
	}
	return o, nil
}

// Write hands to the kernel what that takes now of b, unless something waits already
// or writes are gathered, and keeps the rest until push. During the handshake, it
// writes.
func (o *outbox) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.direct {
		n, err := o.TCPConn.Write(b)
		o.total += int64(n)
		return n, err
	}
	if o.err != nil {
		return 0, o.err
	}
	rest := b
	if !o.gather && o.start == len(o.buf) {
		if rest = o.hand(b); o.err != nil {
			return 0, o.err
		}
	}
	o.buf = append(o.buf, rest...)
	o.total += int64(len(b))
	return len(b), nil
}

// hand hands to the kernel what that takes now of b, and returns the rest. The
// caller holds the lock.
func (o *outbox) hand(b []byte) []byte {
	o.out = b
	if err := o.raw.Write(o.try); err != nil && o.err == nil {
		o.err = err
	}
	rest := o.out
	o.out = nil
	return rest
}

// SetWriteDeadline does nothing: no write waits.
func (o *outbox) SetWriteDeadline(time.Time) error { return nil }

// push hands to the kernel what that takes now.
func (o *outbox) push() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && o.start < len(o.buf) {
		o.start = len(o.buf) - len(o.hand(o.buf[o.start:]))
		switch {
		case o.start == len(o.buf):
			o.buf, o.start = o.buf[:0], 0
		case o.start > len(o.buf)/2:
			o.buf, o.start = o.buf[:copy(o.buf, o.buf[o.start:])], 0
		}
	}
	return o.err
}

// waiting returns how many bytes the kernel has not taken, and how many were
// written in all.
func (o *outbox) waiting() (waiting int, total int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf) - o.start, o.total
}

// state returns how many of the bytes that were ever written the peer's kernel
// has acknowledged, whether all are, and whether the peer holds some up: our
// kernel has bytes that the peer's window, or the network, does not let out.
func (o *outbox) state() (acknowledged int64, all, heldUp bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.raw.Control(o.measure); err != nil {
		return 0, false, false, err
	}
	if o.measureErr != nil {
		return 0, false, false, o.measureErr
	}
	here := len(o.buf) - o.start
	return o.total - int64(here) - int64(o.queued), here+o.queued == 0, here+o.unsent > 0, nil
}

// setOption sets an option of TCP.
func (o *outbox) setOption(name, value int) error {
	var optErr error
	if err := o.raw.Control(func(fd uintptr) { optErr = unix.SetsockoptInt(int(fd), unix.SOL_TCP, name, value) }); err != nil {
		return err
	}
	return optErr
}
